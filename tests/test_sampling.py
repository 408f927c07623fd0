"""Samplers draw from the right distribution, where that is known."""

from functools import partial

import numpy as np
import pytest

from astro_ddpm_imager import SettingError
from astro_ddpm_imager.sampling import SAMPLERS, LinearSchedule, respaced
from astro_ddpm_imager.stretch import PowerStretch

MEAN, SPREAD = 0.4, 0.25


def gaussian_denoiser(schedule):
    """Exact expectation of x0 given x_t for x0 ~ N(MEAN, SPREAD^2)."""

    def predict(x, t):
        signal, noise = schedule.signal[t], schedule.noise[t]
        gain = signal * SPREAD**2 / (signal**2 * SPREAD**2 + noise**2)
        return (MEAN + gain * (x - signal * MEAN)).astype(np.float32)

    return predict


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 500), ("dpm-solver", 8), ("dpm-solver", 40)])
def test_samples_have_the_mean_and_spread_of_the_data(sampler, steps):
    schedule = LinearSchedule()
    draw = partial(np.random.default_rng(3).standard_normal, (200, 200), dtype=np.float32)
    drawn = SAMPLERS[sampler](gaussian_denoiser(schedule), draw, schedule, steps)
    assert drawn.mean() == pytest.approx(MEAN, abs=0.01)
    assert drawn.std() == pytest.approx(SPREAD, rel=0.05)


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
