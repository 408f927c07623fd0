"""One hypothesis where the samples have several: a blend or its parts, one place or another."""

from math import comb

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["COMPARABLE", "one_hypothesis"]

COMPARABLE = 3  # times the radius: what is larger is another source in the same place
REACH = 2.5  # merging radii: alternatives are no further from each other
CHANCE = 0.05  # probability that two independent sources meet as rarely in the samples, below which they exclude
SHARED = 0.5  # of the flux of a source: from there on another one has it where the source is missing


def one_hypothesis(owner, sample, flux, n_samples, positions, radii):
    """Decide between sources that are alternatives to each other.

    Where two sources blend, some samples have both, and others one source in
    between, near one of them or near neither. Merged by position alone, their
    fluxes count twice. Two signs tell alternatives from neighbours: they are
    never in one sample, more rarely than by chance (Fisher's exact test,
    Fisher 1935, The design of experiments); or one is brighter where the other
    is missing, by the other's flux. What most samples have, stays.

    Parameters
    ----------
    owner : 1D array of int, shape (n,)
        Source each detection belongs to, or -1.
    sample : 1D array of int, shape (n,)
        Its sample.
    flux : 1D array, shape (n,)
    n_samples : int
    positions : 2D array, shape (sources, 2)
    radii : 1D array, shape (sources,)
        Merging radii.

    Returns
    -------
    owner : 1D array of int, shape (n,)
        As given, but detections of a source that is no more belong to the one
        that it is an alternative to, or, if these are several, to none.
    counted : 2D array of bool, shape (sources, n_samples)
        Samples that tell a source's flux: those that have its neighbours, too,
        if it is brighter without.
    """
    owner = owner.copy()
    counted = np.ones((len(positions), n_samples), dtype=bool)
    if len(positions) < 2:
        return owner, counted
    near = _neighbours(positions, radii)
    fluxes = np.zeros((len(positions), n_samples))
    owned = owner >= 0
    np.add.at(fluxes, (owner[owned], sample[owned]), flux[owned])
    kept = []
    for source in np.argsort(-(fluxes > 0).sum(1), kind="stable"):
        rivals = [other for other in kept if other in near[source]]
        exclusive = [other for other in rivals if _exclude(fluxes[other] > 0, fluxes[source] > 0)]
        if not exclusive:
            exclusive = [other for other in rivals if _carries(fluxes[other], fluxes[source])][:1]
        if not exclusive:
            kept.append(source)
            continue
        heir = exclusive[0] if len(exclusive) == 1 else -1
        owner[owner == source] = heir
        if heir >= 0:
            fluxes[heir] += fluxes[source]
        fluxes[source] = 0
    for source in kept:
        for other in near[source]:
            both = counted[source] & (fluxes[other] > 0)
            if _shared(fluxes[source], fluxes[other]) and (both & (fluxes[source] > 0)).sum() > 1:
                counted[source] = both
    return owner, counted


def _neighbours(positions, radii):
    """For each source, the set of those that may be alternatives to it."""
    tree = cKDTree(positions)
    near = [set() for _ in radii]
    for source, others in enumerate(tree.query_ball_point(positions, REACH * radii)):
        for other in others:
            if other != source and max(radii[source], radii[other]) < COMPARABLE * min(radii[source], radii[other]):
                near[source].add(other)
                near[other].add(source)
    return near


def _exclude(one, other):
    """Whether two sources meet in fewer samples than by chance."""
    n, first, second, together = (int(value) for value in (len(one), one.sum(), other.sum(), (one & other).sum()))
    # Of the hypergeometric distribution.
    as_few = sum(comb(first, both) * comb(n - first, second - both) for both in range(together + 1))
    return as_few / comb(n, second) < CHANCE


def _carries(flux, other):
    """Whether a source has the flux of another one in most of its samples."""
    there = flux > 0
    return _shared(flux, other) and (there & (other == 0)).sum() > (there & (other > 0)).sum()


def _shared(flux, other):
    """Whether a source is brighter where another one is missing, by the other's flux."""
    both, alone = (flux > 0) & (other > 0), (flux > 0) & (other == 0)
    if min(both.sum(), alone.sum()) < 2:
        return False
    return np.median(flux[alone]) - np.median(flux[both]) > SHARED * np.median(other[both])
