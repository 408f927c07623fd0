"""Scores with the intervals of drawing the fields again."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from astro_ddpm_imager.evaluate import FieldBootstrap, match_catalogs, score_catalog, scores_with_intervals

RADIUS = 0.45 * u.arcsec


def random_catalogs(seed=0, n=60):
    rng = np.random.default_rng(seed)

    def table(ra, flux, field):
        return QTable({"field": field, "ra": ra * u.deg, "dec": np.zeros(len(ra)) * u.deg, "flux": flux * u.Jy})

    field, ra = rng.integers(0, 12, n), 150 + rng.uniform(0, 2e-3, n)
    truth = table(ra, rng.uniform(5e-5, 5e-4, n), field)
    kept = rng.random(n) < 0.7
    found = table(
        ra[kept] + rng.normal(0, 6e-5, kept.sum()),
        truth["flux"][kept].value + rng.normal(4e-5, 1e-5, kept.sum()),
        field[kept],
    )
    return truth, found


def test_scores_are_those_without_intervals():
    truth, found = random_catalogs()
    scores = scores_with_intervals(truth, found, RADIUS, FieldBootstrap(range(12)))
    for name, value in score_catalog(truth, found, RADIUS).items():
        assert scores[name] == pytest.approx(value, rel=1e-12)
    for name in ("purity", "completeness", "f1", "flux_bias_uJy", "position_error_arcsec"):
        assert scores[f"{name}_low"] <= scores[name] <= scores[f"{name}_high"]


def test_few_sources_have_no_scatter():
    truth, found = random_catalogs()
    i, j = match_catalogs(truth, found, RADIUS)
    two = scores_with_intervals(truth[i[:2]], found[j[:2]], RADIUS, FieldBootstrap(range(12)))
    assert two["matched"] == 2 and two["flux_bias_uJy"] is not None
    assert (two["flux_scatter_uJy"], two["flux_scatter_uJy_low"]) == (None, None)


def test_nothing_there_or_nothing_found_has_no_score():
    truth, found = random_catalogs()
    bootstrap = FieldBootstrap(range(12))
    no_truth = scores_with_intervals(truth[:0], found, RADIUS, bootstrap)
    assert (no_truth["purity"], no_truth["completeness"], no_truth["f1"]) == (0, None, None)
    none_found = scores_with_intervals(truth, found[:0], RADIUS, bootstrap)
    assert (none_found["purity"], none_found["completeness"], none_found["f1"]) == (None, 0, 0)
    for given in ((truth[:0], found), (truth, found[:0]), (truth[:0], found[:0])):  # and so without intervals
        expected = scores_with_intervals(*given, RADIUS, bootstrap)
        assert score_catalog(*given, RADIUS).items() <= expected.items()
    neither = scores_with_intervals(truth[:0], found[:0], RADIUS, bootstrap)
    assert {neither.pop(name) for name in ("true", "found", "matched")} == {0}
    assert set(neither.values()) == {None}
