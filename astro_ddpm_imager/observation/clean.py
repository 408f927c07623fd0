"""CLEAN: what is certainly there, subtracted."""

import logging

import numpy as np

__all__ = ["clean"]

log = logging.getLogger(__name__)

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
