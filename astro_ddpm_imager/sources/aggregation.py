"""From detections in samples to sources."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from ..columns import Columns
from .alternatives import COMPARABLE, one_hypothesis
from .islands import only_extended, wholes

__all__ = ["Detections", "MergedSources", "merge", "without_luck"]


@dataclass(frozen=True)
class Detections(Columns):
    """Sources found in skies; arrays have shape (n,) where no other is given.

    Parameters
    ----------
    sample : array of int
        Index of the sky each was found in.
    x, y : arrays
        Centroids, pixels.
    flux : array
        Total flux, in the unit of the sky.
    covariance : array, shape (n, 2, 2)
        Second moments, pixels squared, order x, y.
    variance : array, shape (n, 3)
        Of x, y (pixels squared) and flux, where these are not draws but the
        means that `~astro_ddpm_imager.sources.refinement.refine` has put there; else 0.
    island : array of int
        In each sky, detections that touch have the same.
    peak : array
        Brightness in the middle, in a beam, which
        `~astro_ddpm_imager.sources.peaks.measure_peaks` has measured; else 0.
    """

    sample: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    covariance: np.ndarray
    variance: np.ndarray
    island: np.ndarray
    peak: np.ndarray

    @classmethod
    def empty(cls):
        """No detections."""
        none, whole = np.zeros(0), np.zeros(0, int)
        return cls(whole, none, none, none, np.zeros((0, 2, 2)), np.zeros((0, 3)), whole, none)


@dataclass(frozen=True)
class MergedSources(Columns):
    """Sources merged from the samples; arrays have shape (n,) where no other is given.

    Parameters
    ----------
    x, y, flux : arrays
        Mean position (pixels) and median total flux over the samples that contain the source.
    x_err, y_err, flux_err : arrays
        Standard deviations over those samples, with what is left open in each;
        NaN where there is only one.
    covariance : array, shape (n, 2, 2)
        Mean second moments, pixels squared, order x, y.
    peak : array
        Median brightness in the middle, in a beam.
    fraction : array
        Fraction of the samples that contain the source.
    reliability : array
        Probability that the source exists.
    sample_flux : array, shape (n, n_samples)
        Flux in each sample; 0 where it is not.
    whole : array of int
        Those that touch have the same: components of one extended source.
    whole_flux : array, shape (n, n_samples)
        Flux of it in each sample, with what is of no source that most samples have, but of its island or within it.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    x_err: np.ndarray
    y_err: np.ndarray
    flux_err: np.ndarray
    covariance: np.ndarray
    peak: np.ndarray
    fraction: np.ndarray
    reliability: np.ndarray
    sample_flux: np.ndarray
    whole: np.ndarray
    whole_flux: np.ndarray


def merge(detections, n_samples, radius, seeds=None):
    """Merge what was detected in the samples into sources.

    Drozdova et al. 2024, section 3.4 ("detect-aggregate"). A source is
    where detections of different samples crowd: the most crowded detection is
    a source, and so on down, but none within the radius of one before. Each
    detection belongs to the nearest source within the radius; those of one
    sample that belong to one source are added up. Of sources that are
    alternatives to each other
    (`~astro_ddpm_imager.sources.alternatives.one_hypothesis`) one is left.

    Parameters
    ----------
    detections : `Detections`
    n_samples : int
    radius : float
        Merging radius, pixels; of larger sources it is half of their FWHM, for
        so uncertain are their positions. Between two sizes the smaller counts.
    seeds : `Detections`, optional
        The sources, instead of looking for crowds.

    Returns
    -------
    `MergedSources`
        In the order of ``seeds``, or of falling crowding; those in no sample
        are left out.
    """
    points, radii = np.column_stack([detections.x, detections.y]), _radii(detections, radius)
    if seeds is None:
        positions, reach = _crowds(points, radii)
    else:
        positions, reach = np.column_stack([seeds.x, seeds.y]), _radii(seeds, radius)
    owner = _owners(points, radii, positions, reach)
    sample = detections.sample.astype(int)
    owner, counted = one_hypothesis(owner, sample, detections.flux, n_samples, positions, reach)
    whole, totals = wholes(detections, owner, len(positions), n_samples)
    columns = {name: [] for name in MergedSources.__dataclass_fields__}
    for source in np.unique(owner[owner >= 0]):
        chosen = np.flatnonzero(owner == source)
        fraction = len(np.unique(sample[chosen])) / n_samples
        row = _combine(detections, chosen[counted[source, sample[chosen]]], fraction)
        row["sample_flux"] = np.bincount(sample[chosen], detections.flux[chosen], minlength=n_samples)
        row |= {"whole": whole[source], "whole_flux": totals[whole[source]]}
        for name, value in row.items():
            columns[name].append(value)
    shapes = {"covariance": (-1, 2, 2), "sample_flux": (-1, n_samples), "whole_flux": (-1, n_samples)}
    columns = {name: np.reshape(values, shapes.get(name, -1)) for name, values in columns.items()}
    merged = MergedSources(**columns | {"whole": columns["whole"].astype(int)})
    return replace(merged, whole=only_extended(merged, 2 * radius))


def without_luck(sources, drawn, expected, smoothing):
    """Correct reliabilities for the luck of the draw.

    A fraction of 20 samples carries a counting error of up to 0.11. The mean
    of the samples carries the same luck, and what it is the mean of is known
    without: the model's expectation before the first step, which does not
    depend on the noise. So the fraction is multiplied with the ratio of the
    two where the source is (a ratio control variate: Owen 2013, Monte Carlo
    theory, methods and examples, section 8.9).

    Parameters
    ----------
    sources : `MergedSources`
    drawn, expected : 2D arrays, shape (ny, nx)
        Mean of the samples and the model's expectation of it, both of the
        same function of the sky that is 0 where the sky is empty.
    smoothing : float
        Standard deviation of a Gaussian that says what belongs to a source, pixels.

    Returns
    -------
    `MergedSources`
    """
    at = np.stack([sources.y, sources.x])
    drawn, expected = (
        map_coordinates(gaussian_filter(image.clip(0), smoothing), at, order=1) for image in (drawn, expected)
    )
    ratio = np.divide(expected, drawn, out=np.ones_like(drawn), where=drawn > 0)
    return replace(sources, reliability=np.clip(sources.fraction * ratio, 0, 1))


def _radii(detections, radius):
    """Merging radius of each detection: half the FWHM, the geometric mean of its axes, of those that are large."""
    area = np.sqrt(np.linalg.det(detections.covariance).clip(0))
    return np.maximum(radius, gaussian_sigma_to_fwhm * np.sqrt(area) / 2)


def _crowds(points, radii):
    """Positions where points crowd, most crowded first, none closer than the radius; and their radii."""
    if not len(points):
        return np.zeros((0, 2)), np.zeros(0)
    tree = cKDTree(points)
    neighbours, crowding = [], np.empty(len(points))
    centres, sizes = np.empty_like(points), np.empty(len(points))
    for i, near in enumerate(tree.query_ball_point(points, radii)):
        near = np.array(near)
        limit, squared = np.minimum(radii[near], radii[i]), ((points[near] - points[i]) ** 2).sum(1)
        same = (squared <= limit**2) & (np.maximum(radii[near], radii[i]) < COMPARABLE * limit)
        near, limit, squared = (values[same] for values in (near, limit, squared))
        weights = np.exp(-2 * squared / limit**2)
        crowding[i] = weights.sum()
        centres[i], sizes[i] = weights @ points[near] / crowding[i], weights @ radii[near] / crowding[i]
        neighbours.append(near)
    free = np.ones(len(points), dtype=bool)
    seeds = []
    for i in np.argsort(-crowding, kind="stable"):
        if free[i]:
            seeds.append(i)
            free[neighbours[i]] = False
    return centres[seeds], sizes[seeds]


def _owners(points, radii, positions, reach):
    """The nearest source of each point of comparable size, in units of the radius within which it must be, or -1."""
    owner = np.full(len(points), -1)
    nearest = np.ones(len(points))
    tree = cKDTree(points)
    for source, near in enumerate(tree.query_ball_point(positions, reach)):
        near = np.array(near, dtype=int)
        near = near[np.maximum(radii[near], reach[source]) < COMPARABLE * np.minimum(radii[near], reach[source])]
        distance = np.hypot(*(points[near] - positions[source]).T) / np.minimum(radii[near], reach[source])
        closer = near[distance < nearest[near]]
        nearest[closer], owner[closer] = distance[distance < nearest[near]], source
    return owner


def _combine(detections, chosen, fraction):
    """Statistics of the detections of one source, which a fraction of the samples contain."""
    found, inverse = np.unique(detections.sample[chosen], return_inverse=True)
    weight = detections.flux[chosen]
    flux = np.bincount(inverse, weight)
    x = np.bincount(inverse, weight * detections.x[chosen]) / flux
    y = np.bincount(inverse, weight * detections.y[chosen]) / flux
    open_x, open_y, open_flux = detections.variance[chosen].mean(0)

    def spread(values, open_variance):
        return np.sqrt(values.var(ddof=1) + open_variance) if len(found) > 1 else np.nan

    return {
        # The median: a few samples in which a source is large or blended should not decide.
        "x": x.mean(), "y": y.mean(), "flux": np.median(flux),
        "x_err": spread(x, open_x), "y_err": spread(y, open_y), "flux_err": spread(flux, open_flux),
        "covariance": np.average(detections.covariance[chosen], axis=0, weights=weight),
        "peak": np.median(np.bincount(inverse, detections.peak[chosen])),
        "fraction": fraction, "reliability": fraction,
    }  # fmt: skip
