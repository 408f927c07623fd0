"""What the network is told of an observation: the dirty image, and what its own PSF says about it."""

import logging

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

__all__ = ["CONDITIONS", "clean", "condition"]

log = logging.getLogger(__name__)

CONDITIONS = ("dirty", "residual", "components", "pb")
MAX_COMPONENTS_PER_BEAM = 5
DIVERGENCE = 3.0  # a peak that many times higher than the lowest before


def clean(dirty, psf, threshold, gain, allowed, max_iterations, negative=False):
    """Subtract what is certainly there: CLEAN (Hogbom 1974, A&AS 15, 417).

    Parameters
    ----------
    dirty : 2D array, shape (ny, nx)
    psf : 2D array, shape (2 ny, 2 nx)
        PSF with its peak, 1, at pixel ``(ny, nx)``, so that it covers the
        image wherever it is centred.
    threshold : float
        Stop when no pixel of the residual is above it, same unit as ``dirty``.
    gain : float
        Fraction of a peak to subtract at once.
    allowed : 2D array of bool, shape (ny, nx)
        Where components may lie.
    max_iterations : int
    negative : bool, optional
        Subtract negative peaks as well.

    Returns
    -------
    components : 2D array of float32, shape (ny, nx)
        Flux per pixel.
    residual : 2D array of float32, shape (ny, nx)
        What they leave of the dirty image.
    """
    ny, nx = dirty.shape
    residual, psf = dirty.astype(np.float32), psf.astype(np.float32)
    components = np.zeros_like(residual)
    # What may not be a component is kept beside, to search one array only.
    searched = np.where(allowed, residual, 0).astype(np.float32)
    part, lowest = np.empty_like(residual), np.inf
    for _ in range(max_iterations):
        peak = searched.argmax()
        if negative and -searched.min() > searched.flat[peak]:
            peak = searched.argmin()
        y, x = divmod(int(peak), nx)
        height = searched[y, x]
        if not abs(height) > threshold:
            break
        lowest = min(lowest, abs(height))
        if abs(height) > DIVERGENCE * lowest:
            log.warning("CLEAN diverges and is stopped: the PSF does not fit the image, or is cut off too near")
            break
        components[y, x] += gain * height
        np.multiply(psf[ny - y : 2 * ny - y, nx - x : 2 * nx - x], gain * height, out=part)
        residual -= part
        np.multiply(part, allowed, out=part)
        searched -= part
    return components, residual


def condition(dirty, psf, pb, pixels_per_beam, threshold, gain):
    """The images that the network is given beside the noisy sky.

    The residual and the components of a shallow CLEAN tell it which peaks of
    the dirty image are sidelobes of others, whatever the array.

    Parameters
    ----------
    dirty : 2D array, shape (ny, nx)
        On the model's pixels, in units of its noise; 0 where blank.
    psf : 2D array, shape (2 ny, 2 nx)
        As for `clean`.
    pb : 2D array, shape (ny, nx)
        Primary beam; 0 where the image is blank.
    pixels_per_beam : float
    threshold, gain : float
        Of CLEAN.

    Returns
    -------
    3D array of float32, shape (4, ny, nx)
        In the order of `CONDITIONS`; the components are convolved with a round
        Gaussian of a beam's width and a peak of 1.
    """
    max_iterations = int(MAX_COMPONENTS_PER_BEAM * dirty.size / pixels_per_beam**2)
    components, residual = clean(dirty, psf, threshold, gain, pb > 0, max_iterations)
    sigma = gaussian_fwhm_to_sigma * pixels_per_beam
    smooth = gaussian_filter(components, sigma) * (2 * np.pi * sigma**2) if components.any() else components
    return np.stack([dirty, np.where(pb > 0, residual, 0), np.where(pb > 0, smooth, 0), pb]).astype(np.float32)
