"""From samples to one sky."""

import numpy as np
import pytest

from astro_ddpm_imager.diffusion.reconstruction import aggregate, reconstruct

from .test_exact import PIXELS_PER_BEAM, observe, source


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


@pytest.mark.parametrize("place", [(30.5, 26.0), (30.5, 25.5)])
def test_a_point_between_pixels_explains_the_data(place):
    """Each sample has it on one pixel; their mean is too wide, and leaves a fifth of the peak."""
    rng = np.random.default_rng(4)
    seen = observe(source(100.0, 0.0, *place))
    drawn = np.zeros((20, *seen.dirty.shape), np.float32)
    for sample in drawn:
        x, y = (int(np.floor(at + rng.uniform())) for at in place)
        sample[y, x] = 100
    _, sky = reconstruct(drawn, seen, "beam-median", PIXELS_PER_BEAM, 1)
    assert abs(seen.left(sky)).max() < 0.2
    assert sky.sum() == pytest.approx(100, rel=0.04)


def test_what_all_samples_agree_on_stays_as_it_is():
    """Extended emission that is smooth in every sample is not given the noise of the data."""
    rng = np.random.default_rng(5)
    sky = source(200.0, 4.0).astype(np.float32)
    samples, found = reconstruct(np.repeat(sky[None], 4, axis=0), observe(sky, rng), "mean", PIXELS_PER_BEAM, 1)
    np.testing.assert_allclose(found, samples.mean(0), atol=1e-5)
