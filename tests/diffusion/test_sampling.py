"""Samplers draw from the right distribution, where that is known."""

from functools import partial

import numpy as np
import pytest

from astro_ddpm_imager import SettingError
from astro_ddpm_imager.diffusion.sampling import (
    SAMPLERS,
    LinearSchedule,
    evenly_in_log_ratio,
    respaced,
    unipc,
    with_feedback,
)
from astro_ddpm_imager.diffusion.stretch import PowerStretch

MEAN, SPREAD = 0.4, 0.25


def gaussian_denoiser(schedule):
    """Exact expectation of x0 given x_t for x0 ~ N(MEAN, SPREAD^2)."""

    def predict(x, t):
        signal, noise = schedule.signal[t], schedule.noise[t]
        gain = signal * SPREAD**2 / (signal**2 * SPREAD**2 + noise**2)
        return (MEAN + gain * (x - signal * MEAN)).astype(np.float32)

    return predict


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 500), ("unipc", 7), ("unipc", 40)])
def test_samples_have_the_mean_and_spread_of_the_data(sampler, steps):
    schedule = LinearSchedule()
    draw = partial(np.random.default_rng(3).standard_normal, (200, 200), dtype=np.float32)
    drawn = SAMPLERS[sampler](gaussian_denoiser(schedule), draw, schedule, steps)
    assert drawn.mean() == pytest.approx(MEAN, abs=0.01)
    assert drawn.std() == pytest.approx(SPREAD, rel=0.05)


RARE, EMPTY, SOURCE = 0.1, (-1, 0.05), (-0.2, 0.2)  # a fraction, and means and spreads


def sparse_denoiser(schedule):
    """Exact expectation where one pixel in ten has a source."""

    def predict(x, t):
        signal, noise = schedule.signal[t], schedule.noise[t]
        density, expected = [], []
        for weight, (mean, spread) in ((1 - RARE, EMPTY), (RARE, SOURCE)):
            variance = signal**2 * spread**2 + noise**2
            density.append(weight * np.exp(-0.5 * (x - signal * mean) ** 2 / variance) / np.sqrt(variance))
            expected.append(mean + signal * spread**2 / variance * (x - signal * mean))
        share = density[1] / (density[0] + density[1])
        return (share * expected[1] + (1 - share) * expected[0]).astype(np.float32)

    return predict


@pytest.mark.parametrize("steps", [5, 7, 20])
def test_few_steps_keep_the_number_and_the_flux_of_rare_sources(steps):
    schedule = LinearSchedule()
    draw = partial(np.random.default_rng(3).standard_normal, (300, 300), dtype=np.float32)
    drawn = SAMPLERS["unipc"](sparse_denoiser(schedule), draw, schedule, steps)
    sources = drawn[drawn > -0.8]
    assert sources.size / drawn.size == pytest.approx(RARE, rel=0.1)
    assert sources.mean() == pytest.approx(SOURCE[0], abs=0.03)
    # Five steps leave some noise on each pixel, which the exact step takes away.
    assert sources.std() == pytest.approx(SOURCE[1], rel=0.1 if steps > 5 else 0.3)


@pytest.mark.parametrize("steps", [1, 2, 7, 300, 900])
def test_steps_lead_from_noise_to_a_clear_image(steps):
    schedule = LinearSchedule()
    times = evenly_in_log_ratio(schedule, steps)
    assert times[0] == 999 and (np.diff(times) < 0).all() and len(times) == steps
    if steps > 1:
        assert schedule.noise[times[-1]] == pytest.approx(0.08, abs=0.005)


@pytest.mark.parametrize("steps", [990, 1000])
def test_as_many_steps_as_there_are_go_to_the_last_one(steps):
    times = evenly_in_log_ratio(LinearSchedule(), steps)
    np.testing.assert_array_equal(times[-980:], np.arange(1000 - steps, 1980 - steps)[::-1])
    assert times[0] == 999 and (np.diff(times) < 0).all() and len(times) == steps


def test_schedule_goes_from_signal_to_noise():
    schedule = LinearSchedule()
    np.testing.assert_allclose(schedule.signal**2 + schedule.noise**2, 1)
    assert schedule.alpha_bar[0] == pytest.approx(1 - 1e-4)
    assert schedule.alpha_bar[-1] < 1e-4


def test_respacing_keeps_both_ends():
    times = respaced(LinearSchedule(), 7)
    assert times[0] == 999 and times[-1] == 0 and len(times) == 7
    with pytest.raises(SettingError, match="steps=1001: must lie between 1 and 1000"):
        respaced(LinearSchedule(), 1001)


@pytest.mark.parametrize("gamma", [1, 2, 10, 30])
def test_stretch_there_and_back(gamma):
    stretch = PowerStretch(gamma, 8.0)
    sky = np.array([0, 1e-3, 0.5, 8.0, 300.0])
    np.testing.assert_allclose(stretch.inverse(stretch.forward(sky)), sky, rtol=1e-6, atol=1e-12)
    assert stretch.forward(0.0) == -1 and stretch.forward(8.0) == 1
    assert stretch.inverse(-1.3) == 0


def test_with_feedback_each_step_is_given_the_misfit_of_the_one_before():
    """A network that adds what is missing comes to what explains the data, of which the sampler knows nothing."""
    data, given = np.float32(3), []

    def predict(x, t, misfit):
        given.append(float(misfit))
        return (data - misfit) + misfit / 2

    def misfit(expected):
        return data if expected is None else data - expected

    step = with_feedback(predict, misfit)
    found = unipc(step, lambda: np.float32(0.1), LinearSchedule(), 5)
    assert given[0] == 3 and given == pytest.approx([3 / 2**i for i in range(len(given))])
    assert found == pytest.approx(3 - 3 / 2 ** len(given))
