"""Noise that is smoother than an interferometer's: what it takes from the reliability of what looks extended."""

import logging
from dataclasses import replace

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma, mad_std
from scipy.fft import fftfreq, rfft2, rfftfreq
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from ..observation.ellipses import positive
from .artefacts import odds_without
from .catalog import apparent_peaks, covariance_on_image

__all__ = ["doubt_smooth_noise", "noise_smoothness"]

log = logging.getLogger(__name__)

SMOOTHER = 1.7  # from where it is no noise of natural weighting, of which faint sources are left
SMOOTHEST = 3.0  # more is emission


def noise_smoothness(left, gridded, pixels_per_beam):
    """The area that the noise of an image is correlated over, in units of the beam's, 1 if it is not much larger.

    That of natural weighting has the covariance of the PSF (Briggs 1995, PhD
    thesis, section 3.2), so 1. An image that was convolved from a much sharper
    one to its beam has 2, and so has one with a taper much narrower than the
    baselines reach, of which the noise has the square, and the PSF has not.
    How much is left of the noise when it is smoothed with the beam tells.

    Parameters
    ----------
    left : 2D array, shape (my, mx)
        What a reconstruction leaves of an image; NaN where blank.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
    pixels_per_beam : float

    Returns
    -------
    float
    """
    sigma = pixels_per_beam * gaussian_fwhm_to_sigma
    known = np.isfinite(left)
    whole = gaussian_filter(known.astype(float), sigma) > 0.99
    if not whole.any():
        return 1.0
    remains = (mad_std(gaussian_filter(np.where(known, left, 0), sigma)[whole]) / mad_std(left[known])) ** 2
    # Of Gaussians, with a correlation of area a in units of the beam's, a / (a + 2) remains: of natural noise a third.
    transfer = rfft2(np.fft.ifftshift(gridded.psf)).real.clip(0)
    v, u = fftfreq(gridded.psf.shape[0])[:, None], rfftfreq(gridded.psf.shape[1])
    of_natural = np.sum(transfer * np.exp(-((2 * np.pi * sigma) ** 2) * (u**2 + v**2))) / np.sum(transfer)
    share = min(remains / of_natural / 3, SMOOTHEST / (SMOOTHEST + 2))
    smoothness = 2 * share / (1 - share)
    if smoothness < SMOOTHER:
        return 1.0
    log.warning(
        "the noise is smoother than that of an interferometer of this beam (correlated over %.2g times its area), as "
        "in images that were convolved to a larger beam, or of visibilities that were tapered: faint sources that look "
        "extended are less reliable", smoothness
    )  # fmt: skip
    return smoothness


def doubt_smooth_noise(sources, grid, dirty, smoothness):
    """Lower reliabilities by what smooth noise is louder, at the size of each source, than noise of natural weighting.

    A filter of the shape of a source of covariance C, seen with a beam B, lets
    through a variance in proportion to (det A / det (A + 2 C))^(1/2) of noise
    whose autocorrelation is a Gaussian of covariance A. Natural noise has A =
    B. A candidate of S/N s owes log-odds of s^2 / 2 to its height, as in
    `~astro_ddpm_imager.sources.artefacts.doubt_artefacts`; points lose nothing.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
        On the model's pixels, in units of the noise; reliabilities calibrated.
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    smoothness : float
        As of `noise_smoothness`.

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.MergedSources`
    """
    if smoothness == 1 or not len(sources):
        return sources
    beam, size = dirty.beam_covariance, positive(covariance_on_image(sources, grid))

    def let_through(noise):
        return np.sqrt(np.linalg.det(noise) / np.linalg.det(noise + 2 * size))

    snr = apparent_peaks(sources, grid, dirty)
    lost = 0.5 * snr**2 * (1 - let_through(beam) / let_through(smoothness * beam))
    before, after = odds_without(sources.reliability, snr, lost)
    return replace(sources, reliability=np.where(after < before, expit(after), sources.reliability))
