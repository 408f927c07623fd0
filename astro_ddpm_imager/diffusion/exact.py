"""The last step of sampling, which is exact: from what a network draws to what the data say."""

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

__all__ = ["posterior_mean", "towards_data"]

DOUBT = 0.3  # of the flux that is drawn around a pixel: how far the network may be off, a standard deviation
SMOOTHING = 0.4  # FWHM in beams of what is around a pixel
ITERATIONS = 16  # at most; a field of faint sources takes five
CLOSE = 1e-4  # of what was open at first: no flux changes by a thousandth of the noise any more
NOTHING = 1e-9  # of the noise: below, half of a number is lost in single precision


def towards_data(sky, gridded, pixels_per_beam):
    """Move a sky to where the likelihood wants it, as far as the network may be wrong.

    A network draws fluxes and shapes of what is bright less sharply than the
    data have them. What it has drawn is taken for the mean of a Gaussian
    prior, whose standard deviation is in proportion to what is around each
    pixel, see `posterior_mean`.

    Parameters
    ----------
    sky : 2D array, shape (my, mx)
        Flux per pixel, in units of the noise.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
    pixels_per_beam : float

    Returns
    -------
    2D array, shape (my, mx); not negative.
    """
    sigma = gaussian_fwhm_to_sigma * SMOOTHING * pixels_per_beam
    doubt = DOUBT * gaussian_filter(np.asarray(sky, float), sigma)
    return posterior_mean(sky, doubt, gridded).clip(0)


def posterior_mean(sky, doubt, gridded):
    """The mean of what a dirty image leaves of a Gaussian prior.

    With the sky s for the mean of the prior, and D for its standard deviation,
    the posterior's mean is s + x, where (1 / D^2 + P) x = d - P s, for a dirty
    image d and its PSF P, which is the covariance of its noise, too (Rasmussen
    & Williams 2006, Gaussian processes for machine learning, equation 2.11). A
    few steps of conjugate gradients (Hestenes & Stiefel 1952) find x.

    Parameters
    ----------
    sky, doubt : 2D array, shape (my, mx)
        Mean and standard deviation of the prior, flux per pixel in units of
        the noise.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`

    Returns
    -------
    2D array, shape (my, mx)
    """
    spread = doubt / gridded.noise
    if not spread.any():
        return sky
    seen = gridded.pb > 0
    information, (my, mx) = gridded.positive_information, sky.shape

    def applied(image):
        spectrum = rfft2(spread * image, s=(2 * my, 2 * mx)) * information
        return image + spread * np.where(seen, irfft2(spectrum, s=(2 * my, 2 * mx))[:my, :mx], 0)

    left = spread * np.where(seen, gridded.gradient(sky), 0) / gridded.noise
    found, direction, power = np.zeros_like(left), left, np.vdot(left, left)
    settled = CLOSE**2 * power
    for _ in range(ITERATIONS):
        if not power > settled:
            break
        seen_along = applied(direction)
        length = power / np.vdot(direction, seen_along)
        found = found + length * direction
        left = left - length * seen_along
        before, power = power, np.vdot(left, left)
        direction = left + power / before * direction
    moved = sky + spread * found * gridded.noise
    return np.where(np.abs(moved) > NOTHING, moved, 0).astype(np.float32)
