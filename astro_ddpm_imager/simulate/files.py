"""Simulated fields as files: FITS as CASA exports it, and the truth."""

import logging
import re
from os import PathLike

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table, vstack

from .. import __version__
from ..errors import SimulationError
from ..home import expanded
from ..observation.local_sky import on_sky
from ..progress import hidden, tqdm
from ..whole_files import claimed, made_folder, written_whole
from .gains import GainErrors
from .observation import Observation
from .recipe import SourceRecipe
from .sky import Sources

__all__ = ["simulate_fields", "truth_table"]

log = logging.getLogger(__name__)

SHARED_NOISE = 11111  # seed of the noise that fields share; simobserve of CASA has this one by default


def simulate_fields(
    observation: Observation,
    recipe: SourceRecipe,
    rms: u.Quantity,
    folder: str | PathLike[str],
    number: int = 1,
    seed: int = 1,
    shared_noise: bool = False,
    overwrite: bool = False,
    gain_errors: GainErrors | None = None,
    pwv: u.Quantity | None = None,
) -> Table:
    """Simulate fields and write them, laid out for `astro_ddpm_imager` and for CASA.

    ``psf.fits`` and ``pb.fits`` are the same for all fields, ``NNNN.dirty.fits``
    is the dirty image of each, ``truth.ecsv`` lists the sources of all and is
    written last: a folder without it is not complete. An extended source is one
    row of it; the Gaussians that it is made of are rows of ``gaussians.ecsv``.

    Parameters
    ----------
    observation : `Observation`
    recipe : `SourceRecipe`
    rms : `~astropy.units.Quantity`
        Noise of the naturally weighted image.
    folder : path-like
        Made if needed.
    number : int, optional
        Number of fields.
    seed : int, optional
        The same seed gives the same fields.
    shared_noise : bool, optional
        The same noise in all fields, whatever their ``seed``, to reproduce the
        protocol of Drozdova et al. 2024: that is what networks learn which were
        trained so. By default it is new in each, as on the sky.
    overwrite : bool, optional
        Replace the fields in the folder, all of them, by the new ones.
    gain_errors : `GainErrors`, optional
        Errors of the antennas' gains, new in each field.
    pwv : `~astropy.units.Quantity`, optional
        Precipitable water vapour that ``rms`` is of, for the truth's ``meta``.

    Returns
    -------
    `~astropy.table.Table`
        The truth. Its ``meta`` has the observation, and the noise of the images,
        ``rms_uJy``, which is more than ``natural_rms_uJy``, the one given, unless
        weighting is natural.

    Raises
    ------
    FileExistsError
        A file or another field exists and ``overwrite`` is False, or a PSF or
        primary beam of a single field, ``NNNN.psf.fits``, which would count for
        the new one, or another process writes to the folder; nothing is written.
    SimulationError
        ``number``, ``seed`` or ``rms`` is out of range, the image is smaller
        than the beam, or the file of the array would be replaced; nothing is written.
    """
    _check(number, seed, rms)
    _ = observation.beam  # which can fail
    folder = made_folder(expanded(folder, SimulationError, "folder"))
    with claimed(folder):
        _check_free(folder, number, overwrite, observation.array)
        return _simulate(observation, recipe, rms, folder, number, seed, shared_noise, gain_errors, pwv)


def _fields(folder):
    """The names of the fields in a folder."""
    return sorted(path.name for path in folder.glob("*.dirty.fits") if re.fullmatch(r"[0-9]{4,}", path.name[:-11]))


def _check_free(folder, number, overwrite, array):
    """Fail if there is something that is not to be replaced."""
    names = ["psf.fits", "pb.fits", "truth.ecsv", "gaussians.ecsv", *(f"{i:04d}.dirty.fits" for i in range(number))]
    existing = [path for path in (folder / name for name in [*names, *_fields(folder)]) if path.exists()]
    array.check_kept(existing)
    if existing and not overwrite:
        raise FileExistsError(
            f"{existing[0]}: exists already; remove it, or give overwrite=True (--overwrite on the command line)"
        )
    _check_companions(folder)


def _simulate(observation, recipe, rms, folder, number, seed, shared_noise, gain_errors, pwv):
    """Write all fields, and the truth."""
    # The truth first: what is not whole after an interruption has none.
    for name in ["truth.ecsv", "gaussians.ecsv", *_fields(folder)]:
        (folder / name).unlink(missing_ok=True)
    _write(folder / "psf.fits", observation, observation.psf, "")
    _write(folder / "pb.fits", observation, observation.pb, "")
    tables, gaussians = [], []
    for i in tqdm(range(number), "simulating", unit="field", disable=hidden(None), leave=False):
        sources = recipe.draw(np.random.default_rng([seed, 0, i]), observation.shape, observation.cell)
        noise_seed = [SHARED_NOISE, 1] if shared_noise else [seed, 1, i]
        gains = 1.0
        if gain_errors is not None:
            gains = observation.gains(gain_errors, np.random.default_rng([seed, 2, i]))
        dirty = observation.dirty(sources, rms.to_value(u.Jy), np.random.default_rng(noise_seed), gains)
        _write(folder / f"{i:04d}.dirty.fits", observation, dirty, "Jy/beam")
        tables.append(truth_table(observation, sources.whole() if recipe.extended else sources, i))
        if recipe.extended:
            gaussians.append(truth_table(observation, sources, i))
            gaussians[-1]["source"] = sources.part_of
    truth = vstack(tables)
    if gaussians:
        with written_whole(folder / "gaussians.ecsv") as part:
            vstack(gaussians).write(part, overwrite=True)
    truth.meta = {
        **_meta(observation),
        "rms_uJy": float(rms.to_value(u.uJy) * observation.noise_factor),
        "natural_rms_uJy": float(rms.to_value(u.uJy)),
        "noise_protocol": "shared" if shared_noise else "independent",
        "seed": seed,
    }
    if pwv is not None:
        truth.meta["pwv_mm"] = float(pwv.to_value(u.mm))
    if gain_errors is not None:
        truth.meta["gain_amplitude"] = gain_errors.amplitude
        truth.meta["gain_phase_deg"] = float(gain_errors.phase.to_value(u.deg))
    with written_whole(folder / "truth.ecsv") as part:
        truth.write(part, overwrite=True)
    _warn_outside(observation, truth)
    return truth


def _check_companions(folder):
    """Fail if a field would have another PSF or primary beam than it is made with."""
    for kind in ("psf", "pb"):
        for path in sorted(folder.glob(f"*.{kind}.fits")):
            if re.fullmatch(r"[0-9]+", path.name.partition(".")[0]):
                raise FileExistsError(
                    f"{path}: is of another field, and would count for the new one instead of {kind}.fits; remove it, "
                    "or choose another folder"
                )


def _meta(observation):
    """An observation as a truth says it."""
    meta = {
        "array": observation.array.name,
        "ra_deg": float(observation.ra.to_value(u.deg)),
        "declination_deg": float(observation.declination.to_value(u.deg)),
        "hour_angle_h": float(observation.hour_angle.to_value(u.hourangle)),
        "duration_min": float(observation.duration.to_value(u.min)),
        "integration_s": float(observation.integration.to_value(u.s)),
        "frequency_GHz": float(observation.frequency.to_value(u.GHz)),
        "bandwidth_GHz": float(observation.bandwidth.to_value(u.GHz)),
        "channels": observation.channels,
        "weighting": observation.weighting,
    }
    return meta | {"robust": float(observation.robust)} if observation.weighting == "briggs" else meta


def _warn_outside(observation, truth):
    """Say how many sources are not on the image."""
    sky = SkyCoord(truth["ra"], truth["dec"], unit="deg")
    x, y = observation.wcs.world_to_pixel(sky)
    ny, nx = observation.shape
    outside = np.sum((x < -0.5) | (x > nx - 0.5) | (y < -0.5) | (y > ny - 0.5))
    if outside:
        half = min(ny, nx) / 2 * observation.cell.to_value(u.arcsec)
        log.warning(
            "%d of %d sources lie outside the image, which reaches %.3g arcsec from its centre; take a larger shape "
            "(--imsize) or cell, or a smaller reach", outside, len(truth), half,
        )  # fmt: skip


def _check(number, seed, rms):
    if not number >= 1:
        raise SimulationError(f"number={number} of fields: must be at least 1")
    if not seed >= 0:
        raise SimulationError(f"seed={seed}: must not be negative")
    if not 0 <= rms.to_value(u.Jy) < np.inf:
        raise SimulationError(f"rms={rms}: must be finite and not negative")


def truth_table(observation: Observation, sources: Sources, field: int = 0) -> Table:
    """The sources of a field as a table of the sky.

    Parameters
    ----------
    observation : `Observation`
    sources : `Sources`
        On the pixels of the image, fluxes in Jy.
    field : int, optional
        Number of the field, kept in a column.

    Returns
    -------
    `~astropy.table.Table`
        Columns field, ra, dec (deg), flux_jy (before the primary beam),
        maj_arcsec, min_arcsec (FWHM), pa_deg (east of north), pb.
    """
    sky, scale = on_sky(observation.wcs, sources.x, sources.y)
    east, north = np.einsum("nij,jn->in", scale, [np.cos(sources.angle), np.sin(sources.angle)])
    cell = observation.cell.to_value(u.arcsec)
    return Table(
        {
            "field": np.full(len(sources), field),
            "ra": sky.ra.deg,
            "dec": sky.dec.deg,
            "flux_jy": sources.flux,
            "maj_arcsec": sources.major * cell,
            "min_arcsec": sources.minor * cell,
            "pa_deg": np.rad2deg(np.arctan2(east, north)) % 180,
            "pb": observation.primary_beam_at(sources.x, sources.y),
        }
    )


def _write(path, observation, image, unit):
    """One image with CASA's four axes."""
    header = observation.wcs.to_header()
    frequency = observation.frequency.to_value(u.Hz)
    header.update(
        {
            "WCSAXES": 4, "BUNIT": unit, "BTYPE": "Intensity", "TELESCOP": observation.array.name.split(".")[0].upper(),
            "BMAJ": observation.beam.major.to_value(u.deg), "BMIN": observation.beam.minor.to_value(u.deg),
            "BPA": observation.beam.pa.to_value(u.deg), "RESTFRQ": frequency, "SPECSYS": "LSRK",
            "CTYPE3": "FREQ", "CRVAL3": frequency, "CDELT3": 1e9, "CRPIX3": 1.0, "CUNIT3": "Hz",
            "CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0, "CRPIX4": 1.0,
            "ORIGIN": f"astro_ddpm_imager {__version__}",
        }
    )  # fmt: skip
    with written_whole(path) as part:
        fits.PrimaryHDU(image[None, None].astype("float32"), header).writeto(part, overwrite=True)
