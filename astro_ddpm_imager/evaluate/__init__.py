"""How good a catalogue is: matching with the truth, scores, and the matched filter to compare with."""

from .fields import read_folder, true_snr
from .matched_filter import matched_filter
from .matching import match_positions
from .scores import reliability_diagram, score_catalog, scores_by_snr

__all__ = [
    "match_positions",
    "matched_filter",
    "read_folder",
    "reliability_diagram",
    "score_catalog",
    "scores_by_snr",
    "true_snr",
]
