"""One-to-one matching of two lists of positions."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, search_around_sky

from ..errors import EvaluationError, shown

__all__ = ["checked_radius", "match_in_order", "match_positions"]


def checked_radius(radius):
    """A matching radius in arcsec.

    Parameters
    ----------
    radius : `~astropy.units.Quantity`

    Returns
    -------
    `~astropy.units.Quantity`

    Raises
    ------
    EvaluationError
        It is no positive angle.
    """
    try:
        value = u.Quantity(radius).to_value(u.arcsec)
    except (TypeError, u.UnitConversionError) as error:
        raise EvaluationError(f"radius={shown(radius)}: must be an angle, such as 0.45 * u.arcsec") from error
    if not (np.isscalar(value) and 0 < value < np.inf):
        raise EvaluationError(f"radius={radius}: must be positive and finite")
    return value * u.arcsec


def match_positions(truth: SkyCoord, found: SkyCoord, radius: u.Quantity) -> tuple[np.ndarray, np.ndarray]:
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

    Raises
    ------
    EvaluationError
        The radius is no positive angle.
    """
    rows, partners, separation = _pairs(truth, found, checked_radius(radius))
    return _one_to_one(rows, partners, np.lexsort((partners, rows, separation)))


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
    rows, partners, separation = _pairs(truth, found, radius)
    return _one_to_one(rows, partners, np.lexsort((rows, separation, partners)))


def _pairs(truth, found, radius):
    """All pairs within a radius: their rows, partners and separations."""
    if not (len(truth) and len(found)):
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0)
    rows, partners, separation, _ = search_around_sky(truth, found, radius)
    return rows, partners, separation.to_value(radius.unit)


def _one_to_one(rows, partners, order):
    """Of pairs in some order, those whose members are not taken yet."""
    taken_rows, taken_partners, kept = set(), set(), []
    for row, partner in zip(rows[order].tolist(), partners[order].tolist(), strict=True):
        if row not in taken_rows and partner not in taken_partners:
            taken_rows.add(row)
            taken_partners.add(partner)
            kept.append((row, partner))
    return tuple(np.array(kept, dtype=int).reshape(-1, 2).T)
