"""How deep CLEAN would go, as what a reconstruction and its catalogue keep."""

import numpy as np
from scipy.ndimage import label, maximum, maximum_filter

__all__ = ["deep_model", "deep_sources"]

EDGE = 0.1  # of the threshold: where an island of emission ends
NOTHING = 1e-3  # of the noise: pixels of which a beam full makes no more are empty


def deep_model(sky, dirty, seen, peak):
    """The emission of a sky that CLEAN would go deep enough for, and that lies where it may.

    A sky has no pixel without a trace of emission; here those are 0 of which a
    whole beam would be far below the noise. Negatives next to sharp sources
    remain: they make the source as sharp as the data have it, see
    `~astro_ddpm_imager.observation.grid.ModelGrid.to_image`.

    Parameters
    ----------
    sky : 2D array, shape (ny, nx)
        Times the primary beam, Jy/pixel.
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    seen : 2D array, shape (ny, nx)
        Restored image, Jy/beam; NaN where blank.
    peak : float
        Jy/beam, that ``seen`` must reach somewhere in an island of emission.

    Returns
    -------
    2D array, shape (ny, nx), Jy/pixel; 0 where blank
    """
    sky = np.where(dirty.allowed & (np.abs(sky) * dirty.beam_area > NOTHING * dirty.rms), sky, 0)
    if peak == 0:
        return sky
    islands, number = label(dirty.convolve_beam(sky) > EDGE * peak)
    highest = maximum(np.nan_to_num(seen), islands, range(1, number + 1))
    kept = np.flatnonzero(np.asarray(highest) >= peak) + 1
    return np.where(np.isin(islands, kept), sky, 0)


def deep_sources(catalog, dirty, seen, peak):
    """The sources that CLEAN would go deep enough for.

    It sees them with the noise on top; ``snr`` is without, and lower on average
    for what a threshold finds.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    seen : 2D array, shape (ny, nx)
        Restored image, Jy/beam; NaN where blank.
    peak : float
        Jy/beam, that ``seen`` must reach within half a beam of a source.

    Returns
    -------
    `~astropy.table.QTable`
        A copy.
    """
    radius = dirty.beam_pixels / 2
    y, x = np.mgrid[-int(radius) : int(radius) + 1, -int(radius) : int(radius) + 1]
    highest = maximum_filter(np.nan_to_num(seen), footprint=np.hypot(y, x) <= radius)
    at = tuple(np.round(catalog[axis]).astype(int) for axis in ("y", "x"))
    return catalog[highest[at] >= peak] if peak else catalog.copy()
