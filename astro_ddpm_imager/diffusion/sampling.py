"""Noise schedule and samplers: short pure functions that know nothing of images.

A sampler is called as ``sampler(predict, draw, schedule, steps)``, where
``predict(x, t)`` gives the expected noiseless image for a noisy one at step t,
and ``draw()`` an image of Gaussian noise of unit variance.
"""

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ..errors import SettingError

__all__ = ["SAMPLERS", "LinearSchedule", "ddpm", "evenly_in_log_ratio", "respaced", "unipc", "with_feedback"]

SETTLED = 2.5  # logarithm of signal to noise, for pixels of unit range: next to nothing is open any more
FIRST = 5  # length of the first step, in units of the others
ORDER = 3


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

    @cached_property
    def log_ratio(self):
        """Logarithm of signal to noise, shape (T,)."""
        return np.log(self.signal / self.noise)


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

    Raises
    ------
    SettingError
        There are more steps than those of the schedule.
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
    it is far below the noise, so that the first step can be longer.

    Parameters
    ----------
    schedule : `LinearSchedule`
    steps : int
        How many, at least 1 and at most T; where the schedule is too coarse for them, they are next to each other.

    Returns
    -------
    1D array of int, shape (steps,), decreasing, from T - 1; the last ones have a ratio of up to exp(``SETTLED``),
    or more if there are not as many steps up to there.
    """
    log_ratio = schedule.log_ratio
    width = (SETTLED - log_ratio[-1]) / (FIRST + max(0, steps - 2))
    wanted = np.append(log_ratio[-1], log_ratio[-1] + width * (FIRST + np.arange(steps - 1)))
    times = np.round(np.interp(wanted, log_ratio[::-1], np.arange(schedule.steps)[::-1])).astype(int)[::-1]
    number = np.arange(steps)
    return np.minimum(np.maximum.accumulate(times - number), schedule.steps - steps)[::-1] + number[::-1]


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


def unipc(predict, draw, schedule, steps):
    """Predictor and corrector of third order in the logarithm of signal to noise.

    UniPC (Zhao et al. 2023, arXiv:2302.04867, algorithms 1 and 2): each step is
    taken with the expected images of the steps before, and taken again once
    that of its end is known, at no further cost.

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
    expected = deque([(times[0], predict(x, times[0]))], maxlen=ORDER)
    for t, after in pairwise(times):
        end = _along_polynomial(x, t, after, expected, schedule)
        expected.append((after, predict(end, after)))
        x = _along_polynomial(x, t, after, expected, schedule)
    return expected[-1][1]


def with_feedback(predict, look_back):
    """Show a network its own last estimate, at each step of a sampler.

    Self-conditioning (Chen et al. 2022, arXiv:2208.04202, section 3): the
    estimate of the step before costs nothing.

    Parameters
    ----------
    predict : callable
        ``predict(x, t, feedback)``: expected noiseless image.
    look_back : callable
        ``look_back(expected)``: what the network is shown of an expected
        image; of None before there is any.

    Returns
    -------
    callable
        ``predict(x, t)`` for one call of a sampler, which it belongs to.
    """
    last = None

    def predict_again(x, t):
        nonlocal last
        last = predict(x, t, look_back(last))
        return last

    return predict_again


def _along_polynomial(x, t, after, expected, schedule):
    """The noisy image after a step, if what is expected is a polynomial in the logarithm of signal to noise.

    The solution of the probability flow is then exact (Lu et al. 2022,
    arXiv:2211.01095, proposition 4.1): with l for the logarithm, the expected
    images are weighted with exp(l), integrated over the step.

    Parameters
    ----------
    x : array
        At step ``t``.
    t, after : int
    expected : sequence of (int, array)
        The steps and the expected images that the polynomial goes through.
    schedule : `LinearSchedule`
    """
    signal, noise, log_ratio = schedule.signal, schedule.noise, schedule.log_ratio
    width = log_ratio[after] - log_ratio[t]
    moments = [-np.expm1(-width)]  # of powers of l, from 0 at t, with the weight exp(l - width)
    for power in range(1, len(expected)):
        moments.append(width**power - power * moments[-1])
    known, images = zip(*expected, strict=True)
    distance = log_ratio[list(known)] - log_ratio[t]
    weights = np.linalg.solve(np.vander(distance, increasing=True).T, moments)
    mean = sum(weight * image for weight, image in zip(weights, images, strict=True))
    return (noise[after] / noise[t] * x + signal[after] * mean).astype(np.float32)


SAMPLERS = {"ddpm": ddpm, "unipc": unipc}
