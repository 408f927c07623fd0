"""The beam on the pixels: where it is that of the header, and from which north its angle runs."""

import astropy.units as u
import numpy as np
import pytest
from radio_beam import Beam

from astro_ddpm_imager.observation.beam import as_beam, beam_covariance
from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import make_wcs

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
