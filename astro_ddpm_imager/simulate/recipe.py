"""What sources a simulated field has, in the units of the sky."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from ..errors import SimulationError
from .sky import Sources

__all__ = ["SourceRecipe"]


@dataclass(frozen=True)
class SourceRecipe:
    """How to draw the sources of a field; the defaults are Table 1 of Taran et al. 2023 (A&A 674, A161).

    Parameters
    ----------
    number : tuple of int, optional
        Smallest and largest number of sources.
    flux : `~astropy.units.Quantity`, shape (2,), optional
        Range of the total fluxes, before the primary beam.
    slope : float, optional
        Exponent of the number counts, dN/dS proportional to S^slope; 0 is uniform.
    size : `~astropy.units.Quantity`, shape (2,), optional
        Range of the FWHM of either axis; 0 is a point.
    reach : `~astropy.units.Quantity`, optional
        Sources lie within this offset of the centre, on both axes.
    pairs : float, optional
        Fraction of the sources that lie within ``pair_distance`` of another.
    pair_distance : `~astropy.units.Quantity`, optional
    clustering : `~astropy.units.Quantity`, optional
        Standard deviation of the offsets from one common centre in the field;
        by default the sources are spread evenly.
    bright : `~astropy.units.Quantity`, shape (n,), optional
        Fluxes of sources that are there besides.

    Raises
    ------
    SimulationError
        A range is the wrong way round, or a flux is not positive.
    """

    number: tuple = (1, 5)
    flux: u.Quantity = (50, 500) * u.uJy
    slope: float = 0.0
    size: u.Quantity = (0.4, 0.8) * u.arcsec
    reach: u.Quantity = 10 * u.arcsec
    pairs: float = 0.0
    pair_distance: u.Quantity = 1 * u.arcsec
    clustering: u.Quantity | None = None
    bright: u.Quantity = () * u.Jy

    def __post_init__(self):
        for name in ("number", "flux", "size"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise SimulationError(f"{name}={low} to {high}: must not be negative, the smaller one first")
        if not self.flux[0] > 0:
            raise SimulationError(f"flux={self.flux[0]}: must be positive")
        if not (self.bright > 0).all():
            raise SimulationError(f"bright={self.bright}: must be positive")
        if not 0 <= self.pairs <= 1:
            raise SimulationError(f"pairs={self.pairs}: must be a fraction between 0 and 1")

    def draw(self, rng, shape, cell):
        """Draw the sources of one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        shape : tuple of int, (ny, nx)
        cell : `~astropy.units.Quantity`
            Pixel.

        Returns
        -------
        `Sources`
            On the pixels of the image, fluxes in Jy.
        """
        number = int(rng.integers(self.number[0], self.number[1] + 1))
        total = number + len(self.bright)
        reach = (self.reach / cell).to_value(u.one)
        if self.clustering is None:
            offset = rng.uniform(-reach, reach, (2, total))
        else:
            spread = (self.clustering / cell).to_value(u.one)
            offset = rng.uniform(-reach, reach, (2, 1)) / 2 + spread * rng.standard_normal((2, total))
            offset = offset.clip(-reach, reach)
        close = np.flatnonzero(rng.random(number) < self.pairs)
        if total > 1:
            distance = (self.pair_distance / cell).to_value(u.one) * rng.uniform(0.5, 1, len(close))
            angle = rng.uniform(0, 2 * np.pi, len(close))
            partner = offset[:, (close + 1) % total]
            offset[:, close] = partner + distance * np.stack([np.cos(angle), np.sin(angle)])
        axes = (rng.uniform(*self.size.value, (2, total)) * self.size.unit / cell).to_value(u.one)
        return Sources(
            x=shape[1] // 2 + offset[0],
            y=shape[0] // 2 + offset[1],
            flux=np.concatenate([self._fluxes(rng, number), self.bright.to_value(u.Jy)]),
            major=axes.max(0),
            minor=axes.min(0),
            angle=rng.uniform(0, np.pi, total),
        )

    def _fluxes(self, rng, number):
        low, high = self.flux.to_value(u.Jy)
        share, power = rng.random(number), self.slope + 1
        if power == 0:
            return low * (high / low) ** share
        return (low**power + share * (high**power - low**power)) ** (1 / power)
