"""Put a calibration that was fitted on simulated fields into the card of a model, and its default reliability.

astro-ddpm-imager simulate --fields 60 --seed 31 --integration 60 --output-dir runs/fields
astro-ddpm-imager evaluate runs/fields --raw --radius 0.45 --seed 5 --output runs/calibration
python -m export.calibrate runs/calibration --errors runs/calibration runs/errors --kinds runs/calibration runs/kinds/*
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import QTable
from scipy.ndimage import gaussian_filter1d

from astro_ddpm_imager import EvaluationError, load_card
from astro_ddpm_imager.sources.calibration import calibrated_reliability

LEVELS = np.round(np.arange(0.05, 0.96, 0.01), 2)
ERRORS = ("flux_err", "position_err")  # factors
SMOOTHING = 3  # levels: standard deviation; the curve is flat, and its steps are single candidates


def f1_by_level(report, calibration):
    """F1 of the fields of a report, cut at each of the levels.

    Parameters
    ----------
    report : `~pathlib.Path`
        Folder of a report made with ``--raw``.
    calibration : dict
        Of the reliabilities, as `~astro_ddpm_imager.sources.calibration.calibrated_reliability` takes it.

    Returns
    -------
    1D array, shape ``LEVELS.shape``
    """
    candidates = QTable.read(report / "candidates.ecsv")
    number = QTable.read(report / "by_threshold.ecsv")["true"][0]
    reliability = calibrated_reliability(np.asarray(candidates["reliability"]), calibration)
    kept = reliability >= LEVELS[:, None]
    return 2 * (kept & candidates["true"]).sum(1) / (kept.sum(1) + number)


def best_level(curves):
    """The level with the best F1, smoothed, on average over kinds of fields, each relative to its own best.

    Parameters
    ----------
    curves : 2D array, shape (kinds, levels)

    Returns
    -------
    float
    """
    curves = gaussian_filter1d(curves, SMOOTHING, axis=1, mode="nearest")
    return float(LEVELS[(curves / curves.max(axis=1, keepdims=True)).mean(0).argmax()])


def check_fitted(report, calibration, names):
    """Check that there was enough in a report to fit what is taken from it.

    Parameters
    ----------
    report : `~pathlib.Path`
    calibration : dict
        As it is in the report.
    names : list of str

    Raises
    ------
    EvaluationError
        Some of it could not be fitted.
    """
    missing = [name for name in names if calibration[name] is None]
    if missing:
        raise EvaluationError(
            f"report={str(report)!r}: too few of its sources were found to fit {', '.join(missing)}; take more fields"
        )


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="folder of a report made with evaluate --raw")
    parser.add_argument("--errors", nargs="+", type=Path, help="reports to take the factors of the errors from")
    parser.add_argument("--kinds", nargs="+", type=Path, help="reports, a kind of fields each, for the reliability")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    calibration, *errors = (
        json.loads((report / "calibration.json").read_text()) for report in (args.report, *(args.errors or ()))
    )
    check_fitted(args.report, calibration, ["threshold"] if errors else ["threshold", *ERRORS])
    for report, one in zip(args.errors or (), errors, strict=True):
        check_fitted(report, one, ERRORS)
    if errors:
        fields = [one["fields"] for one in errors]
        for name in ERRORS:
            calibration[name] = float(np.exp(np.average(np.log([one[name] for one in errors]), weights=fields)))
        calibration["error_fields"] = sum(fields)
    if args.kinds:
        curves = [f1_by_level(report, calibration["reliability"]) for report in args.kinds]
        level = calibration["threshold"] = best_level(curves)
        calibration["kinds"] = [report.name for report in args.kinds]
        for report, curve in zip(args.kinds, curves, strict=True):
            here, best = curve[np.searchsorted(LEVELS, level)], curve.argmax()
            print(f"{report.name}: F1 {here:.3f}, best {curve[best]:.3f} at {LEVELS[best]:g}")
    print(f"default reliability {calibration['threshold']:.3g}")
    card, path = load_card(args.model)
    replace(card, calibration=calibration, reliability=calibration["threshold"]).write(path.with_suffix(".json"))


if __name__ == "__main__":
    main()
