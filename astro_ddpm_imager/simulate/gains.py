"""Gain errors of antennas, and what they do to visibilities."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from ..errors import SimulationError

__all__ = ["GainErrors", "baseline_gains", "drifts"]


@dataclass(frozen=True)
class GainErrors:
    """How the gains of antennas differ from 1: what calibration has left.

    Parameters
    ----------
    amplitude : float, optional
        Standard deviation of the amplitudes of single antennas, a fraction.
    phase : `~astropy.units.Quantity`, optional
        Standard deviation of their phases.
    nodes : int, optional
        Errors are drawn at so many moments, evenly spaced from the beginning to
        the end of the observation, and drift from one to the next; with 1 they
        stay the same.

    Raises
    ------
    SimulationError
        An argument is out of range.
    """

    amplitude: float = 0.0
    phase: u.Quantity = 0 * u.deg
    nodes: int = 3

    def __post_init__(self):
        if not 0 <= self.amplitude < 1:
            raise SimulationError(f"amplitude={self.amplitude}: of gain errors, must be a fraction from 0 to below 1")
        if not 0 <= self.phase.to_value(u.deg) <= 180:
            raise SimulationError(f"phase={self.phase}: of gain errors, must lie between 0 and 180 deg")
        if not self.nodes >= 1:
            raise SimulationError(f"nodes={self.nodes}: of gain errors, must be at least 1")

    def draw(self, rng, times, antennas):
        """Draw gains.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        times, antennas : int

        Returns
        -------
        2D complex array, shape (times, antennas)
        """
        amplitude = self.amplitude * drifts(rng, times, antennas, self.nodes)
        phase = self.phase.to_value(u.rad) * drifts(rng, times, antennas, self.nodes)
        return (1 + amplitude) * np.exp(1j * phase)


def drifts(rng, times, antennas, nodes):
    """Errors of unit variance that drift linearly from one moment to the next.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    times, antennas, nodes : int
        As for `GainErrors`.

    Returns
    -------
    2D array, shape (times, antennas)
    """
    drawn = rng.standard_normal((nodes, antennas))
    place = np.linspace(0, nodes - 1, times) if nodes > 1 else np.zeros(times)
    before = np.minimum(place.astype(int), max(nodes - 2, 0))
    share = (place - before)[:, None]
    # Half-way between two nodes, a mean would have half of the variance.
    mixed = (1 - share) * drawn[before] + share * drawn[np.minimum(before + 1, nodes - 1)]
    return mixed / np.hypot(1 - share, share)


def baseline_gains(gains):
    """Gains of baselines, g_i g_j* (Thompson, Moran & Swenson 2017, equation 10.2).

    Parameters
    ----------
    gains : 2D complex array, shape (times, antennas)

    Returns
    -------
    2D complex array, shape (times, baselines)
        In the order of `~astro_ddpm_imager.simulate.Array.uv_coverage`.
    """
    first, second = np.triu_indices(gains.shape[1], 1)
    return gains[:, first] * gains[:, second].conj()
