"""Where an image lies on the sky: coordinates that are used, and those that are refused."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from astro_ddpm_imager import DirtyImageError, read_image
from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import make_wcs, write_image


def test_no_celestial_wcs(noise_image):
    image = noise_image()
    bare = CCDData(image.data, unit=image.unit, meta=image.meta)
    with pytest.raises(DirtyImageError, match=r"dirty: no celestial WCS .*add it to the header"):
        prepare(bare)


@pytest.mark.parametrize(
    ("cards", "cause"),
    [
        ({"CDELT1": 0.0}, "matrix is singular"),
        ({"CTYPE2": "LINEAR"}, "Unmatched celestial axes"),
        ({"CTYPE2": "RA---XXX"}, "Unrecognized projection code"),
    ],
)
def test_broken_wcs(tmp_path, cards, cause):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), **cards)
    with pytest.raises(DirtyImageError, match=rf"a\.fits: the WCS cannot be used \(.*{cause}.*correct CTYPE"):
        read_image(path)


def test_broken_wcs_in_memory(noise_image):
    image = noise_image()
    image.wcs.wcs.cd = np.zeros((2, 2))
    with pytest.raises(DirtyImageError, match=r"dirty: the WCS cannot be used \(.*matrix is singular"):
        prepare(image)
    whole = WCS(naxis=3)
    whole.wcs.ctype, whole.wcs.pc = ["RA---SIN", "DEC--SIN", "FREQ"], np.zeros((3, 3))
    with pytest.raises(DirtyImageError, match=r"dirty: the WCS cannot be used \(.*matrix is singular"):
        prepare(CCDData(image.data[None], unit=image.unit, wcs=whole))
    whole.wcs.pc, whole.wcs.cdelt, whole.wcs.crval = np.eye(3), [-0.1 / 3600, 0.1 / 3600, 1e9], [150, 2, np.nan]
    assert "CRVAL3" not in prepare(CCDData(image.data[None], unit=image.unit, wcs=whole, meta=image.meta)).meta


def test_a_projection_that_puts_all_pixels_in_one_place(tmp_path):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), CTYPE1="RA---TPV", CTYPE2="DEC--TPV")
    with pytest.raises(DirtyImageError, match=r"dirty: the pixels in its middle have no area .*PVi_j"):
        prepare(read_image(path))


@pytest.mark.parametrize(
    ("cards", "shown"),
    [
        ({"RADESYS": "GAPPT"}, "RADESYS='GAPPT'"),
        ({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"}, "CTYPE1='HPLN-TAN'"),
        ({"CTYPE1": "XLON-TAN", "CTYPE2": "XLAT-TAN"}, "CTYPE1='XLON-TAN'"),
        ({"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN", "RADESYS": "FK5"}, "CTYPE1='ELON-TAN' with RADESYS='FK5'"),
    ],
)
def test_frames_of_no_known_place_on_the_sky(tmp_path, cards, shown):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), **cards)
    with pytest.raises(DirtyImageError, match=rf"a\.fits: the frame .* not known, .*{shown}.*; image it, or regrid it"):
        read_image(path)


def test_galactic_images_are_read(tmp_path):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), CTYPE1="GLON-TAN", CTYPE2="GLAT-TAN")
    assert read_image(path).wcs.wcs.lngtyp == "GLON"


def test_declination_on_the_first_axis(tmp_path, noise_image):
    header = make_wcs((96, 96)).swapaxes(0, 1).to_header()
    path = write_image(tmp_path / "a.fits", noise_image().data.T, **header)
    with pytest.raises(
        DirtyImageError, match=r"a\.fits: axis 1 is DEC and axis 2 RA; swap them.*wcs\.swapaxes\(0, 1\)"
    ):
        read_image(path)


def test_pixels_far_from_the_reference_point(noise_image, caplog):
    image = noise_image()
    prepare(image)
    assert "regrid" not in caplog.text
    image.wcs.wcs.crpix = [48, 48 + 2 * 3600 * 10 / 0.1]
    prepare(image)
    assert "in its middle the pixels are 0.1 x 0.1067 arcsec, at the reference point of the projection" in caplog.text


def test_pixels_that_are_not_square(noise_image):
    image = noise_image()
    image.wcs.wcs.cd = image.wcs.wcs.cd * [[1.2], [1.0]]
    with pytest.raises(DirtyImageError, match=r"dirty: the pixels are not square, 0\.12 x 0\.1 arcsec"):
        prepare(image)


@pytest.mark.parametrize("turn", [0, 30, 90])
@pytest.mark.parametrize("kind", ["cd", "pc"])
def test_cdelt_has_the_size_of_a_pixel(noise_image, turn, kind):
    image = noise_image()
    wcs = make_wcs(image.shape, angle=turn)
    matrix = wcs.pixel_scale_matrix
    del wcs.wcs.cd
    setattr(wcs.wcs, kind, matrix)
    image.wcs = wcs
    read = prepare(image).wcs
    assert np.abs(read.wcs.cdelt) * 3600 == pytest.approx(0.1)
    assert WCS(read.to_header()).pixel_scale_matrix == pytest.approx(matrix)
    there = [np.array([0.0, 20.0, 60.0]), np.array([5.0, 50.0, 7.0])]
    assert np.allclose(read.pixel_to_world_values(*there), wcs.pixel_to_world_values(*there), rtol=0, atol=1e-10)


@pytest.mark.parametrize("without", [["CDELT1", "CDELT2"], ["PC2_2", "CDELT1", "CDELT2"]])
def test_a_size_of_pixels_that_is_missing_is_called_so(tmp_path, without):
    """To the WCS it is 1 degree where there is a PC matrix, which astropy leaves out; it is no cell to image with."""
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), PC1_1=1.0, PC2_2=1.0)
    for key in without:
        fits.delval(path, key)
    with pytest.raises(
        DirtyImageError, match=r"pixels of 3600 arcsec .*correct CDELT1 and CDELT2 .*1 where they are mis"
    ):
        prepare(path)


def test_a_place_in_another_unit_than_it_says(tmp_path):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), CUNIT1="rad")
    with pytest.raises(DirtyImageError, match=r"a\.fits: CRVAL1=8594.* no place on the sky; correct them, or CUNIT"):
        prepare(path)
