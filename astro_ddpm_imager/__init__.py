"""Deconvolution and source finding for radio interferometers with a diffusion model."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

# As it was installed, from git: git itself is not asked when the package is imported.
__version__ = version("astro_ddpm_imager")

__citation__ = f"""\
@article{{2024A&A...683A.105D,
    author = {{{{Drozdova}}, M. and {{Kinakh}}, V. and {{Bait}}, O. and {{Taran}}, O. and {{Lastufka}}, E. and
              {{Dessauges-Zavadsky}}, M. and {{Holotyak}}, T. and {{Schaerer}}, D. and {{Voloshynovskiy}}, S.}},
    title = "{{Radio-astronomical image reconstruction with a conditional denoising diffusion model}}",
    journal = {{Astronomy \\& Astrophysics}},
    year = 2024,
    volume = 683,
    eid = {{A105}},
    doi = {{10.1051/0004-6361/202347948}},
    archivePrefix = {{arXiv}},
    eprint = {{2402.10204}}
}}
@misc{{astro_ddpm_imager,
    author = {{{{astro\\_ddpm\\_imager developers}}}},
    title = {{astro\\_ddpm\\_imager {__version__}: deconvolution and source finding with a diffusion model}},
    year = 2026
}}
"""

from .errors import DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError
from .log_records import collect_records

if TYPE_CHECKING:
    from .cubes import CubeResult, image_cube
    from .diffusion.models import ModelCard, list_models, load_card
    from .imager import DiffusionImager
    from .joint import JointResult, image_jointly
    from .observation.dirty import DirtyImage
    from .observation.reading import read_companion, read_image
    from .result import ImagingResult

collect_records()

__all__ = [
    "CubeResult",
    "DiffusionImager",
    "DirtyImage",
    "DirtyImageError",
    "EvaluationError",
    "ImagingResult",
    "JointResult",
    "ModelCard",
    "ModelError",
    "SettingError",
    "SimulationError",
    "image_cube",
    "image_jointly",
    "list_models",
    "load_card",
    "read_companion",
    "read_image",
]

# Imported when asked for (PEP 562): with all that is below them they take a second, which --help is spared.
_MODULES = {
    "CubeResult": ".cubes",
    "image_cube": ".cubes",
    "image_jointly": ".joint",
    "DiffusionImager": ".imager",
    "DirtyImage": ".observation.dirty",
    "ImagingResult": ".result",
    "JointResult": ".joint",
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
