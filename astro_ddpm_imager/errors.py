"""What can go wrong with an image, a model or a product, as exceptions."""

__all__ = ["DirtyImageError", "EvaluationError", "ModelError", "SettingError", "SimulationError", "printable", "shown"]


def printable(text):
    """A text that may hold the name of a file, fit to be shown: control characters are escaped.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shown(value):
    """A value as messages show it: its ``repr``, with numbers of numpy as those of Python, also in lists.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
    """
    import numpy as np  # here, because --help does not need it

    with np.printoptions(legacy="1.25"):  # which has 3.0 where newer ones have np.float64(3.0)
        return repr(value)


class DirtyImageError(ValueError):
    """The dirty image, or what was given with it, cannot be used."""


class SettingError(ValueError):
    """An argument is out of range or unknown."""


class ModelError(ValueError):
    """The model is unknown, or its files do not fit together."""


class SimulationError(ValueError):
    """An array or an observation cannot be simulated."""


class EvaluationError(ValueError):
    """A truth or a folder of fields cannot be used."""
