"""Sidelobes beyond the PSF image that several sources have alike."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.wcs import WCS
from radio_beam import Beam
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager.observation.common_sidelobes import with_common_sidelobes
from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.preparation import prepare

SIDE = 128
OFFSET = 50, -70  # y, x
SOURCES = Components.points([108.2, 90.0, 118.4], [20.7, 62.3, 35.1], [60.0, 40.0, 30.0])  # times the noise


def gaussian(x, y, side=SIDE):
    """A beam of four pixels."""
    rows, columns = np.ogrid[:side, :side]
    return np.exp(-4 * np.log(2) * ((columns - x) ** 2 + (rows - y) ** 2) / 4**2)


def observed(faint=(), sidelobe=0.0, sources=SOURCES):
    """Sources with the PSF that is known, a sidelobe of theirs that is not, and faint sources (x, y, flux)."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.crval = ["RA---SIN", "DEC--SIN"], [-1 / 3600, 1 / 3600], [150, 2]
    wcs.wcs.crpix = [SIDE // 2 + 1] * 2
    noise = gaussian_filter(np.random.default_rng(2).standard_normal((SIDE, SIDE)), 1.2, mode="wrap")
    data = noise / noise.std()
    for x, y, flux in zip(sources.x, sources.y, sources.flux, strict=True):
        data += flux * gaussian(x, y)
        for sign in (1, -1):
            data += flux * sidelobe * gaussian(x + sign * OFFSET[1], y + sign * OFFSET[0])
    for x, y, flux in faint:
        data += flux * gaussian(x, y)
    dirty = prepare(CCDData(data, unit=u.Jy / u.beam, wcs=wcs), beam=Beam(4 * u.arcsec, 4 * u.arcsec, 0 * u.deg))
    return replace(dirty, psf=gaussian(SIDE, SIDE, 2 * SIDE))


def told(dirty, sources=SOURCES):
    """The image with what its sources, which are known, have in common further away than half of it."""
    far = np.abs(np.arange(2 * SIDE) - SIDE) > SIDE / 2
    doubted = far[:, None] | far
    return with_common_sidelobes(dirty, sources, np.ones(dirty.shape), doubted)


@pytest.mark.parametrize("height", [0.2, -0.2])
def test_what_all_have_at_an_offset_is_a_sidelobe_of_that_height(height):
    psf = told(observed(sidelobe=height)).psf
    for sign in (1, -1):
        assert psf[SIDE + sign * OFFSET[0], SIDE + sign * OFFSET[1]] == pytest.approx(height, abs=0.04)
    np.testing.assert_array_equal(psf[SIDE - 40 : SIDE + 40, SIDE - 40 : SIDE + 40], gaussian(40, 40, 80))


def test_what_it_leaves_of_the_image_is_noise():
    dirty = observed(sidelobe=0.2)
    before, after = (image.data - image.see(SOURCES) for image in (dirty, told(dirty)))
    assert before.max() > 9
    assert after.max() < 4.5


def test_a_source_that_one_has_at_an_offset_is_none():
    at = SOURCES.x[0] + OFFSET[1], SOURCES.y[0] + OFFSET[0]
    dirty = observed(faint=[(*at, 12.0)])
    assert told(dirty) is dirty


def test_noise_is_none():
    dirty = observed()
    assert told(dirty) is dirty


def test_components_of_one_source_see_one_thing():
    double = Components.points([108.2, 110.2], [20.7, 22.0], [60.0, 60.0])
    dirty = observed(faint=[(109.2 + OFFSET[1], 21.3 + OFFSET[0], 12.0)], sources=double)
    assert told(dirty, double) is dirty


def test_a_source_at_the_edge_at_the_offset_of_one_is_none():
    """Where its place is a third of a pixel beyond the image."""
    one = Components.points([70.7], [64.0], [60.0])
    dirty = observed(faint=[(0, 64, 30.0)], sources=one)
    assert told(dirty, one) is dirty
