"""Noise schedule and samplers: short pure functions that know nothing of images.

A sampler is called as ``sampler(predict, draw, schedule, steps)``, where
``predict(x, t)`` gives the expected noiseless image for a noisy one at step t,
and ``draw()`` an image of Gaussian noise of unit variance.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from .errors import SettingError

__all__ = ["SAMPLERS", "LinearSchedule", "ddpm", "dpm_solver", "evenly_in_log_ratio", "respaced"]

UNSETTLED, SETTLED = -1.2, 3.0  # logarithm of signal to noise, for pixels of unit range


@dataclass(frozen=True)
class LinearSchedule:
    """The linear variance schedule of Ho et al. 2020 (arXiv:2006.11239, section 4).

    Parameters
    ----------
    steps : int
        Number of diffusion steps T the model was trained with.
    beta_start, beta_end : float
        Variances of the first and the last step.
    """

    steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    @cached_property
    def alpha_bar(self):
        """Signal power after each step, shape (T,), indexed by t from 0 to T - 1."""
        return np.cumprod(1 - np.linspace(self.beta_start, self.beta_end, self.steps))

    @cached_property
    def signal(self):
        """Signal amplitude alpha_t, shape (T,)."""
        return np.sqrt(self.alpha_bar)

    @cached_property
    def noise(self):
        """Noise amplitude sigma_t, shape (T,)."""
        return np.sqrt(1 - self.alpha_bar)


def respaced(schedule, steps):
    """Evenly spaced steps from the last to the first.

    Nichol & Dhariwal 2021 (arXiv:2102.09672, section 4).

    Parameters
    ----------
    schedule : `LinearSchedule`
    steps : int
        How many, at least 1.

    Returns
    -------
    1D array of int, decreasing, from T - 1 to 0.
    """
    if not 1 <= steps <= schedule.steps:
        raise SettingError(
            f"steps={steps}: must lie between 1 and {schedule.steps}, the steps the model was trained with"
        )
    return np.round(np.linspace(schedule.steps - 1, 0, steps)).astype(int)


def evenly_in_log_ratio(schedule, steps):
    """A long step from pure noise, then even ones in the logarithm of signal to noise.

    Lu et al. 2022 (arXiv:2206.00927, section 3.4) take even steps all along.
    But what is expected hardly depends on the noisy image while the signal in
    it is far below the noise, and is settled once it is far above: all steps
    but the first are spent between the two.

    Parameters
    ----------
    schedule : `LinearSchedule`
    steps : int
        How many, at least 1; a few less where the schedule is too coarse for them.

    Returns
    -------
    1D array of int, decreasing, from T - 1; the last ones have a ratio of up to exp(`SETTLED`).
    """
    log_ratio = np.log(schedule.signal / schedule.noise)
    wanted = np.append(log_ratio[-1], np.linspace(SETTLED, UNSETTLED, steps - 1)[::-1])
    return np.unique(np.round(np.interp(wanted, log_ratio[::-1], np.arange(schedule.steps)[::-1])).astype(int))[::-1]


def ddpm(predict, draw, schedule, steps):
    """Ancestral sampling, respaced (Ho et al. 2020, algorithm 2 and equation 7).

    Parameters
    ----------
    predict : callable
        ``predict(x, t)``: expected noiseless image, same shape as ``x``.
    draw : callable
        ``draw()``: noise of unit variance, array of float32.
    schedule : `LinearSchedule`
    steps : int

    Returns
    -------
    array of float32, of the shape of the noise
    """
    x = draw()
    times = respaced(schedule, steps)
    for t, after in pairwise(times):
        now, then = schedule.alpha_bar[t], schedule.alpha_bar[after]
        keep = now / then
        clean = predict(x, t)
        mean = np.sqrt(then) * (1 - keep) / (1 - now) * clean + np.sqrt(keep) * (1 - then) / (1 - now) * x
        spread = np.sqrt((1 - then) / (1 - now) * (1 - keep))
        x = (mean + spread * draw()).astype(np.float32)
    return predict(x, times[-1])


def dpm_solver(predict, draw, schedule, steps):
    """DPM-Solver++(2M), second order in the log of signal to noise.

    Lu et al. 2022 (arXiv:2211.01095, algorithm 2).

    Parameters
    ----------
    predict : callable
        ``predict(x, t)``: expected noiseless image, same shape as ``x``.
    draw : callable
        ``draw()``: noise of unit variance, array of float32; called once, for
        the rest is deterministic.
    schedule : `LinearSchedule`
    steps : int

    Returns
    -------
    array of float32, of the shape of the noise
    """
    x = draw()
    times = evenly_in_log_ratio(schedule, steps)
    signal, noise = schedule.signal, schedule.noise
    log_ratio = np.log(signal / noise)
    last, last_width = None, None
    for t, after in pairwise(times):
        clean = predict(x, t)
        width = log_ratio[after] - log_ratio[t]
        slope = clean if last is None else clean + (clean - last) * width / (2 * last_width)
        x = (noise[after] / noise[t] * x - signal[after] * np.expm1(-width) * slope).astype(np.float32)
        last, last_width = clean, width
    return predict(x, times[-1])


SAMPLERS = {"ddpm": ddpm, "dpm-solver": dpm_solver}
