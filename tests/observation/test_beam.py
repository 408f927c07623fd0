"""The beam: of headers, and on the pixels, where it is that of the header and from which north its angle runs."""

import astropy.units as u
import numpy as np
import pytest
from radio_beam import Beam

from astro_ddpm_imager import DirtyImageError
from astro_ddpm_imager.observation.beam import as_beam, beam_covariance
from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import gaussian_psf, make_wcs

BEAM = Beam(9 * u.arcsec, 6 * u.arcsec, -20 * u.deg)
SHAPE = (120, 100)


def projected(projection, away, angle=0.0, cell=1.8, sky=("RA--", "DEC-"), **header):
    """A WCS whose middle is ``away`` degrees, in x and in y, from its reference point."""
    wcs = make_wcs(SHAPE, cell, angle)
    wcs.wcs.ctype = [f"{axis}-{projection}" for axis in sky]
    wcs.wcs.crval = [150.0, 0.0 if projection == "CAR" else 60.0]
    wcs.wcs.crpix += np.array(away) * 3600 / cell
    for key, value in header.items():
        setattr(wcs.wcs, key, value)
    return wcs


def heights(wcs, x, y):
    """Of the beam on the pixels, where it is at half power on the sky around a pixel."""
    sky, pa = wcs.pixel_to_world(x, y), BEAM.pa + np.arange(0, 360, 30) * u.deg
    angle = pa - BEAM.pa
    radius = 0.5 / np.hypot(np.cos(angle) / BEAM.major, np.sin(angle) / BEAM.minor)
    offset = np.stack(wcs.world_to_pixel(sky.directional_offset_by(pa, radius))) - [[x], [y]]
    power = np.einsum("in,ij,jn->n", offset, np.linalg.inv(beam_covariance(BEAM, wcs, SHAPE)), offset)
    return np.exp(-0.5 * power)


@pytest.mark.parametrize("projection", ["TAN", "ZEA", "ARC", "STG", "CAR"])
@pytest.mark.parametrize(("away", "angle"), [((0, 0), 0), ((0, 20), 0), ((-14, 14), 30)])
def test_the_beam_of_a_regridded_image_is_that_of_the_sky_in_its_middle(projection, away, angle):
    wcs = projected(projection, away, angle)
    y, x = ((n - 1) / 2 for n in SHAPE)
    np.testing.assert_allclose(heights(wcs, x, y), 0.5, atol=1e-3)


def test_its_angle_is_from_the_north_of_its_own_frame():
    wcs = projected("TAN", (-14, 14), sky=("GLON", "GLAT"), radesys="")
    np.testing.assert_allclose(heights(wcs, (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2), 0.5, atol=1e-3)


@pytest.mark.parametrize("lonpole", [180.0, 150.0, 90.0])
def test_the_beam_of_an_imager_is_that_of_the_reference_point(lonpole):
    near = projected("SIN", (0, 0), lonpole=lonpole)
    np.testing.assert_allclose(heights(near, *(near.wcs.crpix - 1)), 0.5, atol=1e-3)
    far = projected("SIN", (5, -8), lonpole=lonpole)
    np.testing.assert_array_equal(beam_covariance(BEAM, far, SHAPE), beam_covariance(BEAM, near, SHAPE))


@pytest.mark.parametrize("projection", ["SIN", "TAN"])
def test_beams_come_back_from_pixels(projection):
    wcs = projected(projection, (-9, 9), lonpole=160.0)
    beam = as_beam(beam_covariance(BEAM, wcs, SHAPE), wcs, SHAPE)
    assert beam.major.to_value(u.arcsec) == pytest.approx(9) and beam.minor.to_value(u.arcsec) == pytest.approx(6)
    assert beam.pa.to_value(u.deg) == pytest.approx(160)


def test_a_scale_that_changes_across_the_image_is_said(noise_image, caplog):
    image = noise_image(SHAPE, BMAJ=9 / 3600, BMIN=6 / 3600)
    image.wcs = projected("TAN", (0, 20))
    prepare(image)
    assert "at its corners" not in caplog.text
    image = noise_image(SHAPE, BMAJ=1.0, BMIN=1.0)
    image.wcs = projected("TAN", (0, 0), cell=720)
    prepare(image)
    assert "which are taken for the beam, differ by up to 6.9% at its corners" in caplog.text


def test_no_beam(noise_image):
    image = noise_image()
    image.meta.clear()
    with pytest.raises(DirtyImageError, match=r"dirty: no beam in the header .*give beam="):
        prepare(image)
    given = prepare(image, beam=Beam(0.6 * u.arcsec))
    assert given.beam_pixels == pytest.approx(6)


def test_the_beam_may_come_with_the_psf(noise_image):
    image, psf = noise_image(), noise_image()
    image.meta.clear()
    psf.data[:] = gaussian_psf()
    assert prepare(image, psf=psf).beam_pixels == pytest.approx(5)


@pytest.mark.parametrize("said", [{}, {"BMAJ": 0.0, "BMIN": 0.0, "BPA": 0.0}, {"BMAJ": "0"}], ids=["no", "0", "text"])
def test_a_beam_that_no_header_says_is_fitted_to_the_psf(noise_image, caplog, said):
    """Which may peak anywhere, and at any height; GIPSY and WSClean write 0 where they know none."""
    image, psf = noise_image(BMAJ=0.9 / 3600, BMIN=0.6 / 3600, BPA=30.0), noise_image()
    y, x = np.mgrid[:96, :96] - np.reshape([46, 49], (2, 1, 1))
    power = np.einsum("iyx,ij,jyx->yx", [x, y], np.linalg.inv(prepare(image).beam_covariance), [x, y])
    psf.data = 0.4 * np.exp(-0.5 * power)
    for each in (image, psf):
        each.meta.clear()
        each.meta.update(said)
    beam = prepare(image, psf=psf).beam
    assert (beam.major.to_value(u.arcsec), beam.minor.to_value(u.arcsec)) == pytest.approx((0.9, 0.6), rel=0.01)
    assert beam.pa.to_value(u.deg) == pytest.approx(30, abs=1)
    assert "no beam in the header (BMAJ); it is fitted to the PSF: 0.9" in caplog.text
    for none in (0.0, 1.0, np.nan):
        with pytest.raises(DirtyImageError, match=r"dirty: no beam in the header .* or the PSF, to which it is fitted"):
            prepare(image, psf=np.full((96, 96), none))


def test_beam_of_no_size(noise_image):
    with pytest.raises(DirtyImageError, match=r"dirty: the beam .* axes of .* 0 arcsec, which must be .*; give"):
        prepare(noise_image(BMIN=0.0))


def test_a_beam_in_radians(noise_image):
    """As MIRIAD has it in its own files."""
    with pytest.raises(
        DirtyImageError, match=r"under-sampled, 0\.09 pixels .*or BMAJ and BMIN, which are in degrees, too"
    ):
        prepare(noise_image(BMAJ=np.deg2rad(0.5 / 3600), BMIN=np.deg2rad(0.5 / 3600)))


def test_a_beam_in_arcsec(noise_image):
    with pytest.raises(DirtyImageError, match=r"the beam, 0\.9 deg \(BMAJ\), is longer than the image .* in degrees"):
        prepare(noise_image(BMAJ=0.9, BMIN=0.8))


def test_a_beam_that_is_not_all_there(noise_image, caplog):
    image = noise_image(BMIN=0.4 / 3600)
    del image.meta["BPA"]
    assert prepare(image).beam.pa == 0
    assert "no BPA in the header" in caplog.text
    del image.meta["BMIN"]
    assert prepare(image).beam.minor.to_value(u.arcsec) == pytest.approx(0.5)
    assert "no BMIN in the header; the beam is taken for round" in caplog.text


def test_a_beam_in_text_is_one(noise_image, caplog):
    image = noise_image(BMAJ="1.6666667D-04", BMIN="1.3888889E-04", BPA="0")
    beam = prepare(image).beam
    assert (beam.major.to_value(u.arcsec), beam.minor.to_value(u.arcsec)) == pytest.approx((0.6, 0.5))
    assert "dirty: the beam is text in the header; it is taken for BMAJ=0.00016666667, BMIN=" in caplog.text


def test_the_beam_of_obit(noise_image):
    image = noise_image(CLEANBMJ=0.6 / 3600, CLEANBMN=0.5 / 3600, CLEANBPA=20.0)
    assert prepare(image).beam.minor.to_value(u.arcsec) == pytest.approx(0.5)
    for key in ("BMAJ", "BMIN", "BPA"):
        image.meta.pop(key, None)
    beam = prepare(image).beam
    assert beam.major.to_value(u.arcsec) == pytest.approx(0.6) and beam.pa.to_value(u.deg) == 20


def test_a_beam_of_quantities(noise_image):
    image = noise_image(BMAJ=0.6 * u.arcsec, BMIN=0.5 * u.arcsec, BPA=20 * u.deg)
    assert prepare(image).beam.major.to_value(u.arcsec) == pytest.approx(0.6)
    with pytest.raises(DirtyImageError, match=r"the beam .*BMAJ=<Quantity 3. mm>.* is not of numbers, in degrees"):
        prepare(noise_image(BMAJ=3 * u.mm))


def test_beams_of_numbers_of_numpy_are_shown_as_plain_numbers(noise_image, caplog):
    with pytest.raises(DirtyImageError, match=r"BMAJ=0\.00013\d+, .*BPA=7\.0, has a BMIN larger than BMAJ; .* --beam"):
        prepare(noise_image(BMAJ=0.5 * u.arcsec, BMIN=0.6 * u.arcsec, BPA=np.float32(7)))
    image = noise_image(BMAJ=np.float64(0.00015))
    del image.meta["BMIN"]
    prepare(image)
    assert "the beam is taken for round, with BMAJ=0.00015 deg" in caplog.text


@pytest.mark.parametrize("axes", [(-1, -1), (np.nan, np.nan), (1, 0)])
def test_beams_that_are_given_are_checked(noise_image, axes):
    beam = Beam(axes[0] * u.arcsec, axes[1] * u.arcsec)
    with pytest.raises(DirtyImageError, match=r"beam: has axes of .* arcsec"):
        prepare(noise_image(), beam=beam)
    with pytest.raises(TypeError, match=r"beam: expected a radio_beam\.Beam, such as .*, got Quantity"):
        prepare(noise_image(), beam=1 * u.arcsec)


@pytest.mark.parametrize(("key", "value"), [("BMIN", 0.9 / 3600), ("BMAJ", "0.9 arcsec")])
def test_headers_whose_beam_is_none(noise_image, key, value):
    with pytest.raises(DirtyImageError, match=rf"dirty: the beam in the header, .*{key}=.*; give another with beam="):
        prepare(noise_image(**{key: value}))
    assert prepare(noise_image(**{key: value}), beam=Beam(0.6 * u.arcsec)).beam_pixels == pytest.approx(6)
