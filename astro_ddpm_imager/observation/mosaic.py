"""The PSF of a mosaic: what its pointings, and the overlap of their primary beams, make of a source's sidelobes."""

import logging
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from .components import nearest_pixels
from .history import history_lines
from .holes import like_nearest

__all__ = ["MosaicOverlap", "is_flat_sky", "mosaic_overlap", "mosaic_psf"]

log = logging.getLogger(__name__)

PARAMETER = r"{}\s*=\s*[\"']?(\w+)"  # of tclean, in a HISTORY
EDGE = 0.22  # of the highest weight: a contour that is seen where tclean blanks what is below 0.2
FALLING = 0.6  # likewise: up to here, what is looked at is the fall of the outermost pointings
FEWEST_STEPS = 6  # between the two
LEAST_PIXELS = 50  # in a step
FINEST = 1024  # pixels on a side that the fall is looked at with
PARTS = 16  # of the width of a primary beam: pixels of the maps of weights
REACH = 2.0  # widths: farther from a source hardly a pointing sees both
ROWS = 256  # of a PSF, at once
LEAST = 0.05  # of the weight at the phase centre: where a PSF is no longer divided by it


@dataclass(frozen=True)
class MosaicOverlap:
    """What the pointings of a mosaic make of a PSF.

    Pointings p with primary beams A_p, whose PSFs are all but the same, B,
    show a source at s, at the place s + d of an image of even noise, as

        B(d) sum_p A_p(s) A_p(s + d) / (N(s) N(s + d)),   N^2 = sum_p A_p^2,

    times N(s), the ``pb`` of tclean. The PSF that tclean's gridder "mosaic"
    writes is another: B(d) sum_p A_p(c + d) / sum_p A_p(c), c being its phase
    centre. Both are had from N alone if A is a Gaussian. The product of two of
    the width F, d apart, is A(d / sqrt(2)) times the square of one between
    them, so that the first sum is N^2(s + d / 2) 2^(-2 d^2 / F^2); and A is
    A^2, the narrower Gaussian, convolved with a Gaussian of the width
    F / sqrt(2), and so is the second one N^2.

    Parameters
    ----------
    weight : 2D array
        N in steps of ``step`` pixels, continued beyond where it is known.
    known : 2D array of bool
        Where it is.
    first : tuple of float, (y, x)
        Pixel of the primary beam on which the first of the weights is.
    step : float
        Pixels.
    width : float
        FWHM of the primary beam of an antenna, pixels.
    """

    weight: np.ndarray
    known: np.ndarray
    first: tuple
    step: float
    width: float

    @cached_property
    def _seen(self):
        """Sum of the primary beams."""
        return gaussian_filter(self.weight**2, gaussian_fwhm_to_sigma * self.width / np.sqrt(2) / self.step)

    @cached_property
    def _shared(self):
        """Mean of N^2(s + d / 2) / (N(s) N(s + d)) over all s, by d in two steps."""
        reach = int(REACH * self.width / self.step) // 2
        inverse = np.where(self.known, 1 / self.weight, 0)
        square, mean = self.weight**2, np.full((2 * reach + 1, 2 * reach + 1), np.nan)
        for dy, dx in np.ndindex(reach + 1, 2 * reach + 1):
            dx -= reach
            # The other half is the same: it does not matter which of the two is the source.
            one, two = _pair(inverse, 2 * dy, 2 * dx)
            both = one * two
            number = np.count_nonzero(both)
            if number:
                between = _between(square, dy, dx)
                mean[reach + dy, reach + dx] = mean[reach - dy, reach - dx] = np.sum(both * between) / number
        return like_nearest(mean)

    def of_sources(self, psf, centre):
        """The PSF that sources have, from the one that tclean has written for a place.

        Parameters
        ----------
        psf : 2D array
            Peak at pixel ``n // 2``.
        centre : tuple of float, (y, x)
            The place, pixels of the primary beam.

        Returns
        -------
        2D array
        """
        of_sources = np.empty_like(psf)
        columns = np.arange(psf.shape[1]) - psf.shape[1] // 2
        for start in range(0, len(psf), ROWS):
            rows = slice(start, min(start + ROWS, len(psf)))
            offsets = np.arange(rows.start, rows.stop) - len(psf) // 2
            of_sources[rows] = psf[rows] * self.factor(centre, offsets, columns)
        return of_sources

    def factor(self, centre, rows, columns):
        """By what the PSF that tclean has written for a place has to be multiplied.

        Parameters
        ----------
        centre : tuple of float, (y, x)
            Of the PSF, pixels of the primary beam.
        rows, columns : 1D arrays
            Offsets from it, pixels.

        Returns
        -------
        2D array
        """
        offsets = np.meshgrid(rows, columns, indexing="ij")
        places = [(c + d - f) / self.step for c, d, f in zip(centre, offsets, self.first, strict=True)]
        seen = map_coordinates(self._seen, places, order=3, mode="nearest")
        here = map_coordinates(self._seen, [[p] for p in np.subtract(centre, self.first) / self.step], order=3)[0]
        middle = len(self._shared) // 2
        shared = map_coordinates(self._shared, [d / (2 * self.step) + middle for d in offsets], order=1, mode="nearest")
        taper = 2.0 ** (-2 * (offsets[0] ** 2 + offsets[1] ** 2) / self.width**2)
        return shared * taper / np.maximum(seen / here, LEAST)


def mosaic_psf(psf, pb, image, place=None):
    """The PSF that sources of an image have; of all but mosaics of tclean that is the one given.

    Parameters
    ----------
    psf : `~astropy.nddata.CCDData`
        With its header as ``meta``.
    pb : 2D array
        Primary beam of the image; NaN where blank.
    image : `~astropy.nddata.CCDData`
        With its header as ``meta``: only its WCS is looked at besides.
    place : tuple of float, (y, x), optional
        Pixel of the image that the PSF was made for; by default what its WCS says, without one the middle.

    Returns
    -------
    2D array
    """
    if not _is_mosaic(psf.meta, image.meta):
        return psf.data
    overlap = mosaic_overlap(pb)
    if overlap is None:
        return psf.data
    if place is None and psf.wcs is not None:
        peak = psf.wcs.pixel_to_world(*(n // 2 for n in reversed(psf.shape)))
        place = tuple(map(float, reversed(image.wcs.world_to_pixel(peak))))
    return overlap.of_sources(psf.data, place or tuple(n // 2 for n in pb.shape))


def is_flat_sky(header):
    """Whether a mosaic was made with normtype="flatsky", so that it is divided by its primary beam; this is said.

    Parameters
    ----------
    header : dict-like
        Of the image.

    Returns
    -------
    bool
    """
    flat_sky = _is_mosaic(header) and _parameter("normtype", header) == "flatsky"
    if flat_sky:
        log.info(
            'dirty: was made with normtype="flatsky", divided by pb: it is multiplied by it, so that its noise '
            "is even, and fluxes are corrected later"
        )
    return flat_sky


def _is_mosaic(*headers):
    """Whether a HISTORY says that the gridder of tclean was that of mosaics."""
    return (_parameter("gridder", *headers) or "").startswith("mosaic")


def _parameter(name, *headers):
    """A parameter of tclean from the first HISTORY that has it, or None."""
    pattern = re.compile(PARAMETER.format(name))
    cards = (line for header in headers for line in history_lines(header))
    found = next(filter(None, map(pattern.search, cards)), None)
    return found and found[1]


def mosaic_overlap(pb):
    """How the pointings of a mosaic overlap, from its primary beam.

    Parameters
    ----------
    pb : 2D array
        Root of the sum of the squares of those of its pointings; NaN where blank.

    Returns
    -------
    `MosaicOverlap` or None
        None if the primary beam does not fall to the edge of the mosaic, so that its width is not seen; this is said.
    """
    stride = -(-max(pb.shape) // FINEST)
    strided = np.nan_to_num(pb[::stride, ::stride])
    width = _width(strided / strided.max())
    if width is None:
        log.warning(
            "psf: is that of a mosaic, whose sidelobes depend on how its pointings overlap, and pb does not fall to "
            "%.2g, where that could be seen: sidelobes are taken as they are; give images of the whole mosaic", EDGE,
        )  # fmt: skip
        return None
    width *= stride
    step, margin = width / PARTS, width
    axes = [np.arange(-margin, n + margin, step) for n in pb.shape]
    nearest = np.ix_(*nearest_pixels(*axes[::-1], pb.shape))
    inside = [(axis > -0.5) & (axis < n - 0.5) for axis, n in zip(axes, pb.shape, strict=True)]
    coarse = np.nan_to_num(pb[nearest]) / strided.max()
    known = (coarse > EDGE) & np.logical_and.outer(*inside)
    away, beside = distance_transform_edt(~known, return_indices=True)
    beside = coarse[tuple(beside)]
    # As a primary beam goes on: of the distance from a pointing at which it is as low as there.
    distance = np.sqrt(-np.log2(beside.clip(max=1)) / 4) + away * step / width
    return MosaicOverlap(2.0 ** (-4 * distance**2), known, (-margin, -margin), step, width)


def _width(pb):
    """FWHM of the primary beam of an antenna in pixels, from the fall of the outermost pointings of a mosaic; or None.

    Away from a row of pointings the weight is a Gaussian like that of one.
    """
    depth = distance_transform_edt(pb > EDGE)
    steps, falling = depth.astype(int), (depth > 0) & (pb < 1)
    number = np.bincount(steps[falling])
    mean = np.bincount(steps[falling], np.log(pb[falling])) / np.maximum(number, 1)
    high = np.flatnonzero((number > 0) & (mean > np.log(FALLING)))
    used = np.flatnonzero(number[: high.min(initial=len(mean))] >= LEAST_PIXELS)
    if len(used) < FEWEST_STEPS:
        return None
    curvature = np.polyfit(used + 0.5, mean[used], 2)[0]
    return np.sqrt(-4 * np.log(2) / curvature) if curvature < 0 else None


def _pair(image, dy, dx):
    """An image twice, the second moved by whole pixels, where both are."""
    (ny, nx), left, right = image.shape, max(-dx, 0), max(dx, 0)
    return image[: ny - dy, left : nx - right], image[dy:, right : nx - left]


def _between(image, dy, dx):
    """An image half-way between the two of `_pair` with ``2 dy`` and ``2 dx``."""
    (ny, nx), edge = image.shape, abs(dx)
    return image[dy : ny - dy, edge : nx - edge]
