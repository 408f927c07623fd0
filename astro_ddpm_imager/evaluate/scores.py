"""Purity, completeness and fluxes of catalogues against the truth."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from ..errors import EvaluationError
from .bootstrap import FieldBootstrap, ratio
from .matching import checked_radius, match_in_order, match_positions

__all__ = [
    "NOISE", "flux_estimates", "intervals", "match_catalogs", "score_catalog", "scores_with_intervals", "with_ends",
]  # fmt: skip

NOISE = 50 * u.uJy  # the noise amplitude that the flux fractions of Drozdova et al. 2024 refer to
FEWEST = 3  # errors, for a scatter
ALL = ["field", "ra", "dec", "flux"]
UNITS = {"ra": u.deg, "dec": u.deg, "flux": u.Jy}


def match_catalogs(
    truth: Table, catalog: Table, radius: u.Quantity, most_reliable_first: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Match a catalogue with the truth, one to one in each field.

    Parameters
    ----------
    truth, catalog : `~astropy.table.Table`
        With columns ``field``, ``ra`` and ``dec``, the last two with their units.
    radius : `~astropy.units.Quantity`
        Largest separation of a pair.
    most_reliable_first : bool, optional
        The most reliable source takes its partner first, instead of the
        nearest pair: a source that nobody would keep must not take the partner
        of one that is certain.

    Returns
    -------
    truth_row : 1D array of int
        Rows of the truth that have a partner.
    catalog_row : 1D array of int
        Their partners in the catalogue.

    Raises
    ------
    EvaluationError
        A table lacks a column or its unit, or has positions that are no numbers; or the radius is no positive angle.
    """
    truth = _with_units(truth, "truth", ["field", "ra", "dec"])
    catalog = _with_units(catalog, "catalog", ["field", "ra", "dec", *(["reliability"] if most_reliable_first else [])])
    return _matched(truth, catalog, checked_radius(radius), most_reliable_first)


def _matched(truth, catalog, radius, most_reliable_first=False):
    """The same of tables with units and a radius that are checked."""
    match = match_in_order if most_reliable_first else match_positions
    pairs = [[], []]
    fields = [np.asarray(table["field"]) for table in (truth, catalog)]
    for name in np.unique(fields[0]):
        rows = [np.flatnonzero(field == name) for field in fields]
        if most_reliable_first:
            rows[1] = rows[1][np.argsort(-catalog["reliability"][rows[1]], kind="stable")]
        positions = [SkyCoord(t["ra"][r], t["dec"][r]) for t, r in zip((truth, catalog), rows, strict=True)]
        for kept, index, row in zip(pairs, match(*positions, radius), rows, strict=True):
            kept.append(row[index])
    return tuple(np.concatenate(kept).astype(int) if kept else np.zeros(0, int) for kept in pairs)


def _with_units(table, name, columns):
    """Columns of a table that has them, positions and fluxes as quantities, and what is masked as NaN."""
    missing = [column for column in columns if column not in table.colnames]
    if missing:
        raise EvaluationError(f"{name}: lacks the column(s) {', '.join(missing)}; it has {', '.join(table.colnames)}")
    known = QTable()
    for column in columns:
        values = table[column]
        known[column] = _quantity(values, UNITS[column], f"{name}: column {column!r}") if column in UNITS else values
        if column in ("ra", "dec") and not np.isfinite(known[column]).all():
            raise EvaluationError(f"{name}: some values of column {column!r} are not numbers; remove these rows")
    return known


def _quantity(values, unit, said):
    if getattr(values, "unit", None) is None:
        raise EvaluationError(f"{said} has no unit; give it the one that it is in, such as {unit.to_string()!r}")
    try:
        return u.Quantity(np.ma.filled(np.ma.asarray(values, float), np.nan), values.unit).to(unit)
    except u.UnitConversionError as error:
        raise EvaluationError(f"{said}: {error}") from error


def score_catalog(
    truth: Table, catalog: Table, radius: u.Quantity = 0.45 * u.arcsec, noise: u.Quantity = NOISE
) -> dict:
    """Scores over all fields (Drozdova et al. 2024, section 4).

    Parameters
    ----------
    truth, catalog : `~astropy.table.Table`
        With columns ``field``, and with their units ``ra``, ``dec`` and ``flux``.
    radius : `~astropy.units.Quantity`, optional
        Matching radius.
    noise : `~astropy.units.Quantity`, optional
        Noise amplitude a flux error is compared with.

    Returns
    -------
    dict
        Counts ``true``, ``found``, ``matched``; ``purity``, ``completeness``,
        ``f1``; of the matched sources the fraction of fluxes within the noise
        amplitude, the median flux bias, half of the central 68% and the
        root-mean-square of the flux errors (uJy) and the median position error
        (arcsec). What is not defined is None: a purity without sources found,
        a completeness without true ones, errors without matched ones.

    Raises
    ------
    EvaluationError
        As of `match_catalogs`; or ``noise`` is no flux.
    """
    checked = _checked(truth, catalog, radius, noise)
    fields = np.union1d(*(table["field"] for table in checked[:2]))
    bootstrap = FieldBootstrap(fields if len(fields) else [0], draws=0)
    scores = _scores(*checked, bootstrap)
    return {name: value for name, value in scores.items() if not name.endswith(("_low", "_high"))}


def scores_with_intervals(
    truth: Table, catalog: Table, radius: u.Quantity, bootstrap: FieldBootstrap, noise: u.Quantity = NOISE
) -> dict:
    """Scores over all fields, with intervals; the same scores as `score_catalog`.

    Parameters
    ----------
    truth, catalog : `~astropy.table.Table`
        With columns ``field``, and with their units ``ra``, ``dec`` and ``flux``.
    radius : `~astropy.units.Quantity`
        Matching radius.
    bootstrap : `~astro_ddpm_imager.evaluate.bootstrap.FieldBootstrap`
    noise : `~astropy.units.Quantity`, optional
        As of `score_catalog`.

    Returns
    -------
    dict
        Counts ``true``, ``found`` and ``matched``; of each score ``NAME``,
        ``NAME_low`` and ``NAME_high`` (95%). What is not defined is None: a
        purity without sources found, a completeness without true ones.
    """
    return _scores(*_checked(truth, catalog, radius, noise), bootstrap)


def _checked(truth, catalog, radius, noise):
    """What is scored: tables with units, a radius and a flux."""
    tables = (_with_units(table, name, ALL) for table, name in ((truth, "truth"), (catalog, "catalog")))
    return *tables, checked_radius(radius), _quantity(noise, u.uJy, "noise")


def _scores(truth, catalog, radius, noise, bootstrap):
    i, j = _matched(truth, catalog, radius)
    there, seen = np.asarray(truth["field"]), np.asarray(catalog["field"])
    true, found = bootstrap.total(np.ones(len(there)), there), bootstrap.total(np.ones(len(seen)), seen)
    matched = bootstrap.total(np.ones(len(i)), there[i])
    some = np.where(true > 0, true + found, 0)  # without true sources there is no F1
    scores = {
        "purity": ratio(matched, found),
        "completeness": ratio(matched, true),
        "f1": ratio(2 * matched, some),
        **flux_estimates((catalog["flux"][j] - truth["flux"][i]).to_value(u.uJy), there[i], bootstrap, noise),
    }
    apart = SkyCoord(truth["ra"][i], truth["dec"][i]).separation(SkyCoord(catalog["ra"][j], catalog["dec"][j]))
    scores["position_error_arcsec"] = bootstrap.quantile(apart.arcsec, there[i], 0.5)
    return {"true": len(truth), "found": len(catalog), "matched": len(i), **intervals(scores, bootstrap)}


def flux_estimates(error, field, bootstrap, noise=NOISE):
    """Of flux errors: fraction within the noise, median, half of the central 68%, root mean square.

    Parameters
    ----------
    error : 1D array
        uJy.
    field : 1D array of int
        Of each.
    bootstrap : `~astro_ddpm_imager.evaluate.bootstrap.FieldBootstrap`
    noise : `~astropy.units.Quantity`, optional

    Returns
    -------
    dict of 1D array
        Estimates, by name.
    """
    low, high = (bootstrap.quantile(error, field, q) for q in (0.16, 0.84))
    if len(error) < FEWEST:
        low = np.full(len(low), np.nan)
    return {
        "flux_within_noise": bootstrap.mean(np.abs(error) < noise.to_value(u.uJy), field),
        "flux_bias_uJy": bootstrap.quantile(error, field, 0.5),
        "flux_scatter_uJy": (high - low) / 2,
        "flux_rms_uJy": bootstrap.rms(error, field),
    }


def intervals(estimates, bootstrap):
    """Values and the ends of their intervals.

    Parameters
    ----------
    estimates : dict of 1D array
        By name.
    bootstrap : `~astro_ddpm_imager.evaluate.bootstrap.FieldBootstrap`

    Returns
    -------
    dict
        Of each ``NAME``, ``NAME_low`` and ``NAME_high``.
    """
    parts = {}
    for name, estimate in estimates.items():
        parts |= with_ends(name, bootstrap.interval(estimate))
    return parts


def with_ends(name, interval):
    """A value and the ends of its interval, by name.

    Parameters
    ----------
    name : str
    interval : tuple
        Value, low and high.

    Returns
    -------
    dict
    """
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
