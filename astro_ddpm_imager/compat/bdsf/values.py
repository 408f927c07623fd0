"""What the values of PyBDSF's parameters may be, and how they are kept."""

import math
from numbers import Integral, Real

import numpy as np

__all__ = ["CHECKS", "from_text"]


def from_text(kind, value):
    """What a parset or a command line says as text, as PyBDSF takes it: a number, or by its first letter a bool.

    Parameters
    ----------
    kind : str
        Name of a check in ``CHECKS``.
    value : object

    Returns
    -------
    object
        The value itself if it is not text, or none that says such a thing.
    """
    if not isinstance(value, str) or kind not in ("bool", "int", "count", "float", "above0"):
        return value
    try:
        return TRUTHS[value[0].lower()] if kind == "bool" else float(value)
    except (KeyError, ValueError):
        return value


def _is_number(value):
    """Whether it is one; True counts as 1, as everywhere in Python."""
    return isinstance(value, Real | np.bool_)


def _is_finite(value):
    return _is_number(value) and math.isfinite(value)


def _numbers(length):
    return lambda value: (
        isinstance(value, list | tuple | np.ndarray) and len(value) == length and all(map(_is_finite, value))
    )


def _tuple_of(convert):
    return lambda values: tuple(map(convert, values))


def _are_places(value):
    try:
        return not len(value) or (np.shape(_places(value))[1:] == (2,) and np.isfinite(_places(value)).all())
    except (TypeError, ValueError):
        return False


def _places(value):
    return [tuple(place) for place in np.atleast_2d(np.array(value, dtype=float)).tolist() if place]


TRUTHS = dict.fromkeys("ty1", True) | dict.fromkeys("fn0", False)  # by the first letter of a text
CHECKS = {  # by kind: whether a value is one, what it is kept as, what it must be
    "bool": (
        lambda value: value is None or (isinstance(value, np.bool_ | Integral) and value in (0, 1)),
        bool,
        "True or False",
    ),
    "int": (_is_finite, int, "a whole number"),  # the rest of another is cut off, as PyBDSF does
    "float": (_is_number, float, "a number"),
    "count": (
        lambda value: _is_number(value) and float(value).is_integer() and value > 0,
        int,
        "a whole number above 0",
    ),
    "above0": (lambda value: _is_number(value) and value > 0, float, "a number above 0"),
    "str": (lambda value: hasattr(value, "__fspath__") or isinstance(value, str), str, "a string"),
    "list": (lambda value: isinstance(value, list | tuple), list, "a list"),
    "places": (_are_places, _places, "a list of (RA, Dec) in degrees"),
    "pair": (_numbers(2), _tuple_of(int), "two numbers, (box, step) in pixels"),
    "beam": (_numbers(3), _tuple_of(float), "three numbers, (major, minor, position angle) in degrees"),
    "box": (_numbers(4), _tuple_of(float), "four numbers, (xmin, xmax, ymin, ymax) in pixels"),
}
