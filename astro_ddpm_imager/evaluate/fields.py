"""Folders of simulated fields with the truth beside them."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from astropy.table import QTable, Table
from scipy.ndimage import map_coordinates

from ..errors import EvaluationError

__all__ = ["read_folder", "true_snr"]

COLUMNS = ("field", "ra", "dec", "flux_jy", "maj_arcsec", "min_arcsec", "pa_deg")


def read_folder(folder, truth=None):
    """Find the fields of a folder, as `~astro_ddpm_imager.simulate.simulate_fields` lays it out.

    Parameters
    ----------
    folder : path-like
        With ``NNNN.dirty.fits``; ``psf.fits`` and ``pb.fits`` for all of them,
        or ``NNNN.psf.fits`` and ``NNNN.pb.fits`` for each, where there are any.
    truth : path-like, optional
        Table of the true sources; by default ``truth.ecsv`` in the folder.

    Returns
    -------
    inputs : dict of dict
        By number of the field, the arguments of a `~astro_ddpm_imager.DiffusionImager`.
    truth : `~astropy.table.QTable`
        Columns ``field``, ``ra``, ``dec``, ``flux`` (before the primary beam),
        ``major`` and ``minor`` (FWHM), ``pa`` (east of north). Its ``meta`` has the
        ``noise_protocol``: the table's, or ``"independent"`` where it names none.

    Raises
    ------
    EvaluationError
        The truth lacks a column or is of other fields, or there are no fields.
    """
    folder = Path(folder)
    path = folder / "truth.ecsv" if truth is None else Path(truth)
    if not path.is_file():
        raise EvaluationError(f"truth={str(path)!r}: there is no such file")
    table = Table.read(path)
    missing = [name for name in COLUMNS if name not in table.colnames]
    if missing:
        raise EvaluationError(f"truth={str(path)!r}: lacks the column(s) {', '.join(missing)}")
    for name in COLUMNS[1:]:
        values = np.asarray(table[name], dtype=float)
        if not np.isfinite(values).all():
            bad, kind = (~np.isfinite(values)).sum(), "flux(es)" if name == "flux_jy" else f"value(s) of {name}"
            raise EvaluationError(f"truth={str(path)!r}: {bad} {kind} are not numbers; mend or remove these rows")
    inputs = {}
    for image in sorted(folder.glob("[0-9]*.dirty.fits")):
        name = image.name.split(".")[0]
        companions = {}
        for kind in ("psf", "pb"):
            found = [p for p in (folder / f"{name}.{kind}.fits", folder / f"{kind}.fits") if p.is_file()]
            companions[kind] = found[0] if found else None
        inputs[int(name)] = {"dirty": image, **companions}
    if not inputs:
        raise EvaluationError(f"folder={str(folder)!r}: holds no field (NNNN.dirty.fits)")
    if len(table) and not set(table["field"]) & set(inputs):
        raise EvaluationError(f"truth={str(path)!r}: none of its fields is among those of {folder}")
    table = table[np.isin(table["field"], list(inputs))]
    return inputs, QTable(
        {
            "field": np.asarray(table["field"], dtype=int),
            "ra": np.asarray(table["ra"], dtype=float) * u.deg,
            "dec": np.asarray(table["dec"], dtype=float) * u.deg,
            "flux": np.asarray(table["flux_jy"], dtype=float) * u.Jy,
            "major": np.asarray(table["maj_arcsec"], dtype=float) * u.arcsec,
            "minor": np.asarray(table["min_arcsec"], dtype=float) * u.arcsec,
            "pa": np.asarray(table["pa_deg"], dtype=float) * u.deg,
        },
        meta={"noise_protocol": table.meta.get("noise_protocol", "independent")},
    )


def true_snr(truth, dirty):
    """Peak of each true source in the noiseless dirty image, in units of the noise.

    Parameters
    ----------
    truth : `~astropy.table.QTable`
        As `read_folder` gives it, of one field.
    dirty : `~astro_ddpm_imager.dirty.DirtyImage`

    Returns
    -------
    1D array, shape (len(truth),); 0 where the image is blank.
    """
    x, y = dirty.wcs.world_to_pixel_values(truth["ra"].to_value(u.deg), truth["dec"].to_value(u.deg))
    pb = map_coordinates(np.nan_to_num(dirty.pb), [y, x], order=1)
    scale = gaussian_fwhm_to_sigma / np.sqrt(abs(np.linalg.det(dirty.wcs.pixel_scale_matrix)))
    beam = np.sqrt(np.linalg.det(dirty.beam_covariance))  # of a round beam of the same area
    area = np.ones(len(truth))
    for axis in ("major", "minor"):
        area = area * (1 + (truth[axis].to_value(u.deg) * scale) ** 2 / beam)
    return truth["flux"].to_value(u.Jy) * pb / np.sqrt(area) / dirty.rms
