"""Image pixels to model pixels and back.

A model knows one number of pixels per beam. An image is brought there by
cropping (or zero-padding) its Fourier transform, which is exact because a
dirty image holds nothing beyond its longest baseline; what the model draws is
brought back by a map that conserves flux.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import irfft2, rfft2
from scipy.ndimage import map_coordinates, spline_filter
from scipy.sparse import csr_array

from .holes import continue_edges

__all__ = ["ORIENTATIONS", "ModelGrid", "Tile", "fourier_resample", "tiles", "turn", "turn_back"]


ORIENTATIONS = 8  # of a square grid, mirrored ones too


def fourier_resample(image, shape):
    """Resample a periodic image by cropping or padding its Fourier transform.

    Pixel (0, 0) keeps its position and the values keep their scale.

    Parameters
    ----------
    image : 2D array, shape (ny, nx)
    shape : tuple of int, (my, mx)

    Returns
    -------
    2D array of shape ``shape``.
    """
    image = np.asarray(image, dtype=float)
    spectrum = rfft2(image)
    ny, nx = image.shape
    my, mx = shape
    rows, columns = min(ny, my), min(nx, mx)
    out = np.zeros((my, mx // 2 + 1), dtype=complex)
    # The Nyquist terms of the shorter axis are left out: they have no unique counterpart.
    positive, negative = (rows + 1) // 2, (rows - 1) // 2
    kept = (columns + 1) // 2
    out[:positive, :kept] = spectrum[:positive, :kept]
    out[my - negative :, :kept] = spectrum[ny - negative :, :kept]
    return irfft2(out, s=(my, mx)) * (my * mx) / (ny * nx)


def _hat_integral(x):
    """Integral from minus infinity to x of the hat function on [-1, 1]."""
    x = np.clip(x, -1, 1)
    return np.where(x < 0, 0.5 * (1 + x) ** 2, 1 - 0.5 * (1 - x) ** 2)


def _spread_matrix(n, m, ratio):
    """Sparse (n, m) matrix that spreads the flux of model pixels over image pixels.

    Model pixel j sits at image pixel ``j * ratio`` and is a hat function of
    half-width ``ratio``; each column sums to 1 inside the image.
    """
    width = int(np.ceil(1 / ratio)) + 2
    edges = np.arange(n + 1) - 0.5
    first = np.floor(edges[:-1] / ratio).astype(int) - 1
    columns = first[:, None] + np.arange(width + 1)
    weights = _hat_integral(edges[1:, None] / ratio - columns) - _hat_integral(edges[:-1, None] / ratio - columns)
    rows = np.broadcast_to(np.arange(n)[:, None], columns.shape)
    return csr_array((weights.ravel(), (rows.ravel(), (columns % m).ravel())), shape=(n, m))


def _gather_matrix(n, m, ratio):
    """Sparse (m, n) matrix that shares the flux of image pixels among the nearest two model pixels."""
    position = np.arange(n) / ratio
    first = np.floor(position).astype(int)
    share = position - first
    columns = np.arange(n)
    return csr_array(
        (np.concatenate([1 - share, share]), (np.concatenate([first, first + 1]) % m, np.concatenate([columns] * 2))),
        shape=(m, n),
    )


@dataclass(frozen=True)
class ModelGrid:
    """The pixels of a model laid over an image.

    The image is padded at its far edges, so that a whole number of model pixels
    fits; pixel (0, 0) of both grids coincide. The model's images are periodic:
    half of the padding lies before the near edges.

    Parameters
    ----------
    image_shape : tuple of int, (ny, nx)
    beam_pixels : float
        Beam FWHM (geometric mean of the axes), image pixels.
    pixels_per_beam : float
        Pixels per beam FWHM the model was trained at.
    multiple : int
        Number the sides of the model's images must be a multiple of.
    """

    image_shape: tuple
    beam_pixels: float
    pixels_per_beam: float
    multiple: int

    @cached_property
    def shape(self):
        """Shape (my, mx) in model pixels; at least one beam of it is padding."""
        needed = np.array(self.image_shape) * self.pixels_per_beam / self.beam_pixels + self.pixels_per_beam
        return tuple(int(m) for m in np.ceil(needed / self.multiple).astype(int) * self.multiple)

    @cached_property
    def padded_shape(self):
        """Shape of the padded image, image pixels."""
        return tuple(round(m * self.beam_pixels / self.pixels_per_beam) for m in self.shape)

    @cached_property
    def ratio(self):
        """Image pixels per model pixel, (y, x)."""
        return tuple(p / m for p, m in zip(self.padded_shape, self.shape, strict=True))

    def _pad(self, image):
        extra = [(0, p - n) for p, n in zip(self.padded_shape, self.image_shape, strict=True)]
        return np.pad(image, extra)

    def to_model(self, image, beam_covariance=None):
        """A band-limited image at the model's pixels.

        Parameters
        ----------
        image : 2D array, shape ``image_shape``
            Values per beam, in units of the noise; blank pixels (NaN) count as 0.
        beam_covariance : 2D array, shape (2, 2), optional
            Second moments of the beam, pixels squared, order x, y: with them
            the image is continued by two beams beyond its edges. One that ends
            there in zeros is not band-limited, and a source at the edge loses
            a third of its flux.

        Returns
        -------
        2D array, shape ``shape``, same unit.
        """
        padded = self._pad(image)
        if beam_covariance is not None:
            padded = continue_edges(padded, self.image_shape, beam_covariance)
        return fourier_resample(np.nan_to_num(padded), self.shape)

    def psf_to_model(self, psf):
        """A PSF at the model's pixels.

        Parameters
        ----------
        psf : 2D array, shape (2 ny, 2 nx)
            Peak at pixel ``(ny, nx)``, see
            `~astro_ddpm_imager.observation.dirty.DirtyImage.covering_psf`.

        Returns
        -------
        2D array, shape ``(2 my, 2 mx)``, peak at pixel ``(my, mx)``
        """
        before = [p - n for p, n in zip(self.padded_shape, self.image_shape, strict=True)]
        padded = np.pad(psf, [(extra, extra) for extra in before])
        return fourier_resample(padded, tuple(2 * m for m in self.shape))

    def gather(self, sky):
        """Flux of image pixels on the model's pixels; flux and centroids are conserved.

        Parameters
        ----------
        sky : 2D array, shape ``image_shape``
            Flux per image pixel.

        Returns
        -------
        2D array, shape ``shape``, flux per model pixel.
        """
        rows, columns = (
            _gather_matrix(n, m, ratio) for n, m, ratio in zip(self.image_shape, self.shape, self.ratio, strict=True)
        )
        return rows @ sky @ columns.T

    def sample(self, image):
        """A smooth map (a primary beam) interpolated at the model's pixels.

        Parameters
        ----------
        image : 2D array, shape ``image_shape``

        Returns
        -------
        2D array, shape ``shape``; 0 where ``image`` is blank, and from a model
        pixel beyond its edges: the flux of a source at the edge is shared with
        the model's next pixel.
        """
        axes = [np.arange(m) * r for m, r in zip(self.shape, self.ratio, strict=True)]
        at = np.meshgrid(*axes, indexing="ij")
        blank = ~np.isfinite(image)
        values = map_coordinates(np.where(blank, 0, image), at, order=1, mode="nearest")
        outside = map_coordinates(blank.astype(float), at, order=1, mode="nearest") > 0
        for position, n, ratio in zip(at, self.image_shape, self.ratio, strict=True):
            outside |= position >= n - 1 + ratio
        return np.where(outside, 0, values)

    @cached_property
    def on_image(self):
        """Which of the model's pixels lie on the image, and not beyond its edges, 2D array of bool, shape ``shape``."""
        y, x = (np.arange(m) * r <= n - 1 for m, r, n in zip(self.shape, self.ratio, self.image_shape, strict=True))
        return y[:, None] & x

    @cached_property
    def _spread(self):
        axes = zip(self.image_shape, self.shape, self.ratio, strict=True)
        return tuple(_spread_matrix(n, m, ratio) for n, m, ratio in axes)

    def to_image(self, sky, sharpen=True):
        """Spread flux per model pixel over the image's pixels; flux is conserved.

        Parameters
        ----------
        sky : 2D array, shape ``shape``
            Flux per model pixel.
        sharpen : bool, optional
            Undo the broadening by the model's pixels and by the interpolation
            (a variance of a quarter of a model pixel squared on each axis), so
            that the residual is right: a quadratic spline through the model's
            pixels (Unser 1999, IEEE Signal Processing Magazine 16, 22). Next
            to sharp sources this leaves negatives of up to a fifth of them.

        Returns
        -------
        2D array, shape ``image_shape``, flux per image pixel.
        """
        sky = np.asarray(sky, dtype=float)
        if sharpen:
            sky = spline_filter(sky, 2, mode="grid-wrap")
        rows, columns = self._spread
        return rows @ sky @ columns.T

    def to_image_position(self, y, x):
        """Positions in model pixels as 0-based positions in image pixels."""
        return np.asarray(y) * self.ratio[0], np.asarray(x) * self.ratio[1]


def turn(images, orientation):
    """Images in one of the eight orientations of a square grid.

    Parameters
    ----------
    images : array, shape (..., ny, nx)
    orientation : int
        Modulo ``ORIENTATIONS``; 0 leaves them as they are, odd ones exchange the axes.

    Returns
    -------
    array, a view
    """
    if orientation & 1:
        images = np.swapaxes(images, -1, -2)
    if orientation & 2:
        images = images[..., ::-1]
    return images[..., ::-1, :] if orientation & 4 else images


def turn_back(images, orientation):
    """Undo `turn`.

    Parameters
    ----------
    images : array, shape (..., my, mx)
    orientation : int

    Returns
    -------
    array, a view
    """
    if orientation & 4:
        images = images[..., ::-1, :]
    if orientation & 2:
        images = images[..., ::-1]
    return np.swapaxes(images, -1, -2) if orientation & 1 else images


@dataclass(frozen=True)
class Tile:
    """A window of an image and the part of it that the tile owns.

    Parameters
    ----------
    window : tuple of slice
        The tile in the image.
    core : tuple of slice
        What it owns, in the image.
    inner : tuple of slice
        What it owns, in the tile.
    """

    window: tuple
    core: tuple
    inner: tuple


def tiles(shape, size, overlap):
    """Cut an image into overlapping tiles; every pixel is owned by exactly one.

    Parameters
    ----------
    shape : tuple of int, (ny, nx)
    size : int
        Largest side of a tile. Axes that are not longer stay in one piece.
    overlap : int
        Pixels at each inner edge of a tile that it does not own: the reach of
        the network, so that the tiles join without a seam.

    Returns
    -------
    list of `Tile`
    """
    axes = []
    for n in shape:
        step = size - 2 * overlap
        starts = [0] if n <= size else [*range(0, n - size, step), n - size]
        bounds = [0, *(b + overlap for b in starts[1:]), n]
        axes.append(
            [(start, min(size, n), lo, hi) for start, lo, hi in zip(starts, bounds[:-1], bounds[1:], strict=True)]
        )
    return [
        Tile(
            window=(slice(y, y + ny), slice(x, x + nx)),
            core=(slice(y0, y1), slice(x0, x1)),
            inner=(slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)),
        )
        for y, ny, y0, y1 in axes[0]
        for x, nx, x0, x1 in axes[1]
    ]
