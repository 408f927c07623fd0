"""Sources that all channels of a cube have in common: one place and shape, and a flux for each channel."""

import logging
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Column, QTable
from radio_beam import Beam

from .cubes import BLANK, check_imager, open_images, pieces_of, prepared
from .errors import DirtyImageError
from .imager import DiffusionImager
from .observation.beam import checked_beam
from .observation.joint import Mean
from .observation.noise_map import unflatten
from .observation.spectral import spectral_number
from .parallel import one_blas_thread
from .pieces import run_pieces
from .products.catalog_files import write_ecsv
from .products.headers import channels_text
from .products.summary import brightness, html_table
from .products.writing import PRODUCTS, WITH_AXES, check_not_read, checked_prefix, write_products
from .result import ImagingResult
from .sources.catalog import describe
from .sources.fluxes import as_components, fit_fluxes, resized

__all__ = ["JOINT_PRODUCTS", "JointResult", "image_jointly"]

log = logging.getLogger(__name__)

OF_CATALOG = ("source_id", "ra", "dec", "snr", "reliability", "x", "y", "major", "minor", "pa", "flags")


@dataclass(frozen=True, eq=False)
class JointResult:
    """What comes of the channels of a cube together.

    Unpacks into ``spectra, channels, mean``.

    Parameters
    ----------
    spectra : `~astropy.table.QTable`
        A row per source of ``mean.catalog``, with its place and shape, and
        ``flux`` and ``flux_err``, shape (n_sources, n_channels), Jy, corrected
        for the primary beam of each channel. A flux may be negative; it is
        NaN where the channel is blank.
    channels : `~astropy.table.QTable`
        A row per channel: ``channel``, ``frequency``, ``velocity`` if the cube
        has velocities, ``rms``, and ``note``, which says why one is blank.
    mean : `~astro_ddpm_imager.ImagingResult`
        Of the mean of the channels, weighted by one over their noise squared.
    """

    spectra: QTable
    channels: QTable
    mean: ImagingResult

    def __iter__(self):
        return iter((self.spectra, self.channels, self.mean))

    def __repr__(self):
        return f"<JointResult: {len(self.spectra)} sources in {len(self.channels)} channels>"

    def _repr_html_(self):
        blank, meta = int(np.count_nonzero(self.channels["note"] != "")), self.mean.meta
        frequency = self.channels["frequency"].to_value(u.GHz)
        rows = {
            "cube": f"{meta['input']}, channels {meta['channels']}, {blank} of them blank",
            "frequency": f"{frequency.min():.6g} to {frequency.max():.6g} GHz",
            "noise": f"{brightness(np.nanmedian(self.channels['rms'].value))} (median of the channels)",
            "spectra": len(self.spectra),
        }
        return html_table("JointResult", rows) + self.mean._repr_html_()

    def write(self, prefix: str | PathLike[str], overwrite: bool = False, keep_axes: bool = False) -> list[Path]:
        """Write the products of the mean, ``prefix.spectra.ecsv`` and ``prefix.channels.ecsv``.

        Parameters
        ----------
        prefix : str or path-like
            As of `~astro_ddpm_imager.ImagingResult.write`, as are the others.
        overwrite, keep_axes : bool, optional

        Returns
        -------
        list of `~pathlib.Path`

        Raises
        ------
        FileExistsError, NotADirectoryError, PermissionError, SettingError
            As of `~astro_ddpm_imager.ImagingResult.write`.
        """
        prefix = checked_prefix(prefix)
        check_not_read(prefix, self.mean.dirty.files, JOINT_PRODUCTS)
        of_mean = WITH_AXES if keep_axes else PRODUCTS
        products = {suffix: (lambda _, path, write=write: write(self.mean, path)) for suffix, write in of_mean.items()}
        return write_products(self, prefix, overwrite, products | TABLES)


TABLES = {
    ".spectra.ecsv": lambda result, path: write_ecsv(result.spectra, path),
    ".channels.ecsv": lambda result, path: write_ecsv(result.channels, path),
}
JOINT_PRODUCTS = (*PRODUCTS, *TABLES)


def image_jointly(
    imager: DiffusionImager,
    dirty: Any,
    psf: Any = None,
    pb: Any = None,
    mask: Any = None,
    beam: Beam | None = None,
    *,
    channels: slice | None = None,
    stokes: int | None = None,
) -> JointResult:
    """Find the sources that all channels of a cube have in common, and their spectra.

    The mean of the dirty images, weighted by one over their noise squared,
    with that of their PSFs, has the likelihood of all channels for sources of
    a flat spectrum; it is reconstructed once. Each source in it, at that place
    and of that shape, then gets the flux in each channel that explains the
    channel's dirty image best, all sources at once
    (`~astro_ddpm_imager.sources.fluxes.fit_fluxes`): nothing makes spectra
    smooth. Sources of a few channels only are diluted: `image_cube` finds them.
    The mean is worked on at once, whatever its size and the imager's ``tile``.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    dirty : path, `~astropy.nddata.CCDData` or SpectralCube
        As of `~astro_ddpm_imager.image_cube`, as are the others.
    psf, pb, mask : likewise, or arrays, optional
    beam : `~radio_beam.Beam`, optional
    channels : slice, optional
    stokes : int, optional

    Returns
    -------
    `JointResult`

    Raises
    ------
    DirtyImageError
        As of `~astro_ddpm_imager.image_cube`; or the beams of the channels
        differ too much, or no pixel has a value in all that are not blank.
    """
    check_imager(imager)
    beam = checked_beam(beam, "beam:")
    images, chosen = open_images(dirty, psf, pb, mask, channels, stokes)
    cube, mean, notes, weights = images["dirty"], Mean(), {}, {}
    pieces, quiet = pieces_of(images, chosen, beam), imager.but(progress=False)  # the bar is for the mean
    for piece, (observation, note) in run_pieces(prepare_channel, quiet, pieces, in_order=True):
        notes[piece.number] = note
        if observation is not None:
            mean.add(observation)
            weights[piece.number] = observation.rms**-2
    if not weights:
        raise DirtyImageError(f"{cube.name}: no channel can be used; channel {chosen.start}: {notes[chosen.start]}")
    header = mean.first.meta.copy()
    used = list(weights)
    axis = spectral_number(header)
    if axis is not None and isinstance(header.get(f"CRVAL{axis}"), int | float):
        middle = np.average(used, weights=list(weights.values()))
        header[f"CRVAL{axis}"] += (middle - used[0]) * cube.axis.cards["CDELT"]
        header[f"CDELT{axis}"] = (used[-1] - used[0] + 1) * cube.axis.cards["CDELT"]  # as wide as all of them
    result = imager.reconstruct(mean.image(header))
    catalog = result.catalog
    result.meta["channels"] = catalog.meta["channels"] = channels_text(chosen)
    places = as_components(catalog, result.dirty.wcs)
    places = resized(unflatten(result.dirty), places, (catalog["flux"] * catalog["pb"]).to_value(u.Jy))
    flux, error = np.full((2, len(catalog), len(chosen)), np.nan)
    rms = np.full(len(chosen), np.nan)
    measured = [(piece, places) for piece in pieces if piece.number in weights]
    for (piece, _), value in run_pieces(measure_channel, quiet, measured):
        number = chosen.index(piece.number)
        flux[:, number], error[:, number], rms[number] = value
    spectra = catalog[OF_CATALOG]
    spectra["flux"], spectra["flux_err"] = flux * u.Jy, error * u.Jy
    for name, text in (("flux", "Flux in each channel"), ("flux_err", "Error of flux in each channel")):
        spectra[name].info.description = f"{text}, corrected for the primary beam"
    return JointResult(spectra, _channels(cube, chosen, rms, notes, catalog.meta), result)


def prepare_channel(imager, channel):
    """Read and check one channel.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    channel : `~astro_ddpm_imager.cubes.Channel`

    Returns
    -------
    observation : `~astro_ddpm_imager.observation.dirty.DirtyImage` or None
    note : str
        Why there is none, or empty.
    """
    try:
        observation = prepared(channel, imager.pblimit)
    except DirtyImageError as error:
        log.warning("%s is left out: %s", channel.said, error)
        return None, str(error)
    return observation, "" if observation is not None else BLANK


def measure_channel(imager, piece):
    """Measure the fluxes of sources in one channel.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    piece : tuple
        The `~astro_ddpm_imager.cubes.Channel` and the sources,
        `~astro_ddpm_imager.observation.components.Components` of unit flux.

    Returns
    -------
    flux, error : 1D arrays, Jy, corrected for the primary beam
    rms : float
        Jy/beam.
    """
    channel, places = piece
    with one_blas_thread():
        observation = prepared(channel, imager.pblimit)
        flux, covariance, rms = fit_fluxes(observation, places)
    pb = observation.primary_beam_at(places.x, places.y)
    return flux / pb, np.sqrt(np.diagonal(covariance)) / pb, rms


def _channels(cube, chosen, rms, notes, meta):
    numbers = list(chosen)
    table = QTable(meta=meta)
    table["channel"], table["frequency"] = numbers, cube.axis.frequency[numbers]
    if cube.axis.velocity is not None:
        table["velocity"] = cube.axis.velocity[numbers]
    table["rms"] = rms * u.Jy / u.beam
    table["note"] = Column([notes[number] for number in numbers], dtype=str)
    describe(table)
    return table
