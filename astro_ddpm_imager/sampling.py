"""Noise schedule and samplers: short pure functions that know nothing of images."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["LinearSchedule"]


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
        """Squared signal amplitude after steps 1 to T, shape (T,), indexed by ``t`` from 0."""
        return np.cumprod(1 - np.linspace(self.beta_start, self.beta_end, self.steps))

    @cached_property
    def signal(self):
        """Signal amplitude alpha_t, shape (T,)."""
        return np.sqrt(self.alpha_bar)

    @cached_property
    def noise(self):
        """Noise amplitude sigma_t, shape (T,)."""
        return np.sqrt(1 - self.alpha_bar)
