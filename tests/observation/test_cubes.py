"""Cubes of which one plane at a time is read."""

import gzip
import pickle
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.wcs import WCS

from astro_ddpm_imager import read_companion, read_image
from astro_ddpm_imager.errors import DirtyImageError
from astro_ddpm_imager.observation.cubes import checked_channels, open_companion, open_cube, read_plane
from astro_ddpm_imager.observation.inputs import as_companion

CASA = Path(__file__).parents[1] / "data" / "cube.image"


@pytest.fixture
def cube(cube_files):
    return open_cube(cube_files["dirty"])


def in_memory(path):
    with fits.open(path) as hdus:
        return CCDData(hdus[0].data, unit="Jy/beam", wcs=WCS(hdus[0].header), meta=hdus[0].header)


def test_a_plane_is_that_of_read_image(cube, cube_files):
    assert cube.n_channels == 4
    np.testing.assert_allclose(cube.axis.frequency.to_value(u.GHz), [230, 233, 236, 239])
    for channel in (0, 1):
        where = cube.plane(channel)
        assert len(pickle.dumps(where)) < 1000  # where it is, and not its pixels
        plane, expected = read_plane(where), read_image(cube_files["dirty"], channel)
        np.testing.assert_array_equal(plane.data, expected.data)
        assert plane.unit == expected.unit and plane.meta["BMAJ"] == expected.meta["BMAJ"]
        assert plane.meta["CRVAL4"] == pytest.approx(cube.axis.frequency[channel].to_value(u.Hz))
        assert plane.meta["FILESHA"] == expected.meta["FILESHA"]


def test_casa_images():
    cube = open_cube(CASA)
    for channel in (0, 1):
        plane, expected = read_plane(cube.plane(channel)), read_image(CASA, channel)
        np.testing.assert_array_equal(plane.data, expected.data)
        assert plane.meta["BMAJ"] == expected.meta["BMAJ"]


def test_cubes_in_memory(cube, cube_files):
    given = open_cube(in_memory(cube_files["dirty"]))
    plane = read_plane(given.plane(1))
    np.testing.assert_array_equal(plane.data, read_plane(cube.plane(1)).data)
    assert np.shares_memory(plane.data, given.source.data)
    with fits.open(cube_files["dirty"]) as hdus:
        of_hdus = read_plane(open_cube(hdus).plane(1))
        np.testing.assert_array_equal(of_hdus.data, plane.data)
        assert of_hdus.meta["BMAJ"] == read_plane(cube.plane(1)).meta["BMAJ"] != read_plane(cube.plane(0)).meta["BMAJ"]


def test_companions_have_a_plane_for_each_channel_or_one_for_all(cube, cube_files):
    of_file = open_companion(cube_files["psf"], "psf", cube)
    expected = read_companion(cube_files["psf"], 3)
    np.testing.assert_array_equal(read_plane(of_file.plane(3)).data, expected.data)
    array = np.arange(4.0)[:, None, None] * np.ones((96, 96))
    assert read_plane(open_companion(array, "pb", cube).plane(2))[0, 0] == 2
    assert read_plane(open_companion(array[1], "pb", cube).plane(2))[0, 0] == 1
    assert read_plane(open_companion(array[:1, None], "pb", cube).plane(2)).shape == (96, 96)


@pytest.mark.parametrize("shape", [(96, 96), (4, 96, 96)])
def test_companions_in_memory_have_their_unit(cube, shape):
    """As of one image: of a primary beam in percent, channels stayed blank."""
    percent, channel = np.full(shape, 50.0), read_plane(cube.plane(1))
    masked = NDData(percent, unit="percent", mask=np.indices(shape)[-1] == 3)
    for given, blank in ((percent * u.percent, 0), (NDData(percent, unit="percent"), 0), (masked, 96)):
        companion = open_companion(given, "pb", cube)
        pb = as_companion(read_plane(companion.plane(1)), "pb", channel).data
        assert set(pb[np.isfinite(pb)]) == {0.5} and np.isnan(pb).sum() == blank
        assert companion.digest() == open_companion(given, "pb", cube).digest()


def test_companions_of_another_number_of_channels(cube):
    with pytest.raises(DirtyImageError, match="psf: has 3 channels, but the cube 4; give one plane, or one for each"):
        open_companion(np.ones((3, 96, 96)), "psf", cube)


@pytest.mark.parametrize(
    ("channels", "expected"), [(None, range(4)), (slice(1, 3), range(1, 3)), (slice(None, 2), range(2))]
)
def test_channels(cube, channels, expected):
    assert checked_channels(channels, cube) == expected


@pytest.mark.parametrize("channels", [slice(2, 5), slice(3, 3), slice(-2, None), slice(7, 9)])
def test_channels_that_do_not_exist(cube, channels):
    with pytest.raises(DirtyImageError, match=r"channels=.* do not exist; there are 4, 0:4 are all"):
        checked_channels(channels, cube)


@pytest.mark.parametrize("channels", [3, slice(0, 4, 2), slice(0.5, 2), "0:2"])
def test_channels_of_another_kind(cube, channels):
    with pytest.raises(TypeError, match=re.escape(f"channels={channels!r}: must be a slice of whole numbers")):
        checked_channels(channels, cube)


def test_a_cube_without_a_spectral_wcs(cube_files, tmp_path):
    with fits.open(cube_files["dirty"]) as hdus:
        hdus[0].header["CTYPE4"] = ""
        hdus.writeto(tmp_path / "cube.fits")
    with pytest.raises(DirtyImageError, match=r"cube\.fits: no spectral WCS \(CTYPE3 such as FREQ or VRAD\)"):
        open_cube(tmp_path / "cube.fits")


def test_a_cube_in_another_unit(cube_files, tmp_path):
    """It is said of the cube, and not of each channel."""
    data, header = fits.getdata(cube_files["dirty"], header=True)
    header["BUNIT"] = "Jy"
    fits.writeto(tmp_path / "jy.fits", data, header)
    for given, name in ((tmp_path / "jy.fits", "jy.fits"), (CCDData.read(tmp_path / "jy.fits", unit="Jy"), "dirty")):
        with pytest.raises(DirtyImageError, match=rf"{name}: the unit is 'Jy', not Jy/beam"):
            open_cube(given)


def test_a_cube_of_a_stokes_axis_needs_a_plane(cube_files, tmp_path):
    with fits.open(cube_files["dirty"]) as hdus:
        hdus[0].data = np.repeat(hdus[0].data, 2, axis=1) * np.reshape([1, 2], (2, 1, 1)).astype("f4")
        hdus.writeto(tmp_path / "cube.fits")
    with pytest.raises(DirtyImageError, match="has 2 planes on its stokes axis; choose one with stokes=0 to 1"):
        open_cube(tmp_path / "cube.fits")
    first, second = (read_plane(open_cube(tmp_path / "cube.fits", stokes=n).plane(0)).data for n in (0, 1))
    np.testing.assert_array_equal(second, 2 * first)


def test_a_compressed_cube_has_to_be_unpacked(cube_files, tmp_path):
    path = tmp_path / "cube.fits.gz"
    path.write_bytes(gzip.compress(cube_files["dirty"].read_bytes()))
    with pytest.raises(DirtyImageError, match=r"cube\.fits\.gz: is compressed as a whole.*unpack it first"):
        open_cube(path)


def test_a_damaged_cube(cube_files, tmp_path):
    with fits.open(cube_files["dirty"]) as hdus:
        hdus.writeto(tmp_path / "cube.fits", checksum=True)
    assert open_cube(tmp_path / "cube.fits").n_channels == 4
    with (tmp_path / "cube.fits").open("r+b") as stream:
        stream.seek(40000)
        stream.write(b"damaged!")
    with pytest.raises(DirtyImageError, match=r"cube\.fits: the pixels do not have the checksum of the header"):
        open_cube(tmp_path / "cube.fits")


def test_something_else():
    with pytest.raises(TypeError, match="dirty: expected a CCDData of three axes or the path of a FITS or CASA cube"):
        open_cube(np.ones((2, 96, 96)))
