"""Gaussian components anywhere between pixels: their transforms, and their pixels."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq

from ..columns import Columns

__all__ = ["Components", "nearest_pixels"]

WINDOW = 8  # pixels: half the side of what a point is drawn on
KAISER = 6.0  # shape of its window
SUBPIXELS = 4  # on each axis, where a pixel is an area
AT_ONCE = 2**15  # values of a transform, as many as stay in the cache of a processor


def nearest_pixels(x, y, shape):
    """The pixels of an image that are nearest to some places.

    Parameters
    ----------
    x, y : 1D arrays
        0-based pixels.
    shape : tuple of int, (ny, nx)

    Returns
    -------
    tuple of 1D array of int, (y, x)
    """
    return tuple(np.round(p).astype(int).clip(0, n - 1) for p, n in zip((y, x), shape, strict=True))


@dataclass(frozen=True)
class Components(Columns):
    """Elliptical Gaussians and points.

    Parameters
    ----------
    x, y : 1D arrays, shape (n,)
        Centres, 0-based pixels.
    flux : 1D array, shape (n,)
        Total flux.
    covariance : 3D array, shape (n, 2, 2)
        Second moments, pixels squared, order x, y; 0 for a point.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    covariance: np.ndarray

    @classmethod
    def points(cls, x, y, flux):
        """Points at some pixels."""
        return cls(np.array(x, float), np.array(y, float), np.array(flux, float), np.zeros((len(flux), 2, 2)))

    def nearest(self, shape):
        """The pixels (y, x) of an image that are nearest to the centres, two 1D arrays of int."""
        return nearest_pixels(self.x, self.y, shape)

    def power(self, shape):
        """Squares of the fluxes on the nearest pixels of an image, which is 0 elsewhere."""
        image = np.zeros(shape)
        np.add.at(image, self.nearest(shape), self.flux**2)
        return image

    def near(self, shape, reach):
        """Pixels within some distance of what is brighter than half of the peak of any.

        Parameters
        ----------
        shape : tuple of int, (ny, nx)
        reach : float
            Pixels.

        Returns
        -------
        2D bool array, shape (ny, nx)
        """
        near = np.zeros(shape, dtype=bool)
        radii = reach + np.sqrt(2 * np.log(2) * np.linalg.eigvalsh(self.covariance)[:, -1].clip(0))
        for x, y, radius in zip(self.x, self.y, radii, strict=True):
            rows, columns = (
                np.arange(max(0, int(p - radius)), min(n, int(p + radius) + 2))
                for p, n in zip((y, x), shape, strict=True)
            )
            near[np.ix_(rows, columns)] |= np.hypot((rows - y)[:, None], columns - x) < radius
        return near

    def scaled(self, factor):
        """The same with other fluxes."""
        return Components(self.x, self.y, self.flux * factor, self.covariance)

    def parted(self):
        """Each as two of half its flux along its longer axis, which together have the same moments."""
        variances, axes = np.linalg.eigh(self.covariance)
        along = axes[:, :, 1] * np.sqrt(variances[:, 1:].clip(0))
        narrower = self.covariance - along[:, :, None] * along[:, None]
        moved = (Components(self.x + x, self.y + y, self.flux / 2, narrower) for x, y in (along.T, -along.T))
        return Components.concatenate(list(moved))

    def on_grid(self, ratio, broadening=0.0):
        """The same on other pixels.

        Parameters
        ----------
        ratio : tuple of float, (y, x)
            Present pixels in one of the new ones.
        broadening : float, optional
            Variance that is added on both axes, new pixels squared.

        Returns
        -------
        `Components`
        """
        scale = np.array(ratio[::-1])
        covariance = self.covariance / np.outer(scale, scale) + broadening * np.eye(2)
        return Components(self.x / ratio[1], self.y / ratio[0], self.flux, covariance)

    def spectrum(self, v, u):
        """Fourier transform.

        Parameters
        ----------
        v, u : 1D arrays, shapes (ny,) and (nx,)
            Frequencies along y and x, cycles a pixel.

        Returns
        -------
        2D complex array, shape (ny, nx)
        """
        along_y = self.flux * np.exp(-2j * np.pi * np.outer(v, self.y))
        along_x = np.exp(-2j * np.pi * np.outer(self.x, u))
        if not self.covariance.any():
            return along_y @ along_x
        xx, xy, yy = (-2 * np.pi**2 * self.covariance[:, i, j, None] for i, j in ((0, 0), (0, 1), (1, 1)))
        of_u, of_both = xx * u**2, 2 * xy * u
        total, step = np.empty((len(v), len(u)), complex), max(1, AT_ONCE // along_x.size)
        for rows in (slice(start, start + step) for start in range(0, len(v), step)):
            at = v[rows, None, None]
            envelope = of_both * at
            envelope += of_u
            envelope += yy * at**2
            np.exp(envelope, out=envelope)
            total[rows] = (along_y[rows, None] @ (along_x * envelope))[:, 0]
        return total

    def pixels(self, shape):
        """The components on the pixels of an image, so that a band-limited PSF sees them where they are.

        Between pixels a point is a windowed sinc function, which is negative
        in places: CLEAN's components are, too, where it may choose.

        Parameters
        ----------
        shape : tuple of int, (ny, nx)

        Returns
        -------
        2D array, shape (ny, nx), flux per pixel
        """

        def draw(one, sides):
            # The window is that of the point alone, or it would narrow wide Gaussians.
            y, x = (_windowed_sinc(np.arange(side) - at.item()) for side, at in zip(sides, (one.y, one.x), strict=True))
            spread = Components(np.zeros(1), np.zeros(1), one.flux, one.covariance)
            return irfft2(rfft2(np.outer(y, x)) * spread.spectrum(fftfreq(sides[0]), rfftfreq(sides[1])), s=sides)

        return self._drawn(shape, draw, WINDOW)

    def squares(self, shape):
        """The components as pixels of some area share them: never negative, and wider by a pixel.

        Parameters
        ----------
        shape : tuple of int, (ny, nx)

        Returns
        -------
        2D array, shape (ny, nx), flux per pixel
        """

        def draw(one, sides):
            (xx, xy), (_, yy) = one.covariance[0] + np.eye(2) / (12 * SUBPIXELS**2)
            y, x = ((np.arange(SUBPIXELS * side) + 0.5) / SUBPIXELS - 0.5 for side in sides)
            dy, dx = (y - one.y)[:, None], x - one.x
            density = np.exp(-0.5 * (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / (xx * yy - xy**2))
            return density.reshape(sides[0], SUBPIXELS, sides[1], SUBPIXELS).sum((1, 3))

        return self._drawn(shape, draw, 1)

    def _drawn(self, shape, draw, margin):
        """Sum of what is drawn of each component, normalised, on pixels around it."""
        image = np.zeros(shape)
        for i in range(len(self)):
            reach_x, reach_y = margin + np.ceil(5 * np.sqrt(np.diagonal(self.covariance[i]).clip(0))).astype(int)
            left, top = round(self.x[i]) - reach_x, round(self.y[i]) - reach_y
            sides = 2 * reach_y + 1, 2 * reach_x + 1
            one = Components(self.x[[i]] - left, self.y[[i]] - top, np.ones(1), self.covariance[[i]])
            patch = draw(one, sides)
            rows, columns = (
                slice(min(max(start, 0), n), min(max(start + side, 0), n))
                for start, side, n in zip((top, left), sides, shape, strict=True)
            )
            inside = patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            # Of what waves around a point, an edge may cut off a trough.
            whole = patch if self.covariance[i].any() else inside
            image[rows, columns] += self.flux[i] * inside / whole.sum()
        return image


def _windowed_sinc(distance):
    """A point at a distance from pixels, so that it is as narrow as pixels can tell, and ends."""
    return np.sinc(distance) * np.i0(KAISER * np.sqrt((1 - (distance / (WINDOW + 0.5)) ** 2).clip(0)))
