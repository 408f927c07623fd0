"""The matched filter: what can be detected at all when PSF, noise and shape of the sources are known."""

import astropy.units as u
import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from astropy.table import QTable
from astropy.wcs.utils import proj_plane_pixel_area
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq

from ..observation.clean import clean
from ..observation.dirty import DirtyImage

__all__ = ["convolve_gaussian", "matched_filter"]


def matched_filter(dirty: DirtyImage, fwhm: u.Quantity, threshold: float = 2.0) -> QTable:
    """Detect sources of one known round shape, the most significant first.

    The noise is taken to have the spectrum of the PSF, as with natural
    weighting; then the optimal filter is the shape of the sources itself.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With a PSF.
    fwhm : `~astropy.units.Quantity`
        Of the sources.
    threshold : float, optional
        Significance of the faintest, in units of the noise of the filtered image.

    Returns
    -------
    `~astropy.table.QTable`
        Columns ``ra``, ``dec``, ``flux`` (corrected for the primary beam), ``significance`` and ``pb``.
    """
    ny, nx = dirty.shape
    inside = np.isfinite(dirty.data)
    sigma = (fwhm / proj_plane_pixel_area(dirty.wcs) ** 0.5 / u.deg).to_value(u.one)
    sigma *= gaussian_fwhm_to_sigma
    filtered = convolve_gaussian(np.where(inside, dirty.data, 0), sigma)
    template = convolve_gaussian(dirty.covering_psf, np.sqrt(2) * sigma)
    height = template[ny, nx]
    noise = dirty.rms / np.sqrt(height)  # of the flux
    flux, _ = clean(filtered / height, template / height, threshold * noise, 1.0, inside, inside.sum())
    y, x = np.nonzero(flux)
    dy, dx = _offsets(filtered, y, x)
    sky = dirty.wcs.pixel_to_world(x + dx, y + dy)
    return QTable(
        {
            "ra": sky.ra, "dec": sky.dec,
            "flux": flux[y, x] / dirty.pb[y, x] * u.Jy, "significance": flux[y, x] / noise, "pb": dirty.pb[y, x],
        }
    )  # fmt: skip


def convolve_gaussian(image, sigma):
    """Convolve with a Gaussian of unit sum, without wrapping.

    Parameters
    ----------
    image : 2D array
    sigma : float
        Standard deviation, pixels.

    Returns
    -------
    2D array, same shape
    """
    shape = [next_fast_len(n + int(5 * sigma), real=True) for n in image.shape]
    v, u_ = fftfreq(shape[0])[:, None], rfftfreq(shape[1])
    kernel = np.exp(-2 * np.pi**2 * sigma**2 * (u_**2 + v**2))
    return irfft2(rfft2(image, shape) * kernel, shape)[: image.shape[0], : image.shape[1]]


def _offsets(image, y, x):
    """Where parabolas through pixels and their neighbours peak, at most half a pixel away."""
    padded = np.pad(image, 1, mode="edge")
    offsets = []
    for step in ((1, 0), (0, 1)):
        low, middle, high = (padded[y + 1 + k * step[0], x + 1 + k * step[1]] for k in (-1, 0, 1))
        curvature = 2 * middle - low - high
        safe = curvature > 0
        offsets.append(np.where(safe, 0.5 * (high - low) / np.where(safe, curvature, 1), 0).clip(-0.5, 0.5))
    return offsets
