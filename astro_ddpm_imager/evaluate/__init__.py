"""How good a catalogue is: matching with the truth, scores, calibration, and other programs to compare with."""

from .bootstrap import FieldBootstrap
from .calibration import (
    calibration_error,
    coverage,
    fit_error_scale,
    fit_reliability,
    rank_test,
    reliability_threshold,
)
from .calibration_tables import fit_calibration
from .fields import read_folder, true_snr
from .matched_filter import matched_filter
from .matching import match_positions
from .report import write_report
from .run import MATCHED_FILTER, OURS, RISING_FILTER, Evaluation, run_fields
from .scores import match_catalogs, score_catalog, scores_with_intervals
from .summary import Summary

__all__ = [
    "MATCHED_FILTER",
    "OURS",
    "RISING_FILTER",
    "Evaluation",
    "FieldBootstrap",
    "Summary",
    "calibration_error",
    "coverage",
    "fit_calibration",
    "fit_error_scale",
    "fit_reliability",
    "match_catalogs",
    "match_positions",
    "matched_filter",
    "rank_test",
    "read_folder",
    "reliability_threshold",
    "run_fields",
    "score_catalog",
    "scores_with_intervals",
    "true_snr",
    "write_report",
]
