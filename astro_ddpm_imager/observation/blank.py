"""Pixels of exactly 0, or another constant, that hold nothing."""

import logging

import numpy as np
from scipy.ndimage import label, maximum_filter, minimum_filter

__all__ = ["blank_constant", "filled_with_zeros"]

log = logging.getLogger(__name__)

SIDE = 3.0  # beams, of a square in which noise is never constant, unless its steps are twice as large as it is
SOLID = 0.5  # of a piece: in such squares


def filled_with_zeros(data, area):
    """Where exact zeros fill more than some area in one piece, as neither noise nor sidelobes do.

    Parameters
    ----------
    data : 2D array
    area : float
        Pixels.

    Returns
    -------
    2D array of bool, same shape
    """
    pieces, _ = label(data == 0)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return sizes[pieces] > area


def blank_constant(data, area, name):
    """Make zeros, and other constants, that fill more than some area NaN, and say so.

    Parameters
    ----------
    data : 2D array
    area : float
        Of a beam, pixels.
    name : str or path-like
        What the image is called in the log.

    Returns
    -------
    2D array
    """
    for value, empty in [(0.0, filled_with_zeros(data, area)), *_constant(data, area)]:
        if empty.any():
            log.warning(
                "%s: %d pixels in a piece are exactly %.9g; they are taken for blank, as if NaN",
                name, empty.sum(), value,
            )  # fmt: skip
            data = np.where(empty, np.nan, data)
    return data


def _constant(data, area):
    """Values other than 0 that fill squares of some beams, as rounded noise does not, and where they do."""
    same = data[:, 1:] == data[:, :-1]
    if not (same & (data[:, 1:] != 0)).any():  # as in nearly all images
        return
    side, known = 2 * int(np.ceil(SIDE * np.sqrt(area) / 2)) + 1, np.nan_to_num(data)
    middles = maximum_filter(known, side) == minimum_filter(known, side)
    solid = maximum_filter(middles, side)
    for value in np.unique(known[middles]):
        if value:
            pieces, number = label(data == value)
            sizes, filled = (np.bincount(each, minlength=number + 1) for each in (pieces.ravel(), pieces[solid]))
            yield value, (pieces > 0) & (filled > SOLID * sizes)[pieces]
