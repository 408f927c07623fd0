"""Large images, in tiles."""

import copy
import gc
import logging
import pickle

import numpy as np
import pytest
from astropy.io import fits

from astro_ddpm_imager import DiffusionImager, image_cube, read_image
from astro_ddpm_imager.errors import DirtyImageError, SettingError
from astro_ddpm_imager.observation.grid import tiles

from .conftest import RMS, SHAPE, SOURCES

pytestmark = pytest.mark.usefixtures("plain_pictures")


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


def test_a_corner_of_a_blank_border_is_no_hole(in_tiles, field, caplog):
    dirty = field["dirty"].copy()
    ny, nx = dirty.shape
    y, x = np.mgrid[:ny, :nx]
    dirty.data[np.hypot(y - ny / 2, x - nx / 2) > 0.48 * nx] = np.nan
    in_tiles.but(n_samples=1, steps=1)(dirty, field["psf"], beam=field["beam"])
    assert "small holes" not in caplog.text
