"""What the entries of a model's card may be."""

import re
from numbers import Integral, Real

import numpy as np

__all__ = ["check_entries"]

LARGEST = 1e6  # of what counts steps, and of most other numbers
NAME = 200  # letters
REACH = 255  # pixels: tiles are wider than twice that


def _number(low, high, whole=False, open_low=False):
    def check(value):
        kind = "a whole number" if whole else "a number"
        right = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        if not (right and np.isfinite(value) and low <= value <= high and (value > low or not open_low)):
            limits = f"above {low:g} and at most {high:g}" if open_low else f"from {low:g} to {high:g}"
            return f"must be {kind} {limits}"
        return None

    return check


def _text(value):
    return None if isinstance(value, str) else "must be text"


def _name(value):
    return None if isinstance(value, str) and 0 < len(value) <= NAME and value.isprintable() else "must be a short text"


def _choice(*choices):
    return lambda value: None if value in choices else f"must be one of {', '.join(choices)}"


def _checksum(value):
    right = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}|", value)
    return None if right else "must be a SHA-256, 64 hexadecimal digits"


def _any_entries(value):
    return None if isinstance(value, dict) else "must be an object with names and values"


def _purity(value):
    """Of reliabilities by purity; those that are not reached are null."""
    unit = _number(0, 1)
    try:
        right = isinstance(value, dict) and all(
            unit(float(name)) is None and (level is None or unit(level) is None) for name, level in value.items()
        )
    except ValueError:
        right = False
    return None if right else "must have numbers from 0 to 1, or null, by numbers from 0 to 1"


ABOVE_0 = _number(0, LARGEST, open_low=True)
SCHEDULE = {
    "steps": _number(1, LARGEST, whole=True),
    "beta_start": ABOVE_0,
    "beta_end": _number(0, 0.999, open_low=True),
}
ENTRIES = {
    "name": _name,
    "description": _text,
    "date": _text,
    "noise_protocol": _choice("independent", "shared"),
    "gamma": _number(1, 1000),
    "c": ABOVE_0,
    "schedule": SCHEDULE,
    "pixels_per_beam": _number(1, 100),
    "multiple": _number(1, 512, whole=True),
    "reach": _number(0, REACH, whole=True),
    "parameters": _number(0, 1e12, whole=True),
    "clean": {"threshold": ABOVE_0, "gain": _number(0, 1, open_low=True)},
    "bright": {"brightest": ABOVE_0, "kept": ABOVE_0},
    "limits": {"beam_axis_ratio": _number(1, LARGEST)},
    "training": _any_entries,
    "threshold": _number(0, LARGEST),
    "reliability": _number(0, 1),
    "steps": _number(1, LARGEST, whole=True),
    "scores": _any_entries,
    "image_scores": _any_entries,
    "sha256": _checksum,
}
CALIBRATION = {
    "reliability": {
        "slope": _number(-LARGEST, LARGEST), "intercept": _number(-LARGEST, LARGEST),
        "n_samples": _number(1, LARGEST, whole=True),
    },
    "flux_err": ABOVE_0,
    "position_err": ABOVE_0,
}  # fmt: skip


def check_entries(content):
    """Fail if an entry of a card is missing, of another type or out of range.

    Parameters
    ----------
    content : dict
        The card.

    Raises
    ------
    ValueError
        With the name of the entry, its value, and what it must be.
    """
    _check(content, ENTRIES, "")
    if content.get("calibration"):
        _check(content, {"calibration": CALIBRATION}, "")
        _check(
            content["calibration"], {"purity": _purity} if "purity" in content["calibration"] else {}, "calibration."
        )
    elif not isinstance(content.get("calibration", {}), dict):
        raise ValueError(f"calibration={content['calibration']!r}: must be an object")
    if content["schedule"]["beta_start"] > content["schedule"]["beta_end"]:
        raise ValueError("schedule.beta_start is larger than schedule.beta_end")
    if content["bright"]["kept"] > content["bright"]["brightest"]:
        raise ValueError("bright.kept is larger than bright.brightest")
    if content["steps"] > content["schedule"]["steps"]:
        raise ValueError(f"steps={content['steps']}: must be at most schedule.steps={content['schedule']['steps']}")


def _check(content, entries, within):
    """Fail at the first entry that is not right; an entry that is a dict has entries."""
    if not isinstance(content, dict):
        raise ValueError(f"{within.rstrip('.') or 'the card'}={content!r:.60}: must be an object with names and values")
    for name, right in entries.items():
        if name not in content:
            if name in ("scores", "image_scores", "sha256"):
                continue  # of a model that is being made
            raise ValueError(f"{within}{name} is missing")
        if isinstance(right, dict):
            _check(content[name], right, f"{within}{name}.")
        else:
            said = right(content[name])
            if said:
                raise ValueError(f"{within}{name}={content[name]!r:.60}: {said}")
