"""What can go wrong with an image, a model or a product, as exceptions."""

__all__ = ["DirtyImageError", "EvaluationError", "ModelError", "SettingError", "SimulationError"]


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
