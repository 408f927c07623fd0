"""Elliptical Gaussian sources: a population of them, their pixels and their Fourier transform."""

from dataclasses import dataclass

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm

__all__ = ["Population", "Sources", "place_pairs", "sky_pixels", "sky_spectrum"]


@dataclass(frozen=True)
class Sources:
    """Elliptical Gaussians.

    Parameters
    ----------
    x, y : 1D arrays, shape (n,)
        Centres, 0-based pixels.
    flux : 1D array, shape (n,)
        Total flux, in the unit the image is to have (per beam: the same number).
    major, minor : 1D arrays, shape (n,)
        FWHM, pixels.
    angle : 1D array, shape (n,)
        Angle of the major axis, radians from the x axis towards the y axis.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    major: np.ndarray
    minor: np.ndarray
    angle: np.ndarray

    def __len__(self):
        return len(self.x)

    def select(self, chosen):
        """Only the sources of a boolean or index array, as new `Sources`."""
        return Sources(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @property
    def covariance(self):
        """Second moments (xx, xy, yy), pixels squared, each of shape (n,)."""
        a, b = (self.major / gaussian_sigma_to_fwhm) ** 2, (self.minor / gaussian_sigma_to_fwhm) ** 2
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return a * cos**2 + b * sin**2, (a - b) * cos * sin, a * sin**2 + b * cos**2


@dataclass(frozen=True)
class Population:
    """What sources there are, in units of the beam and of the noise.

    The defaults are Table 1 of Taran et al. 2023 (A&A 674, A161) divided by
    its beam (0.856") and its noise (47.3 uJy/beam), with continuous positions,
    for a part of the fields. A second part is the same sky as other arrays
    see it in other weather. Some fields of both are more crowded. In the
    others there may be none or many more, brighter or fainter, of any size up
    to a few beams, some of them close pairs; in half of these fields all are
    bright, so that bright sources do not promise faint ones beside them.

    Parameters
    ----------
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
    seen_fraction : float
        Fraction of the fields with the same sources seen by other arrays.
    seen_beam, seen_flux : tuple of float
        Their ranges, uniform in the logarithm, of the beam in units of the
        one of Table 1, and of a factor on the fluxes.
    other_fraction : float
        Fraction of the fields with sources of other sizes, fluxes and numbers.
    other_density, other_scale : float, tuple of float
        Their largest density, and the range of a factor on the fluxes of a
        field, uniform in the logarithm.
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
    """

    density: float = 8 / 845
    flux: tuple = (50 / 47.3, 500 / 47.3)
    fwhm: tuple = (0.4 / 0.856, 0.8 / 0.856)
    bright_fraction: float = 0.08
    bright_flux: tuple = (10.0, 60.0)
    crowded_fraction: float = 0.35
    crowd: tuple = (1.0, 8.0)
    crowded_density: float = 0.1
    seen_fraction: float = 0.3
    seen_beam: tuple = (0.35, 2.3)
    seen_flux: tuple = (0.3, 1.2)
    other_fraction: float = 0.3
    other_density: float = 0.045
    other_scale: tuple = (0.4, 1.5)
    all_bright: float = 0.5
    extended_fwhm: tuple = (0.0, 3.0)
    boosted_fraction: float = 0.6
    pairs: float = 0.2

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

    def draw_beam(self, rng):
        """Draw how the sky of Table 1 is seen in one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`

        Returns
        -------
        float or None
            Beam in units of the one of Table 1: 1 for the same array; None for another sky.
        """
        part = rng.random()
        beam = np.exp(rng.uniform(*np.log(self.seen_beam)))
        if part < self.other_fraction:
            return None
        return beam if part > 1 - self.seen_fraction else 1.0

    def draw(self, rng, shape, pixels_per_beam, beam):
        """Draw the sources of one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        shape : tuple of int, (ny, nx)
            Field the centres are uniform in, pixels.
        pixels_per_beam : float
        beam : float or None
            As `draw_beam` draws it.

        Returns
        -------
        `Sources`
            Fluxes in units of the noise, not multiplied by any primary beam.
        """
        other, seen = beam is None, beam not in (None, 1)
        scale, crowd = (np.exp(rng.uniform(*np.log(limits))) for limits in (self.seen_flux, self.crowd))
        if rng.random() > self.crowded_fraction:
            crowd = 1
        if other:
            density, power = self.other_density, 3
        else:
            density, power = min(self.density * crowd * beam**2, self.crowded_density), 1
        position = self.place(rng, shape, pixels_per_beam, density, power)
        number = position.shape[1]
        bright_fraction = self.bright_fraction
        if other:
            bright_fraction = 1 if rng.random() < self.all_bright else rng.random()
        bright = rng.random(number) < bright_fraction
        flux = np.where(bright, np.exp(rng.uniform(*np.log(self.bright_flux), number)), rng.uniform(*self.flux, number))
        fwhm = rng.uniform(*self.fwhm, (2, number))
        if seen:
            flux, fwhm = flux * scale, fwhm / beam
        if other:
            longest = rng.uniform(*self.extended_fwhm)
            major = rng.uniform(self.extended_fwhm[0], longest, number)
            extended = rng.random(number) < rng.random()
            fwhm = np.where(extended, [major, major * rng.uniform(0.3, 1, number)], fwhm)
            flux *= np.exp(rng.uniform(*np.log(self.other_scale)))
            spread = np.sqrt((1 + fwhm[0] ** 2) * (1 + fwhm[1] ** 2)) / (1 + np.mean(self.fwhm) ** 2)
            boosted = extended & (rng.random(number) < self.boosted_fraction)
            flux[boosted] *= spread[boosted]
            distance = (0.5 * pixels_per_beam, 2 * pixels_per_beam)
            edge = np.array([[shape[1]], [shape[0]]]) - 0.5
            place_pairs(rng, position, rng.random(number) < self.pairs, distance, -0.5, edge)
        return Sources(
            x=position[0],
            y=position[1],
            flux=flux,
            major=fwhm.max(0) * pixels_per_beam,
            minor=fwhm.min(0) * pixels_per_beam,
            angle=rng.uniform(0, np.pi, number),
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


def sky_spectrum(sources, shape):
    """Exact Fourier transform of the sources, in the layout of `numpy.fft.rfft2`.

    Parameters
    ----------
    sources : `Sources`
    shape : tuple of int, (ny, nx)

    Returns
    -------
    2D complex array, shape (ny, nx // 2 + 1)
        Its zero-frequency term is the total flux.
    """
    v, u = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    spectrum = np.zeros((shape[0], shape[1] // 2 + 1), dtype=complex)
    uu, uv, vv = (np.float32(-2 * np.pi**2) * np.asarray(term, np.float32) for term in (u**2, 2 * u * v, v**2))
    for x, y, flux, xx, xy, yy in zip(sources.x, sources.y, sources.flux, *sources.covariance, strict=True):
        # The envelope is smooth, single precision will do; the phases are not.
        envelope = np.exp(np.float32(xx) * uu + np.float32(xy) * uv + np.float32(yy) * vv)
        spectrum += envelope * (flux * np.exp(-2j * np.pi * v * y)) * np.exp(-2j * np.pi * u * x)
    return spectrum


def sky_pixels(sources, shape, subpixels=3):
    """Flux of the sources in each pixel.

    The Gaussian is averaged over a grid of points in each pixel, broadened by
    the variance of a sub-pixel; what falls outside the image is lost.

    Parameters
    ----------
    sources : `Sources`
    shape : tuple of int, (ny, nx)
    subpixels : int, optional
        Points a pixel on each axis.

    Returns
    -------
    2D array, shape ``shape``, flux per pixel.
    """
    image = np.zeros(shape)
    offsets = (np.arange(subpixels) + 0.5) / subpixels - 0.5
    broadening = 1 / (12 * subpixels**2)
    narrowest = 0.25 / subpixels**2  # that the points still add up
    for x, y, flux, xx, xy, yy in zip(sources.x, sources.y, sources.flux, *sources.covariance, strict=True):
        xx, yy = max(xx + broadening, narrowest), max(yy + broadening, narrowest)
        reach = int(np.ceil(5 * np.sqrt(max(xx, yy)))) + 1
        x0, y0 = round(x), round(y)
        columns = np.arange(max(x0 - reach, 0), min(x0 + reach + 1, shape[1]))
        rows = np.arange(max(y0 - reach, 0), min(y0 + reach + 1, shape[0]))
        if not (columns.size and rows.size):
            continue
        dx = (columns[:, None] + offsets).ravel() - x
        dy = ((rows[:, None] + offsets).ravel() - y)[:, None]
        determinant = xx * yy - xy**2
        density = np.exp(-0.5 * (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / determinant)
        patch = sum(density[i::subpixels] for i in range(subpixels))
        patch = sum(patch[:, i::subpixels] for i in range(subpixels)) / subpixels**2
        image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * patch / (2 * np.pi * np.sqrt(determinant))
    return image
