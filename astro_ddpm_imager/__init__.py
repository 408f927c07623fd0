"""Deconvolution and source finding for radio interferometers with a diffusion model."""

import logging
from importlib.metadata import version

__version__ = version("astro_ddpm_imager")

from .diffusion.models import ModelCard, list_models, load_card
from .errors import DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError
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
