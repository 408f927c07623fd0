"""Pixels of exactly 0 that hold nothing."""

import logging

import numpy as np
from scipy.ndimage import label

__all__ = ["blank_zeros", "filled_with_zeros"]

log = logging.getLogger(__name__)


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


def blank_zeros(data, area, name):
    """Make such zeros NaN, and say so.

    Parameters
    ----------
    data : 2D array
    area : float
        Pixels.
    name : str or path-like
        What the image is called in the log.

    Returns
    -------
    2D array
    """
    empty = filled_with_zeros(data, area)
    if empty.any():
        log.warning("%s: %d pixels in a piece are exactly 0; they are taken for blank, as if NaN", name, empty.sum())
    return np.where(empty, np.nan, data)
