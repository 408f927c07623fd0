"""The stretch between flux per pixel and what the model draws."""

from dataclasses import dataclass

import numpy as np

from ..errors import SettingError

__all__ = ["PowerStretch"]


@dataclass(frozen=True)
class PowerStretch:
    """Power-law stretch, 2 (s / c)^(1/gamma) - 1 (Drozdova et al. 2024, section 3.2).

    Parameters
    ----------
    gamma : float
        Exponent, at least 1; 2 is the best of the paper's.
    c : float
        Flux per model pixel, in units of the noise, that becomes 1.
        Brighter pixels go beyond 1; nothing is clipped.

    Raises
    ------
    SettingError
        ``gamma`` is below 1, or ``c`` not positive.
    """

    gamma: float = 2.0
    c: float = 8.0

    def __post_init__(self):
        if not 1 <= self.gamma < np.inf:
            raise SettingError(f"gamma={self.gamma}: must be at least 1, where the sky is not stretched, and finite")
        if not 0 < self.c < np.inf:
            raise SettingError(f"c={self.c}: must be positive and finite")

    def forward(self, sky):
        """Stretched values of a sky (flux per pixel / noise, not negative)."""
        return 2 * (sky / self.c) ** (1 / self.gamma) - 1

    def inverse(self, stretched):
        """Flux per pixel / noise; values below the empty sky, -1, give 0."""
        return self.c * (np.clip(stretched, -1, None) / 2 + 0.5) ** self.gamma
