"""The noise of an image that emission fills in part is that of the noise, whatever the weighting."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager.observation.bright import subtract_bright
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, read_array

RMS = 1e-3
SIDE, CELL = 160, 0.2  # pixels, arcsec


def observed(weighting="natural", robust=0.5):
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=5 * u.min, shape=(2 * SIDE, 2 * SIDE),
        cell=CELL * u.arcsec, weighting=weighting, robust=robust,
    )  # fmt: skip


def noise_and_sky(seen, sky, seed=1):
    """Noise and a sky in Jy/pixel, Jy/beam, in the middle of the field."""
    rng = np.random.default_rng(seed)
    data = seen.image(seen.noise(RMS, rng))
    transfer = np.fft.fft2(np.fft.ifftshift(seen.psf))
    data += np.fft.ifft2(np.fft.fft2(sky) * transfer).real
    middle = np.s_[SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2]
    return CCDData(data[middle], unit=u.Jy / u.beam, wcs=seen.wcs[middle])


def disc(seen, radius, brightness):
    """A disc of some times the noise in the beam."""
    beam = (seen.beam.sr / (CELL * u.arcsec) ** 2).to_value(u.one)
    y, x = np.indices(seen.shape) - SIDE
    return brightness * RMS / beam * (np.hypot(x, y) < radius)


@pytest.mark.parametrize("with_psf", [True, False])
@pytest.mark.parametrize("radius, brightness", [(30, 30), (50, 10)])
def test_a_disc_that_fills_a_part_of_the_field_is_no_noise(radius, brightness, with_psf):
    """Of twenty beams, say: its noise was up to seven times too high, and all but nothing was found.

    Without a PSF, CLEAN of what no beam explains takes up to two fifths of the noise with it.
    """
    seen = observed()
    dirty = prepare(
        noise_and_sky(seen, disc(seen, radius, brightness)), psf=seen.psf if with_psf else None, beam=seen.beam
    )
    assert dirty.rms > 3 * RMS
    measured = subtract_bright(dirty, 30, 15)
    assert measured.rms == pytest.approx(RMS, rel=0.35 if with_psf else 0.45)


@pytest.mark.parametrize("weighting, robust", [("natural", 0), ("briggs", 0.5), ("briggs", -1), ("uniform", 0)])
def test_noise_alone_is_what_it_was(weighting, robust):
    """Whatever its weighting is, with a border that is blank, and with a PSF or without."""
    seen = observed(weighting, robust)
    image = noise_and_sky(seen, np.zeros(seen.shape))
    image.data[:20] = np.nan
    for psf in (None, seen.psf):
        dirty = prepare(image, psf=psf, beam=seen.beam)
        assert dirty.fine_noise.beneath(dirty.rms, dirty.data) == dirty.rms


def test_noise_that_was_smoothed_is_what_it_was():
    """To the beam, from much sharper noise."""
    seen = observed()
    image = noise_and_sky(seen, np.zeros(seen.shape))
    sigma = np.sqrt(seen.beam.major * seen.beam.minor).to_value(u.arcsec) / CELL * gaussian_fwhm_to_sigma
    image.data = gaussian_filter(np.random.default_rng(2).standard_normal(image.shape), sigma)
    dirty = prepare(image, beam=seen.beam)
    assert dirty.fine_noise.beneath(dirty.rms, dirty.data) == dirty.rms
