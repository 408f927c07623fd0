"""How good a catalogue is: matching with the truth, and scores."""

from .matching import match_positions
from .scores import reliability_diagram, score_catalog, scores_by_snr

__all__ = ["match_positions", "reliability_diagram", "score_catalog", "scores_by_snr"]
