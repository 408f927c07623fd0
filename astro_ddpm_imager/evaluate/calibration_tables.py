"""Calibration of an evaluation, as tables."""

import itertools

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ..sources.calibration import calibrated_reliability
from .bootstrap import fraction_with_interval, ratio
from .calibration import (
    calibration_error,
    coverage,
    fit_error_scale,
    fit_reliability,
    rank_test,
    reliability_bins,
    reliability_threshold,
)
from .images import LEVELS
from .run import OURS
from .scores import match_catalogs
from .summary import Summary, as_table

__all__ = ["calibration_errors", "coverages", "fit_calibration", "ranks", "reliabilities"]

WORTH_A_LOOK = 0.1  # reliability of candidates that someone may keep
ENDS = ("coverage", "coverage_low", "coverage_high")
PURITIES = (0.8, 0.9, 0.95, 0.99)


def reliabilities(summary):
    """True fraction of the candidates in bins of their reliability.

    Parameters
    ----------
    summary : `~astro_ddpm_imager.evaluate.summary.Summary`

    Returns
    -------
    `~astropy.table.Table`
    """
    candidates = summary.candidates
    reliability = np.asarray(candidates["reliability"])
    rows = []
    which = reliability_bins(reliability)
    for k, (low, high) in enumerate(itertools.pairwise(np.linspace(0, 1, 11).round(1))):
        chosen = which == k
        true, true_low, true_high = fraction_with_interval(candidates["true"][chosen])
        rows.append(
            {
                "reliability_from": float(low), "reliability_to": float(high), "candidates": int(chosen.sum()),
                "reliability": float(reliability[chosen].mean()) if chosen.any() else None, "true_fraction": true,
                "true_fraction_low": true_low, "true_fraction_high": true_high,
            }
        )  # fmt: skip
    table = as_table(rows)
    return table[table["candidates"] > 0]


def calibration_errors(summary):
    """Expected calibration error of the reliability; of a raw one also as calibrated on the other half of the fields.

    Parameters
    ----------
    summary : `~astro_ddpm_imager.evaluate.summary.Summary`

    Returns
    -------
    `~astropy.table.Table`
    """
    candidates = summary.candidates
    given, true = np.asarray(candidates["reliability"]), np.asarray(candidates["true"])
    kinds = {"calibrated by the model's card" if summary.settings["calibrated"] else "raw": given}
    odd = np.isin(candidates["field"], summary.fields[1::2])
    if not summary.settings["calibrated"] and odd.any() and not odd.all():
        fitted = given.copy()
        for half in (odd, ~odd):
            calibration = fit_reliability(given[~half], true[~half], summary.settings["n_samples"])
            fitted[half] = calibrated_reliability(given[half], calibration)
        kinds["calibrated on the other half of the fields"] = fitted
    rows = []
    for name, reliability in kinds.items():
        for which, least in (("all", 0), (f"above {WORTH_A_LOOK:g}", WORTH_A_LOOK)):
            chosen = given >= least
            error, by_chance = calibration_error(reliability[chosen], true[chosen])
            low, high = _interval_of_error(summary, reliability[chosen], true[chosen], candidates["field"][chosen])
            known = bool(chosen.any())
            rows.append(
                {
                    "reliability": name, "candidates": which, "number": int(chosen.sum()),
                    "calibration_error": error if known else None, "calibration_error_low": low,
                    "calibration_error_high": high, "by_chance_alone": by_chance if known else None,
                }
            )  # fmt: skip
    return as_table(rows)


def _interval_of_error(summary, reliability, true, field):
    """Ends of the interval of the expected calibration error, from drawing the fields again."""
    bootstrap = summary.bootstrap
    which = reliability_bins(reliability)
    total = bootstrap.total(np.ones(len(true)), field)
    away = [bootstrap.total((true - reliability)[which == k], field[which == k]) for k in np.unique(which)]
    return bootstrap.interval(ratio(np.abs(away).sum(0), total))[1:] if away else (None, None)


def coverages(summary):
    """How often the truth lies in the intervals of fluxes, positions and pixels.

    Parameters
    ----------
    summary : `~astro_ddpm_imager.evaluate.summary.Summary`

    Returns
    -------
    `~astropy.table.Table`
    """
    errors = _errors(summary, OURS)
    quantities = {
        "flux": errors["flux"],
        "position": tuple(np.concatenate(pair) for pair in zip(errors["ra"], errors["dec"], strict=True)),
    }
    for method in summary.methods:
        if method != OURS and "flux_err" in summary.evaluation.catalogs[method].colnames:
            quantities[f"flux, {method}"] = _errors(summary, method)["flux"]
    rows = []
    # What belongs to one field goes together: only drawing the fields again gives an interval.
    for name, (error, sigma, field) in quantities.items():
        for level, inside in zip(LEVELS, coverage(error, sigma, LEVELS), strict=True):
            rows.append({"quantity": name, "level": level, "number": len(error)})
            estimate = summary.bootstrap.mean(inside, field)
            rows[-1] |= dict(zip(ENDS, summary.bootstrap.interval(estimate), strict=True))
    measured = summary.evaluation.measured
    pixels = [measured[number]["coverage"]["pixels"] for number in summary.fields]
    for kind, level in itertools.product(("quantiles", "deviation"), LEVELS):
        inside = [measured[number]["coverage"][kind].get(str(level)) for number in summary.fields]
        if None not in inside:
            estimate = ratio(*(summary.bootstrap.total(counts, summary.fields) for counts in (inside, pixels)))
            rows.append({"quantity": f"pixels, {kind}", "level": level, "number": int(sum(pixels))})
            rows[-1] |= dict(zip(ENDS, summary.bootstrap.interval(estimate), strict=True))
    return as_table(rows)


def _errors(summary, method):
    """Of the matched sources with a claimed error: the true one, the claimed, and the field, by quantity."""
    truth, catalog = summary.truth, summary.catalog(method)
    i, j = match_catalogs(truth, catalog, summary.radius)
    true, found = (SkyCoord(table["ra"][rows], table["dec"][rows]) for table, rows in ((truth, i), (catalog, j)))
    east, north = true.spherical_offsets_to(found)
    errors = {
        "flux": ((catalog["flux"][j] - truth["flux"][i]).to_value(u.Jy), catalog["flux_err"][j].to_value(u.Jy)),
        "ra": (east.to_value(u.deg), catalog["ra_err"][j].to_value(u.deg)),
        "dec": (north.to_value(u.deg), catalog["dec_err"][j].to_value(u.deg)),
    }
    field = np.asarray(truth["field"][i])
    return {
        name: tuple(values[claimed > 0] for values in (error, claimed, field))
        for name, (error, claimed) in errors.items()
    }


def ranks(summary):
    """Rank tests: whether the truth is like one more sample.

    Parameters
    ----------
    summary : `~astro_ddpm_imager.evaluate.summary.Summary`

    Returns
    -------
    `~astropy.table.Table`
        A row per quantity; ``counts`` and ``expected`` have a column per bin.
    """
    measured, number = summary.evaluation.measured, summary.settings["n_samples"]
    rows = []
    for name in next(iter(measured.values()))["ranks"]:
        values = [rank for field in measured.values() for rank in field["ranks"][name]]
        counts, expected, p = rank_test(values, number)
        rows.append({"quantity": name, "number": len(values), "p": p if np.isfinite(p) else None})
        rows[-1] |= {"counts": counts, "expected": expected}
    return as_table(rows)


def fit_calibration(summary: Summary) -> dict:
    """Calibration that would make reliabilities and errors of these fields hold, for the card of a model.

    To be fitted on simulated fields, and judged on others.

    Parameters
    ----------
    summary : `~astro_ddpm_imager.evaluate.summary.Summary`

    Returns
    -------
    dict
        ``reliability``, as `~astro_ddpm_imager.sources.calibration.calibrated_reliability` takes it; ``flux_err`` and
        ``position_err``, factors (None without matched sources); the
        calibrated ``threshold`` of the best F1, and by purity, as text,
        ``purity`` (None where it is not reached); ``fields`` and
        ``candidates``, the numbers it rests on.
    """
    candidates = summary.candidates
    raw, true = np.asarray(candidates["reliability"]), np.asarray(candidates["true"])
    reliability = fit_reliability(raw, true, summary.settings["n_samples"])
    calibrated = calibrated_reliability(raw, reliability)
    errors = _errors(summary, OURS)
    flux, flux_err, _ = errors["flux"]
    position, position_err = (np.concatenate([errors["ra"][k], errors["dec"][k]]) for k in (0, 1))
    number = len(summary.truth)
    return {
        "reliability": reliability,
        "flux_err": fit_error_scale(flux, flux_err),
        "position_err": fit_error_scale(position, position_err),
        "threshold": reliability_threshold(calibrated, calibrated, number),
        "purity": {str(purity): reliability_threshold(calibrated, calibrated, number, purity) for purity in PURITIES},
        "fields": len(summary.fields),
        "candidates": len(candidates),
    }
