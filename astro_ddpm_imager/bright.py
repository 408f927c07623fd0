"""Bright sources, and the noise beneath their sidelobes."""

import logging
from dataclasses import replace

import numpy as np
from astropy.stats import mad_std
from scipy.ndimage import label

from .conditioning import clean

__all__ = ["bright_sky", "subtract_bright"]

log = logging.getLogger(__name__)

GAIN = 0.1
CLEAN_DEPTH = 5.0  # times the noise
ROUNDS = 12
COMPONENTS_PER_BEAM = 20
EDGE = 0.01  # of its peak: where an island of components ends
EDGE_NOISE = 3.0  # but not below this many times the noise


def subtract_bright(dirty, brightest, kept):
    """Take the larger part of bright sources out of a dirty image, and measure the noise without them.

    A network cannot be exact to one part in a thousand, but CLEAN can be. What
    is left of each source has the same shape, and is bright enough for the
    model to say how certain it is. The noise is measured again and again as
    the sidelobes disappear.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.dirty.DirtyImage`
    brightest : float
        Sources with a higher peak, in units of the noise, are reduced.
    kept : float
        Peak of what is left of them, in units of the noise.

    Returns
    -------
    `~astro_ddpm_imager.dirty.DirtyImage`
        With ``rms`` measured in the residual, and ``bright`` set where a
        source is that bright; ``data`` is unchanged.
    """
    inside = np.isfinite(dirty.data)
    residual = np.where(inside, dirty.data, 0)
    psf, rms = dirty.covering_psf, dirty.rms
    components = np.zeros_like(residual)
    most = int(COMPONENTS_PER_BEAM * residual.size / dirty.beam_pixels**2)
    for _ in range(ROUNDS):
        found, residual = clean(residual, psf, CLEAN_DEPTH * rms, GAIN, inside, most, negative=True)
        components += found
        before, rms = rms, float(mad_std(residual[inside]))
        if rms > 0.97 * before:
            break
    seen = dirty.convolve_beam(components) / rms
    bright = np.zeros_like(components)
    islands, number = label(seen > EDGE_NOISE)
    for island in range(1, number + 1):
        peak = seen[islands == island].max()
        if peak > brightest:
            own = (islands == island) & (seen > EDGE * peak)
            bright[own] = components[own] * (1 - kept / peak)
            log.info("a source of %.0f times the noise: all but %.0f of it is subtracted", peak, kept)
    return replace(dirty, rms=rms, bright=bright if bright.any() else None)


def bright_sky(dirty, grid):
    """What of bright sources the model is not shown, on its pixels.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.dirty.DirtyImage`
    grid : `~astro_ddpm_imager.grid.ModelGrid`

    Returns
    -------
    2D array, shape ``grid.shape``, or 0
        Flux per pixel in units of the noise.
    """
    return 0 if dirty.bright is None else grid.gather(dirty.bright / dirty.rms)
