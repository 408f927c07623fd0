"""DiffusionImager: configured once, called on dirty images."""

import logging
import secrets
from collections.abc import Iterable, Iterator
from copy import copy
from datetime import UTC, datetime
from os import PathLike
from typing import Any

from radio_beam import Beam

from . import __version__
from .at_once import image_at_once
from .diffusion.denoiser import Denoiser
from .diffusion.reconstruction import AGGREGATES
from .diffusion.sampling import SAMPLERS
from .errors import SettingError, shown
from .large import image_in_tiles, in_tiles
from .many import map_images
from .observation.inputs import Companion, Image, are_several, as_plane, warn_uncertain
from .observation.noise_map import warn_contradicted
from .observation.preparation import prepare
from .parallel import one_blas_thread
from .products.summary import html_table
from .result import ImagingResult
from .settings import Choice, Fixed, Flag, Having, Number, Steps, TileSide

__all__ = ["DiffusionImager"]

log = logging.getLogger(__name__)

CATALOGS = ("detect-aggregate", "aggregate-detect")


class DiffusionImager:
    """Reconstruct the sky from a dirty image by sampling its posterior.

    It takes the place of CLEAN and of a source finder: a conditional diffusion
    model draws skies that explain the dirty image; their mean or median is the
    reconstruction, their spread its uncertainty, and sources detected in the
    samples and merged make the catalogue (Drozdova et al. 2024, A&A 683, A105).

    Parameters
    ----------
    model : str or path-like, optional
        Name of a model that comes with the package
        (`~astro_ddpm_imager.list_models`), or the path of an ONNX file.
    n_samples : int, optional
        Number of posterior samples.
    steps : int, optional
        Steps of the sampler; by default the model's own number, or 250 for
        ``"ddpm"``.
    sampler : {"unipc", "ddpm"}, optional
        ``"unipc"`` is a predictor and corrector, good with 5 steps;
        ``"ddpm"`` the paper's ancestral sampling, which takes 250.
    aggregate : {"beam-median", "median", "mean", "single"}, optional
        How the samples become the reconstruction, before it is moved to what
        the data say: their mean, with the median brightness in each beam, the
        median or the mean of each pixel, or the first sample.
    catalog : {"detect-aggregate", "aggregate-detect"}, optional
        Detect in each sample and merge, or detect in the reconstruction, and
        measure each source in the samples that contain it.
    threshold : float, optional
        Flux of the faintest source that counts in a sample, in units of the
        noise of the image; by default the model's.
    reliability : float, optional
        Lowest reliability, from 0 to 1, of a source in the catalogue; by
        default the model's, chosen for the best F1 on simulated fields.
    purity : {0.8, 0.9, 0.95, 0.99}, optional
        Instead of ``reliability``: the one at which this fraction of a
        catalogue of simulated fields exists.
    calibrate : bool, optional
        Calibrate reliabilities and errors as the model's card says; else they
        are as the samples have them.
    insist : bool, optional
        Show a model that knows one noise realisation by heart, such as
        ``"paper-gamma2"``, images with another one, too. Its results mean
        nothing then, which every product says.
    pblimit : float, optional
        Primary beam below which the image is blanked, as in tclean.
    device : {"auto", "cpu", "cuda"}, optional
        ``"auto"`` takes CUDA where it works and logs what it took.
    threads : int, optional
        CPU threads; by default all cores that the process may use. The result does not depend on it.
    seed : int, optional
        The same seed gives the same samples. By default a new one each call,
        kept in ``meta`` of the results.
    progress : bool or tqdm, optional
        Show a progress bar; by default only on a terminal and in notebooks. A bar of one's own
        is updated by one for each sample and step.
    client : ``distributed.Client``, optional
        Let the workers of a Dask cluster do what can be divided: the images of `map`, for instance. They have the same
        version of this package. Unless ``threads`` says more, each piece of work has one thread, and a worker does as
        many at a time as it has threads.
    tile : int, optional
        Side of the tiles, in pixels, in which images are worked on that are larger than a tile; 0 for none.
        By default images of more than 2048 x 2048 pixels are, in tiles of 1024 pixels, or more where the beam has
        many pixels.

    Raises
    ------
    SettingError
        An argument is out of range; a kind of `ValueError`.
    ModelError
        The model is unknown or damaged, or the device cannot be had.

    Examples
    --------
    >>> from astro_ddpm_imager import DiffusionImager
    >>> from astro_ddpm_imager.data import demo_files
    >>> imager = DiffusionImager(n_samples=2, steps=4, seed=1)
    >>> image, uncertainty, catalog = imager(**demo_files())
    >>> image.unit
    Unit("Jy / pix")
    """

    sampler = Choice(SAMPLERS)
    aggregate = Choice(AGGREGATES)
    catalog = Choice(CATALOGS)
    n_samples = Number(1, whole=True)
    steps = Steps()
    seed = Number(0, whole=True, optional=True)
    threshold = Number(0)
    reliability = Number(0, 1)
    pblimit = Number(0, 1)
    calibrate = Flag()
    insist = Flag()
    tile = TileSide()
    progress = Having("update", "True, False, None or a progress bar", other=bool)
    client = Having("submit", "a distributed.Client; for one, distributed.Client(address)")
    model, purity, device, threads = Fixed(), Fixed(), Fixed(), Fixed()
    # Modules that the command line lets be imported while samples are drawn, for the network lets others run Python.
    needed_later = ()

    def __init__(
        self,
        model: str | PathLike[str] = "default",
        *,
        n_samples: int = 20,
        steps: int | None = None,
        sampler: str = "unipc",
        aggregate: str = "beam-median",
        catalog: str = "detect-aggregate",
        threshold: float | None = None,
        reliability: float | None = None,
        purity: float | None = None,
        calibrate: bool = True,
        insist: bool = False,
        pblimit: float = 0.2,
        device: str = "auto",
        threads: int | None = None,
        seed: int | None = None,
        progress: Any = None,
        client: Any = None,
        tile: int | None = None,
    ) -> None:
        self.sampler, self.aggregate, self.catalog = sampler, aggregate, catalog
        self.n_samples, self.pblimit, self.seed = n_samples, pblimit, seed
        self.calibrate, self.insist, self.tile = calibrate, insist, tile
        self.progress, self.client = progress, client
        if not isinstance(model, str | PathLike):
            raise SettingError(f"model={model!r}: must be a name or a path")
        self.denoiser = Denoiser(model, device, threads)
        vars(self).update(model=model, purity=purity, device=device, threads=threads)
        card, self.steps = self.card, steps
        self.threshold = card.threshold if threshold is None else threshold
        if purity is not None:
            reliability = self._reliability_of(purity, reliability)
        self.reliability = card.reliability if reliability is None else reliability

    def _reliability_of(self, purity, reliability):
        """The lowest reliability with which a catalogue has some purity."""
        if reliability is not None:
            raise SettingError(f"purity={shown(purity)} and reliability={shown(reliability)}: give one of them")
        known = self.card.calibration.get("purity", {}) if self.calibrate else {}
        reached = {float(name): level for name, level in known.items() if level is not None}
        if not isinstance(purity, float) or purity not in reached:
            choices = ", ".join(f"{name:g}" for name in sorted(reached)) or "none, there is no calibration"
            raise SettingError(f"purity={shown(purity)}: the calibration of model {self.card.name!r} has {choices}")
        return reached[purity]

    @property
    def card(self):
        """The `~astro_ddpm_imager.ModelCard` of the model."""
        return self.denoiser.card

    @property
    def settings(self):
        """What it was configured with, and where the model runs: names and values."""
        names = ("n_samples", "steps", "sampler", "aggregate", "catalog", "threshold", "reliability", "pblimit", "seed")
        settings = {"model": str(self.model)} | {name: getattr(self, name) for name in names}
        return settings | {"provider": self.denoiser.provider}

    def __repr__(self):
        return f"DiffusionImager({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"

    def _repr_html_(self):
        return html_table("DiffusionImager", self.settings)

    @one_blas_thread()
    def __call__(
        self,
        dirty: Image,
        psf: Companion | None = None,
        pb: Companion | None = None,
        mask: Companion | None = None,
        beam: Beam | None = None,
        noise: Companion | None = None,
    ) -> ImagingResult:
        """Reconstruct one dirty image.

        Parameters
        ----------
        dirty : `~astropy.nddata.CCDData` or path
            Dirty image in Jy/beam (or a multiple, such as mJy/beam, or in K or
            Jy/sr, which its beam makes Jy/beam), not corrected for the primary beam, with a celestial WCS; blank pixels
            are NaN or masked. Axes of length 1 are dropped; choose a plane of
            a cube with `~astro_ddpm_imager.read_image`, and the same of its
            companions with `~astro_ddpm_imager.read_companion`. Paths are of
            FITS files or of CASA images. An ``uncertainty`` is not used: see ``noise``.
        psf, pb : `~astropy.nddata.CCDData`, path or 2D array, optional
            PSF (dirty beam) and primary beam on the same pixels; only the PSF
            may be larger than the image, best twice as wide, so that it shows
            the sidelobes from one end to the other, or smaller. Without a PSF
            the residual is made with the restoring beam; without a primary
            beam nothing is corrected for it. Of a mosaic, that with its own
            primary beam; PSFs of several places are a list, of images with a
            WCS or of pairs of `~astropy.coordinates.SkyCoord` and an image, and
            the nearest one counts.
        mask : `~astropy.nddata.CCDData`, path or 2D array, optional
            As for CLEAN: sources are catalogued only where it is not 0.
        beam : `~radio_beam.Beam`, optional
            Restoring beam, instead of the header's.
        noise : `~astropy.nddata.CCDData`, path or 2D array, optional
            How the noise varies: a map of it in Jy/beam, as which an array is taken, of its variance in the square of
            that, or, in another unit or in none, a weight image. Only its shape counts, for the level is measured.
            Without it, noise that varies is measured in boxes. An ``uncertainty`` of ``dirty`` that is the noise
            alone is given as ``dirty.uncertainty.quantity``.

        Returns
        -------
        `ImagingResult`
            Unpacks into ``image, uncertainty, catalog``; of a large image, see
            ``tile``, a `~astro_ddpm_imager.tiled_result.TiledResult`.

        Raises
        ------
        DirtyImageError
            Something given cannot be used; the message says what and why.
        SettingError
            ``tile`` is too small for the beam, or ``n_samples`` more than the memory holds; a kind of `ValueError`.
        FileNotFoundError
            There is no such file.
        TypeError
            ``dirty`` is an array without unit and WCS, or ``beam`` no beam.
        """
        image = as_plane(dirty, "dirty")
        if noise is None:
            warn_uncertain(dirty)
        if psf is None:
            log.warning("no PSF given: the restoring beam takes its place, sidelobes are not accounted for")
        if are_several(psf) or self.works_in_tiles(image.shape):
            return image_in_tiles(self, image, {"psf": psf, "pb": pb, "mask": mask, "noise": noise}, beam)
        observation = prepare(image, psf, pb, mask, beam, self.pblimit, noise)
        result = self.reconstruct(observation)
        if noise is not None:
            warn_contradicted(result.dirty, result.residual.data)
        return result

    def map(
        self,
        images: Iterable[Image],
        psf: Companion | None = None,
        pb: Companion | None = None,
        mask: Companion | None = None,
        beam: Beam | None = None,
        noise: Companion | None = None,
    ) -> Iterator[tuple[Image, ImagingResult]]:
        """Reconstruct many dirty images, on the workers of the ``client`` if there is one.

        Workers read paths themselves: they need the same file system. Without a ``seed`` each image has one of its
        own, which ``meta`` of its result has.

        Parameters
        ----------
        images : iterable of `~astropy.nddata.CCDData` or path
            Each as for one call.
        psf, pb, mask, beam, noise
            Those of all of them, as for one call.

        Yields
        ------
        image, result
            What was given, and its `ImagingResult`, as they are done: in any order.

        Raises
        ------
        ExceptionGroup
            After the others are done: the exceptions of images that could not be used, each with a note that says
            which image it was.
        TypeError
            ``images`` is one image.
        """
        return map_images(self, images, [psf, pb, mask, beam, noise])

    def but(self, **settings):
        """The same imager, which shares its model, with other settings.

        Parameters
        ----------
        **settings
            Attributes, such as ``seed`` and ``progress``; they are not checked.

        Returns
        -------
        `DiffusionImager`
        """
        other = copy(self)
        vars(other).update(settings)
        return other

    def drawn_seed(self):
        """The ``seed``, or a new one.

        Returns
        -------
        int
        """
        return secrets.randbits(32) if self.seed is None else self.seed

    def works_in_tiles(self, shape):
        """Whether an image is so large that it is worked on in tiles.

        Parameters
        ----------
        shape : tuple of int, (ny, nx)

        Returns
        -------
        bool
        """
        return not self.card.protocol and in_tiles(shape, self.tile)

    def reconstruct(self, observation):
        """Reconstruct a dirty image that has been checked.

        Parameters
        ----------
        observation : `~astro_ddpm_imager.observation.dirty.DirtyImage`

        Returns
        -------
        `ImagingResult`

        Raises
        ------
        DirtyImageError
            Hardly a pixel is not blank.
        """
        return image_at_once(self, observation)

    def provenance(self, seed, inputs):
        """What made a result, for headers and tables.

        Parameters
        ----------
        seed : int
        inputs : dict
            As of `~astro_ddpm_imager.observation.dirty.DirtyImage`; paths do not count.

        Returns
        -------
        dict
        """
        given = {}
        for name in ("dirty", "psf", "pb", "mask"):
            key = "input" if name == "dirty" else name
            given[key], given[f"{key}_sha256"] = inputs.get(name, ("none", ""))[:2]
        if "noise" in inputs:
            given["noise_map"], given["noise_map_sha256"] = inputs["noise"][:2]
        return {
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "software": f"astro_ddpm_imager {__version__}",
            **given,
            "model": self.card.name,
            "model_sha256": self.card.sha256,
            "noise_protocol": self.card.noise_protocol,
            "n_samples": self.n_samples,
            "steps": int(self.steps),
            "sampler": self.sampler,
            "aggregate": self.aggregate,
            "catalog": self.catalog,
            "threshold": float(self.threshold),
            "reliability": float(self.reliability),
            "calibrated": bool(self.calibrate and self.card.calibration),
            "pblimit": float(self.pblimit),
            "seed": int(seed),
        }
