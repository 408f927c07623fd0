"""What a detection threshold in sigma asks for, as a reliability."""

import math

import numpy as np

__all__ = ["SATURATED", "required_reliability", "select_certain", "select_near"]

# Fraction of PyBDSF 1.14's Gaussians (thresh_pix=3) that are true, as a logistic function of the peak of their island
# over its rms: maximum likelihood fit to 138 Gaussians in 40 fields of astro-ddpm-imager simulate (Table 1 of Taran
# et al. 2023, independent noise), which docs/certainty.py makes; the errors are 0.09 and 0.07.
HALF_TRUE = 4.51
WIDTH = 0.42
FAINTEST = 3.5  # 3 islands peaked lower, because islands need a number of pixels: nothing is known there
MOST_RELIABILITY = 0.9  # more than this cannot be told apart with some 20 samples
SATURATED = HALF_TRUE + WIDTH * math.log(MOST_RELIABILITY / (1 - MOST_RELIABILITY))


def required_reliability(thresh_pix):
    """Reliability as certain as PyBDSF is of a source that just reaches its threshold.

    Parameters
    ----------
    thresh_pix : float
        PyBDSF's threshold for the peak of an island, in sigma.

    Returns
    -------
    float
        0.08 up to 3.5 sigma, 0.23 at 4, 0.76 at 5, never above 0.9.
    """
    sigma = min(max(thresh_pix, FAINTEST), SATURATED)
    return 1 / (1 + math.exp((HALF_TRUE - sigma) / WIDTH))


def select_certain(catalog, thresh_pix, reliability=None):
    """The sources as certain as a threshold asks for.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
    thresh_pix : float
    reliability : float, optional
        Lowest reliability, instead of the threshold's.

    Returns
    -------
    `~astropy.table.QTable`
    """
    if reliability is not None:
        return catalog[catalog["reliability"] >= reliability]
    chosen = catalog["reliability"] >= required_reliability(thresh_pix)
    if thresh_pix > SATURATED:
        chosen &= catalog["snr"] >= thresh_pix
    return catalog[chosen]


def select_near(catalog, x, y, radius):
    """For each of some positions the most reliable source near it, if there is one.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
    x, y : arrays
        Positions, 0-based pixels.
    radius : float
        Pixels.

    Returns
    -------
    catalog : `~astropy.table.QTable`
        Rows in the order of the positions, each once.
    positions : list of int
        The position that each row belongs to.
    """
    rows, positions = [], []
    for index, (at_x, at_y) in enumerate(zip(x, y, strict=True)):
        near = np.flatnonzero(np.hypot(catalog["x"] - at_x, catalog["y"] - at_y) <= radius)
        near = [row for row in near if row not in rows]
        if near:
            rows.append(near[int(np.argmax(catalog["reliability"][near]))])
            positions.append(index)
    return catalog[rows], positions
