"""Simulated observations, from antennas to files."""

import sys
from pathlib import Path
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.wcs import WCS
from radio_beam import Beam

from astro_ddpm_imager import read_image
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.evaluate.images import true_sky
from astro_ddpm_imager.simulate import (
    Observation,
    SourceRecipe,
    Sources,
    fit_beam,
    read_array,
    simulate_fields,
    simulate_with_casa,
    sky_pixels,
    truth_table,
)
from astro_ddpm_imager.whole_files import claimed

CELL = 0.1 * u.arcsec


def observation(**settings):
    defaults = {"ra": 150 * u.deg, "declination": -10 * u.deg, "integration": 2 * u.min, "shape": (256, 256)}
    return Observation(**{"array": read_array("alma.cycle5.3")} | defaults | settings)


def one_source(**values):
    defaults = {"x": 140.3, "y": 120.8, "flux": 1.0, "major": 0.0, "minor": 0.0, "angle": 0.0}
    return Sources(*(np.array([value]) for value in (defaults | values).values()))


def test_a_point_source_is_the_psf_at_its_place():
    seen = observation()
    assert seen.psf[128, 128] == pytest.approx(1)
    dirty = seen.image(seen.visibilities(one_source(x=150.0, y=110.0)))
    peak = np.unravel_index(dirty.argmax(), dirty.shape)
    assert peak == (110, 150)
    assert dirty.max() == pytest.approx(seen.pb[110, 150], rel=1e-4)
    expected = seen.psf[118:138, 118:138] * seen.pb[110, 150]
    np.testing.assert_allclose(dirty[100:120, 140:160], expected, atol=1e-4)


def test_an_elongated_source_has_the_orientation_it_says():
    seen = observation()
    dirty = seen.image(seen.visibilities(one_source(x=128, y=128, major=25, minor=3, angle=np.pi / 4)))
    # Along the diagonal of growing x and y it falls more slowly than across.
    assert dirty[136, 136] > 2 * dirty[136, 120]
    truth = truth_table(seen, one_source(angle=np.pi / 4))
    # x points west, y north: the axis runs from north to west, 45 deg, which is 135 deg through east.
    assert truth["pa_deg"][0] == pytest.approx(135)


def test_position_angles_of_the_truth_are_from_the_north_of_each_source():
    # Beside the pole, where north turns by 12 deg over the image.
    wsrt = {"array": read_array("wsrt"), "frequency": 1.4 * u.GHz, "cell": 4 * u.arcsec}
    near_pole = observation(declination=89.5 * u.deg, **wsrt)
    source = one_source(x=228.0, y=100.0, major=20.0, minor=10.0, angle=0.6)
    truth = truth_table(near_pole, source)
    middle, along = near_pole.wcs.pixel_to_world([228.0, 228.0 + np.cos(0.6)], [100.0, 100.0 + np.sin(0.6)])
    turned = (np.rad2deg(0.6) - 90) % 180 - truth["pa_deg"][0]
    assert truth["pa_deg"][0] == pytest.approx(middle.position_angle(along).deg % 180, abs=0.05) and abs(turned) > 10
    # And the evaluation takes them so.
    columns = {
        "ra": "ra",
        "dec": "dec",
        "flux": "flux_jy",
        "major": "maj_arcsec",
        "minor": "min_arcsec",
        "pa": "pa_deg",
    }
    units = {"flux": u.Jy, "major": u.arcsec, "minor": u.arcsec}
    known = QTable({name: truth[column] * units.get(name, u.deg) for name, column in columns.items()})
    seen = SimpleNamespace(wcs=near_pole.wcs, shape=near_pole.shape, pb=np.ones(near_pole.shape))
    expected = sky_pixels(source, near_pole.shape)
    np.testing.assert_allclose(true_sky(known, seen), expected, atol=0.003 * expected.max())


def test_the_wcs_puts_east_to_the_left():
    seen = observation()
    dirty = seen.image(seen.visibilities(one_source(x=140, y=120)))
    sky = seen.wcs.pixel_to_world(140, 120)
    y, x = np.unravel_index(dirty.argmax(), dirty.shape)
    assert seen.wcs.pixel_to_world(x, y).separation(sky) < 0.01 * u.arcsec
    assert sky.ra < 150 * u.deg and sky.dec < -10 * u.deg


def test_weightings_trade_noise_for_resolution():
    beams, noise = [], []
    for weighting, robust in (("natural", 0), ("briggs", 2), ("briggs", 0), ("uniform", 0)):
        seen = observation(weighting=weighting, robust=robust)
        beams.append(np.sqrt(seen.beam.major * seen.beam.minor).to_value(u.arcsec))
        noise.append(seen.image(seen.noise(1.0, np.random.default_rng(0))).std())
    assert beams[0] == pytest.approx(beams[1], rel=0.02) and beams[1] > 1.1 * beams[2] > 1.1 * beams[3]
    assert noise[0] == pytest.approx(1, rel=0.08) and noise[0] < noise[2] < noise[3]


def test_the_noise_of_other_weightings_is_said(tmp_path):
    seen = observation(weighting="uniform")
    truth = simulate_fields(seen, SourceRecipe(number=(0, 0)), 30 * u.uJy, tmp_path)
    assert truth.meta["natural_rms_uJy"] == pytest.approx(30)
    assert fits.getdata(tmp_path / "0000.dirty.fits").std() * 1e6 == pytest.approx(truth.meta["rms_uJy"], rel=0.05)
    assert seen.noise_factor > 1.2 and observation().noise_factor == 1


@pytest.mark.parametrize("pa", [-80, -30, 0, 20, 65])
def test_the_fitted_beam_is_the_gaussian_that_was_drawn(pa):
    beam = Beam(0.9 * u.arcsec, 0.6 * u.arcsec, pa * u.deg)
    kernel = beam.as_kernel(CELL, x_size=101, y_size=101).array
    fitted = fit_beam(np.pad(kernel / kernel.max(), ((1, 0), (1, 0))), CELL)
    assert fitted.major.to_value(u.arcsec) == pytest.approx(0.9, rel=0.01)
    assert fitted.minor.to_value(u.arcsec) == pytest.approx(0.6, rel=0.01)
    assert (fitted.pa.to_value(u.deg) - pa + 90) % 180 - 90 == pytest.approx(0, abs=1)


def test_a_beam_larger_than_the_image_is_refused(tmp_path):
    small = observation(frequency=1 * u.GHz, shape=(64, 64))
    with pytest.raises(SimulationError, match=r"shape=\(64, 64\), cell=0.1 arcsec: .* 6.4 x 6.4 arcsec; take a larger"):
        simulate_fields(small, SourceRecipe(), 1 * u.mJy, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # The lobe of a narrow beam may be long as long as it is on the image.
    narrow = Beam(40 * u.arcsec, 4 * u.arcsec, 0 * u.deg).as_kernel(1 * u.arcsec, x_size=127, y_size=127).array
    assert fit_beam(np.pad(narrow / narrow.max(), ((1, 0), (1, 0))), 1 * u.arcsec).major.value == pytest.approx(
        40, 1e-3
    )


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"duration": -1 * u.min}, r"duration=-1.0 min: must be positive"),
        ({"shape": (255, 256)}, r"shape=\(255, 256\): must be even"),
        ({"cell": 2 * u.arcsec}, r"cell=2.0 arcsec: too large for the longest baseline.*take at most"),
        ({"declination": 75 * u.deg}, r"declination=75 deg: .* never above"),
        ({"declination": -95 * u.deg}, r"declination=-95.0 deg: must lie between -90 and 90 deg"),
        ({"ra": np.inf * u.deg}, r"ra=inf deg: must be finite"),
        ({"hour_angle": np.nan * u.hourangle}, r"hour_angle=nan hourangle: must be finite"),
        ({"duration": np.inf * u.min}, r"duration=inf min: must be positive and finite"),
        ({"shape": (10**6, 10**6)}, r"shape=\(1000000, 1000000\): must be even numbers from 32 to 16384"),
        ({"integration": 1e-9 * u.s}, r"integration=1e-09 s: makes 1.2e\+12 integrations .* take at least 0.0108 s"),
        ({"bandwidth": -1 * u.GHz}, r"bandwidth=-1.0 GHz: must be finite and not negative"),
        ({"bandwidth": np.nan * u.GHz}, r"bandwidth=nan GHz: must be finite and not negative"),
        ({"weighting": "briggs", "robust": np.nan}, r"robust=nan: must lie between -2 and 2"),
    ],
)
def test_observations_that_cannot_be_simulated(settings, message):
    with pytest.raises(SimulationError, match=message):
        observation(**settings)


def test_settings_out_of_range_are_said():
    with pytest.raises(SimulationError, match=r"weighting='superuniform': choose one of 'natural'"):
        _ = observation(weighting="superuniform").weights
    with pytest.raises(SimulationError, match=r"robust=5: must lie between -2 and 2"):
        _ = observation(weighting="briggs", robust=5).weights
    with pytest.raises(SimulationError, match=r"rms=-1.0: must not be negative"):
        observation().noise(-1.0, np.random.default_rng(0))
    with pytest.raises(SimulationError, match=r"number=5 to 1: .*the smaller one first"):
        SourceRecipe(number=(5, 1))
    with pytest.raises(SimulationError, match=r"pairs=2: must be a fraction"):
        SourceRecipe(pairs=2)
    with pytest.raises(SimulationError, match=r"bright=\[ 5\. -3\.\] mJy: must be positive"):
        SourceRecipe(bright=[5, -3] * u.mJy)


def test_recipes_draw_what_they_say():
    rng = np.random.default_rng(0)
    uniform, steep = (SourceRecipe(number=(4000, 4000), slope=slope).draw(rng, (512, 512), CELL) for slope in (0, -2))
    for drawn in (uniform, steep):
        assert drawn.flux.min() >= 49e-6 and drawn.flux.max() <= 501e-6
        assert np.abs(drawn.x - 256).max() <= 100 and drawn.major.max() <= 8.01
    assert np.median(uniform.flux) == pytest.approx(275e-6, rel=0.03)
    # N(> S) falls as 1 / S: half of them below 2 / (1 / 50 + 1 / 500).
    assert np.median(steep.flux) == pytest.approx(2 / (1 / 50e-6 + 1 / 500e-6), rel=0.03)
    bright = SourceRecipe(number=(0, 0), bright=[50] * u.mJy).draw(rng, (512, 512), CELL)
    assert bright.flux == [0.05]
    gathered = SourceRecipe(number=(200, 200), clustering=0.5 * u.arcsec).draw(rng, (512, 512), CELL)
    assert gathered.x.std() < 6 < uniform.x.std()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"slope": np.nan}, r"slope=nan: must be finite"),
        ({"flux": [50, np.inf] * u.uJy}, r"flux=50.0 uJy to inf uJy: must be finite and not negative"),
        ({"size": [0, np.inf] * u.arcsec}, r"size=0.0 arcsec to inf arcsec: must be finite"),
        ({"bright": [np.inf] * u.mJy}, r"bright=\[inf\] mJy: must be positive and finite"),
        ({"reach": -2 * u.arcsec}, r"reach=-2.0 arcsec: must lie between 0 and 30 deg"),
        ({"reach": np.nan * u.arcsec}, r"reach=nan arcsec: must lie between 0 and 30 deg"),
        ({"clustering": -1 * u.arcsec}, r"clustering=-1.0 arcsec: must not be negative, and at most reach=10"),
        ({"clustering": 11 * u.arcsec}, r"clustering=11.0 arcsec: .*leave it out to spread the sources evenly"),
        ({"pairs": 0.5, "pair_distance": -1 * u.arcsec}, r"pair_distance=-1.0 arcsec: must be positive"),
        ({"pairs": 0.5, "reach": 0.5 * u.arcsec}, r"pair_distance=1.0 arcsec: .*at most reach=0.5 arcsec"),
    ],
)
def test_recipes_that_cannot_be_drawn(settings, message):
    with pytest.raises(SimulationError, match=message):
        SourceRecipe(**settings)


@pytest.mark.parametrize("number", [2, 3, 50])
@pytest.mark.parametrize("pairs", [0.1, 0.5, 1])
def test_as_many_sources_are_pairs_as_are_asked_for(number, pairs):
    """In a field so wide that few lie close by chance."""
    rng, fractions = np.random.default_rng(0), []
    recipe = SourceRecipe(number=(number, number), pairs=pairs, reach=200 * u.arcsec)
    for _ in range(100_000 // number if number == 50 else 4000):
        sources = recipe.draw(rng, (512, 512), CELL)
        distance = np.hypot(sources.x - sources.x[:, None], sources.y - sources.y[:, None])
        fractions.append(((distance <= 10 + 1e-6).sum(1) > 1).mean())
    assert np.mean(fractions) == pytest.approx(pairs, abs=0.02)


@pytest.mark.parametrize("settings", [{"pairs": 1.0}, {"clustering": 10 * u.arcsec}])
def test_close_and_gathered_sources_stay_within_reach_and_not_on_its_edge(settings):
    drawn = SourceRecipe(number=(2000, 2000), **settings).draw(np.random.default_rng(0), (512, 512), CELL)
    offset = np.abs([drawn.x - 256, drawn.y - 256])
    assert 98 < offset.max() < 100


@pytest.mark.parametrize(("reach", "grid", "furthest"), [(10, 6, 6), (10, 1, 10), (0.3, 0.1, 0.3), (1, 1, 1)])
def test_a_grid_does_not_go_beyond_the_reach(reach, grid, furthest):
    recipe = SourceRecipe(number=(500, 500), reach=reach * u.arcsec, grid=grid * u.arcsec)
    drawn = recipe.draw(np.random.default_rng(0), (512, 512), CELL)
    offset = np.array([drawn.x - 256, drawn.y - 256]) * 0.1
    assert np.abs(offset).max() == pytest.approx(furthest)
    np.testing.assert_allclose(offset / grid, np.round(offset / grid), atol=1e-9)


def test_a_faint_source_may_be_beside_a_bright_one():
    recipe = SourceRecipe(number=(1, 1), bright=[50] * u.mJy, pairs=1)
    faint, bright = np.transpose([(s := recipe.draw(np.random.default_rng(0), (512, 512), CELL)).x, s.y])
    assert 5 <= np.hypot(*(faint - bright)) <= 10


@pytest.mark.parametrize(
    ("slope", "median", "within"),
    [(1000, 499.65, 1e-4), (100, 496.58, 1e-3), (-1 - 1e-12, 158.1, 0.03), (-1000, 50.035, 1e-4)],
)
def test_steep_counts_are_exact(slope, median, within):
    drawn = SourceRecipe(number=(4000, 4000), slope=slope).draw(np.random.default_rng(0), (512, 512), CELL).flux * 1e6
    assert drawn.min() >= 50 and drawn.max() <= 500
    assert np.median(drawn) == pytest.approx(median, rel=within)


def test_files_are_casas_and_tell_the_truth(tmp_path):
    seen = observation()
    recipe = SourceRecipe(number=(1, 1), flux=[5, 5] * u.mJy, reach=6 * u.arcsec)
    truth = simulate_fields(seen, recipe, 47 * u.uJy, tmp_path / "a", number=2, seed=4)
    image = read_image(tmp_path / "a" / "0001.dirty.fits")
    assert fits.getheader(tmp_path / "a" / "0001.dirty.fits")["NAXIS"] == 4 and image.unit == u.Jy / u.beam
    row = truth[truth["field"] == 1][0]
    y, x = np.unravel_index(image.data.argmax(), image.shape)
    position = SkyCoord(row["ra"], row["dec"], unit="deg")
    assert image.wcs.pixel_to_world(x, y).separation(position) < 0.1 * u.arcsec
    area = (row["maj_arcsec"] ** 2 + 0.87**2) * (row["min_arcsec"] ** 2 + 0.87**2)
    assert image.data.max() == pytest.approx(5e-3 * row["pb"] * 0.87**2 / np.sqrt(area), rel=0.1)
    assert Table.read(tmp_path / "a" / "truth.ecsv")["flux_jy"].tolist() == truth["flux_jy"].tolist()
    with pytest.raises(FileExistsError, match=r"exists already; remove it or give overwrite"):
        simulate_fields(seen, recipe, 47 * u.uJy, tmp_path / "a")


def test_overwriting_leaves_nothing_of_the_run_before(tmp_path):
    seen, recipe = observation(shape=(64, 64)), SourceRecipe(reach=2 * u.arcsec)
    simulate_fields(seen, recipe, 47 * u.uJy, tmp_path, 3)
    others = ("0009.dirty.fits.bak", "mine.0001.dirty.fits", "001.dirty.fits")
    for name in others:
        (tmp_path / name).touch()
    simulate_fields(seen, recipe, 47 * u.uJy, tmp_path, 1, overwrite=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"psf.fits", "pb.fits", "truth.ecsv", "0000.dirty.fits", *others}
    (tmp_path / "0000.dirty.fits").rename(tmp_path / "0007.dirty.fits")
    for name in ("psf.fits", "pb.fits", "truth.ecsv"):
        (tmp_path / name).unlink()
    with pytest.raises(FileExistsError, match=r"0007.dirty.fits: exists already"):
        simulate_fields(seen, recipe, 47 * u.uJy, tmp_path)


@pytest.mark.parametrize("name", ["truth.ecsv", "0007.dirty.fits", "psf.fits"])
def test_the_file_of_the_array_is_never_replaced(tmp_path, capsys, name):
    path, array = tmp_path / "some.cfg", read_array("alma.cycle5.3").path.read_bytes()
    path.write_bytes(array)
    given = tmp_path / "out" / name
    given.parent.mkdir()
    given.symlink_to(path)
    for which in (path, given):  # the same file
        seen = Observation(read_array(which), 150 * u.deg, 2 * u.deg, shape=(64, 64))
        with pytest.raises(SimulationError, match=rf"{name}: would be replaced, but is the file of the array"):
            simulate_fields(seen, SourceRecipe(number=(0, 0)), 47 * u.uJy, given.parent, overwrite=True)
    if name == "psf.fits":
        with pytest.raises(SimulationError, match=r"psf\.fits: would be replaced, but is the file of the array"):
            simulate_with_casa(seen, None, given.parent, overwrite=True)
    command = ["simulate", "--array", str(path), "--output-dir", str(given.parent), "--imsize", "64", "--rms", "47"]
    assert main([*command, "--overwrite"]) == 1
    assert f"{given}: would be replaced" in capsys.readouterr().err
    assert given.read_bytes() == array and [each.name for each in given.parent.iterdir()] == [name]


def test_an_interruption_leaves_no_truth_and_no_part(tmp_path, capsys, monkeypatch):
    command = ["simulate", "--output-dir", str(tmp_path), "--imsize", "64", "--reach", "2", "--fields", "3"]
    assert main(command) == 0

    def interrupted(self, target):
        if target.name == "0001.dirty.fits":
            raise KeyboardInterrupt
        return rename(self, target)

    rename = Path.replace
    monkeypatch.setattr(Path, "replace", interrupted)
    assert main([*command, "--overwrite"]) == 130
    assert capsys.readouterr().err.strip().endswith("files written so far are whole, --overwrite starts again")
    assert {path.name for path in tmp_path.iterdir()} == {"psf.fits", "pb.fits", "0000.dirty.fits"}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of folders")
def test_fields_of_two_runs_are_not_mixed(tmp_path):
    seen, recipe = observation(shape=(64, 64)), SourceRecipe(number=(0, 0))
    simulate_fields(seen, recipe, 47 * u.uJy, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with claimed(tmp_path), pytest.raises(FileExistsError, match="is written to by another process"):
        simulate_fields(seen, recipe, 47 * u.uJy, tmp_path, seed=2, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_is_said_with_the_path_of_the_field(tmp_path, little_room):
    seen, recipe = observation(shape=(64, 64)), SourceRecipe(number=(0, 0))
    with little_room(9000), pytest.raises(OSError, match=r"psf\.part\.fits: cannot be written"):
        simulate_fields(seen, recipe, 47 * u.uJy, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_headers_have_four_axes(tmp_path):
    seen = observation(shape=(64, 64))
    simulate_fields(seen, SourceRecipe(number=(0, 0)), 47 * u.uJy, tmp_path)
    header = fits.getheader(tmp_path / "0000.dirty.fits")
    assert header["WCSAXES"] == header["NAXIS"] == WCS(header).naxis == 4
    sky = WCS(header).celestial.pixel_to_world(20, 30)
    assert sky.separation(seen.wcs.pixel_to_world(20, 30)) < 1e-6 * u.arcsec


def test_sources_outside_the_image_are_counted(tmp_path, caplog):
    seen = observation(shape=(64, 64))
    simulate_fields(seen, SourceRecipe(number=(5, 5), reach=3 * u.arcsec), 47 * u.uJy, tmp_path)
    assert "outside the image" not in caplog.text
    truth = simulate_fields(seen, SourceRecipe(number=(50, 50)), 47 * u.uJy, tmp_path, overwrite=True)
    x, y = seen.wcs.world_to_pixel(SkyCoord(truth["ra"], truth["dec"], unit="deg"))
    outside = (np.maximum(np.abs(x - 31.5), np.abs(y - 31.5)) > 32).sum()
    assert f"{outside} of 50 sources lie outside the image, which reaches 3.2 arcsec" in caplog.text


def test_noise_is_new_in_each_field_unless_shared(tmp_path):
    seen, recipe = observation(shape=(64, 64)), SourceRecipe(number=(0, 0))
    for shared in (False, True):
        simulate_fields(seen, recipe, 47 * u.uJy, tmp_path, 2, shared_noise=shared, overwrite=True)
        first, second = (fits.getdata(tmp_path / f"{i:04d}.dirty.fits").ravel() for i in range(2))
        assert (np.corrcoef(first, second)[0, 1] > 0.999) == shared


@pytest.mark.parametrize("name", ["0000.psf.fits", "0001.pb.fits"])
def test_fields_are_not_mixed_with_the_companions_of_others(tmp_path, name):
    (tmp_path / name).touch()
    (tmp_path / "0000.dirty.fits").touch()
    with pytest.raises(FileExistsError, match=rf"{name}: is of another field, and would count for the new one"):
        simulate_fields(observation(), SourceRecipe(), 30 * u.uJy, tmp_path, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 2


def test_command_line(tmp_path, capsys):
    command = ["simulate", "--output-dir", str(tmp_path), "--imsize", "128", "--rms", "30", "--array", "alma.cycle5.4"]
    assert main(command) == 0
    assert "1 field(s)" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"psf.fits", "pb.fits", "truth.ecsv", "0000.dirty.fits"}
    assert main([*command, "--overwrite", "--dec", "80"]) == 1
    assert "never above" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fields", "0"], "number=0 of fields: must be at least 1"),
        (["--fields", "-1"], "number=-1 of fields: must be at least 1"),
        (["--seed", "-1"], "seed=-1: must not be negative"),
        (["--rms", "-1"], "rms=-1.0 uJy: must be finite and not negative"),
        (["--bandwidth", "0"], "bandwidth=0.0 GHz: must be positive"),
        (["--bright", "-3"], "bright=[-3.] mJy: must be positive"),
        (["--reach", "-2"], "reach=-2.0 arcsec: must lie between 0 and 30 deg"),
        (["--weighting", "briggs", "--robust", "5"], "robust=5.0: must lie between -2 and 2"),
        (["--frequency", "1", "--rms", "10"], "shape=(128, 128), cell=0.1 arcsec: the main lobe"),
    ],
)
def test_nothing_is_written_with_options_out_of_range(tmp_path, capsys, options, message):
    folder = tmp_path / "out"
    assert main(["simulate", "--output-dir", str(folder), "--imsize", "128", *options]) == 1
    assert f"error: {message}" in capsys.readouterr().err
    assert not folder.exists()


def test_without_ducc0_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ducc0.wgridder", None)
    with pytest.raises(SimulationError, match=r"simulations need ducc0: pip install ducc0"):
        _ = observation().psf
