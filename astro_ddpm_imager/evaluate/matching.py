"""One-to-one matching of two lists of positions."""

import numpy as np

__all__ = ["match_in_order", "match_positions"]


def match_positions(truth, found, radius):
    """Match two lists of sky positions one to one, nearest pair first.

    Parameters
    ----------
    truth, found : `~astropy.coordinates.SkyCoord`, shapes (n,) and (m,)
    radius : `~astropy.units.Quantity`
        Largest separation of a pair.

    Returns
    -------
    truth_index : 1D array of int
        Rows of ``truth``, nearest pair first.
    found_index : 1D array of int
        Their partners in ``found``.
    """
    pairs = []
    if len(truth) and len(found):
        distance = truth[:, None].separation(found).to_value(radius.unit)
        while distance.min() <= radius.value:
            pair = np.unravel_index(distance.argmin(), distance.shape)
            pairs.append(pair)
            distance[pair[0], :] = distance[:, pair[1]] = np.inf
    return tuple(np.array(pairs, dtype=int).reshape(-1, 2).T)


def match_in_order(truth, found, radius):
    """Match two lists of sky positions one to one; each found one in turn takes the nearest that is free.

    Parameters
    ----------
    truth, found : `~astropy.coordinates.SkyCoord`, shapes (n,) and (m,)
    radius : `~astropy.units.Quantity`
        Largest separation of a pair.

    Returns
    -------
    truth_index : 1D array of int
        Rows of ``truth``, in the order of their partners.
    found_index : 1D array of int
        Their partners in ``found``.
    """
    pairs = []
    if len(truth) and len(found):
        distance = truth[:, None].separation(found).to_value(radius.unit)
        for index in range(len(found)):
            nearest = distance[:, index].argmin()
            if distance[nearest, index] <= radius.value:
                pairs.append((nearest, index))
                distance[nearest] = np.inf
    return tuple(np.array(pairs, dtype=int).reshape(-1, 2).T)
