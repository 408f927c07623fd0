"""The exact posterior of Table 1."""

import astropy.units as u
import numpy as np
import pytest

from astro_ddpm_imager.evaluate import read_folder, score_catalog
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields
from export.optimum import catalogue


def test_bright_sources_are_certain_and_empty_sky_is_not(tmp_path):
    """Three sources at some 12 sigma: fluxes and places are known, and there is nothing else."""
    pytest.importorskip("ducc0")
    array = read_array("alma.cycle5.3")
    observation = Observation(array, 150 * u.deg, 2 * u.deg, integration=2 * u.min, shape=(256, 256))
    recipe = SourceRecipe(number=(3, 3), flux=(400, 500) * u.uJy, size=(0.6, 0.6) * u.arcsec)
    simulate_fields(observation, recipe, 25 * u.uJy, tmp_path, 1, seed=2)
    inputs, truth = read_folder(tmp_path)
    found = catalogue(prepare(**inputs[0]), np.random.default_rng(0))
    found["field"] = 0
    certain = found[found["reliability"] > 0.3]
    scores = score_catalog(truth, certain)
    assert scores["purity"] == scores["completeness"] == 1
    assert abs(scores["flux_bias_uJy"]) < 30
    assert scores["position_error_arcsec"] < 0.15
