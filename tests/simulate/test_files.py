"""Simulated fields as files, and the command that makes them."""

import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from astro_ddpm_imager import read_image
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields, simulate_with_casa
from astro_ddpm_imager.whole_files import claimed

from .test_observation import observation


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
    with pytest.raises(FileExistsError, match=r"exists already; remove it, or give overwrite=True \(--overwrite"):
        simulate_fields(seen, recipe, 47 * u.uJy, tmp_path / "a")


def test_the_home_folder_is_that_of_the_user(tmp_path, monkeypatch):
    """It was a folder of the name "~" beside the script."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(tmp_path)
    simulate_fields(observation(shape=(64, 64)), SourceRecipe(reach=2 * u.arcsec), 47 * u.uJy, "~/fields")
    assert (home / "fields" / "truth.ecsv").exists() and list(tmp_path.iterdir()) == [home]
    with pytest.raises(SimulationError, match=r"~nobody-of-this-name/fields: there is no such home folder"):
        simulate_fields(observation(shape=(64, 64)), SourceRecipe(), 47 * u.uJy, "~nobody-of-this-name/fields")


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
