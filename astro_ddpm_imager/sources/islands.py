"""Extended sources: components of one sample that touch are one source, as an observer would count."""

from dataclasses import replace

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm
from scipy.ndimage import map_coordinates
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..observation.ellipses import fwhm, positive

__all__ = ["connected", "join", "only_extended", "touching", "wholes"]

BRIDGE = 0.5  # of the lower of two peaks, that the sky between them must have
NEAR = 2.0  # times the mean of their FWHM, in the direction from one to the other: how far apart they may be
DOMINANT = 0.85  # of the flux: a component that has more is the source
OFTEN = 0.4  # of the samples: touching in more, they are one source
LARGE = 2.0  # times a compact source: even a component that has nearly all of the flux has parts
UNIFORM = 2.0  # standard deviations: where a uniform ellipse ends
MOSTLY = 0.5  # of the detections of a source: an extended one of which more are, it is a part of


def touching(found, smooth):
    """Number of the island that each detection of one sky is part of.

    As PyBDSF groups Gaussians, two belong together if the sky between them
    does not fade away and they are no further apart than ``NEAR`` times the
    mean of their FWHM. Sizes are those in the sky, not in the beam: two compact
    sources that the beam blends do not touch.

    Parameters
    ----------
    found : `~astro_ddpm_imager.sources.aggregation.Detections`
        Of one sky.
    smooth : 2D array, shape (ny, nx)
        The sky, smoothed as for the detection of peaks.

    Returns
    -------
    1D array of int, shape (n,)
    """
    places = np.column_stack([found.x, found.y])
    longest = gaussian_sigma_to_fwhm * np.sqrt(np.linalg.eigvalsh(found.covariance)[:, 1].max())
    one, other = cKDTree(places).query_pairs(NEAR * longest, output_type="ndarray").T
    apart = places[other] - places[one]
    distance = np.hypot(*apart.T)
    along = apart / np.maximum(distance, 1e-6)[:, None]
    wide = [
        gaussian_sigma_to_fwhm * np.sqrt(np.einsum("ni,nij,nj->n", along, found.covariance[i], along).clip(0))
        for i in (one, other)
    ]
    near = distance < NEAR * (wide[0] + wide[1]) / 2
    one, other, apart = one[near], other[near], apart[near]
    steps = np.linspace(0, 1, 21)[:, None]
    x, y = (places[one, axis] + steps * apart[:, axis] for axis in (0, 1))
    between = map_coordinates(smooth, [y, x], order=1)
    joined = between.min(0) > BRIDGE * np.minimum(between[0], between[-1])
    return connected(one[joined], other[joined], len(found))


def wholes(detections, owner, number, n_samples):
    """Which merged sources are components of one extended source, and its flux in each sample.

    Two that touch in many of the samples are of one. Pieces of a faint rim are
    somewhere else in each sample, and some samples part the whole otherwise:
    what fewer than half of the samples have is of the extended source of whose
    island most of it is, or within the ellipse of which, and so is there what
    is of no source.

    Parameters
    ----------
    detections : `~astro_ddpm_imager.sources.aggregation.Detections`
    owner : 1D array of int, shape (n,)
        Merged source that each detection belongs to, or -1.
    number : int
        Of merged sources.
    n_samples : int

    Returns
    -------
    whole : 1D array of int, shape (number,)
        Number of the extended source that each merged source is part of.
    fluxes : 2D array, shape (number, n_samples)
        By the number of the extended source.
    """
    if not number:
        return np.zeros(0, int), np.zeros((0, n_samples))
    sample = detections.sample.astype(int)
    island = np.unique(np.stack([sample, detections.island]), axis=1, return_inverse=True)[1].reshape(-1)
    samples, there = _there(owner, sample, number).sum(1), _there(owner, island, number)
    touched = (there @ there.T).tocoo()
    one, other = touched.coords
    # Of the samples that have the more frequent one: what is rarely there does not link what is always there.
    often = touched.data > OFTEN * np.maximum(samples[one], samples[other])
    whole = connected(one[often], other[often], number)

    whole = _with_pieces(owner, whole, _islands_of(owner, whole, sample, island)[island])
    whole = _with_pieces(owner, whole, _counted(detections, owner, whole, sample, island, n_samples))
    of = _counted(detections, owner, whole, sample, island, n_samples)
    fluxes = np.zeros((number, n_samples))
    np.add.at(fluxes, (of[of >= 0], sample[of >= 0]), detections.flux[of >= 0])
    return whole, fluxes


def _with_pieces(owner, whole, of):
    """The same, but a source is part of that extended one of which most of its detections are."""
    known = (owner >= 0) & (of >= 0)
    counted = coo_array((np.ones(known.sum()), (whole[owner[known]], of[known])), shape=[len(whole)] * 2)
    counted.sum_duplicates()
    piece, source = counted.coords
    mostly = counted.data > MOSTLY * np.bincount(whole[owner[owner >= 0]], minlength=len(whole))[piece]
    return connected(piece[mostly], source[mostly], len(whole))[whole]


def _islands_of(owner, whole, sample, island):
    """Of each island the source of several components that is there most often, or -1."""
    of = np.where(owner >= 0, whole[owner], -1)
    several = np.bincount(whole, minlength=len(whole)) > 1
    claims = np.flatnonzero((of >= 0) & several[of])
    claims = claims[np.argsort(_there(of, sample, len(whole)).sum(1)[of[claims]], kind="stable")]
    of_island = np.full(len(island) and island.max() + 1, -1)
    of_island[island[claims]] = of[claims]
    return of_island


def _counted(detections, owner, whole, sample, island, n_samples):
    """The source whose flux each detection is part of, or -1: its own, if most samples have that."""
    of = np.where(owner >= 0, whole[owner], -1)
    certain = _there(of, sample, len(whole)).sum(1) > n_samples / 2
    loose = (of < 0) | ~certain[of]
    there = _islands_of(owner, whole, sample, island)[island]
    of = np.where(loose & (there >= 0), there, of)
    for extended in np.flatnonzero(certain & (np.bincount(whole, minlength=len(whole)) > 1)):
        loose = (of < 0) | ~certain[of]
        of[loose & _within(detections, detections.select(of == extended))] = extended
    return of


def _within(detections, parts):
    """Which detections lie within the ellipse of some others."""
    centre, *_ = _offsets(parts, parts.flux)
    # A pixel wide at least: parts may be points, in a row.
    moments = positive(_moments(parts, parts.flux)) + np.eye(2) / 12
    away = np.stack([detections.x, detections.y], 1) - centre
    return np.einsum("ni,ij,nj->n", away, np.linalg.inv(moments), away) < UNIFORM**2


def _there(owner, place, number):
    """Which sources have detections in which places, as a sparse array of 0 and 1."""
    owned = owner >= 0
    pairs = owner[owned], place[owned]
    found = coo_array((np.ones(owned.sum()), pairs), shape=(number, place.max(initial=0) + 1)).tocsr()
    found.data[:] = 1
    return found


def only_extended(sources, compact):
    """Keep together what is larger than two compact sources side by side, and split into pieces.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
    compact : float
        FWHM of a compact source, pixels.

    Returns
    -------
    1D array of int, shape (n,)
        As ``sources.whole``, but the others are on their own.
    """
    whole = sources.whole.copy()
    for index in np.flatnonzero(np.bincount(whole) > 1):
        chosen = np.flatnonzero(whole == index)
        parts = sources.select(chosen)
        size = fwhm(_moments(parts, parts.sample_flux.mean(1)))
        largest = parts.flux.argmax()
        alone = parts.flux[largest] > DOMINANT * np.median(parts.whole_flux[0][parts.whole_flux[0] > 0])
        if size < compact or (alone and fwhm(parts.covariance[largest]) < LARGE * compact):
            whole[chosen] = whole.max() + 1 + np.arange(len(chosen))
    return whole


def join(sources, pb):
    """Make one source of the components of each extended source.

    Its flux is their sum in each sample, its position and moments are those of
    their sum, its peak is their highest, it exists if one of them does.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
    pb : 1D array, shape (n,)
        Primary beam of the components.

    Returns
    -------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
    pb : 1D array
        The primary beam that its total flux has seen.
    n_components : 1D array of int
    """
    _, whole, n_components = np.unique(sources.whole, return_inverse=True, return_counts=True)
    order = np.argsort(whole, kind="stable")
    first = np.cumsum(n_components) - n_components
    joined, of_pb = sources.select(order[first]), pb[order[first]]
    columns = {name: getattr(joined, name).copy() for name in joined.__dataclass_fields__}
    for index in np.flatnonzero(n_components > 1):
        parts = sources.select(whole == index)
        for name, value in _sum(parts).items():
            columns[name][index] = value
        here = pb[whole == index]
        known = here > 0  # a component may lie in a blank
        if known.any():
            of_pb[index] = 1 / np.average(1 / here[known], weights=parts.sample_flux.mean(1)[known])
    return replace(joined, **columns), of_pb, n_components


def _sum(parts):
    """What the components of one source are together."""
    totals = parts.whole_flux[0]
    there = totals > 0
    flux = np.median(totals[there])
    mean = parts.sample_flux.mean(1)  # of all samples: what few of them have, counts little
    centre, offset, share = _offsets(parts, mean)
    # How the centroids of samples differ because of the components' fluxes, which are known to be related.
    known = parts.sample_flux.sum(0) > 0
    centroids = parts.sample_flux.T[known] @ offset / parts.sample_flux.sum(0)[known, None]
    wander = [_variance(along) for along in centroids.T]
    errors = {
        f"{name}_err": np.sqrt(wander[axis] + _sum_of_known((share * getattr(parts, f"{name}_err")) ** 2))
        for axis, name in enumerate("xy")
    }
    # What is left open in each sample, besides how much samples differ.
    left_open = [
        (error**2 - _variance(fluxes[fluxes > 0])).clip(0)
        for error, fluxes in zip(parts.flux_err, parts.sample_flux, strict=True)
    ]
    variance = _variance(totals[there]) + _sum_of_known(np.array(left_open))
    return {
        "x": centre[0], "y": centre[1], **errors, "flux": flux,
        "flux_err": np.sqrt(variance), "covariance": _moments(parts, mean), "peak": parts.peak.max(),
        "fraction": there.mean(), "reliability": parts.reliability.max(), "sample_flux": totals,
    }  # fmt: skip


def _variance(values):
    """NaN of one value, as the errors of single sources are."""
    return values.var(ddof=1) if len(values) > 1 else np.nan


def _sum_of_known(values):
    """NaN only if nothing is known."""
    return np.nan if np.isnan(values).all() else np.nansum(values)


def _offsets(parts, flux):
    """Centroid of components of some fluxes, where they are from there, shape (n, 2), and their shares of the flux."""
    share = flux / flux.sum()
    places = np.stack([parts.x, parts.y], 1)
    return share @ places, places - share @ places, share


def _moments(parts, flux):
    """Second moments of the sum of components of some fluxes."""
    _, offset, share = _offsets(parts, flux)
    return np.average(parts.covariance + offset[:, :, None] * offset[:, None, :], axis=0, weights=share)


def connected(one, other, number):
    """Number of the group that each of some things is part of, if those of each pair belong together.

    Parameters
    ----------
    one, other : 1D arrays of int, shape (pairs,)
    number : int
        Of the things.

    Returns
    -------
    1D array of int, shape (number,)
    """
    links = coo_array((np.ones(len(one)), (one, other)), shape=(number, number))
    return connected_components(links, directed=False)[1]
