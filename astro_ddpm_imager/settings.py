"""Checks of what users set."""

import numpy as np

from .errors import SettingError

__all__ = ["check_choice", "check_number"]


def check_choice(name, value, choices):
    """Fail if a setting is none of some names.

    Parameters
    ----------
    name : str
        Of the setting.
    value : object
    choices : iterable of str

    Raises
    ------
    SettingError
    """
    if not isinstance(value, str) or value not in choices:
        raise SettingError(f"{name}={value!r}: choose one of {', '.join(map(repr, choices))}")


def check_number(name, value, low, high, whole=False):
    """Fail if a setting is no number within limits.

    Parameters
    ----------
    name : str
        Of the setting.
    value : object
    low, high : float
        Both are allowed.
    whole : bool, optional
        It must be an integer.

    Returns
    -------
    int or float
        The same as a number of Python's, which can be written as JSON.

    Raises
    ------
    SettingError
    """
    kind = "a whole number" if whole else "a number"
    number = isinstance(value, int | np.integer) or (not whole and isinstance(value, float | np.floating))
    if isinstance(value, bool) or not number or not low <= value <= high:
        limits = f"of at least {low}" if high == np.inf else f"from {low} to {high}"
        raise SettingError(f"{name}={value!r}: must be {kind} {limits}")
    return value.item() if isinstance(value, np.generic) else value
