"""Do reliabilities and errors hold: expected calibration error, coverage, and a calibration that makes them."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit
from scipy.stats import chisquare, norm

from ..sources.calibration import reliability_logit

__all__ = [
    "calibration_error",
    "coverage",
    "fit_error_scale",
    "fit_reliability",
    "rank_test",
    "reliability_bins",
    "reliability_threshold",
]

FEWEST_EXPECTED = 5  # counts in a bin, for a chi-squared test (Cochran 1954, Biometrics 10, 417)
PRIOR_WIDTH = 1.0  # of slope and intercept around 1 and 0, so that few candidates change little


def calibration_error(reliability: np.ndarray, true: np.ndarray, bins: int = 10) -> tuple[float, float]:
    """Expected calibration error: mean distance of reliability and true fraction, over bins of equal width.

    Parameters
    ----------
    reliability : 1D array
        From 0 to 1.
    true : 1D array of bool
    bins : int, optional

    Returns
    -------
    error : float
        NaN without candidates.
    by_chance : float
        What perfectly reliable reliabilities have on average, from their number alone.
    """
    reliability, true = np.asarray(reliability, dtype=float), np.asarray(true, dtype=float)
    if not len(reliability):
        return np.nan, np.nan
    which = reliability_bins(reliability, bins)

    def error(outcomes):
        return np.abs(np.bincount(which, outcomes - reliability, bins)).sum() / len(reliability)

    rng = np.random.default_rng(0)
    by_chance = np.mean([error(rng.random(len(reliability)) < reliability) for _ in range(200)])
    return float(error(true)), float(by_chance)


def reliability_bins(reliability, bins=10):
    """Number of the bin of equal width, from 0, that each reliability is in.

    Parameters
    ----------
    reliability : 1D array
        From 0 to 1.
    bins : int, optional

    Returns
    -------
    1D array of int
    """
    return np.minimum((np.asarray(reliability) * bins).astype(int), bins - 1)


def coverage(error: np.ndarray, sigma: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Which errors lie within the Gaussian interval of each level.

    Parameters
    ----------
    error, sigma : 1D arrays, shape (n,)
        Errors, and their standard deviations as claimed.
    levels : sequence of float
        Probabilities of the intervals.

    Returns
    -------
    2D array of bool, shape (levels, n)
    """
    away = np.abs(error) / sigma
    return np.stack([away <= norm.ppf((1 + level) / 2) for level in levels])


def rank_test(ranks: np.ndarray, n_samples: int, bins: int = 7) -> tuple[np.ndarray, np.ndarray, float]:
    """Chi-squared test that all ranks of the truth among the samples are equally likely.

    Parameters
    ----------
    ranks : 1D array of int, from 0 to ``n_samples``
    n_samples : int
    bins : int, optional
        Number of bins, at most; a bin holds whole ranks.

    Returns
    -------
    counts, expected : 1D arrays
        Numbers of ranks in each bin.
    p : float
        Probability of counts as uneven as these, NaN where a bin should hold
        fewer than five. Ranks of one field are not quite independent.
    """
    edges = np.unique(np.linspace(0, n_samples + 1, bins + 1).round().astype(int))
    counts = np.histogram(ranks, edges - 0.5)[0]
    expected = len(ranks) * np.diff(edges) / (n_samples + 1)
    p = chisquare(counts, expected).pvalue if expected.min() >= FEWEST_EXPECTED else np.nan
    return counts, expected, float(p)


def fit_reliability(reliability: np.ndarray, true: np.ndarray, n_samples: int) -> dict:
    """Fit a monotone calibration of the reliability: logit p = intercept + slope * logit r.

    Two parameters (Platt 1999) rather than isotonic steps, which need
    thousands of candidates, and which leave many sources with one value.

    Parameters
    ----------
    reliability : 1D array
        Raw, from 0 to 1, of all candidates.
    true : 1D array of bool
        Whether each exists.
    n_samples : int
        Number of samples: 0 and 1 count as half a sample away from there.

    Returns
    -------
    dict
        ``slope``, ``intercept`` and ``n_samples``, as
        `~astro_ddpm_imager.sources.calibration.calibrated_reliability` takes them.
    """
    x = reliability_logit(reliability, n_samples)
    sign = np.where(np.asarray(true, dtype=bool), 1, -1)

    def loss(parameters):
        log_slope, intercept = parameters
        likelihood = log_expit(sign * (intercept + np.exp(log_slope) * x)).sum()
        return -likelihood + (log_slope**2 + intercept**2) / (2 * PRIOR_WIDTH**2)

    log_slope, intercept = minimize(loss, [0.0, 0.0]).x
    return {"slope": float(np.exp(log_slope)), "intercept": float(intercept), "n_samples": int(n_samples)}


def fit_error_scale(error: np.ndarray, sigma: np.ndarray, levels: Sequence[float] = (0.68, 0.95)) -> float | None:
    """Factor for claimed errors, with which the intervals of the levels cover what they say.

    Parameters
    ----------
    error, sigma : 1D arrays
        Errors of matched sources, and their standard deviations as claimed.
    levels : sequence of float, optional

    Returns
    -------
    float or None
        Where several levels ask for different factors, the one with the
        smallest squared distance of coverages; None without errors.
    """
    away = np.sort(np.abs(error) / sigma)
    if not len(away):
        return None
    factors = np.geomspace(0.1, 10, 801)
    distance = 0
    for level in levels:
        within = np.searchsorted(away, factors * norm.ppf((1 + level) / 2), side="right") / len(away)
        distance = distance + (within - level) ** 2
    # Coverage is a step function: the middle of the best factors.
    return float(np.exp(np.log(factors[distance <= distance.min() + 1e-12]).mean()))


def reliability_threshold(
    reliability: np.ndarray, true: np.ndarray, n_true: int, purity: float | None = None
) -> float | None:
    """Lowest reliability for the best F1, or for a purity.

    Parameters
    ----------
    reliability : 1D array
        Of all candidates.
    true : 1D array of bool or float
        Whether each exists, or how probable that is: probabilities, as
        calibrated, depend less on the luck of the fields.
    n_true : int
        Number of true sources, found or not.
    purity : float, optional
        Largest catalogue with this purity; by default the best F1.

    Returns
    -------
    float or None
        None where no threshold reaches the purity.
    """
    order = np.argsort(-np.asarray(reliability, dtype=float), kind="stable")
    levels = np.asarray(reliability, dtype=float)[order]
    matched = np.cumsum(np.asarray(true, dtype=float)[order])
    found = np.arange(1, len(levels) + 1)
    # Candidates of one reliability come together.
    last = np.append(levels[1:] < levels[:-1], True)[: len(levels)]
    if purity is None:
        score = np.where(last, 2 * matched / (found + n_true), -1)
        return float(levels[score.argmax()]) if len(levels) else None
    enough = np.flatnonzero(last & (matched / found >= purity))
    return float(levels[enough[-1]]) if len(enough) else None
