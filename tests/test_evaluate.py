"""Matching and scores, by hand and against the development score."""

import runpy

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from astro_ddpm_imager.evaluate import match_positions, reliability_diagram, score_catalog, scores_by_snr


def table(field, ra, dec, flux, **columns):
    return QTable({"field": field, "ra": ra * u.deg, "dec": dec * u.deg, "flux": flux * u.Jy, **columns})


def test_matching_is_one_to_one_and_nearest_first():
    truth = SkyCoord([150.0, 150.0] * u.deg, [0.0, 0.5 / 3600] * u.deg)
    found = SkyCoord([150.0] * u.deg, [0.4 / 3600] * u.deg)
    i, j = match_positions(truth, found, 0.45 * u.arcsec)
    assert (i.tolist(), j.tolist()) == ([1], [0])
    assert len(match_positions(truth, found[:0], 0.45 * u.arcsec)[0]) == 0


def test_scores_by_hand():
    truth = table([0, 0, 1], np.array([150, 150.001, 150]), np.zeros(3), np.array([1e-4, 2e-4, 3e-4]), snr=[2.0, 5, 6])
    catalog = table(
        [0, 0, 0, 1], np.array([150, 150.001, 150.003, 150.002]), np.zeros(4), np.array([1.3e-4, 2.6e-4, 1e-4, 1e-4]),
        snr=[3.0, 5, 3, 3], reliability=[0.5, 1.0, 0.5, 0.2],
    )  # fmt: skip
    scores = score_catalog(truth, catalog)
    assert (scores["true"], scores["found"], scores["matched"]) == (3, 4, 2)
    assert (scores["purity"], scores["completeness"]) == pytest.approx((1 / 2, 2 / 3))
    assert scores["flux_within_noise"] == pytest.approx(0.5)
    assert scores["flux_bias_uJy"] == pytest.approx(45)
    low, high = scores_by_snr(truth, catalog, (0, 4, 10))
    assert (low["completeness"], low["purity"], low["true"]) == (1, pytest.approx(1 / 3), 1)
    assert (high["completeness"], high["purity"]) == (0.5, 1)
    assert [row["true_fraction"] for row in reliability_diagram(truth, catalog, (0, 0.4, 0.6, 1))] == [0, 0.5, 1]


def test_nothing_found_is_no_number():
    truth = table([0], np.array([150.0]), np.zeros(1), np.array([1e-4]))
    scores = score_catalog(truth, truth[:0])
    assert scores["f1"] == 0 and scores["flux_bias_uJy"] is None


def test_scores_are_those_of_the_development_script(casa_fields, tmp_path):
    script = runpy.run_path(str(casa_fields.parent / "score.py"))
    truth = QTable.read(casa_fields / "truth.ecsv")
    rng = np.random.default_rng(0)
    keep = rng.random(len(truth)) < 0.7
    catalog = table(
        np.array(truth["field"][keep]),
        truth["ra"][keep] + rng.normal(0, 0.2 / 3600, keep.sum()),
        truth["dec"][keep] + rng.normal(0, 0.2 / 3600, keep.sum()),
        truth["flux_jy"][keep] + rng.normal(0, 5e-5, keep.sum()),
    )
    known = table(truth["field"], truth["ra"], truth["dec"], truth["flux_jy"])
    catalog.write(tmp_path / "catalog.ecsv")
    expected, found = script["score"](truth, Table.read(tmp_path / "catalog.ecsv")), score_catalog(known, catalog)
    for name in ("true", "found", "matched", "purity", "completeness", "f1", "flux_within_noise", "flux_bias_uJy"):
        assert found[name] == pytest.approx(expected[name], abs=1e-1 if name.endswith("uJy") else 1e-4)
