"""What sources there are in training, in units of the beam and of the noise."""

from dataclasses import dataclass, field, replace

import numpy as np

from .shapes import SHAPES, highest_brightness
from .sky import Sources

__all__ = ["Population", "place_pairs", "power_law"]


@dataclass(frozen=True)
class Population:
    """What sources there are, in units of the beam and of the noise.

    Fields are of five kinds. ``"table"`` is Table 1 of Taran et al. 2023 (A&A
    674, A161) divided by its beam (0.856") and its noise (47.3 uJy/beam), with
    continuous positions; ``"seen"`` the same sky as other arrays see it in
    other weather; some fields of both are more crowded. In ``"other"`` there
    may be no sources or many more, brighter or fainter, of any size up to a few
    beams, some of them close pairs; in half of these fields all are bright, so
    that bright sources do not promise faint ones beside them. ``"extended"``
    has one to three of the `~astro_ddpm_imager.simulate.SHAPES` among
    compact sources, ``"survey"`` sources with counts that are a power law.

    Parameters
    ----------
    kinds : dict, optional
        Share of the fields that is of each kind.
    density : float
        Largest mean number of sources in a square beam; each field has a
        uniformly drawn fraction of it, other fields the cube of one.
    flux : tuple of float
        Range of the fluxes before the primary beam, in units of the noise.
    fwhm : tuple of float
        Range of the FWHM of either axis, beams.
    bright_fraction, bright_flux : float, tuple of float
        Fraction of the sources with a flux uniform in the logarithm, and its range.
    crowded_fraction, crowd : float, tuple of float
        Fraction of these fields with more sources, and the range of the factor
        on the density, uniform in the logarithm.
    crowded_density : float
        Largest density there.
    seen_beam, seen_flux : tuple of float
        For the same sky seen by others, their ranges, uniform in the logarithm, of the beam in units of the
        one of Table 1, and of a factor on the fluxes.
    other_density, other_scale : float, tuple of float
        Largest density in other fields, and the range of a factor on the
        fluxes of a field, uniform in the logarithm.
    all_bright : float
        Fraction of these fields with bright sources only; in the rest a
        fraction of them, uniformly drawn for each field, is bright.
    extended_fwhm : tuple of float
        Range of the major axes of those of their sources that have other
        sizes, a fraction uniformly drawn for each field; the upper end is
        drawn uniformly in this range, too.
    boosted_fraction : float
        Fraction of these that have as much more flux as they are larger, so
        that they peak as high.
    pairs : float
        Fraction of their sources that lie within two beams of another, besides those that do by chance.
    extended_number, extended_size, extended_peak : tuple
        Ranges of the number of extended sources in their fields, of the size
        of each, beams, and of its highest brightness, units of the noise, the
        last two uniform in the logarithm.
    survey_density, survey_slope, survey_faintest : tuple of float
        Ranges, in a field, of the mean number of sources in a square beam and
        of the lowest flux, both uniform in the logarithm, and of the exponent
        of the counts.
    survey_brightest : float
        The highest flux.
    """

    kinds: dict = field(
        default_factory=lambda: {"table": 0.3, "seen": 0.17, "other": 0.18, "extended": 0.2, "survey": 0.15}
    )
    density: float = 8 / 845
    flux: tuple = (50 / 47.3, 500 / 47.3)
    fwhm: tuple = (0.4 / 0.856, 0.8 / 0.856)
    bright_fraction: float = 0.08
    bright_flux: tuple = (10.0, 60.0)
    crowded_fraction: float = 0.45
    crowd: tuple = (1.0, 8.0)
    crowded_density: float = 0.1
    seen_beam: tuple = (0.35, 2.3)
    seen_flux: tuple = (0.3, 1.2)
    other_density: float = 0.045
    other_scale: tuple = (0.4, 1.5)
    all_bright: float = 0.5
    extended_fwhm: tuple = (0.0, 3.0)
    boosted_fraction: float = 0.6
    pairs: float = 0.2
    extended_number: tuple = (1, 3)
    extended_size: tuple = (1.2, 18.0)
    extended_peak: tuple = (1.5, 80.0)
    survey_density: tuple = (0.002, 0.09)
    survey_slope: tuple = (-2.5, -1.5)
    survey_faintest: tuple = (0.5, 2.0)
    survey_brightest: float = 120.0

    def place(self, rng, shape, pixels_per_beam, density, power=1):
        """Draw how many sources there are, and where: uniform over the field.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        shape : tuple of int, (ny, nx)
        pixels_per_beam : float
        density : float
            Largest mean number of sources in a square beam.
        power : float, optional
            Of the uniformly drawn fraction of it.

        Returns
        -------
        2D array, shape (2, number)
            Positions x and y, 0-based pixels.
        """
        area = shape[0] * shape[1] / pixels_per_beam**2
        number = rng.poisson(density * rng.uniform() ** power * area)
        return rng.uniform(-0.5, np.array([[shape[1]], [shape[0]]]) - 0.5, (2, number))

    def draw_kind(self, rng):
        """Draw what a field is.

        Parameters
        ----------
        rng : `numpy.random.Generator`

        Returns
        -------
        str
            One of ``kinds``.
        """
        shares = np.array(list(self.kinds.values()), dtype=float)
        return str(rng.choice(list(self.kinds), p=shares / shares.sum()))

    def draw_beam(self, rng, kind):
        """Draw with what beam the sky of Table 1 is seen in one field, in units of the one there.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        kind : str

        Returns
        -------
        float
            1 unless the kind is ``"seen"``.
        """
        return _log_uniform(rng, self.seen_beam) if kind == "seen" else 1.0

    def draw(self, rng, shape, pixels_per_beam, kind, beam=1.0):
        """Draw the sources of one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        shape : tuple of int, (ny, nx)
            Field the centres are uniform in, pixels.
        pixels_per_beam : float
        kind : str
        beam : float, optional
            As `draw_beam` draws it.

        Returns
        -------
        `Sources`
            Fluxes in units of the noise, not multiplied by any primary beam.
        """
        if kind in ("table", "seen"):
            return self._table(rng, shape, pixels_per_beam, kind == "seen", beam)
        return {"other": self._other, "extended": self._extended, "survey": self._survey}[kind](
            rng, shape, pixels_per_beam
        )

    def _compact(self, rng, position, pixels_per_beam, bright_fraction):
        """Sources of Table 1, a part of them brighter, at given places."""
        number = position.shape[1]
        bright = rng.random(number) < bright_fraction
        flux = np.where(bright, _log_uniform(rng, self.bright_flux, number), rng.uniform(*self.flux, number))
        return _gaussians(rng, position, flux, rng.uniform(*self.fwhm, (2, number)), pixels_per_beam)

    def _table(self, rng, shape, pixels_per_beam, seen, beam):
        crowd = _log_uniform(rng, self.crowd) if rng.random() < self.crowded_fraction else 1
        density = min(self.density * crowd * beam**2, self.crowded_density)
        position = self.place(rng, shape, pixels_per_beam, density)
        sources = self._compact(rng, position, pixels_per_beam, self.bright_fraction)
        scale = _log_uniform(rng, self.seen_flux) if seen else 1
        return replace(sources, flux=sources.flux * scale, major=sources.major / beam, minor=sources.minor / beam)

    def _other(self, rng, shape, pixels_per_beam):
        position = self.place(rng, shape, pixels_per_beam, self.other_density, power=3)
        number = position.shape[1]
        self._pair(rng, shape, pixels_per_beam, position)
        compact = self._compact(rng, position, pixels_per_beam, 1 if rng.random() < self.all_bright else rng.random())
        extended = rng.random(number) < rng.random()
        major = rng.uniform(self.extended_fwhm[0], rng.uniform(*self.extended_fwhm), number)
        axes = np.array([major, major * rng.uniform(0.3, 1, number)])
        spread = np.sqrt((1 + axes[0] ** 2) * (1 + axes[1] ** 2)) / (1 + np.mean(self.fwhm) ** 2)
        boosted = extended & (rng.random(number) < self.boosted_fraction)
        flux = compact.flux * _log_uniform(rng, self.other_scale) * np.where(boosted, spread, 1)
        return replace(
            compact,
            flux=flux,
            major=np.where(extended, axes[0] * pixels_per_beam, compact.major),
            minor=np.where(extended, axes[1] * pixels_per_beam, compact.minor),
        )

    def _pair(self, rng, shape, pixels_per_beam, position):
        distance = (0.5 * pixels_per_beam, 2 * pixels_per_beam)
        edge = np.array([[shape[1]], [shape[0]]]) - 0.5
        place_pairs(rng, position, rng.random(position.shape[1]) < self.pairs, distance, -0.5, edge)

    def _extended(self, rng, shape, pixels_per_beam):
        parts = []
        for _ in range(rng.integers(self.extended_number[0], self.extended_number[1] + 1)):
            make = SHAPES[str(rng.choice(list(SHAPES)))]
            one = make(rng, _log_uniform(rng, self.extended_size), 1.0)
            flux = _log_uniform(rng, self.extended_peak) / highest_brightness(one, 1.0)
            x, y = (n // 2 + rng.uniform(-0.28, 0.28) * n for n in shape[::-1])
            parts.append(one.placed(x, y, pixels_per_beam, flux))
        position = self.place(rng, shape, pixels_per_beam, self.density)
        parts.append(self._compact(rng, position, pixels_per_beam, bright_fraction=0.3))
        return Sources.concatenate(parts)

    def _survey(self, rng, shape, pixels_per_beam):
        area = shape[0] * shape[1] / pixels_per_beam**2
        number = rng.poisson(_log_uniform(rng, self.survey_density) * area)
        position = rng.uniform(-0.5, np.array([[shape[1]], [shape[0]]]) - 0.5, (2, number))
        self._pair(rng, shape, pixels_per_beam, position)
        slope, faintest = rng.uniform(*self.survey_slope), _log_uniform(rng, self.survey_faintest)
        flux = power_law(rng, number, faintest, self.survey_brightest, slope)
        resolved = rng.random(number) < 0.3
        axes = rng.uniform(0, np.where(resolved, 2, 0.3), (2, number))
        flux = flux * np.where(resolved, np.sqrt((1 + axes[0] ** 2) * (1 + axes[1] ** 2)), 1)
        return _gaussians(rng, position, flux, axes, pixels_per_beam)


def power_law(rng, number, low, high, slope):
    """Draw fluxes with counts dN/dS proportional to S^slope.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    number : int
    low, high : float
        Their limits.
    slope : float
        0 is uniform.

    Returns
    -------
    1D array, shape (number,)
    """
    share, power = rng.random(number), slope + 1
    if power == 1:
        return low + share * (high - low)
    if power == 0:
        return low * (high / low) ** share
    # From the end where most of the sources are, so that no power overflows.
    if power > 0:
        low, high, share = high, low, 1 - share
    return low * np.exp(np.log1p(share * np.expm1(power * np.log(high / low))) / power)


def _log_uniform(rng, limits, number=None):
    return np.exp(rng.uniform(*np.log(limits), number))


def _gaussians(rng, position, flux, axes, pixels_per_beam):
    """Sources of random orientation; axes (2, number) in beams."""
    return Sources(
        x=position[0],
        y=position[1],
        flux=flux,
        major=axes.max(0) * pixels_per_beam,
        minor=axes.min(0) * pixels_per_beam,
        angle=rng.uniform(0, np.pi, len(flux)),
    )


def place_pairs(rng, position, close, distance, low, high):
    """Move sources beside others, which stay where they are, until the chosen ones are pairs.

    Where their number is odd, one more or one fewer is paired, or three lie
    together where there is no other: the mean number is that of the chosen.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    position : 2D array, shape (2, n)
        Changed in place.
    close : 1D boolean array, shape (n,)
        Sources that are to have another beside them.
    distance : tuple of float
        Range of the distances.
    low, high : float or array, shape (2, 1)
        Limits of the positions.
    """
    chosen, others = np.flatnonzero(close), np.flatnonzero(~close)
    if len(close) < 2:
        return
    if len(chosen) % 2 and not len(others):
        chosen = np.insert(chosen, -1, chosen[0])
    elif len(chosen) % 2:
        chosen = np.append(chosen, rng.choice(others)) if rng.random() < 0.5 else chosen[:-1]
    anchor, moved = chosen[::2], chosen[1::2]
    while len(moved):
        radius, angle = rng.uniform(*distance, len(moved)), rng.uniform(0, 2 * np.pi, len(moved))
        position[:, moved] = position[:, anchor] + radius * np.stack([np.cos(angle), np.sin(angle)])
        outside = ((position[:, moved] < low) | (position[:, moved] > high)).any(0)
        anchor, moved = anchor[outside], moved[outside]
