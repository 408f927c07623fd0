"""How deep CLEAN would go, as what a reconstruction and its catalogue keep."""

import astropy.units as u
import numpy as np
from scipy.ndimage import label, maximum

from ...errors import SettingError
from ...reading import JY_PER_BEAM

__all__ = ["deep_model", "parse_threshold"]

EDGE = 0.1  # of the threshold: where an island of emission ends


def parse_threshold(threshold):
    """CLEAN's threshold in Jy/beam.

    Parameters
    ----------
    threshold : float or str
        As tclean takes it: a number of Jy, or a string such as ``"0.1mJy"``.

    Returns
    -------
    float

    Raises
    ------
    SettingError
        It is neither.
    """
    try:
        value = u.Quantity(threshold or 0)
        if value.unit == u.one:
            value = value.value * u.Jy
        elif value.unit.is_equivalent(JY_PER_BEAM):
            value = value * u.beam
        jansky = float(value.to_value(u.Jy))
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"threshold={threshold!r}: must be a number of Jy, or a string such as '0.1mJy'; nsigma counts in noise"
        ) from error
    if not 0 <= jansky < np.inf:
        raise SettingError(f"threshold={threshold!r}: must not be negative")
    return jansky


def deep_model(sky, dirty, peak):
    """The emission of a sky that reaches a peak in the restored image, and lies where it may.

    Parameters
    ----------
    sky : 2D array, shape (ny, nx)
        Times the primary beam, Jy/pixel.
    dirty : `~astro_ddpm_imager.dirty.DirtyImage`
    peak : float
        Jy/beam.

    Returns
    -------
    2D array, shape (ny, nx), Jy/pixel; 0 where blank
    """
    sky = np.where(dirty.allowed, sky, 0)
    if peak == 0:
        return sky
    seen = dirty.convolve_beam(sky)
    islands, number = label(seen > EDGE * peak)
    kept = np.flatnonzero(np.asarray(maximum(seen, islands, range(1, number + 1))) >= peak) + 1
    return np.where(np.isin(islands, kept), sky, 0)
