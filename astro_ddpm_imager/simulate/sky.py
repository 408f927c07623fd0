"""Elliptical Gaussian sources: their pixels and their Fourier transform."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm

from ..columns import Columns

__all__ = ["Sources", "sky_pixels", "sky_spectrum"]

SUBPIXELS = 3  # points a pixel on each axis


@dataclass(frozen=True, eq=False)
class Sources(Columns):
    """Elliptical Gaussians, alone or as parts of extended sources.

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
    part_of : 1D array of int, shape (n,), optional
        Number of the source that each Gaussian is a part of; by default each
        is a source.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    major: np.ndarray
    minor: np.ndarray
    angle: np.ndarray
    part_of: np.ndarray | None = None

    def __post_init__(self):
        if self.part_of is None:
            object.__setattr__(self, "part_of", np.arange(len(self.x)))

    @classmethod
    def concatenate(cls, several):
        """All of several `Sources`, each with numbers of its own, as new `Sources`."""
        firsts = np.cumsum([0, *(one.part_of.max(initial=-1) + 1 for one in several[:-1])])
        numbered = [replace(one, part_of=one.part_of + first) for one, first in zip(several, firsts, strict=True)]
        return super().concatenate(numbered)

    def placed(self, x, y, scale, flux):
        """The same around another place, larger by a factor and with fluxes multiplied by another."""
        return Sources(
            x + scale * self.x, y + scale * self.y, flux * self.flux, scale * self.major, scale * self.minor,
            self.angle, self.part_of,
        )  # fmt: skip

    def whole(self):
        """Each source as one Gaussian with its total flux, centroid and second moments, as new `Sources`."""
        number, part_of = np.unique(self.part_of, return_inverse=True)
        flux = np.bincount(part_of, self.flux)

        def mean(values):
            return np.bincount(part_of, self.flux * values) / flux

        x, y = mean(self.x), mean(self.y)
        dx, dy = self.x - x[part_of], self.y - y[part_of]
        xx, xy, yy = map(mean, np.add(self.covariance, [dx**2, dx * dy, dy**2]))
        half, difference = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        major, minor = (
            gaussian_sigma_to_fwhm * np.sqrt(np.clip(half + sign * difference, 0, None)) for sign in (1, -1)
        )
        angle = np.arctan2(2 * xy, xx - yy) / 2 % np.pi
        return Sources(x, y, flux, major, minor, angle, number)

    @property
    def covariance(self):
        """Second moments (xx, xy, yy), pixels squared, each of shape (n,)."""
        a, b = (self.major / gaussian_sigma_to_fwhm) ** 2, (self.minor / gaussian_sigma_to_fwhm) ** 2
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return a * cos**2 + b * sin**2, (a - b) * cos * sin, a * sin**2 + b * cos**2


def sky_spectrum(sources: Sources, shape: tuple[int, int]) -> np.ndarray:
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


def sky_pixels(sources: Sources, shape: tuple[int, int]) -> np.ndarray:
    """Flux of the sources in each pixel.

    The Gaussian is averaged over a grid of points in each pixel, broadened by
    the variance of a sub-pixel; what falls outside the image is lost.

    Parameters
    ----------
    sources : `Sources`
    shape : tuple of int, (ny, nx)

    Returns
    -------
    2D array, shape ``shape``, flux per pixel.
    """
    image = np.zeros(shape)
    offsets = (np.arange(SUBPIXELS) + 0.5) / SUBPIXELS - 0.5
    broadening = 1 / (12 * SUBPIXELS**2)
    narrowest = 0.25 / SUBPIXELS**2  # that the points still add up
    for x, y, flux, xx, xy, yy in zip(sources.x, sources.y, sources.flux, *sources.covariance, strict=True):
        thinnest = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)  # variance along the minor axis
        more = max(broadening, narrowest - thinnest)
        xx, yy = xx + more, yy + more
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
        patch = sum(density[i::SUBPIXELS] for i in range(SUBPIXELS))
        patch = sum(patch[:, i::SUBPIXELS] for i in range(SUBPIXELS)) / SUBPIXELS**2
        image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * patch / (2 * np.pi * np.sqrt(determinant))
    return image
