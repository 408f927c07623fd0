"""What sources a simulated field has, in the units of the sky."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from ..errors import SimulationError, shown
from .population import place_pairs, power_law
from .shapes import SHAPES
from .sky import Sources

__all__ = ["SourceRecipe"]

DETAILS = 8.0  # size of an extended source in units of its finest parts
UNITS = {
    "flux": u.uJy, "bright": u.uJy, "extended_flux": u.uJy, "size": u.arcsec, "reach": u.arcsec, "grid": u.arcsec,
    "pair_distance": u.arcsec, "clustering": u.arcsec, "extended_size": u.arcsec,
}  # fmt: skip
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
    grid : `~astropy.units.Quantity`, optional
        Offsets from the centre are multiples of it, as in the published sample, where it is 1"; by default 0, they
        are continuous.
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
    extended : tuple of str, optional
        Kinds of extended sources that are there besides, one of each:
        ``"ellipse"``, ``"disc"``, ``"double"``, ``"clumps"`` (see
        `~astro_ddpm_imager.simulate.shapes`).
    extended_flux, extended_size : `~astropy.units.Quantity`, shape (2,), optional
        Ranges of their total flux and of their size, both uniform in the
        logarithm.

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
    grid: u.Quantity = 0 * u.arcsec
    pairs: float = 0.0
    pair_distance: u.Quantity = 1 * u.arcsec
    clustering: u.Quantity | None = None
    bright: u.Quantity = () * u.Jy
    extended: tuple = ()
    extended_flux: u.Quantity = (5, 50) * u.mJy
    extended_size: u.Quantity = (2, 10) * u.arcsec

    def __post_init__(self):
        for name, unit in UNITS.items():
            value = getattr(self, name)
            if value is None and name == "clustering":
                continue
            if not (isinstance(value, u.Quantity) and value.unit.is_equivalent(unit)):
                raise SimulationError(f"{name}={shown(value)}: must be a Quantity in units such as {unit}")
        for name in ("number", "flux", "size"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < np.inf:
                raise SimulationError(f"{name}={low} to {high}: must be finite and not negative, the smaller one first")
        if not self.flux[0] > 0:
            raise SimulationError(f"flux={self.flux[0]}: must be positive")
        if not ((self.bright > 0) & np.isfinite(self.bright)).all():
            raise SimulationError(f"bright={self.bright}: must be positive and finite")
        for name in ("extended_flux", "extended_size"):
            low, high = getattr(self, name)
            if not 0 < low <= high < np.inf:
                raise SimulationError(f"{name}={low} to {high}: must be positive and finite, the smaller one first")
        unknown = [kind for kind in self.extended if kind not in SHAPES]
        if unknown:
            raise SimulationError(f"extended={unknown[0]!r}: choose from {', '.join(map(repr, SHAPES))}")
        if not np.isfinite(self.slope):
            raise SimulationError(f"slope={self.slope}: must be finite")
        if not 0 <= self.reach <= MAX_REACH:
            raise SimulationError(f"reach={self.reach}: must lie between 0 and {MAX_REACH:g}")
        if not 0 <= self.grid <= self.reach:
            raise SimulationError(f"grid={self.grid}: must not be negative, and at most reach={self.reach}")
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
        if self.grid > 0:
            spacing = (self.grid / cell).to_value(u.one)
            most = np.floor(reach / spacing * (1 + 1e-9))
            offset = spacing * np.round(offset / spacing).clip(-most, most)
        axes = (rng.uniform(*self.size.value, (2, total)) * self.size.unit / cell).to_value(u.one)
        fluxes = power_law(rng, number, *self.flux.to_value(u.Jy), self.slope)
        compact = Sources(
            x=shape[1] // 2 + offset[0],
            y=shape[0] // 2 + offset[1],
            flux=np.concatenate([fluxes, self.bright.to_value(u.Jy)]),
            major=axes.max(0),
            minor=axes.min(0),
            angle=rng.uniform(0, np.pi, total),
        )
        if not self.extended:
            return compact
        return Sources.concatenate([compact, *(self._extended(rng, kind, shape, cell) for kind in self.extended)])

    def _extended(self, rng, kind, shape, cell):
        low, high = np.log((self.extended_size / cell).to_value(u.one))
        size, flux = np.exp(rng.uniform(low, high)), np.exp(rng.uniform(*np.log(self.extended_flux.to_value(u.Jy))))
        x, y = rng.uniform(-1, 1, 2) * (self.reach / cell).to_value(u.one)
        detail = size / DETAILS
        return SHAPES[kind](rng, DETAILS, 1.0).placed(shape[1] // 2 + x, shape[0] // 2 + y, detail, flux)
