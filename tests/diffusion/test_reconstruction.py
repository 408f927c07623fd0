"""From samples to one sky."""

import numpy as np
import pytest

from astro_ddpm_imager.diffusion.reconstruction import aggregate


def test_aggregates():
    samples = np.array([[[0.0]], [[0.0]], [[6.0]]])
    assert [aggregate(samples, how, 2.2).item() for how in ("mean", "median", "single")] == [2, 0, 0]


def test_the_median_in_a_beam_keeps_flux_that_is_certain_and_not_what_few_samples_have():
    """A source whose place jitters within the beam, and another that one sample in five has."""
    rng = np.random.default_rng(0)
    samples = np.zeros((20, 48, 48))
    for sample in samples:
        y, x = np.round(20 + rng.normal(0, 1, 2)).astype(int)
        sample[y, x] = 10
    samples[::5, 40, 40] = 10
    sky = aggregate(samples, "beam-median", 4.4)
    assert np.median(samples, axis=0).sum() < 1
    assert sky[10:30, 10:30].sum() == pytest.approx(10, rel=0.1) and sky[35:, 35:].sum() == 0
