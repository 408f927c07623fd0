"""Intervals, calibration and rank tests, on numbers whose truth is known."""

import numpy as np
import pytest

from astro_ddpm_imager import DiffusionImager, load_card
from astro_ddpm_imager.errors import SettingError
from astro_ddpm_imager.evaluate import (
    FieldBootstrap,
    calibration_error,
    coverage,
    fit_error_scale,
    fit_reliability,
    rank_test,
    reliability_threshold,
)
from astro_ddpm_imager.evaluate.bootstrap import fraction_with_interval
from astro_ddpm_imager.sources.aggregation import Detections, merge
from astro_ddpm_imager.sources.calibration import calibrate, calibrated_reliability
from export.calibrate import LEVELS, best_level


def test_estimates_of_the_fields_as_they_are():
    rng = np.random.default_rng(0)
    values, field = rng.normal(size=25), rng.integers(0, 6, 25)
    bootstrap = FieldBootstrap(range(6))
    assert bootstrap.mean(values, field)[0] == pytest.approx(values.mean())
    assert bootstrap.rms(values, field)[0] == pytest.approx(np.sqrt((values**2).mean()))
    for n in (24, 25):
        assert bootstrap.quantile(values[:n], field[:n], 0.5)[0] == pytest.approx(np.median(values[:n]))


def test_intervals_hold_what_they_say():
    """Sources of one field that all share its error: 95% of the intervals hold the true mean, 0."""
    rng = np.random.default_rng(1)
    field = np.repeat(np.arange(40), 5)
    held = 0
    for _ in range(200):
        bootstrap = FieldBootstrap(range(40), draws=300)
        _, low, high = bootstrap.interval(bootstrap.mean(rng.normal(size=40)[field], field))
        held += low <= 0 <= high
    assert 0.88 <= held / 200 <= 0.98


def test_what_cannot_be_estimated_is_none():
    bootstrap = FieldBootstrap([3, 5])
    nothing = np.zeros(0)
    assert bootstrap.interval(bootstrap.mean(nothing, nothing.astype(int))) == (None, None, None)
    assert bootstrap.interval(bootstrap.quantile(nothing, nothing.astype(int), 0.5)) == (None, None, None)
    assert fraction_with_interval(nothing.astype(bool)) == (None, None, None)
    # A single field can be measured, but says nothing of others.
    single = FieldBootstrap([3])
    assert single.interval(single.mean(np.array([1.0, 2.0]), np.array([3, 3]))) == (1.5, None, None)
    # So do several, if all there is to measure lies in one of them.
    assert bootstrap.interval(bootstrap.mean(np.array([1.0, 2.0]), np.array([3, 3]))) == (1.5, None, None)


def test_all_true_of_a_few_is_not_certain():
    fraction, low, high = fraction_with_interval(np.ones(3, dtype=bool))
    assert (fraction, high) == (1, pytest.approx(1)) and low < 0.5


def overconfident(n, seed=0):
    """Reliabilities of which the true logit is half."""
    rng = np.random.default_rng(seed)
    reliability = rng.uniform(0.01, 0.99, n)
    odds = np.sqrt(reliability / (1 - reliability))
    return reliability, rng.random(n) < odds / (1 + odds)


def test_calibration_error_tells_reliable_from_overconfident():
    rng = np.random.default_rng(2)
    reliability = rng.random(3000)
    error, by_chance = calibration_error(reliability, rng.random(3000) < reliability)
    assert error < 2 * by_chance < 0.05
    assert calibration_error(*overconfident(3000))[0] > 0.08
    assert np.isnan(calibration_error([], [])).all()


def test_fitted_calibration_holds_on_other_candidates():
    calibration = fit_reliability(*overconfident(400), n_samples=100)
    assert calibration["slope"] == pytest.approx(0.5, abs=0.12)
    reliability, true = overconfident(3000, seed=1)
    assert calibration_error(calibrated_reliability(reliability, calibration), true)[0] < 0.04
    levels = calibrated_reliability(np.linspace(0, 1, 50), calibration)
    assert (np.diff(levels) > 0).all() and 0 < levels[0] < levels[-1] < 1


def test_few_candidates_change_little():
    calibration = fit_reliability([0.9], [True], n_samples=20)
    assert calibrated_reliability(0.9, calibration) == pytest.approx(0.9, abs=0.05)


def test_coverage_and_the_scale_of_errors():
    error = np.random.default_rng(3).normal(0, 2, 4000)
    inside = coverage(error, np.ones(4000), (0.68, 0.95)).mean(1)
    assert inside == pytest.approx([0.381, 0.673], abs=0.03)
    assert fit_error_scale(error, np.ones(4000)) == pytest.approx(2, rel=0.05)
    assert fit_error_scale(error[:0], error[:0]) is None


def test_threshold_for_f1_and_for_purity():
    reliability = [0.9, 0.8, 0.8, 0.4, 0.3, 0.2]
    true = [True, True, True, False, True, False]
    assert reliability_threshold(reliability, true, n_true=4) == 0.3
    assert reliability_threshold(reliability, true, n_true=40) == 0.3
    assert reliability_threshold(reliability, true, n_true=4, purity=0.95) == 0.8
    assert reliability_threshold([0.9], [False], n_true=4, purity=0.95) is None
    assert reliability_threshold([], [], n_true=0) is None


def test_ranks():
    rng = np.random.default_rng(4)
    counts, expected, p = rank_test(rng.integers(0, 21, 300), 20)
    assert counts.sum() == 300 and expected.sum() == pytest.approx(300) and p > 0.01
    # Samples that spread too little: the truth is outermost too often.
    truth, samples = rng.normal(0, 1.5, 300), rng.normal(size=(20, 300))
    assert rank_test((samples < truth).sum(0), 20)[2] < 1e-4
    assert np.isnan(rank_test([], 20)[2])


def test_the_calibration_of_a_card_changes_reliabilities_and_errors():
    found = Detections(
        *(np.array(v, float) for v in ([0, 1], [5, 5.2], [7, 7], [2, 3])),
        np.tile(np.eye(2), (2, 1, 1)),
        np.zeros((2, 3)),
        np.arange(2),
        np.ones(2),
    )
    merged = merge(found, n_samples=4, radius=1.0)
    calibration = {
        "reliability": {"slope": 1.0, "intercept": -1.0, "n_samples": 20}, "flux_err": 0.5, "position_err": 2.0,
    }  # fmt: skip
    calibrated = calibrate(merged, calibration)
    assert calibrated.reliability[0] == pytest.approx(1 / (1 + np.e)) and calibrated.fraction[0] == 0.5
    assert calibrated.flux_err == pytest.approx(merged.flux_err / 2) and calibrated.x_err == 2 * merged.x_err
    assert calibrate(merged, {}) is merged


def test_a_purity_is_a_reliability_of_the_calibration():
    known = {float(p): level for p, level in load_card("default")[0].calibration["purity"].items() if level is not None}
    for purity, level in known.items():
        assert DiffusionImager(purity=purity, device="cpu").reliability == level
    assert list(known.values()) == sorted(known.values())
    with pytest.raises(SettingError, match=r"purity=0.77: the calibration of model 'default' has 0.8"):
        DiffusionImager(purity=0.77, device="cpu")
    with pytest.raises(SettingError, match=r"purity=\[0.9\]: the calibration of model 'default' has 0.8"):
        DiffusionImager(purity=[0.9], device="cpu")
    with pytest.raises(SettingError, match=r"purity=0.9 and reliability=0.5: give one of them"):
        DiffusionImager(purity=0.9, reliability=0.5, device="cpu")
    with pytest.raises(SettingError, match=r"has none, there is no calibration"):
        DiffusionImager(purity=0.9, calibrate=False, device="cpu")


def test_the_default_reliability_serves_all_kinds_of_fields():
    """One kind is served best by 0.2 and one by 0.4, which loses more elsewhere."""
    low, high = 0.5 - (LEVELS - 0.2) ** 2, 0.9 - 9 * (LEVELS - 0.4) ** 2
    assert best_level([low]) == pytest.approx(0.2) and best_level([high]) == pytest.approx(0.4)
    assert 0.35 < best_level([low, high]) < 0.4
