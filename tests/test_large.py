"""Large images, in tiles."""

import copy
import gc
import json
import logging
import pickle
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS
from scipy.fft import irfft2, rfft2
from scipy.signal import fftconvolve

import astro_ddpm_imager.large as large
from astro_ddpm_imager import DiffusionImager, image_cube, read_image
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import DirtyImageError, SettingError
from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.grid import tiles
from astro_ddpm_imager.products.writing import PRODUCTS
from astro_ddpm_imager.simulate import Observation, read_array

from .conftest import with_another_model

pytestmark = pytest.mark.usefixtures("plain_pictures")

SHAPE = (230, 210)
RMS = 20e-6
# Pixels x and y and S/N of sources: the last but two are on seams of tiles of 150 pixels, the last but one is bright.
SOURCES = np.array([(40, 60, 20), (170, 50, 25), (60, 180, 15), (90.4, 89.6, 30), (104.5, 150, 25), (30, 30, 400)])


@pytest.fixture(scope="module")
def seen():
    """Beam, WCS and a PSF that reaches all over the image from everywhere."""
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, shape=(460, 460), cell=0.2 * u.arcsec,
        integration=2 * u.min,
    )  # fmt: skip


@pytest.fixture(scope="module")
def field(seen):
    """Arguments of an imager: a field of some sources."""
    ny, nx = SHAPE
    sky = Components.points(SOURCES[:, 0], SOURCES[:, 1], RMS * SOURCES[:, 2]).pixels(SHAPE)
    transfer = rfft2(np.fft.ifftshift(seen.psf)).real.clip(0)
    white = np.random.default_rng(5).standard_normal(seen.psf.shape)
    noise = irfft2(rfft2(white) * np.sqrt(transfer), s=seen.psf.shape)
    data = fftconvolve(sky, seen.psf)[230 : 230 + ny, 230 : 230 + nx] + RMS * (noise / noise.std())[:ny, :nx]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---SIN", "DEC--SIN"], [150, 2], [nx // 2 + 1, ny // 2 + 1]
    wcs.wcs.cdelt = np.array([-0.2, 0.2]) / 3600
    dirty = CCDData(data.astype(np.float32), unit="Jy/beam", wcs=wcs)
    return {"dirty": dirty, "psf": [(wcs.pixel_to_world(nx // 2, ny // 2), seen.psf)], "beam": seen.beam}


@pytest.fixture(scope="module")
def middle(seen):
    """The PSF on the pixels of the field."""
    ny, nx = SHAPE
    return seen.psf[230 - ny // 2 : 230 - ny // 2 + ny, 230 - nx // 2 : 230 - nx // 2 + nx]


@pytest.fixture(scope="module")
def in_tiles():
    """A quick imager of small tiles."""
    return DiffusionImager(n_samples=4, steps=3, seed=1, tile=150, progress=False, device="cpu")


@pytest.fixture(scope="module")
def result(in_tiles, field):
    return in_tiles(**field)


@pytest.mark.parametrize("again", [lambda made: pickle.loads(pickle.dumps(made)), copy.copy, copy.deepcopy])
def test_copies_outlive_the_result(in_tiles, field, tmp_path, again):
    made = in_tiles.but(n_samples=1, steps=1)(**field)
    folder, image, dirty = made.planes.path, made.image.data.copy(), made.dirty.data.copy()
    other = again(made)
    del made
    gc.collect()
    assert folder.exists() == (again is copy.copy)
    np.testing.assert_array_equal(other.image.data, image)
    np.testing.assert_array_equal(other.dirty.data, dirty)
    assert other.dirty.beam == field["beam"] and len(other.write(tmp_path / "f")) == 7
    folder = other.planes.path
    del other
    gc.collect()
    assert not folder.exists()


def fluxes(catalog):
    """Of each true source, flux and error of what is nearest, which must be one."""
    found = []
    for x, y, _ in SOURCES:
        near = catalog[np.hypot(catalog["x"] - x, catalog["y"] - y) < 2.5]
        assert len(near) == 1, (x, y, near)
        found.append((near["flux"][0].to_value("Jy"), near["flux_err"][0].to_value("Jy")))
    return np.array(found).T


def test_each_source_is_found_once_with_its_flux(result):
    assert result.meta["tiles"] == 6
    flux, error = fluxes(result.catalog)
    assert np.all(np.abs(flux - RMS * SOURCES[:, 2]) < 5 * np.hypot(error, RMS))
    assert list(result.catalog["source_id"]) == list(range(1, len(result.catalog) + 1))
    assert np.all(np.diff(result.catalog["snr"]) <= 0)


def test_other_seams_make_no_difference_beyond_the_errors(result, field):
    other = DiffusionImager(n_samples=4, steps=3, seed=1, tile=170, progress=False, device="cpu")(**field)
    assert [tile.core for tile in tiles(SHAPE, 150, 45)] != [tile.core for tile in tiles(SHAPE, 170, 45)]
    (one, error), (two, _) = fluxes(result.catalog), fluxes(other.catalog)
    assert np.all(np.abs(one - two) < 4 * error)
    # Sidelobes of faint sources in other tiles are left, and of others with other seams.
    difference = other.restored.data - result.restored.data
    assert np.sqrt(np.mean(difference**2)) < 0.5 * RMS
    assert np.abs(difference).max() < 4 * RMS


def test_no_flux_is_lost_at_seams(result, field):
    whole = DiffusionImager(n_samples=4, steps=3, seed=1, tile=0, progress=False, device="cpu")(**field)
    for x, y, snr in SOURCES:
        near = tuple(slice(round(p) - 6, round(p) + 7) for p in (y, x))
        tiled, alone = (each.image.data[near].sum() for each in (result, whole))
        assert tiled == pytest.approx(alone, abs=max(4 * RMS, 0.02 * snr * RMS))


def test_channels_of_a_cube_are_worked_on_in_tiles(in_tiles, field, seen, tmp_path):
    """With the seed of the channel."""
    header = field["dirty"].wcs.to_header()
    header.update(BUNIT="Jy/beam", CTYPE3="FREQ", CRVAL3=230e9, CRPIX3=1.0, CDELT3=1e9, CUNIT3="Hz")
    planes = np.stack([field["dirty"].data * np.nan, field["dirty"].data])
    fits.PrimaryHDU(planes, header).writeto(tmp_path / "cube.fits")
    in_tiles = in_tiles.but(n_samples=1, steps=1)
    cube = image_cube(in_tiles, tmp_path / "cube.fits", tmp_path / "c", psf=seen.psf, beam=field["beam"])
    alone = in_tiles.but(seed=2)(read_image(tmp_path / "cube.fits", 1), psf=seen.psf, beam=field["beam"])
    assert alone.meta["tiles"] == 6 and list(cube.channels["note"] != "") == [True, False]
    for path, image in zip(cube.paths, (alone.image, alone.uncertainty, alone.restored, alone.residual), strict=False):
        np.testing.assert_array_equal(fits.getdata(path)[1], image.data)
    np.testing.assert_array_equal(cube.catalog["flux"], alone.catalog["flux"])
    assert cube.channels["rms"][1].value == alone.dirty.rms


def test_small_images_are_worked_on_at_once(in_tiles):
    assert not in_tiles.works_in_tiles((150, 150))
    assert in_tiles.works_in_tiles((150, 151))
    imager = DiffusionImager(n_samples=1, steps=1)
    assert not imager.works_in_tiles((2048, 2048))
    assert imager.works_in_tiles((2048, 2049))
    imager.tile = 0
    assert not imager.works_in_tiles((9000, 9000))


def test_a_tile_without_valid_pixels_is_left_blank_and_noted(in_tiles, field, caplog):
    dirty = field["dirty"].copy()
    dirty.data[:160, :160] = np.nan
    with caplog.at_level(logging.INFO):
        result = in_tiles(dirty, field["psf"], beam=field["beam"])
    assert "tile at pixel (x, y) = (0, 0) is left blank: dirty: every pixel is blank" in caplog.text
    assert np.isnan(result.image.data[:100, :100]).all()
    assert np.isfinite(result.image.data[190:, 190:]).all()


def test_an_image_of_nothing_is_an_error(in_tiles, field):
    dirty = field["dirty"].copy()
    dirty.data[:] = np.nan
    with pytest.raises(DirtyImageError, match="dirty: every pixel is blank"):
        in_tiles(dirty, field["psf"], beam=field["beam"])


@pytest.mark.parametrize(
    ("where", "value", "number"),
    [
        ((slice(None), slice(-20, None)), 0.0, 230 * 20),  # a border that is filled, as some programs do
        ((slice(None), slice(-20, None)), -1e-3, 230 * 20),
        ((100, 20), 50.0, 1),
        ((100, 20), np.inf, 1),
        ((slice(100, 103), slice(20, 23)), 50.0, 9),
    ],
)
def test_what_is_no_sky_does_nothing_to_other_tiles(in_tiles, field, result, caplog, where, value, number):
    """CLEAN would take it out of all of them, with its sidelobes."""
    dirty = field["dirty"].copy()
    dirty.data[where] = value
    made = in_tiles(**field | {"dirty": dirty})
    blank = np.isnan(made.image.data)
    assert blank[where].all() and blank.sum() < number + 30  # beside a blob of pixels some go with it
    assert f"dirty: {blank.sum()} pixels are neither sky nor noise" in caplog.text
    assert made.rms == pytest.approx(result.rms, rel=0.1)
    (before, error), (now, _) = fluxes(result.catalog), fluxes(made.catalog)
    assert np.all(np.abs(now - before) < 2 * error)


def test_an_image_of_another_kind_is_refused_with_the_reason(in_tiles, field):
    dirty = field["dirty"].copy()
    dirty.data[:] = np.random.default_rng(1).standard_cauchy(dirty.shape)
    with pytest.raises(DirtyImageError, match=r"sharper than the beam allows.*right beam in its header"):
        in_tiles(**field | {"dirty": dirty})


@pytest.mark.parametrize("tile", [-1, 10, 2.5, "large", True])
def test_a_tile_is_a_number_of_pixels(tile):
    with pytest.raises(SettingError, match="tile="):
        DiffusionImager(n_samples=1, steps=1, tile=tile)
    with pytest.raises(SettingError, match="tile="):  # as of all settings
        DiffusionImager(n_samples=1, steps=1).tile = tile


def test_a_tile_must_be_larger_than_what_overlaps(field):
    imager = DiffusionImager(n_samples=1, steps=1, tile=100)
    with pytest.raises(SettingError, match=r"tile=100: must be at least 129 pixels for a beam of 4\.\d"):
        imager(**field)


def test_samples_of_a_large_image_are_not_kept(result):
    assert not hasattr(result, "samples")
    with pytest.raises(AttributeError, match="samples: is not kept of an image that was worked on in tiles"):
        _ = result.samples
    image, uncertainty, _ = result
    assert image.shape == uncertainty.shape == SHAPE
    assert "6 tiles" in repr(result)
    assert result._repr_html_()


def write(folder, field, middle, **others):
    header = field["dirty"].wcs.to_header()
    header["BMAJ"], header["BMIN"] = (axis.to_value("deg") for axis in (field["beam"].major, field["beam"].minor))
    header["BPA"], header["BUNIT"] = field["beam"].pa.to_value("deg"), "Jy/beam"
    for name, data in {"f.dirty": field["dirty"].data, "f.psf": middle.astype(np.float32), **others}.items():
        fits.PrimaryHDU(data, header).writeto(folder / f"{name}.fits")


ARGUMENTS = ["--samples", "2", "--steps", "2", "--seed", "3", "--tile", "150", "--device", "cpu"]


def test_an_interrupted_image_goes_on_at_its_next_tile(tmp_path, field, seen, monkeypatch, capsys):
    write(tmp_path, field, seen.psf)
    call = ["image", str(tmp_path / "f.dirty.fits"), "--psf", str(tmp_path / "f.psf.fits"), *ARGUMENTS]
    assert main([*call, "--output-dir", str(tmp_path / "whole")]) == 0
    one_by_one, done = large.run_pieces, []

    def interrupted(function, imager, pieces):
        for piece, value in one_by_one(function, imager, pieces):
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(piece.number)
            yield piece, value

    monkeypatch.setattr(large, "run_pieces", interrupted)
    call += ["--output-dir", str(tmp_path / "out")]
    assert main(call) == 130
    assert not list((tmp_path / "out").glob("f.*"))
    monkeypatch.setattr(large, "run_pieces", lambda f, i, p: one_by_one(f, i, [done.append(x.number) or x for x in p]))
    assert main([*call, "--resume"]) == 0
    assert "2 of 6 tiles are done already" in capsys.readouterr().err
    assert sorted(done) == list(range(6))
    for product in ("model.fits", "image.fits", "residual.fits", "uncertainty.fits"):
        one, two = (fits.getdata(tmp_path / folder / f"f.{product}") for folder in ("whole", "out"))
        np.testing.assert_array_equal(one, two)
    whole, out = (QTable.read(tmp_path / folder / "f.catalog.ecsv") for folder in ("whole", "out"))
    for name in out.colnames:
        np.testing.assert_array_equal(whole[name], out[name])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of folders")
@pytest.mark.parametrize("how", [[], ["--resume"], ["--overwrite"]])
def test_tiles_of_a_run_that_is_alive_stay(tmp_path, field, seen, monkeypatch, capsys, how):
    write(tmp_path, field, seen.psf)
    call = ["image", str(tmp_path / "f.dirty.fits"), "--psf", str(tmp_path / "f.psf.fits"), *ARGUMENTS]
    call += ["--output-dir", str(tmp_path / "out")]
    run, others = large.run_pieces, []

    def beside_another(function, imager, pieces):
        for number, done in enumerate(run(function, imager, pieces)):
            if number == 2:
                others.append(main([*call, *how]))
            yield done

    monkeypatch.setattr(large, "run_pieces", beside_another)
    assert main(call) == 0
    assert others == [1] and len(list((tmp_path / "out").iterdir())) == len(PRODUCTS)
    assert f"{tmp_path / 'out' / '.f.tiles'} is written to by another process" in capsys.readouterr().err
    assert np.isfinite(fits.getdata(tmp_path / "out" / "f.image.fits")).all()


@pytest.mark.parametrize("pixels, where", [(10, "psf-0.part.npy"), (SHAPE[0] * SHAPE[1], "")])
def test_a_full_disk_is_said_with_the_path_of_the_tiles(in_tiles, field, middle, tmp_path, little_room, pixels, where):
    """Of a plane, or of what is larger than planes."""
    folder, given = tmp_path / ".f.tiles", {"psf": middle}
    with little_room(128 + 4 * pixels), pytest.raises(OSError, match=rf"{folder / where}: cannot be written"):
        large.image_in_tiles(in_tiles, field["dirty"].copy(), given, field["beam"], folder)


def test_noise_and_several_psfs_on_the_command_line(tmp_path, field, seen, capsys):
    write(tmp_path, field, seen.psf, other=seen.psf.astype(np.float32), noise=np.ones(SHAPE, np.float32))
    psfs = [part for name in ("f.psf", "other") for part in ("--psf", str(tmp_path / f"{name}.fits"))]
    call = ["image", str(tmp_path / "f.dirty.fits"), *psfs, "--noise", str(tmp_path / "noise.fits"), *ARGUMENTS]
    assert main([*call, "--output-dir", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_sources"] >= len(SOURCES) - 1
    header = fits.getheader(tmp_path / "out" / "f.model.fits")
    assert (header["DPSF"], header["DNOISEMP"]) == ("2 PSFs", "noise.fits")


def test_of_several_psfs_the_nearest_counts(in_tiles, field, middle, monkeypatch):
    pieces = []
    monkeypatch.setattr(large, "run_pieces", lambda function, imager, given: pieces.extend(given) or iter(()))
    monkeypatch.setattr(large._Work, "_joined", lambda self, seed: type("Result", (), {})())
    places = [field["dirty"].wcs.pixel_to_world(105, y) for y in (0, SHAPE[0] - 1)]
    in_tiles(field["dirty"].copy(), list(zip(places, (middle, middle[10:-10]), strict=True)), beam=field["beam"])
    assert [piece.psf.shape[0] for piece in pieces] == [230] * 4 + [210] * 2


def test_hdus_of_an_open_file_are_one_psf(in_tiles, field, middle, monkeypatch):
    pieces = []
    monkeypatch.setattr(large, "run_pieces", lambda function, imager, given: pieces.extend(given) or iter(()))
    monkeypatch.setattr(large._Work, "_joined", lambda self, seed: type("Result", (), {})())
    hdus = fits.HDUList([fits.PrimaryHDU(middle, field["dirty"].wcs.to_header()), fits.ImageHDU(middle[:9, :9])])
    for psf in (middle, hdus):
        in_tiles(field["dirty"].copy(), psf, beam=field["beam"])
    np.testing.assert_array_equal([piece.psf for piece in pieces[6:]], [piece.psf for piece in pieces[:6]])


def test_where_a_psf_belongs_must_be_known(in_tiles, field, middle):
    with pytest.raises(DirtyImageError, match="psf: one of several has no WCS"):
        in_tiles(field["dirty"].copy(), [middle, middle], beam=field["beam"])
    with pytest.raises(TypeError, match="must be a SkyCoord"):
        in_tiles(field["dirty"].copy(), [((1, 2), middle)], beam=field["beam"])


def test_tiles_that_were_made_otherwise_are_not_gone_on_with(in_tiles, field, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(large, "run_pieces", interrupted)
    given = {name: field[name] for name in ("psf",)}
    with pytest.raises(KeyboardInterrupt):
        large.image_in_tiles(in_tiles, field["dirty"].copy(), given, field["beam"], tmp_path / "t")
    for other, said in (
        (in_tiles.but(reliability=0.5), "reliability=0.22, not 0.5"), (in_tiles, "another dirty"),
        (in_tiles.but(insist=True), "insist=False, not True"), (with_another_model(in_tiles), "another model"),
    ):  # fmt: skip
        dirty = field["dirty"].copy()
        if other is in_tiles:
            dirty.data = 2 * dirty.data
        with pytest.raises(SettingError, match=f"t was made with {said}; give the same, or leave out --resume"):
            large.image_in_tiles(other, dirty, given, field["beam"], tmp_path / "t")


def test_misfits_are_named_and_explained(in_tiles, field):
    """Of a PSF whose sidelobes are those of another image."""
    place, psf = field["psf"][0]
    wrong = in_tiles(field["dirty"], [(place, psf[:, ::-1].copy())], beam=field["beam"])
    assert wrong.fit.misfits and wrong.meta["misfit"] == ", ".join(wrong.fit.misfits)
    assert all("?" in text for text in wrong.fit.misfits.values())


def test_a_corner_of_a_blank_border_is_no_hole(in_tiles, field, caplog):
    dirty = field["dirty"].copy()
    ny, nx = dirty.shape
    y, x = np.mgrid[:ny, :nx]
    dirty.data[np.hypot(y - ny / 2, x - nx / 2) > 0.48 * nx] = np.nan
    in_tiles.but(n_samples=1, steps=1)(dirty, field["psf"], beam=field["beam"])
    assert "small holes" not in caplog.text


def test_without_a_psf_it_is_said_of_tiles_as_well(in_tiles, field, caplog):
    in_tiles.but(n_samples=1, steps=1)(field["dirty"], beam=field["beam"])
    assert caplog.text.count("no PSF given: the restoring beam takes its place") == 1


def test_an_empty_list_of_psfs(in_tiles, field):
    with pytest.raises(DirtyImageError, match=r"psf=\[\]: must hold one PSF at least"):
        in_tiles(field["dirty"], [], beam=field["beam"])


def test_an_image_corrected_for_its_primary_beam_goes_with_its_noise(in_tiles, field):
    """The same, in tiles and at once, as one that is not goes with its primary beam."""
    ny, nx = SHAPE
    y, x = np.mgrid[:ny, :nx]
    pb = np.exp(-((x - nx / 2) ** 2 + (y - ny / 2) ** 2) / (2 * 90**2))
    corrected = field["dirty"].copy()
    corrected.data = field["dirty"].data / pb
    noise = CCDData(RMS / pb, unit="Jy/beam")
    for imager in (in_tiles.but(n_samples=2), in_tiles.but(n_samples=2, tile=0)):
        one = imager(corrected, field["psf"][0][1], beam=field["beam"], noise=noise)
        other = imager(field["dirty"], field["psf"][0][1], pb, beam=field["beam"])
        for x0, y0, _ in SOURCES:
            flux = [
                catalog["flux"][np.argmin(np.hypot(catalog["x"] - x0, catalog["y"] - y0))].to_value("Jy")
                for catalog in (one.catalog, other.catalog)
            ]
            assert flux[0] == pytest.approx(flux[1], rel=0.01)


def test_psfs_that_no_tile_takes_are_said(in_tiles, field, caplog):
    ((place, psf),) = field["psf"]
    far = field["dirty"].wcs.pixel_to_world(-500, -500)
    in_tiles.but(n_samples=1, steps=1)(field["dirty"], [(place, psf), (far, psf)], beam=field["beam"])
    assert "psf: 1 of the 2 that were given are the nearest one to no tile" in caplog.text


def test_tiles_are_so_small_that_all_psfs_are_used(field, middle, monkeypatch, caplog):
    pieces = []
    monkeypatch.setattr(large, "run_pieces", lambda function, imager, given: pieces.extend(given) or iter(()))
    monkeypatch.setattr(large._Work, "_joined", lambda self, seed: type("Result", (), {})())
    ny, nx = 300, 300
    wide = CCDData(np.random.default_rng(1).normal(0, RMS, (ny, nx)), unit="Jy/beam", wcs=field["dirty"].wcs)
    places = [wide.wcs.pixel_to_world(150, y) for y in (60, 240)]
    imager = DiffusionImager(n_samples=2, steps=2, seed=1, device="cpu", progress=False)
    imager(wide, list(zip(places, (middle, middle[10:-10]), strict=True)), beam=field["beam"])
    assert {piece.psf.shape[0] for piece in pieces} == {middle.shape[0], middle.shape[0] - 20}
    assert "are not used" not in caplog.text
