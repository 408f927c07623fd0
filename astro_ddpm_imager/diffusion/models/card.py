"""What a model is, how it was made and how good it is: the card beside each ONNX file."""

import json
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from pathlib import Path

from ...errors import ModelError
from ...home import check_path, expanded
from ...observation.grid import ORIENTATIONS
from ..sampling import LinearSchedule
from ..stretch import PowerStretch
from .entries import check_entries
from .network import read_network

__all__ = ["ModelCard", "list_models", "load_card"]

SHIPPED = Path(__file__).parent
LARGEST_CARD = 2**22  # bytes


@dataclass(frozen=True)
class ModelCard:
    """Card of one model.

    The fields down to ``training`` are the model's configuration, which
    travels in the metadata of the ONNX file too.

    Parameters
    ----------
    name : str
    description : str
    date : str
        ISO date of the training.
    noise_protocol : str
        ``"independent"``, a new noise realisation per field as on the sky, or
        ``"shared"``, one realisation for all fields.
    gamma, c : float
        Stretch of the sky, see `~astro_ddpm_imager.diffusion.stretch.PowerStretch`.
    schedule : dict
        Arguments of `~astro_ddpm_imager.diffusion.sampling.LinearSchedule`.
    pixels_per_beam : float
        Pixels per beam FWHM of the model's grid.
    multiple : int
        The sides of the model's images are multiples of it.
    reach : int
        Pixels beyond which a pixel has no noticeable influence.
    parameters : int
        Number of weights.
    clean : dict
        ``threshold`` (in units of the noise) and ``gain`` of the CLEAN that the
        network is shown, see `~astro_ddpm_imager.diffusion.conditioning.condition`.
    bright : dict
        ``brightest`` and ``kept`` of `~astro_ddpm_imager.observation.bright.subtract_bright`.
    limits : dict
        What the model was trained for: ``beam_axis_ratio``, of the beam, at most.
        Beyond it the imager warns.
    training : dict
        What the model was trained on, and for how long.
    threshold : float
        Default flux, in units of the noise, of the faintest source that counts in a sample.
    reliability : float
        Default of the lowest reliability in a catalogue.
    steps : int
        Default number of sampling steps.
    protocol : dict
        Of a model that knows one observation by heart (`~astro_ddpm_imager.diffusion.protocol`), else empty:
        ``shape`` and ``cell_arcsec`` of its images, ``beam_arcsec``, ``rms`` (Jy/beam), ``grid``, the model's
        pixels of an image, ``window`` and ``side``, the part of them it sees, and the ``command`` that makes its
        fields.
    calibration : dict
        Of reliabilities and errors, see `~astro_ddpm_imager.evaluate.fit_calibration`; empty if there is none.
    scores : dict
        Measured quality of catalogues, by test set.
    image_scores : dict
        Measured quality of images and catalogues of extended sources and surveys, by test set: error of the image at
        the resolution of the beam, total flux over the true, residual over the noise, number of fields where it is
        below 5 sigma, fraction of the sources above 5 sigma that is found, rows of a field that are parts of extended
        sources, and that are false, median of ``|flux ratio - 1|``; and ``clean``, the same of CLEAN and PyBDSF.
    sha256 : str
        Checksum of the ONNX file.
    """

    name: str
    description: str
    date: str
    noise_protocol: str
    gamma: float
    c: float
    schedule: dict
    pixels_per_beam: float
    multiple: int
    reach: int
    parameters: int
    clean: dict
    bright: dict
    limits: dict
    training: dict
    threshold: float
    reliability: float
    steps: int
    protocol: dict = field(default_factory=dict)
    calibration: dict = field(default_factory=dict)
    scores: dict = field(default_factory=dict)
    image_scores: dict = field(default_factory=dict)
    sha256: str = ""

    @property
    def configuration(self) -> dict:
        """The part that must agree with the metadata of the ONNX file."""
        beside = {"threshold", "reliability", "steps", "calibration", "scores", "image_scores", "sha256"}
        if not self.protocol:
            beside.add("protocol")
        return {key: value for key, value in asdict(self).items() if key not in beside}

    @property
    def orientations(self) -> int:
        """In how many orientations the model is shown an image: one that knows its noise by heart knows one."""
        return 1 if self.protocol else ORIENTATIONS

    @property
    def stretch(self) -> PowerStretch:
        """The stretch as a `~astro_ddpm_imager.diffusion.stretch.PowerStretch`."""
        return PowerStretch(self.gamma, self.c)

    @property
    def noise_schedule(self) -> LinearSchedule:
        """The schedule as a `~astro_ddpm_imager.diffusion.sampling.LinearSchedule`."""
        return LinearSchedule(**self.schedule)

    def write(self, path: str | PathLike[str]) -> None:
        """Write the card as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n")


def list_models() -> list[str]:
    """List the models that come with the package.

    Returns
    -------
    list of str
        Their names, sorted.
    """
    return sorted(path.stem for path in SHIPPED.glob("*.onnx"))


def load_card(model: str | PathLike[str]) -> tuple[ModelCard, Path]:
    """Find a model and read its card.

    Parameters
    ----------
    model : str or path-like
        Name of a model of `list_models`, or the path of an ONNX file with a
        card of the same name, ending in ``.json``, beside it.

    Returns
    -------
    card : `ModelCard`
    path : `~pathlib.Path`
        The ONNX file.

    Raises
    ------
    ModelError
        The model is unknown, has no card, or the card does not fit the file.
    """
    check_path(model, "model")
    if Path(model).suffix == ".onnx":
        path = expanded(model, ModelError)
    elif model in list_models():
        path = SHIPPED / f"{model}.onnx"
    else:
        raise ModelError(
            f"model={str(model)!r} is unknown; there are {', '.join(map(repr, list_models()))}, "
            "or give the path of an .onnx file"
        )
    if not path.is_file():
        raise ModelError(f"model={str(model)!r}: there is no such file")
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise ModelError(f"model={str(model)!r}: its card {beside.name} is missing beside it")
    try:
        if beside.stat().st_size > LARGEST_CARD:
            raise ValueError(f"more than {LARGEST_CARD} bytes")
        content = json.loads(beside.read_text())
        if not isinstance(content, dict):
            raise TypeError("no object with names and values")
        unknown = set(content) - {f.name for f in fields(ModelCard)}
        if unknown:
            raise TypeError(f"unknown entries {sorted(unknown)}")
        card = ModelCard(**content)
        check_entries(content)
    except (TypeError, ValueError, RecursionError) as error:  # of JSON and of UTF-8 are ValueErrors
        raise ModelError(f"model={str(model)!r}: its card {beside.name} cannot be read ({error})") from error
    read_network(path, card.sha256)
    return card, path
