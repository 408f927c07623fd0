"""From posterior samples to one sky, and from detections in samples to sources."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

__all__ = ["AGGREGATES", "Detections", "MergedSources", "aggregate", "merge", "without_luck"]

AGGREGATES = {
    "mean": lambda samples: samples.mean(0),
    "median": lambda samples: np.median(samples, axis=0),
    "single": lambda samples: samples[0],
}


def aggregate(samples, how):
    """One sky from many, pixel by pixel.

    Parameters
    ----------
    samples : 3D array, shape (n_samples, ny, nx)
    how : {"mean", "median", "single"}
        ``"single"`` is the first sample.

    Returns
    -------
    2D array, shape (ny, nx), same unit
    """
    return AGGREGATES[how](samples)


@dataclass(frozen=True)
class Detections:
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
    """

    sample: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    covariance: np.ndarray
    variance: np.ndarray

    def __len__(self):
        return len(self.flux)

    @classmethod
    def empty(cls):
        """No detections."""
        return cls(np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros((0, 2, 2)), np.zeros((0, 3)))

    @classmethod
    def concatenate(cls, parts):
        """Detections of several skies, one after the other."""
        parts = [cls.empty(), *parts]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class MergedSources:
    """Sources merged from the samples; all arrays but ``covariance`` have shape (n,).

    Parameters
    ----------
    x, y, flux : arrays
        Mean position (pixels) and median total flux over the samples that contain the source.
    x_err, y_err, flux_err : arrays
        Standard deviations over those samples, with what is left open in each;
        NaN where there is only one.
    covariance : array, shape (n, 2, 2)
        Mean second moments, pixels squared, order x, y.
    fraction : array
        Fraction of the samples that contain the source.
    reliability : array
        Probability that the source exists.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    x_err: np.ndarray
    y_err: np.ndarray
    flux_err: np.ndarray
    covariance: np.ndarray
    fraction: np.ndarray
    reliability: np.ndarray

    def __len__(self):
        return len(self.flux)

    def with_photometry(self, detections):
        """The same sources with positions, fluxes and moments of other detections, one for each."""
        return replace(self, x=detections.x, y=detections.y, flux=detections.flux, covariance=detections.covariance)

    def select(self, chosen):
        """Only the sources of a boolean or index array."""
        return MergedSources(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def merge(detections, n_samples, radius, seeds=None):
    """Merge what was detected in the samples into sources.

    Drozdova et al. 2024, section 3.4 ("detect-aggregate"). A source is
    where detections of different samples crowd: the most crowded detection is
    a source, and so on down, but none within ``radius`` of one before. Each
    detection belongs to the nearest source within ``radius``; those of one
    sample that belong to one source are added up.

    Parameters
    ----------
    detections : `Detections`
    n_samples : int
    radius : float
        Merging radius, pixels.
    seeds : array, shape (n, 2), optional
        Positions (x, y) of the sources, instead of looking for crowds.

    Returns
    -------
    `MergedSources`
        In the order of ``seeds``, or of falling crowding.
    """
    points = np.column_stack([detections.x, detections.y])
    if seeds is None:
        seeds = _crowds(points, radius)
    columns = {name: [] for name in MergedSources.__dataclass_fields__}
    if len(seeds) and len(points):
        distance, owner = cKDTree(seeds).query(points, distance_upper_bound=radius)
        owner = np.where(np.isfinite(distance), owner, -1)
    else:
        owner = np.full(len(points), -1)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(seeds) + 1))
    for first, last, seed in zip(bounds[:-1], bounds[1:], seeds, strict=True):
        chosen = order[first:last]
        for name, value in _combine(detections, chosen, n_samples, seed).items():
            columns[name].append(value)
    covariance = np.reshape(columns.pop("covariance"), (-1, 2, 2))
    return MergedSources(
        covariance=covariance, **{name: np.array(values, dtype=float) for name, values in columns.items()}
    )


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


def _crowds(points, radius):
    """Positions where points crowd, most crowded first, none closer than the radius."""
    if not len(points):
        return np.zeros((0, 2))
    tree = cKDTree(points)
    neighbours = tree.query_ball_point(points, radius)
    crowding = np.empty(len(points))
    centres = np.empty_like(points)
    for i, near in enumerate(neighbours):
        weights = np.exp(-2 * ((points[near] - points[i]) ** 2).sum(1) / radius**2)
        crowding[i] = weights.sum()
        centres[i] = weights @ points[near] / crowding[i]
    free = np.ones(len(points), dtype=bool)
    seeds = []
    for i in np.argsort(-crowding, kind="stable"):
        if free[i]:
            seeds.append(centres[i])
            free[neighbours[i]] = False
    return np.array(seeds)


def _combine(detections, chosen, n_samples, seed):
    """Statistics of the detections of one source."""
    found, inverse = np.unique(detections.sample[chosen], return_inverse=True)
    if not len(found):
        nan = np.nan
        return {
            "x": seed[0], "y": seed[1], "flux": nan, "x_err": nan, "y_err": nan, "flux_err": nan,
            "covariance": np.zeros((2, 2)), "fraction": 0.0, "reliability": 0.0,
        }  # fmt: skip
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
        "fraction": len(found) / n_samples, "reliability": len(found) / n_samples,
    }  # fmt: skip
