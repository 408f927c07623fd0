"""What sources a simulated field has, in the units of the sky."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from ..errors import SimulationError
from .sky import Sources, place_pairs

__all__ = ["SourceRecipe"]

MAX_REACH = 30 * u.deg  # the projection of the image ends at 57 deg from its centre


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
        Fraction of the sources that lie within ``pair_distance`` of another,
        besides those that do by chance, in fields with more than one.
    pair_distance : `~astropy.units.Quantity`, optional
        At most ``reach``.
    clustering : `~astropy.units.Quantity`, optional
        Standard deviation of the offsets from one common centre in the field;
        at most ``reach``; by default the sources are spread evenly.
    bright : `~astropy.units.Quantity`, shape (n,), optional
        Fluxes of sources that are there besides.

    Raises
    ------
    SimulationError
        An argument is out of range or not finite, or a range is the wrong way
        round.
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
            if not 0 <= low <= high < np.inf:
                raise SimulationError(f"{name}={low} to {high}: must be finite and not negative, the smaller one first")
        if not self.flux[0] > 0:
            raise SimulationError(f"flux={self.flux[0]}: must be positive")
        if not ((self.bright > 0) & np.isfinite(self.bright)).all():
            raise SimulationError(f"bright={self.bright}: must be positive and finite")
        if not np.isfinite(self.slope):
            raise SimulationError(f"slope={self.slope}: must be finite")
        if not 0 <= self.reach <= MAX_REACH:
            raise SimulationError(f"reach={self.reach}: must lie between 0 and {MAX_REACH:g}")
        if not 0 <= self.pairs <= 1:
            raise SimulationError(f"pairs={self.pairs}: must be a fraction between 0 and 1")
        if self.pairs and not 0 < self.pair_distance <= self.reach:
            raise SimulationError(
                f"pair_distance={self.pair_distance}: must be positive and at most reach={self.reach}; take a larger "
                "reach, or pairs=0"
            )
        if self.clustering is not None and not 0 <= self.clustering <= self.reach:
            raise SimulationError(
                f"clustering={self.clustering}: must not be negative, and at most reach={self.reach}; leave it out to "
                "spread the sources evenly"
            )

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
            centre = rng.uniform(-reach, reach, (2, 1)) / 2
            offset = centre + spread * rng.standard_normal((2, total))
            while (outside := (np.abs(offset) > reach).any(0)).any():
                offset[:, outside] = centre + spread * rng.standard_normal((2, outside.sum()))
        close = rng.random(number) < self.pairs
        if self.pairs:
            close = np.append(close, rng.random(len(self.bright)) < self.pairs)
            distance = (self.pair_distance / cell).to_value(u.one)
            place_pairs(rng, offset, close, (distance / 2, distance), -reach, reach)
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
        if power == 1:
            return low + share * (high - low)
        if power == 0:
            return low * (high / low) ** share
        # From the end where most of the sources are, so that no power overflows.
        if power > 0:
            low, high, share = high, low, 1 - share
        return low * np.exp(np.log1p(share * np.expm1(power * np.log(high / low))) / power)
