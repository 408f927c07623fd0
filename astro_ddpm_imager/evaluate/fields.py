"""Folders of simulated fields with the truth beside them."""

import logging
import re
from os import PathLike

import astropy.units as u
import numpy as np
from astropy.io.registry import IORegistryError
from astropy.stats import gaussian_fwhm_to_sigma
from astropy.table import QTable, Table
from astropy.wcs.utils import proj_plane_pixel_area

from ..errors import EvaluationError
from ..home import expanded
from ..observation.dirty import DirtyImage

__all__ = ["NOT_STATED", "read_folder", "true_pixels", "true_snr"]

log = logging.getLogger(__name__)

NOISE_PROTOCOLS = ("independent", "shared")
NOT_STATED = "unstated"

# Where a column of the truth has no unit, it is this one.
COLUMNS = {
    "ra": u.deg, "dec": u.deg, "flux_jy": u.Jy, "maj_arcsec": u.arcsec, "min_arcsec": u.arcsec, "pa_deg": u.deg,
}  # fmt: skip
RANGES = {  # and what its values may be
    "field": ("whole numbers", lambda values: values % 1 == 0),
    "dec": ("from -90 to 90 deg", lambda values: abs(values) <= 90),
    "flux_jy": ("positive", lambda values: values > 0),
    "maj_arcsec": ("0 or more", lambda values: values >= 0),
    "min_arcsec": ("0 or more", lambda values: values >= 0),
}


def read_folder(
    folder: str | PathLike[str], truth: str | PathLike[str] | None = None, noise_protocol: str | None = None
) -> tuple[dict[int, dict], QTable]:
    """Find the fields of a folder, as `~astro_ddpm_imager.simulate.simulate_fields` lays it out.

    Parameters
    ----------
    folder : path-like
        With ``NNNN.dirty.fits``; ``psf.fits`` and ``pb.fits`` for all of them,
        or ``NNNN.psf.fits`` and ``NNNN.pb.fits`` for each, where there are any.
    truth : path-like, optional
        Table of the true sources; by default ``truth.ecsv`` in the folder.
        Columns ``field``, ``ra``, ``dec``, ``flux_jy``, ``maj_arcsec``,
        ``min_arcsec`` and ``pa_deg``; units of columns count. Positions are in
        the frame of the images, ICRS or FK5.
    noise_protocol : {"independent", "shared"}, optional
        Whether the noise of the fields is new in each, or the same; by default
        what the ``meta`` of the truth says.

    Returns
    -------
    inputs : dict of dict
        By number of the field, the arguments of a `~astro_ddpm_imager.DiffusionImager`.
    truth : `~astropy.table.QTable`
        Columns ``field``, ``ra``, ``dec``, ``flux`` (before the primary beam),
        ``major`` and ``minor`` (FWHM), ``pa`` (east of north). Its ``meta`` has the
        ``noise_protocol``, ``"unstated"`` where neither says it.

    Raises
    ------
    EvaluationError
        The truth lacks a column, has impossible values or is of other fields,
        there are no fields, or the noise protocol is unknown or not the truth's.
    """
    folder = expanded(folder, EvaluationError, "folder")
    if not folder.is_dir():
        raise EvaluationError(f"folder={str(folder)!r}: there is no such folder")
    path = folder / "truth.ecsv" if truth is None else expanded(truth, EvaluationError, "truth")
    if not path.is_file():
        raise EvaluationError(f"truth={str(path)!r}: there is no such file")
    try:
        table = Table.read(path)
    except (OSError, ValueError, IORegistryError) as error:
        said = str(error).partition("\n")[0]  # what follows is a list of all formats
        raise EvaluationError(f"truth={str(path)!r}: no table that astropy can read ({said}); ECSV is best") from error
    missing = [name for name in ("field", *COLUMNS) if name not in table.colnames]
    if missing:
        raise EvaluationError(f"truth={str(path)!r}: lacks the column(s) {', '.join(missing)}")
    noise_protocol = _noise_protocol(table.meta.get("noise_protocol"), noise_protocol, path)
    field = _numbers(table["field"], path)
    values = {name: _numbers(table[name], path, unit) for name, unit in COLUMNS.items()}
    inputs = _inputs(folder)
    here = np.isin(field, list(inputs))
    if len(table) and not here.any():
        raise EvaluationError(f"truth={str(path)!r}: none of its fields is among those of {folder}")
    if not here.all():
        log.warning(
            "truth=%r: %d of %d sources are of fields that are not in %s", str(path), (~here).sum(), len(here), folder
        )
    rows = np.column_stack([field, *(column.value for column in values.values())])
    again = len(rows) - len(np.unique(rows, axis=0))
    if again:
        log.warning("truth=%r: %d row(s) repeat others, and count as sources; remove them", str(path), again)
    empty = len(inputs) - len(np.unique(field[here]))
    if empty and len(table):
        log.warning("truth=%r: has no source in %d of %d fields, which count as empty", str(path), empty, len(inputs))
    names = {"flux_jy": "flux", "maj_arcsec": "major", "min_arcsec": "minor", "pa_deg": "pa"}
    return inputs, QTable(
        {"field": field[here].astype(int)} | {names.get(name, name): column[here] for name, column in values.items()},
        meta={"noise_protocol": noise_protocol},
    )


def _noise_protocol(stated, given, path):
    """The noise protocol of a truth, or as it was given."""
    for name, value in (("noise_protocol", given), (f"truth={str(path)!r}: its noise_protocol", stated)):
        if value not in (None, *NOISE_PROTOCOLS):
            raise EvaluationError(f"{name}={value!r}: must be {' or '.join(NOISE_PROTOCOLS)}")
    if None not in (stated, given) and stated != given:
        raise EvaluationError(f"noise_protocol={given!r}: the truth {str(path)!r} says {stated!r}")
    if stated is None and given is None:
        log.warning(
            "truth=%r: does not state the noise_protocol; give it (%s)", str(path), " or ".join(NOISE_PROTOCOLS)
        )
    return stated or given or NOT_STATED


def _inputs(folder):
    """What the images of each field are."""
    inputs = {}
    for image in sorted(folder.glob("*.dirty.fits")):
        name = image.name.removesuffix(".dirty.fits")
        if not re.fullmatch("[0-9]+", name):
            log.warning("folder=%r: %s is left out, for fields have numbers (NNNN.dirty.fits)", str(folder), image.name)
            continue
        if int(name) in inputs:
            before = inputs[int(name)]["dirty"].name
            raise EvaluationError(f"folder={str(folder)!r}: {before} and {image.name} are both field {int(name)}")
        companions = {}
        for kind in ("psf", "pb"):
            found = [p for p in (folder / f"{name}.{kind}.fits", folder / f"{kind}.fits") if p.is_file()]
            companions[kind] = found[0] if found else None
        inputs[int(name)] = {"dirty": image, **companions}
    if not inputs:
        raise EvaluationError(f"folder={str(folder)!r}: holds no field (NNNN.dirty.fits)")
    return inputs


def _numbers(column, path, unit=None):
    """The values of a column of the truth, in a unit."""
    name = column.name
    kind = "flux(es)" if name == "flux_jy" else f"value(s) of {name}"

    def check(good, wanted):
        if not good.all():
            bad = (~good).sum()
            raise EvaluationError(f"truth={str(path)!r}: {bad} {kind} are not {wanted}; mend or remove these rows")

    try:
        values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
        if unit is not None and column.unit is not None:
            values = (values * column.unit).to_value(unit)
    except u.UnitConversionError as error:
        raise EvaluationError(f"truth={str(path)!r}: column {name}: {error}") from error
    except (ValueError, TypeError):
        values = np.full(len(column), np.nan)
    check(np.isfinite(values), "numbers")
    if name in RANGES:
        wanted, test = RANGES[name]
        check(test(values), wanted)
    return values if unit is None else values * unit


def true_pixels(truth, wcs):
    """Where the true sources are in an image.

    Parameters
    ----------
    truth : `~astropy.table.QTable`
        As `read_folder` gives it, of one field.
    wcs : `~astropy.wcs.WCS`
        Of the image.

    Returns
    -------
    x : 1D array, shape (len(truth),)
    y : 1D array, shape (len(truth),)
        0-based pixels; NaN behind the tangent plane.
    """
    return wcs.world_to_pixel_values(truth["ra"].to_value(u.deg), truth["dec"].to_value(u.deg))


def true_snr(truth: QTable, dirty: DirtyImage) -> np.ndarray:
    """Peak of each true source in the noiseless dirty image, in units of the noise.

    Parameters
    ----------
    truth : `~astropy.table.QTable`
        As `read_folder` gives it, of one field.
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    1D array, shape (len(truth),); 0 where the image is blank.
    """
    x, y = true_pixels(truth, dirty.wcs)
    pb = np.nan_to_num(dirty.primary_beam_at(x, y))
    scale = gaussian_fwhm_to_sigma / proj_plane_pixel_area(dirty.wcs) ** 0.5
    beam = np.sqrt(np.linalg.det(dirty.beam_covariance))  # of a round beam of the same area
    area = np.ones(len(truth))
    for axis in ("major", "minor"):
        area = area * (1 + (truth[axis].to_value(u.deg) * scale) ** 2 / beam)
    return truth["flux"].to_value(u.Jy) * pb / np.sqrt(area) / dirty.rms
