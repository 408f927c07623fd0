"""Deconvolution and source finding for radio interferometers with a diffusion model."""

import logging
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

__version__ = version("astro_ddpm_imager")

from .errors import DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError

if TYPE_CHECKING:
    from .diffusion.models import ModelCard, list_models, load_card
    from .imager import DiffusionImager
    from .observation.dirty import DirtyImage
    from .observation.reading import read_companion, read_image
    from .result import ImagingResult

logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "DiffusionImager",
    "DirtyImage",
    "DirtyImageError",
    "EvaluationError",
    "ImagingResult",
    "ModelCard",
    "ModelError",
    "SettingError",
    "SimulationError",
    "list_models",
    "load_card",
    "read_companion",
    "read_image",
]

# Imported when asked for (PEP 562): with all that is below them they take a second, which --help is spared.
_MODULES = {
    "DiffusionImager": ".imager",
    "DirtyImage": ".observation.dirty",
    "ImagingResult": ".result",
    "ModelCard": ".diffusion.models",
    "list_models": ".diffusion.models",
    "load_card": ".diffusion.models",
    "read_companion": ".observation.reading",
    "read_image": ".observation.reading",
}


def __getattr__(name):
    if name in _MODULES:
        globals()[name] = getattr(import_module(_MODULES[name], __name__), name)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
