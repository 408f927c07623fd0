"""Cubes: each channel is reconstructed for itself, with its own PSF, primary beam and beam."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from radio_beam import Beam
from tqdm import tqdm

from .errors import DirtyImageError
from .imager import DiffusionImager
from .large import image_in_tiles
from .observation.beam import checked_beam
from .observation.cubes import checked_channels, open_companion, open_cube, read_plane
from .observation.inputs import as_plane, file_paths
from .observation.preparation import prepare
from .parallel import one_blas_thread
from .pieces import run_pieces
from .products.cube_files import CUBE_PRODUCTS, ChannelProducts, CubeFiles
from .products.headers import channels_text
from .products.provenance import options_text, what_counts
from .products.summary import html_table
from .products.writing import IMAGES, check_not_read, checked_prefix
from .progress import hidden

__all__ = [
    "BLANK", "CubeResult", "check_imager", "image_channel", "image_cube", "open_images", "pieces_of", "prepared",
]  # fmt: skip

log = logging.getLogger(__name__)

BLANK = "blank: no pixel has a value"


@dataclass(frozen=True)
class Channel:
    """One channel, as those who reconstruct it get it.

    Parameters
    ----------
    number, seed : int
    planes : dict
        ``dirty``, ``psf``, ``pb`` and ``mask``, as of
        `~astro_ddpm_imager.observation.cubes.Cube.plane`, or None.
    beam : `~radio_beam.Beam` or None
    said : str
        What it is called in the log.
    """

    number: int
    seed: int
    planes: dict
    beam: Beam | None
    said: str


@dataclass(frozen=True, eq=False)
class CubeResult:
    """What comes of a cube; its images are on disk.

    Unpacks into ``catalog, channels, paths``.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Sources of all channels, channel by channel and there by falling S/N.
        Columns as of a single image, and ``channel``, ``frequency`` and, where
        the cube has velocities, ``velocity``.
    channels : `~astropy.table.QTable`
        A row per channel: ``channel``, ``frequency``, ``velocity`` likewise,
        ``rms``, ``beam_major``, ``beam_minor``, ``beam_pa``, ``n_sources``,
        ``chi2``, ``misfit`` and ``note``, which says why a channel is blank.
    paths : list of `~pathlib.Path`
        The products.
    """

    catalog: QTable
    channels: QTable
    paths: list

    def __iter__(self) -> Iterator[Any]:
        return iter((self.catalog, self.channels, self.paths))

    @property
    def meta(self) -> dict:
        """Provenance."""
        return self.catalog.meta

    def __repr__(self):
        return f"<CubeResult: {len(self.channels)} channels, {len(self.catalog)} sources, {self.paths[0]} and others>"

    def _repr_html_(self):
        blank = int(np.count_nonzero(self.channels["note"] != ""))
        rows = {
            "cube": f"{self.meta['input']}, channels {self.meta['channels']}, {blank} of them blank",
            "noise": f"{np.nanmedian(self.channels['rms'].value):.3g} Jy/beam (median)",
            "samples": f"{self.meta['n_samples']} of model {self.meta['model']}, seed {self.meta['seed']}",
            "sources": len(self.catalog),
            "products": ", ".join(path.name for path in self.paths),
        }
        return html_table("CubeResult", rows)


def check_imager(imager):
    """Fail if what should reconstruct the channels is no imager, such as a cube in its place.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`

    Raises
    ------
    TypeError
    """
    if not isinstance(imager, DiffusionImager):
        raise TypeError(f"imager: expected a DiffusionImager, got {type(imager).__name__}; the cube comes after it")


def image_cube(
    imager: DiffusionImager,
    dirty: Any,
    prefix: str | PathLike[str],
    psf: Any = None,
    pb: Any = None,
    mask: Any = None,
    beam: Beam | None = None,
    *,
    channels: slice | None = None,
    stokes: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    keep_axes: bool = False,
) -> CubeResult:
    """Reconstruct the channels of a cube, each for itself, and write the products as they are made.

    One channel at a time is in memory. The cubes ``prefix.model.fits``,
    ``.uncertainty.fits``, ``.image.fits`` and ``.residual.fits``, one
    ``.catalog.ecsv``, ``.channels.ecsv``, ``.reg`` (DS9) and ``.png`` appear
    when all channels are done; until then they are in ``prefix.unfinished``.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
        Channel ``c`` gets its seed plus ``c``.
    dirty : path, `~astropy.nddata.CCDData` or SpectralCube
        Dirty cube, FITS or CASA, as of `~astro_ddpm_imager.read_image`, with a
        spectral WCS. Channels of which all pixels are blank stay blank. An
        ``uncertainty`` is not used: the noise of each channel is measured.
    prefix : str or path-like
        Folder and start of the names of the products, as of
        `~astro_ddpm_imager.ImagingResult.write`.
    psf, pb, mask : likewise, or arrays, optional
        One plane for all channels, or one for each.
    beam : `~radio_beam.Beam`, optional
        Restoring beam of all channels, instead of those in the header or in
        CASA's table of beams.
    channels : slice, optional
        0-based, the end not included; by default all.
    stokes : int, optional
        0-based plane of a Stokes axis longer than 1.
    resume : bool, optional
        Go on where an interruption has stopped.
    overwrite : bool, optional
        Replace existing products.
    keep_axes : bool, optional
        Keep a Stokes axis of length 1, where the cube has one.

    Returns
    -------
    `CubeResult`

    Raises
    ------
    DirtyImageError
        The cube has no spectral WCS or not these channels, a companion has
        another number of them, or none can be reconstructed. Those of some
        channels are logged and noted.
    FileExistsError
        Products, or what an interruption left, exist.
    SettingError
        What is to be gone on with was made with other settings.
    OSError
        There is no room; what is done stays, for ``resume``.

    Examples
    --------
    >>> from astro_ddpm_imager import DiffusionImager, image_cube
    >>> result = image_cube(DiffusionImager(), "cube.fits", "cube", psf="psf.fits")  # doctest: +SKIP
    >>> result.catalog["channel", "frequency", "flux"]  # doctest: +SKIP
    """
    check_imager(imager)
    prefix = checked_prefix(prefix)
    beam = checked_beam(beam, "beam:")
    images, chosen = open_images(dirty, psf, pb, mask, channels, stokes)
    cube = images["dirty"]
    read = [path for image in images.values() if image is not None for path in file_paths(image.header)]
    check_not_read(prefix, read, CUBE_PRODUCTS)
    made_of = _made_of(imager, images, chosen) | {
        "options": options_text(
            beam=beam, tile=imager.tile, stokes=cube.stokes, insist=imager.insist, keep_axes=keep_axes
        )
    }
    files = CubeFiles(prefix, cube, chosen, made_of, overwrite, keep_axes)
    with files.claimed(resume) as done:
        seed = files.made_of["seed"]
        pieces = pieces_of(images, [number for number in chosen if number not in done], beam, seed)
        if done:
            log.info("%d of %d channels are done already", len(done), len(chosen))
        records = dict(done)
        with _bar(imager, len(chosen), len(done)) as update:
            # One bar for all of them.
            for _, value in run_pieces(image_channel, imager.but(progress=False), pieces):
                files.add(value)
                records[value.channel] = value.record
                update()
        if not any("beam" in record for record in records.values()):
            files.remove()
            raise DirtyImageError(
                f"{cube.name}: no channel can be reconstructed; channel {chosen.start}: {records[chosen.start]['note']}"
            )
        return CubeResult(*files.finish(records))


def open_images(dirty, psf, pb, mask, channels, stokes):
    """A cube and what belongs to it, and the channels that are chosen.

    Parameters
    ----------
    dirty : path, `~astropy.nddata.CCDData` or SpectralCube
        As of `image_cube`, as are the others.
    psf, pb, mask : likewise, arrays or None
    channels : slice or None
    stokes : int or None

    Returns
    -------
    images : dict
        ``dirty``, ``psf``, ``pb`` and ``mask``, each a
        `~astro_ddpm_imager.observation.cubes.Cube` or None.
    channels : range

    Raises
    ------
    FileNotFoundError, DirtyImageError, TypeError
        As of `image_cube`.
    """
    cube = open_cube(dirty, stokes=stokes)
    companions = {
        name: None if given is None else open_companion(given, name, cube)
        for name, given in (("psf", psf), ("pb", pb), ("mask", mask))
    }
    if psf is None:
        log.warning("no PSF given: the restoring beams take its place, sidelobes are not accounted for")
    return {"dirty": cube, **companions}, checked_channels(channels, cube)


def pieces_of(images, numbers, beam, seed=0):
    """Some channels, as those who work on them get them.

    Parameters
    ----------
    images : dict
        As of `open_images`.
    numbers : iterable of int
    beam : `~radio_beam.Beam` or None
    seed : int, optional

    Returns
    -------
    list of `Channel`
    """
    return [
        Channel(
            number, seed + number,
            {name: None if image is None else image.plane(number) for name, image in images.items()},
            beam, f"{images['dirty'].name}: channel {number}",
        )
        for number in numbers
    ]  # fmt: skip


def prepared(channel, pblimit):
    """Read and check one channel.

    Parameters
    ----------
    channel : `Channel`
    pblimit : float

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage` or None
        None if it is blank.

    Raises
    ------
    DirtyImageError
        As of `~astro_ddpm_imager.observation.preparation.prepare`.
    """
    dirty = _read_dirty(channel)
    return None if dirty is None else _prepared(channel, dirty, pblimit)


def image_channel(imager, channel):
    """Reconstruct one channel.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    channel : `Channel`

    Returns
    -------
    `~astro_ddpm_imager.products.cube_files.ChannelProducts`
    """
    log.info("%s", channel.said)
    try:
        with one_blas_thread():
            result = _reconstructed(imager.but(seed=channel.seed), channel)
            if result is None:
                return ChannelProducts(channel.number, {}, None, {"note": BLANK})
            products = {suffix: getattr(result, name) for suffix, (name, _) in IMAGES.items()}
            images = {suffix: np.asarray(product.data, "f4") for suffix, product in products.items()}
    except DirtyImageError as error:
        log.warning("%s stays blank: %s", channel.said, error)
        return ChannelProducts(channel.number, {}, None, {"note": str(error)})
    beam = result.dirty.beam
    record = {
        "rms": float(result.dirty.rms),
        "beam": [float(axis.to_value(u.deg)) for axis in (beam.major, beam.minor, beam.pa)],
        "chi2": float(result.meta["chi2"]),
        "misfit": result.meta["misfit"],
        "note": "",
    }
    header = products[".model.fits"].header
    return ChannelProducts(channel.number, images, result.catalog, record, result.dirty.wcs, header)


def _reconstructed(imager, channel):
    """The result of one channel, or None if it is blank."""
    dirty = _read_dirty(channel)
    if dirty is None:
        return None
    if imager.works_in_tiles(dirty.shape):
        return image_in_tiles(imager, dirty, _companions(channel), channel.beam)
    return imager.reconstruct(_prepared(channel, dirty, imager.pblimit))


def _prepared(channel, dirty, pblimit):
    """One channel, whose dirty image has been read, checked."""
    companions = {name: read() for name, read in _companions(channel).items()}
    return prepare(dirty, **companions, beam=channel.beam, pblimit=pblimit)


def _read_dirty(channel):
    """The dirty image of one channel, or None if it is blank."""
    dirty = as_plane(read_plane(channel.planes["dirty"]), "dirty")
    return None if _is_blank(dirty) else dirty


def _companions(channel):
    """Functions that read what belongs to the dirty image of one channel."""
    given = {name: plane for name, plane in channel.planes.items() if name != "dirty" and plane is not None}
    return {name: partial(read_plane, plane) for name, plane in given.items()}


def _is_blank(plane):
    """Whether there is nothing in a plane; of channels without data, CASA has zeros."""
    values = np.asarray(plane.data)
    if plane.mask is not None:
        values = values[~np.broadcast_to(plane.mask, values.shape)]
    return values.dtype.kind == "f" and not np.nan_to_num(values, posinf=0, neginf=0).any()


def _made_of(imager, images, channels):
    """What the products depend on."""
    inputs = {name: None if image is None else image.digest() for name, image in images.items()}
    return what_counts(imager, {}) | {"channels": channels_text(channels), **inputs}


@contextmanager
def _bar(imager, channels, done):
    """A function to call after each channel; a bar of the user's own counts the steps of the samples."""
    progress = imager.progress
    if hasattr(progress, "update"):
        steps = imager.n_samples * imager.steps
        progress.update(done * steps)
        yield lambda: progress.update(steps)
        return
    with tqdm(total=channels, initial=done, desc="channels", unit="channel", disable=hidden(progress)) as bar:
        yield lambda: bar.update()
