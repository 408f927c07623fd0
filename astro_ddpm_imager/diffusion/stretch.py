"""The stretch between flux per pixel and what the model draws."""

from dataclasses import dataclass

import numpy as np

__all__ = ["PowerStretch"]


@dataclass(frozen=True)
class PowerStretch:
    """Power-law stretch, 2 (s / c)^(1/gamma) - 1 (Drozdova et al. 2024, section 3.2).

    Parameters
    ----------
    gamma : float
        Exponent; 2 is the best of the paper's.
    c : float
        Flux per model pixel, in units of the noise, that becomes 1.
        Brighter pixels go beyond 1; nothing is clipped.
    """

    gamma: float = 2.0
    c: float = 8.0

    def forward(self, sky):
        """Stretched values of a sky (flux per pixel / noise, not negative)."""
        return 2 * (sky / self.c) ** (1 / self.gamma) - 1

    def inverse(self, stretched):
        """Flux per pixel / noise; values below the empty sky, -1, give 0."""
        return self.c * (np.clip(stretched, -1, None) / 2 + 0.5) ** self.gamma
