"""What the bright sources of a large image do to its other tiles."""

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.fft import irfft2, rfft2, set_workers
from scipy.ndimage import maximum_filter

from ..columns import Columns
from .clean import clean
from .disk_convolution import DiskConvolution
from .planes import Plane
from .reach import continued_by_rows, covering, doubt_beyond, work_to_continue

__all__ = ["PixelComponents", "PlacedPSF", "clean_for_others", "nearest_place", "nearest_psf", "unknown_far_sidelobes"]

log = logging.getLogger(__name__)

UNKNOWN = 0.05  # times the noise: sidelobes of one source that may be left, beside those of a hundred others
BEYOND = 0.3  # likewise, of all of them beyond the PSF image
MOST_WORK = 5e7  # of continuing a PSF: 1.2 GB, and two minutes on two cores
EDGE = 0.9  # of the reach of a PSF: beyond, its sidelobes are what they are beyond its image
FAINTEST = 5.0  # times the noise, most of which may be sidelobes of many sources: what CLEAN is sure of
DEEPEST = 2.0  # likewise, where it has found something
OF_OVERLAP = 0.05  # of what tiles overlap by: how far from what was found that is, half a beam
DEPTH = 0.2  # of the highest peak: sidelobes are lower than this
GAIN = 0.2
ROUNDS = 40
LOWER_PEAK, LOWER_NOISE = 0.9, 0.995  # of those of the round before: if both are still above, there is nothing to win
COMPONENTS = 100000  # of a tile, at once
SIDE = 64  # pixels within which the nearest PSF is the same, and unknown sidelobes are as high as between two places


@dataclass(frozen=True)
class PlacedPSF:
    """A PSF and where it was made for.

    Parameters
    ----------
    x, y : float
        0-based pixel of the image.
    plane : `~astro_ddpm_imager.observation.planes.Plane`
        All that is known of it, in units of its peak.
    peak : tuple of int, (y, x)
    near : 2D array of float32
        What is around its peak, at pixel ``n // 2``, as `~astro_ddpm_imager.observation.psf.checked_psf` returns it:
        as far as two sides of a tile, if it is that large.
    """

    x: float
    y: float
    plane: Plane
    peak: tuple
    near: np.ndarray

    @property
    def reach(self):
        """Pixels that it is known of on both sides of its peak, (y, x)."""
        return tuple(min(p, n - 1 - p) for p, n in zip(self.peak, self.plane.opened().shape, strict=True))


@dataclass(frozen=True)
class PixelComponents(Columns):
    """CLEAN's components on pixels.

    Parameters
    ----------
    y, x : 1D arrays of int, shape (n,)
    flux : 1D array, shape (n,)
        Jy.
    """

    y: np.ndarray
    x: np.ndarray
    flux: np.ndarray

    @classmethod
    def of(cls, image, top, left):
        """Those of an image whose pixel (0, 0) is some other one's."""
        y, x = np.nonzero(image)
        return cls(y + top, x + left, image[y, x])

    @classmethod
    def empty(cls):
        """None."""
        return cls(np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.float32))

    def are_within(self, window):
        """Which of them are in a window, a tuple of slices; 1D array of bool."""
        rows, columns = window
        return (self.y >= rows.start) & (self.y < rows.stop) & (self.x >= columns.start) & (self.x < columns.stop)

    def within(self, window):
        """Those in a window, a tuple of slices, by their pixels in it."""
        there = self.are_within(window)
        return PixelComponents(self.y[there] - window[0].start, self.x[there] - window[1].start, self.flux[there])

    def image(self, shape):
        """On the pixels of an image, Jy/pixel."""
        image = np.zeros(shape, np.float32)
        np.add.at(image, (self.y, self.x), self.flux)
        return image

    def seen(self, psf, shape):
        """The image that a PSF makes of them, Jy/beam.

        Parameters
        ----------
        psf : 2D array
            Peak at pixel ``n // 2``.
        shape : tuple of int, (ny, nx)
        """
        if not len(self.flux):
            return np.zeros(shape, np.float32)
        whole = np.roll(covering(psf, shape).astype(np.float32), shape, (0, 1))
        seen = irfft2(rfft2(self.image(shape), s=whole.shape) * rfft2(whole), s=whole.shape)
        return seen[: shape[0], : shape[1]]


def nearest_psf(psfs, window):
    """The PSF that was made nearest to the middle of a window.

    Parameters
    ----------
    psfs : list of `PlacedPSF`
    window : tuple of slice

    Returns
    -------
    `PlacedPSF`
    """
    return psfs[nearest_place([(psf.x, psf.y) for psf in psfs], window)]


def nearest_place(places, window):
    """Which of some places is nearest to the middle of a window.

    Parameters
    ----------
    places : list of tuple of float, (x, y)
    window : tuple of slice

    Returns
    -------
    int
        The first one of those that are equally near.
    """
    y, x = ((s.start + s.stop - 1) / 2 for s in window)
    return int(np.argmin(np.hypot(*(np.array(places) - (x, y)).T)))


def clean_for_others(dirty, left, cut, psfs, measured, overlap, workers):
    """Take bright sources out of a large image, so that no tile sees sidelobes of a source in another one.

    Major cycles (Clark 1980, A&A 89, 377): in each tile CLEAN searches for
    what is brighter than the sidelobes of all others can be; then what was
    found is taken out of the whole image, with all of the PSF.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.planes.Plane`
        The image, Jy/beam, NaN where blank.
    left : `~astro_ddpm_imager.observation.planes.Plane`
        What is left of it: the same at first; changed.
    cut : list of `~astro_ddpm_imager.observation.grid.Tile`
    psfs : list of `PlacedPSF`
    measured : function
        Of no argument: the `~astro_ddpm_imager.observation.noise_map.NoiseMap` of what is left, which falls with the
        sidelobes.
    overlap : int
        Pixels at the edge of a tile, which it does not own.
    workers : int
        Threads.

    Returns
    -------
    found : `PixelComponents`
        What was taken out.
    doubts : list of float
        Of each PSF, how well its sidelobes beyond its image are known, as a standard deviation in units of its peak; 0
        where they may be neglected.
    """
    found, noise = _major_cycles(dirty, left, cut, psfs, measured, overlap, workers)
    shape = left.opened().shape
    ends, beyond = _beyond(found, psfs, noise, shape)
    doubts = [_at_edge(psf) for psf in psfs]
    work = (work_to_continue(_around_peak(psf).shape, psf.near, shape) for psf in psfs)
    if beyond > BEYOND and all(one <= MOST_WORK for one in work):
        log.info("sidelobes of bright sources matter beyond the PSF image, which is continued")
        continued, doubts = zip(*(_continued(psf, shape, workers) for psf in psfs), strict=True)
        _put_back(dirty, left, cut)
        found, noise = _major_cycles(dirty, left, cut, continued, measured, overlap, workers)
        for psf in continued:
            for path in psf.plane.path.parent.glob(f"{psf.plane.path.name}*"):
                path.unlink()
        beyond = max(doubts) * float(np.sqrt(np.sum(found.flux**2))) / noise.lowest
    if beyond > BEYOND:
        log.warning(
            "the PSF image ends within the field of bright sources, the brightest at pixel (x, y) = (%d, %d); their "
            "sidelobes beyond, of some %.2g times the noise, are left; make the PSF twice as wide as the field to be "
            "rid of them, with Briggs or uniform weights together with an image as wide, of which the field is cut out",
            *ends, beyond,
        )  # fmt: skip
    return found, doubts if beyond > BEYOND else [0.0] * len(psfs)


def unknown_far_sidelobes(components, psfs, doubts, window):
    """What is not known of the sidelobes that sources have in a window to which they do not belong.

    Parameters
    ----------
    components : `PixelComponents`
        Of these sources.
    psfs : list of `PlacedPSF`
    doubts : list of float
        As `clean_for_others` returns them.
    window : tuple of slice

    Returns
    -------
    2D array
        Standard deviation, Jy/beam, at places from the first to the last pixel of the window.
    """
    places = [np.linspace(s.start, s.stop - 1, 1 + -(-(s.stop - s.start) // SIDE)) for s in window]
    variance = np.zeros([len(axis) for axis in places])
    owners = _owners(components, psfs)
    for number, (psf, doubt) in enumerate(zip(psfs, doubts, strict=True)):
        far = components.select(owners == number)
        if not doubt or not len(far.flux):
            continue
        beyond_y, beyond_x = (
            np.abs(axis[:, None] - of_far) > reach
            for axis, of_far, reach in zip(places, (far.y, far.x), psf.reach, strict=True)
        )
        power = (doubt * far.flux.astype(float)) ** 2
        known = ((~beyond_y * power) @ ~beyond_x.T).astype(float)
        variance += power.sum() - known
    return np.sqrt(variance.clip(0))


def _major_cycles(dirty, left, cut, psfs, measured, overlap, workers):
    """The same, as far as the PSF images reach; and the noise of what is left."""
    near = max(_level(psf.near, overlap) for psf in psfs)
    faintest = max(FAINTEST, UNKNOWN / near) if near > 0 else np.inf
    found, convolutions = PixelComponents.empty(), []
    peak_before = noise_before = np.inf
    for number in range(ROUNDS):
        noise = measured()
        weights = [partial(_weight, found, tile.window, noise, overlap) for tile in cut]
        peaks = [_peak(left, tile.window, weight()) for tile, weight in zip(cut, weights, strict=True)]
        highest = max(peaks)
        # From the second one on, what is left of sources that were found counts for more.
        lower = highest * noise.lowest < LOWER_PEAK * peak_before or noise.lowest < LOWER_NOISE * noise_before
        if highest < faintest or (number > 1 and not lower):
            break
        peak_before, noise_before = highest * noise.lowest, noise.lowest
        threshold, new = max(faintest, DEPTH * highest), []
        for tile, peak, weight in zip(cut, peaks, weights, strict=True):
            if peak < threshold:
                continue
            image = left.read(tile.window)
            known, shape = np.isfinite(image), image.shape
            psf = covering(nearest_psf(psfs, tile.core).near, shape)
            components, _ = clean(
                np.where(known, image, 0), psf, threshold, GAIN, known * weight(), COMPONENTS, negative=number > 0
            )
            owned = tuple(s.start for s in tile.core)
            new.append(PixelComponents.of(components[tile.inner], *owned))
        found = PixelComponents.concatenate([found, *new])
        log.info(
            "sources of up to %.0f times the noise: CLEAN goes to %.0f, %d components", highest, threshold,
            len(found.flux),
        )  # fmt: skip
        # All of them each time: what could be neglected beside the sidelobes of others can no longer be.
        _put_back(dirty, left, cut)
        convolutions = convolutions or [
            DiskConvolution(psf.plane, psf.peak, left.opened().shape, psf.plane.path, workers) for psf in psfs
        ]
        _subtract(left, found, psfs, convolutions)
    return found, noise


def _put_back(dirty, left, cut):
    """Nothing is taken out of the image."""
    for tile in cut:
        left.write(tile.core, dirty.read(tile.core))


def _beyond(components, psfs, noise, shape):
    """Pixel (x, y) of the brightest component, and sidelobes where a PSF image ends before they do, in the noise."""
    if not len(components.flux):
        return None, 0.0
    brightest = np.argmax(components.flux)
    y, x = components.y[brightest], components.x[brightest]
    psf = nearest_psf(psfs, (slice(y, y + 1), slice(x, x + 1)))
    if all(max(at, n - 1 - at) <= r for at, n, r in zip((y, x), shape, psf.reach, strict=True)):
        return (x, y), 0.0
    return (x, y), _at_edge(psf) * float(np.sqrt(np.sum(components.flux**2))) / noise.lowest


def _at_edge(psf):
    """Root mean square of the sidelobes of a PSF at the edge of its image."""
    pixels = psf.plane.opened()
    return float(np.sqrt(np.mean(pixels[: int((1 - EDGE) / 2 * len(pixels)) or 1] ** 2)))


def _around_peak(psf):
    """As much of a PSF as there is on both sides of its peak."""
    pixels = psf.plane.opened()
    rows, columns = (
        slice(max(0, 2 * p - n + 1), min(n, 2 * p + 1)) for p, n in zip(psf.peak, pixels.shape, strict=True)
    )
    return pixels[rows, columns]


def _continued(psf, shape, workers):
    """A PSF that reaches all over the image from everywhere, and how much is to be doubted beyond its own."""
    known = _around_peak(psf)
    path = psf.plane.path.with_name(f"{psf.plane.path.stem}-continued.npy")
    with set_workers(workers):
        plane = Plane.of(path, tuple(2 * n for n in shape), continued_by_rows(known, shape))
        return replace(psf, plane=plane, peak=tuple(shape)), doubt_beyond(known)


def _level(psf, overlap):
    """Sidelobes of a PSF at the distance of a source from what another tile owns."""
    distance = np.maximum(*(np.abs(axis) for axis in np.ogrid[tuple(slice(-(n // 2), n - n // 2) for n in psf.shape)]))
    ring = psf[(distance >= overlap) & (distance < 2 * overlap)]
    return float(np.sqrt(np.mean(ring**2))) if ring.size else 0.0


def _weight(found, window, noise, overlap):
    """What CLEAN multiplies a window with: the inverse of the noise, and more around what it is sure of already.

    All that is left of many sources, each of which is not above the sidelobes of all others, is those sidelobes.
    """
    weight = 1 / noise.at(*window)
    within = found.within(window)
    if len(within.flux):
        beam = 1 + int(overlap * OF_OVERLAP)
        sure = np.zeros(weight.shape, bool)
        sure[within.y, within.x] = True
        weight[maximum_filter(sure, 2 * beam + 1)] *= FAINTEST / DEEPEST
    return weight


def _peak(left, window, weight):
    """Of a window, in units of its noise."""
    return float(np.nanmax(left.read(window) * weight, initial=0))


def _subtract(left, components, psfs, convolutions):
    """Take components out of an image."""
    shape, owners = left.opened().shape, _owners(components, psfs)
    for number, convolve in enumerate(convolutions):
        own = components.select(owners == number)
        if not len(own.flux):
            continue

        def rows_of(rows, own=own):
            there = (own.y >= rows.start) & (own.y < rows.stop)
            if not there.any():
                return None
            return own.within((rows, slice(0, shape[1]))).image((rows.stop - rows.start, shape[1]))

        def use(rows, seen):
            window = (rows, slice(None))
            left.write(window, left.read(window) - seen)

        convolve(rows_of, use)


def _owners(components, psfs):
    """Number of the PSF of each component, the nearest one."""
    cells, of_cell = np.unique(np.stack([components.y, components.x], 1) // SIDE, axis=0, return_inverse=True)
    windows = [tuple(slice(k * SIDE, (k + 1) * SIDE) for k in cell) for cell in cells]
    places = [(psf.x, psf.y) for psf in psfs]
    return np.array([nearest_place(places, window) for window in windows], int)[of_cell.ravel()]
