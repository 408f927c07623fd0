"""The products of a cube: written channel by channel, beside their place until all channels are done."""

import json
import logging
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Column, QTable, vstack
from astropy.wcs import WCS
from radio_beam import Beam

from ..observation.beam import beam_covariance
from ..sources.catalog import describe, restoring_beams
from ..whole_files import claimed, made_folder
from .catalog_files import read_catalog, write_ecsv
from .cube_beams import BLOCK, give_beams, reserve_beams
from .folders import check_made_of
from .headers import cube_header
from .writing import IMAGES, check_free, product_path, put_in_place

__all__ = ["CUBE_PRODUCTS", "ChannelProducts", "CubeFiles", "check_cube_free", "write_regions"]

log = logging.getLogger(__name__)

CUBE_PRODUCTS = (*IMAGES, ".catalog.ecsv", ".channels.ecsv", ".reg", ".png")
SOURCE_ID = "Number of the source, from 1, by channel, and in each by falling S/N"
CHANNEL_COLUMNS = {  # what those mean that a catalogue has not, or for its sources
    "rms": "Noise of the dirty image",
    "beam_major": "FWHM of the major axis of the restoring beam",
    "beam_minor": "FWHM of the minor axis of the restoring beam",
    "beam_pa": "Position angle of the restoring beam, east of north",
    "n_sources": "Sources in the catalogue",
    "chi2": "Reduced chi-squared of the residual of the channel",
    "misfit": "Why the residual is not noise, empty if it is",
    "note": "Why the channel is blank, empty if it is not",
}
UNFINISHED = ".unfinished"  # folder of what is done of a cube
PIXEL = np.dtype(">f4")


@dataclass(frozen=True)
class ChannelProducts:
    """What is made of one channel.

    Parameters
    ----------
    channel : int
        Of the cube that was given.
    images : dict
        Of each of the ``IMAGES``, by suffix, the 2D array; empty if there is
        nothing to reconstruct.
    catalog : `~astropy.table.QTable` or None
    record : dict
        ``rms`` (Jy/beam), ``beam`` (axes and position angle, deg), ``chi2``,
        ``misfit`` and ``note``: why it is blank, or empty.
    wcs : `~astropy.wcs.WCS` or None
        Celestial.
    header : `~astropy.io.fits.Header` or None
        Of its products as images.
    """

    channel: int
    images: dict
    catalog: QTable | None
    record: dict
    wcs: object = None
    header: fits.Header | None = None


def check_cube_free(prefix, overwrite, resume):
    """Fail if the products of a cube cannot be written, or something is in their way.

    Parameters
    ----------
    prefix : path-like
    overwrite, resume : bool

    Raises
    ------
    OSError
        As of `~astro_ddpm_imager.products.writing.write_products`.
    FileExistsError
        A product exists and must not be replaced, or an interruption has left something that is neither to be
        replaced nor to be gone on with.
    """
    check_free(prefix, overwrite, CUBE_PRODUCTS)
    left = product_path(prefix, UNFINISHED)
    if left.exists() and not (resume or overwrite):
        raise FileExistsError(
            f"{left} was left by an interruption; resume=True (--resume on the command line) goes on, overwrite=True "
            "(--overwrite) starts again"
        )


class CubeFiles:
    """Products of a cube that grow channel by channel.

    They are in a folder ``prefix.unfinished``, which stays when the work is
    interrupted, until all of them are moved to their places.

    Parameters
    ----------
    prefix : path-like
        As of `~astro_ddpm_imager.products.writing.write_products`.
    cube : `~astro_ddpm_imager.observation.cubes.Cube`
    channels : range
    made_of : dict
        Settings and inputs, of text and numbers: what has others is not gone on with. A ``seed`` of None is any.
    overwrite, keep_axes : bool
    """

    def __init__(self, prefix, cube, channels, made_of, overwrite, keep_axes):
        self.prefix, self.cube, self.channels, self.overwrite = prefix, cube, channels, overwrite
        self.made_of, self.keep_axes = dict(made_of), keep_axes
        self.folder = product_path(prefix, UNFINISHED)
        self.offsets = {}  # of the pixels in each file, in bytes; none before the first channel is done
        self.shape = None

    @contextmanager
    def claimed(self, resume):
        """Begin, or go on with what there is, with the folder for this process alone.

        Parameters
        ----------
        resume : bool

        Yields
        ------
        dict
            Records of the channels that are done.

        Raises
        ------
        FileExistsError
            Products, or what an interruption left, exist and are neither to be
            replaced nor to be gone on with; or another process writes them.
        SettingError
            What there is was made with other settings or of another cube.
        """
        check_cube_free(self.prefix, self.overwrite, resume)
        with claimed(made_folder(self.folder)):
            yield self._begun(resume)

    def _begun(self, resume):
        settings = self.folder / "settings.json"
        before = None
        with suppress(FileNotFoundError, json.JSONDecodeError):
            before = json.loads(settings.read_text())
        if self.made_of["seed"] is None:
            self.made_of["seed"] = before["seed"] if before and resume else secrets.randbits(32)
        if before is None or not resume:
            if not settings.exists() and any(self.folder.iterdir()):
                raise FileExistsError(f"{self.folder} is a folder of others; choose another name")
            self._emptied()
            settings.write_text(json.dumps(self.made_of))
            return {}
        again = "overwrite=True without resume (--overwrite without --resume on the command line)"
        check_made_of(self.folder, before, json.loads(json.dumps(self.made_of)), again)
        records = [json.loads(path.read_text()) for path in sorted(self.folder.glob("channel-*.json"))]
        if not all((self.folder / f"cube{suffix}").exists() for suffix in IMAGES):
            records = []
        elif records:
            self._open()
        return {record["channel"]: record for record in records}

    def remove(self):
        """Leave nothing behind, because there is nothing to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _emptied(self):
        for path in self.folder.iterdir():
            path.unlink()

    def _open(self):
        """Find the pixels in the files that are there."""
        for suffix in IMAGES:
            with fits.open(self.folder / f"cube{suffix}") as hdus:
                self.offsets[suffix] = hdus[0].fileinfo()["datLoc"]
                self.shape = hdus[0].shape[-2:]

    def add(self, value):
        """Write one channel.

        Parameters
        ----------
        value : `ChannelProducts`

        Raises
        ------
        OSError
            There is no room; what is done before stays, to be gone on with.
        """
        with self._said():
            if value.images:
                if not self.offsets:
                    self._allocate(value)
                for suffix, image in value.images.items():
                    self._put(suffix, value.channel, image)
                write_ecsv(value.catalog, self._part(value.channel, "ecsv"))
            # Last, and at once: with it the channel is done.
            record = {"channel": value.channel, **value.record}
            path = self._part(value.channel, "part")
            path.write_text(json.dumps(record))
            path.replace(self._part(value.channel, "json"))

    def _part(self, channel, ending):
        return self.folder / f"channel-{channel:06d}.{ending}"

    @contextmanager
    def _said(self):
        try:
            yield
        except OSError as error:
            done = len(list(self.folder.glob("channel-*.json")))
            raise OSError(
                error.errno,
                f"{self.folder}: cannot be written ({error.strerror or error}); {done} of {len(self.channels)} "
                "channels are done: resume=True (--resume on the command line) goes on",
            ) from error

    def _allocate(self, value):
        """Make files of all channels, so that it is known now that there is room for them."""
        self.shape = next(iter(value.images.values())).shape
        header, others = cube_header(
            value.wcs, value.header, self.cube.header, self.cube.axis.cards, self.channels, self.keep_axes
        )
        header["DSEED"], header["DOPTIONS"] = self.made_of["seed"], self.made_of["options"]
        for suffix, (_, unit) in IMAGES.items():
            header["BUNIT"], header["BTYPE"] = unit, "Intensity"
            full = fits.PrimaryHDU(header=header).header
            full["BITPIX"], full["NAXIS"] = -32, 2 + len(others)
            for number, length in enumerate((*others, *self.shape)[::-1], 1):
                full.set(f"NAXIS{number}", length, after="NAXIS" if number == 1 else f"NAXIS{number - 1}")
            reserve_beams(full)
            text = full.tostring().encode()
            with (self.folder / f"cube{suffix}.new").open("wb") as stream:
                stream.write(text)
                whole = len(text) + self._size()
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(stream.fileno(), 0, whole)
                else:
                    stream.truncate(whole)
            self.offsets[suffix] = len(text)
        for suffix in IMAGES:
            path = self.folder / f"cube{suffix}"
            path.with_name(f"{path.name}.new").replace(path)

    def _size(self):
        """Bytes of the pixels of all channels, as FITS fills its blocks."""
        size = len(self.channels) * self.shape[0] * self.shape[1] * PIXEL.itemsize
        return -(-size // BLOCK) * BLOCK

    def _put(self, suffix, channel, image):
        number = self.channels.index(channel)
        with (self.folder / f"cube{suffix}").open("r+b") as stream:
            stream.seek(self.offsets[suffix] + number * image.size * PIXEL.itemsize)
            stream.write(np.ascontiguousarray(image, PIXEL).tobytes())
            stream.flush()
            os.fsync(stream.fileno())  # before the channel counts as done

    def finish(self, records):
        """Make what is of all channels, and move all products to their places.

        Parameters
        ----------
        records : dict
            Of each channel, as `claimed` has them.

        Returns
        -------
        catalog : `~astropy.table.QTable`
        channels : `~astropy.table.QTable`
        paths : list of `~pathlib.Path`

        Raises
        ------
        OSError
            As of `add`.
        """
        with self._said():
            written = {suffix: self.folder / f"cube{suffix}" for suffix in CUBE_PRODUCTS}
            catalog = self._catalog(records)
            channels = self._channels(records, catalog)
            nothing = np.full(self.shape, np.nan)
            for channel in self.channels:
                if records[channel].get("beam") is None:
                    for suffix in IMAGES:
                        self._put(suffix, channel, nothing)
            beams = [records[channel].get("beam") for channel in self.channels]
            for suffix in IMAGES:
                give_beams(written[suffix], self.offsets[suffix] + self._size(), beams)
            write_ecsv(catalog, written[".catalog.ecsv"])
            write_ecsv(channels, written[".channels.ecsv"])
            wcs = WCS(fits.getheader(written[".image.fits"])).celestial
            write_regions(catalog, {c: records[c].get("beam") for c in self.channels}, wcs, self.shape, written[".reg"])
            # Here, because it takes half a second.
            from .cube_plotting import plot_cube

            plot_cube(catalog, channels, written[".model.fits"], written[".image.fits"]).savefig(
                written[".png"], dpi=110
            )
        targets = {product_path(self.prefix, suffix): path for suffix, path in written.items()}
        put_in_place(targets, self.folder, self.prefix, self.overwrite, CUBE_PRODUCTS)
        self.remove()
        return catalog, channels, list(targets)

    def _catalog(self, records):
        """The catalogues of all channels as one."""
        parts, axis = [], self.cube.axis
        for channel in self.channels:
            if records[channel].get("beam") is None:
                continue
            part = read_catalog(self._part(channel, "ecsv"))
            columns = {
                "channel": np.full(len(part), channel),
                "frequency": np.repeat(axis.frequency[channel], len(part)),
            }
            if axis.velocity is not None:
                columns["velocity"] = np.repeat(axis.velocity[channel], len(part))
            part.add_columns(list(columns.values()), indexes=[1] * len(columns), names=list(columns))
            parts.append(part)
        meta = {name: value for name, value in parts[0].meta.items() if name not in ("rms", "chi2", "misfit")}
        catalog = vstack(parts, metadata_conflicts="silent")
        catalog.meta = meta | {name: self.made_of[name] for name in ("seed", "channels", "options")}
        catalog["source_id"] = Column(np.arange(1, len(catalog) + 1), description=SOURCE_ID)
        describe(catalog)
        return catalog

    def _channels(self, records, catalog):
        """What is known of each channel, as a table."""
        axis, chosen = self.cube.axis, list(self.channels)
        table = QTable(meta=catalog.meta)
        table["channel"] = chosen
        table["frequency"] = axis.frequency[chosen]
        if axis.velocity is not None:
            table["velocity"] = axis.velocity[chosen]
        in_order = [records[channel] for channel in chosen]
        table["rms"] = [record.get("rms", np.nan) for record in in_order] * u.Jy / u.beam
        beams = np.array([record.get("beam") or [np.nan] * 3 for record in in_order])
        table["beam_major"], table["beam_minor"] = ((beams[:, i] * u.deg).to(u.arcsec) for i in (0, 1))
        table["beam_pa"] = beams[:, 2] * u.deg
        table["n_sources"] = [int((catalog["channel"] == channel).sum()) for channel in chosen]
        table["chi2"] = [record.get("chi2", np.nan) for record in in_order]
        for name in ("misfit", "note"):
            table[name] = Column([record.get(name, "") for record in in_order], dtype=str)
        for name, description in CHANNEL_COLUMNS.items():
            table[name].info.description = description
        describe(table)
        return table


def write_regions(catalog, beams, wcs, shape, path):
    """Write the sources of all channels as DS9 regions.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
    beams : dict
        Of each channel, axes and position angle in degrees.
    wcs : `~astropy.wcs.WCS`
        Celestial.
    shape : tuple of int, (ny, nx)
    path : `~pathlib.Path`
    """
    from .region_files import catalog_to_regions, ds9_text  # here, because regions takes a fifth of a second

    here = []
    for channel in dict.fromkeys(catalog["channel"]):
        rows = catalog[catalog["channel"] == channel]
        covariance = beam_covariance(Beam(*(beams[channel] * u.deg)), wcs, shape)
        here += restoring_beams(wcs, covariance, rows["x"], rows["y"])
    path.write_text(ds9_text(catalog_to_regions(catalog, here, catalog.meta["frame"])))
