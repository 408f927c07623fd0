"""Bright sources, and the noise beneath their sidelobes."""

import logging
from dataclasses import replace

import numpy as np
from astropy.stats import mad_std
from scipy.ndimage import distance_transform_edt, label

from ..errors import DirtyImageError
from ..observation.clean import clean

__all__ = ["bright_sky", "subtract_bright"]

log = logging.getLogger(__name__)

GAIN = 0.1
CLEAN_DEPTH = 5.0  # times the noise
BRIGHT_DEPTH = 3.0  # likewise, where there are bright sources: what is left of them should not pass for noise
MOST_BRIGHT = 1000  # components of sources with far sidelobes that matter
UNKNOWN = 0.5  # times the noise: root mean square of sidelobes beyond the PSF image that may be neglected
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
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    brightest : float
        Sources with a higher peak, in units of the noise, are reduced.
    kept : float
        Peak of what is left of them, in units of the noise.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With ``rms`` measured in the residual, and ``bright`` set where a
        source is that bright; ``data`` is unchanged but for pixels whose
        sidelobes are not known, because the PSF image ends before: NaN.

    Raises
    ------
    DirtyImageError
        Of most of the flux of the bright sources, too, sidelobes of others are
        not known.
    """
    dirty = _within_reach(dirty)
    components, residual, rms = np.zeros(dirty.shape), np.nan_to_num(dirty.data), dirty.rms
    for depth in (CLEAN_DEPTH, BRIGHT_DEPTH):
        found, residual, rms = _clean_deeper(dirty, residual, rms, depth)
        components += found
        seen = dirty.convolve_beam(components) / rms
        if seen.max() <= brightest:
            break
    bright = np.zeros_like(components)
    islands, number = label(seen > EDGE_NOISE)
    for island in range(1, number + 1):
        peak = seen[islands == island].max()
        if peak > brightest:
            own = (islands == island) & (seen > EDGE * peak)
            bright[own] = components[own] * (1 - kept / peak)
            log.info("a source of %.0f times the noise: all but %.0f of it is subtracted", peak, kept)
    return replace(dirty, rms=rms, bright=bright if bright.any() else None)


def _clean_deeper(dirty, residual, rms, depth):
    """Components, residual and its noise after CLEAN to a depth in units of the noise, which falls on the way."""
    inside = np.isfinite(dirty.data)
    components = np.zeros_like(residual)
    most = int(COMPONENTS_PER_BEAM * residual.size / dirty.beam_pixels**2)
    for _ in range(ROUNDS):
        found, residual = clean(residual, dirty.covering_psf, depth * rms, GAIN, inside, most, negative=True)
        components += found
        before, rms = rms, float(mad_std(residual[inside]))
        if rms > 0.97 * before:
            break
    return components, residual, rms


def bright_sky(dirty, grid):
    """What of bright sources the model is not shown, on its pixels.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`

    Returns
    -------
    2D array, shape ``grid.shape``, or 0
        Flux per pixel in units of the noise.
    """
    return 0 if dirty.bright is None else grid.gather(dirty.bright / dirty.rms)


def _within_reach(dirty):
    """The image without the pixels that the PSF image does not reach from sources so bright that it matters."""
    if dirty.psf is None:
        return dirty
    level = np.concatenate([dirty.psf[[0, -1]].ravel(), dirty.psf[:, [0, -1]].ravel()]).std()
    inside = known = np.isfinite(dirty.data)
    rms = dirty.rms
    for _ in range(ROUNDS):
        data, height = np.where(known, dirty.data, 0), UNKNOWN * rms / max(level, 1e-9)
        components, residual = clean(data, dirty.covering_psf, height, GAIN, known, MOST_BRIGHT)
        bright = np.argwhere(components)
        if not len(bright):
            break
        known = inside & _reached(bright, dirty)
        if components[known].sum() < 0.5 * components.sum():
            raise DirtyImageError(
                f"psf: sidelobes of sources of up to {data.max() / rms:.0f} times the noise matter everywhere in the "
                "image, and the PSF image ends before the other end of it; make the images twice as wide as the field, "
                "or cut one out around each source"
            )
        before, rms = rms, float(mad_std(residual[known]))
        if rms > 0.97 * before:
            break
    lost = inside & ~known
    if not lost.any():
        return dirty
    log.warning(
        "the PSF image ends within the field of a source of %.0f times the noise: %d pixels (%.0f%%), where its "
        "sidelobes are not known, are left blank; make the images twice as wide as the field",
        np.nanmax(dirty.data) / rms, lost.sum(), 100 * lost.sum() / inside.sum(),
    )  # fmt: skip
    blank = {name: np.where(known, getattr(dirty, name), np.nan) for name in ("data", "pb")}
    # Half of a source at the edge would pass for all of it.
    whole = distance_transform_edt(~lost) > dirty.beam_pixels
    return replace(dirty, **blank, allowed=dirty.allowed & whole, rms=float(mad_std(blank["data"], ignore_nan=True)))


def _reached(positions, dirty):
    """Pixels that the PSF image covers wherever it is centred on these positions, a mask."""
    reached = np.ones(dirty.shape, dtype=bool)
    for axis, (size, extent) in enumerate(zip(dirty.shape, dirty.psf.shape, strict=True)):
        first, last = (end - extent // 2 for end in (positions[:, axis].max(), positions[:, axis].min() + extent))
        pixels = np.arange(size)
        reached &= np.expand_dims((pixels >= first) & (pixels < last), 1 - axis)
    return reached
