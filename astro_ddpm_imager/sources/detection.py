"""Sources in one sky: a posterior sample, or an aggregate of samples."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter, label, map_coordinates, maximum_filter
from scipy.spatial import cKDTree

from ..observation.ellipses import fwhm
from .aggregation import Detections
from .islands import connected, touching

__all__ = ["DRAWN", "SHARP", "SMOOTHING_BEAMS", "Resolution", "detect"]

SMOOTHING_BEAMS = 0.3  # standard deviation, of skies as a network draws them from noisy images
NEIGHBOURS = 1.5  # pixels: the eight around one
FAINTEST_PEAK = 0.05  # of the threshold, in a smoothed pixel
EMPTY = 0.2  # of the faintest peak: where an island ends
PIXEL = 1 / 12  # variance within a pixel, in pixels squared
AROUND_BEAMS = 1.6  # radius within which the median is what a peak stands on
FURTHER_BEAMS = 2.5  # radius to which that has to go on
GOES_ON = 0.1  # times what it stands on: with less there, it is of the source itself
OWN_BEAMS = 1.5  # radius within which what is above that is of the peak
STANDS_OUT = 7.0  # times what it stands on: a source of its own, and no part of an extended one
FAINTEST_GROUND = 1.0  # brightness of what it stands on, noise per beam: below, there is nothing


@dataclass(frozen=True)
class Resolution:
    """How near to each other sources may be.

    Parameters
    ----------
    smoothing : float
        Standard deviation, beams: two peaks of one source become one.
    separation : float
        Of the closest peaks, beams.
    saddle : float
        Share of the lower of two peaks: with a higher one between them they are one source.
    apart : float
        FWHM: two Gaussians that are nearer have such a saddle.
    extended : bool
        Whether sources that touch may be parts of an extended one.
    """

    smoothing: float = SMOOTHING_BEAMS
    separation: float = 0.6
    saddle: float = 0.8
    apart: float = 1.15
    extended: bool = True


DRAWN = Resolution()
SHARP = Resolution(0.15, 0.45, 0.9, extended=False)  # of skies of compact sources that know of no noise


def detect(sky, threshold, pixels_per_beam, sample=0, resolution=DRAWN):
    """Detect and measure sources in a sky without noise.

    Peaks of the slightly smoothed sky are sources, unless there is hardly a
    saddle between two of them; each pixel of an island of emission belongs to
    its nearest peak. Pieces that are larger than they are apart are one source.
    A peak that stands far out of extended emission is a compact source on it:
    it has what is above, and the rest is detected without it. Fluxes, centroids
    and moments are sums over its pixels (Bertin & Arnouts 1996, A&AS 117, 393,
    of what is no larger than a pixel, too).

    Parameters
    ----------
    sky : 2D array, shape (ny, nx)
        Flux per pixel, in units of the noise.
    threshold : float
        Flux of the faintest source, in units of the noise.
    pixels_per_beam : float
    sample : int, optional
        Index of the sky, kept in the result.
    resolution : `Resolution`, optional

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.Detections`
    """
    sky = np.asarray(sky, dtype=float)
    smooth, positions = _peaks(sky, threshold, pixels_per_beam, resolution)
    above = _above_ground(sky, smooth, positions, pixels_per_beam) if resolution.extended else None
    if above is None:
        return _detect(sky, smooth, positions, threshold, sample, resolution)
    compact, rest = (
        _detect(part, *_peaks(part, threshold, pixels_per_beam, resolution), threshold, sample, resolution)
        for part in (above, sky - above)
    )
    return Detections.concatenate([compact, replace(rest, island=len(compact) + rest.island)])


def _peaks(sky, threshold, pixels_per_beam, resolution):
    """The smoothed sky, and pixels [y, x] of its peaks, shape (n, 2)."""
    smooth = gaussian_filter(sky, resolution.smoothing * pixels_per_beam)
    # A source right between pixels has several equal peaks, of which one will do.
    smooth *= 1 + 1e-9 * np.linspace(0, 1, smooth.size).reshape(smooth.shape)
    separation = max(NEIGHBOURS, resolution.separation * pixels_per_beam)
    offsets = np.arange(-int(separation), int(separation) + 1)
    near = np.hypot(offsets[:, None], offsets) <= separation
    # As photutils.detection.find_peaks, whose import takes longer than all samples do.
    highest = smooth == maximum_filter(smooth, footprint=near, mode="constant")
    return smooth, np.argwhere(highest & (smooth > FAINTEST_PEAK * threshold))


def _above_ground(sky, smooth, positions, pixels_per_beam):
    """What of a sky is of peaks that stand far out of extended emission, or None if there are none."""
    reach = int(np.ceil(FURTHER_BEAMS * pixels_per_beam))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = np.hypot(dy, dx) / pixels_per_beam
    own, around = distance <= OWN_BEAMS, distance <= AROUND_BEAMS
    further = ~around & (distance <= FURTHER_BEAMS)
    y, x = (positions[:, axis, None] + reach for axis in (0, 1))  # of the padded sky
    ground, beyond = (
        np.percentile(np.pad(smooth, reach)[y + dy[where], x + dx[where]], percent, axis=1)
        for where, percent in ((around, 50), (further, 75))  # what goes on may have gaps
    )
    peak = smooth[tuple(positions.T)]
    per_beam = np.pi / (4 * np.log(2)) * pixels_per_beam**2
    out = (ground * per_beam > FAINTEST_GROUND) & (beyond > GOES_ON * ground) & (peak > STANDS_OUT * ground)
    if not out.any():
        return None
    level = np.full(np.add(sky.shape, 2 * reach), np.inf)
    np.minimum.at(level, (y[out] + dy[own], x[out] + dx[own]), ground[out, None])
    return (sky - level[reach:-reach, reach:-reach]).clip(0)


def _detect(sky, smooth, positions, threshold, sample, resolution):
    """Detect and measure the sources of a sky whose peaks are known."""
    islands, _ = label(smooth > EMPTY * FAINTEST_PEAK * threshold)
    segments = np.zeros(sky.shape, dtype=np.int32)
    first = 0
    for island in np.unique(islands[tuple(positions.T)]):
        own = positions[islands[tuple(positions.T)] == island]
        kept = _separate(smooth, own[np.argsort(-smooth[tuple(own.T)])], resolution.saddle)
        pixels = np.argwhere((islands == island) & (sky > 0))
        segments[tuple(pixels.T)] = first + 1 + cKDTree(kept).query(pixels)[1]
        first += len(kept)
    if not segments.any():
        return Detections.empty()
    found = _measure(sky, segments, sample)
    whole = _whole(found, resolution.apart)
    if len(np.unique(whole)) < len(found):
        segments[segments > 0] = 1 + whole[np.unique(segments[segments > 0], return_inverse=True)[1]]
        found = _measure(sky, segments, sample)
    found = found.select(found.flux >= threshold)
    return replace(found, island=touching(found, smooth)) if resolution.extended and len(found) > 1 else found


def _measure(sky, segments, sample):
    """Flux, centroid and moments of each segment, in the order of their numbers."""
    y, x = np.nonzero(segments)
    _, segment = np.unique(segments[y, x], return_inverse=True)

    def total(values):
        return np.bincount(segment, sky[y, x] * values)

    flux = total(1)
    middle_x, middle_y = total(x) / flux, total(y) / flux
    dx, dy = x - middle_x[segment], y - middle_y[segment]
    xx, xy, yy = (total(product) / flux for product in (dx * dx, dx * dy, dy * dy))
    covariance = np.stack([xx, xy, xy, yy], -1).reshape(-1, 2, 2)
    covariance[np.linalg.det(covariance) < PIXEL**2] += PIXEL * np.eye(2)
    return Detections(
        sample=np.full(len(flux), sample),
        x=middle_x,
        y=middle_y,
        flux=flux,
        covariance=covariance,
        variance=np.zeros((len(flux), 3)),
        island=np.arange(len(flux)),
        peak=np.zeros(len(flux)),
    )


def _whole(found, apart):
    """Number of the source that each of the pieces found is part of.

    Gaussians so near to each other have hardly a saddle between them: a sample
    that has one there has noise on one source.
    """
    sizes = fwhm(found.covariance)
    places = np.column_stack([found.x, found.y])
    pairs = cKDTree(places).query_pairs(apart * sizes.max(), output_type="ndarray")
    close = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T) < apart * sizes[pairs].min(1)
    one, other = pairs[close].T
    return connected(one, other, len(sizes))


def _separate(smooth, peaks, saddle):
    """The peaks, highest first, that a saddle separates from every higher one."""
    kept = []
    for y, x in peaks:
        for y0, x0 in kept:
            steps = np.linspace(0, 1, 2 + int(2 * np.hypot(y - y0, x - x0)))
            between = map_coordinates(smooth, [y0 + steps * (y - y0), x0 + steps * (x - x0)], order=1)
            if between.min() > saddle * smooth[y, x]:
                break
        else:
            kept.append((y, x))
    return np.array(kept)
