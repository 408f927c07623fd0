"""CLEAN's threshold as tclean takes it."""

import astropy.units as u
import numpy as np

from ...errors import SettingError, shown
from ...observation.units import JY_PER_BEAM

__all__ = ["parse_threshold"]


def parse_threshold(threshold):
    """CLEAN's threshold in Jy/beam.

    Parameters
    ----------
    threshold : float, str or dict
        As tclean takes it: a number of Jy, a string such as ``"0.1mJy"``, or CASA's ``{"value": 0.1, "unit": "mJy"}``.

    Returns
    -------
    float

    Raises
    ------
    SettingError
        It is neither.
    """
    given = threshold
    if isinstance(threshold, dict) and threshold.keys() >= {"value", "unit"}:
        threshold = f"{threshold['value']}{threshold['unit']}"
    try:
        value = u.Quantity(threshold or 0)
        if not value.isscalar:
            raise TypeError("more than one value")
        if value.unit == u.one:
            value = value.value * u.Jy
        elif value.unit.is_equivalent(JY_PER_BEAM):
            value = value * u.beam
        jansky = float(value.to_value(u.Jy))
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"threshold={shown(given)}: must be a number of Jy, or a string such as '0.1mJy'; nsigma counts in noise"
        ) from error
    if not 0 <= jansky < np.inf:
        raise SettingError(f"threshold={shown(given)}: must be finite and not negative")
    return jansky
