"""One image of many: what is weighted how, and what cannot be one."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from radio_beam import Beam

from astro_ddpm_imager.errors import DirtyImageError
from astro_ddpm_imager.observation.joint import Mean
from astro_ddpm_imager.observation.preparation import prepare
from tests.conftest import gaussian_psf


@pytest.fixture
def dirty(noise_image):
    return prepare(noise_image(), gaussian_psf())


def test_images_count_by_their_noise(dirty):
    other = replace(dirty, data=dirty.data + 1.0, rms=2 * dirty.rms, pb=0.5 * dirty.pb)
    mean = Mean()
    mean.add(dirty)
    mean.add(other)
    image = mean.image({})
    np.testing.assert_allclose(image.data, dirty.data + 0.2)
    np.testing.assert_allclose(image.pb, 0.9)
    np.testing.assert_allclose(image.psf, dirty.psf)
    assert image.beam.major.to_value(u.arcsec) == pytest.approx(dirty.beam.major.to_value(u.arcsec), rel=0.02)


def test_the_beam_is_that_of_the_mean_psf(dirty):
    narrow, wide = (replace(dirty, psf=gaussian_psf(fwhm), beam=Beam(fwhm * 0.1 * u.arcsec)) for fwhm in (5.0, 7.0))
    mean = Mean()
    mean.add(narrow)
    mean.add(wide)
    image = mean.image({})
    half = image.psf[48, 48 : 48 + 8]
    assert 2 * np.interp(-0.5, -half, np.arange(8)) == pytest.approx(image.beam_pixels, rel=0.02)
    assert 5.0 < image.beam_pixels < 7.0


def test_a_psf_that_is_known_less_far_makes_the_mean_as_small(dirty):
    mean = Mean()
    for psf in (gaussian_psf(), gaussian_psf()[8:-8, 8:-8], gaussian_psf()[4:-3, 4:-3]):
        mean.add(replace(dirty, psf=psf))
    psf = mean.image({}).psf
    assert psf.shape == (80, 80) and psf[40, 40] == psf.max() == pytest.approx(1)


def test_beams_that_are_too_unlike(dirty):
    mean = Mean()
    mean.add(dirty)
    with pytest.raises(DirtyImageError, match=r"the beams of the channels differ by a factor of 2, more than 1\.5"):
        mean.add(replace(dirty, beam=Beam(2 * dirty.beam.major)))


def test_no_pixel_in_common(dirty):
    mean = Mean()
    left = np.arange(dirty.shape[1]) < 40
    for blank in (left, ~left):
        mean.add(replace(dirty, data=np.where(blank, np.nan, dirty.data)))
    with pytest.raises(DirtyImageError, match="no pixel has a value in all channels"):
        mean.image({})
