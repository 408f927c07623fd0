"""CLEAN: what is certainly there, subtracted."""

import logging

import numpy as np

__all__ = ["clean"]

log = logging.getLogger(__name__)

DIVERGENCE = 3.0  # a peak that many times higher than the lowest before


def clean(dirty, psf, threshold, gain, weight, max_iterations, negative=False):
    """Subtract what is certainly there: CLEAN (Hogbom 1974, A&AS 15, 417).

    Parameters
    ----------
    dirty : 2D array, shape (ny, nx)
    psf : 2D array, shape (2 ny, 2 nx)
        PSF with its peak, 1, at pixel ``(ny, nx)``, so that it covers the
        image wherever it is centred.
    threshold : float
        Stop when no pixel of the residual, times ``weight``, is above it, same unit as ``dirty``.
    gain : float
        Fraction of a peak to subtract at once.
    weight : 2D array, shape (ny, nx)
        0 where no components may lie, 1 where the noise is that of the image, less where it is higher.
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
    # What is searched is kept beside, to look at one array only.
    weight = np.asarray(weight, dtype=np.float32)
    searched = residual * weight
    part, lowest = np.empty_like(residual), np.inf
    for _ in range(max_iterations):
        peak = searched.argmax()
        if negative and -searched.min() > searched.flat[peak]:
            peak = searched.argmin()
        y, x = divmod(int(peak), nx)
        certain, height = abs(searched[y, x]), residual[y, x]
        if not certain > threshold:
            break
        lowest = min(lowest, certain)
        if certain > DIVERGENCE * lowest:
            log.warning("CLEAN diverges and is stopped: the PSF does not fit the image, or is cut off too near")
            break
        components[y, x] += gain * height
        np.multiply(psf[ny - y : 2 * ny - y, nx - x : 2 * nx - x], gain * height, out=part)
        residual -= part
        np.multiply(part, weight, out=part)
        searched -= part
    return components, residual
