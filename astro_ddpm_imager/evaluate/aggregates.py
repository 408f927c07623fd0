"""Catalogues that several ways of aggregating make of the same samples."""

from functools import partial

from ..imager import MERGING_BEAMS
from ..observation.gridded import GriddedObservation
from ..sources.aggregation import AGGREGATES, Detections, merge
from ..sources.catalog import build_catalog
from ..sources.fit import Residual
from ..sources.refinement import find_sources

__all__ = ["aggregate_catalogs"]


def aggregate_catalogs(result, threshold, pixels_per_beam):
    """Catalogues of the same samples, aggregated in the ways of Drozdova et al. 2024, section 3.4.

    Reliabilities are plain fractions of the samples, as in the paper.

    Parameters
    ----------
    result : `~astro_ddpm_imager.ImagingResult`
    threshold : float
        Flux of the faintest source in a sky, in units of the noise.
    pixels_per_beam : float
        Of the model.

    Returns
    -------
    dict of `~astropy.table.QTable`
        By the name of an aggregate: detected in it; positions, fluxes and errors
        are those of the samples there. An integer n: detected in each
        of the first n samples, and merged.
    """
    samples = result.drawn_samples
    number, radius = len(samples), MERGING_BEAMS * pixels_per_beam
    gridded = GriddedObservation.of(result.dirty, result.grid)
    find = partial(find_sources, gridded=gridded, threshold=threshold, pixels_per_beam=pixels_per_beam)
    residual = Residual.of(result.sky, gridded, pixels_per_beam)
    each = [find(sky, sample=index) for index, sky in enumerate(samples)]

    def catalog(merged):
        return build_catalog(merged, result.grid, result.dirty, residual, 0, {})

    catalogs = {}
    for name, how in AGGREGATES.items():
        used = each[:1] if name == "single" else each
        catalogs[name] = catalog(
            merge(Detections.concatenate(used), len(used), radius, find(how(samples, pixels_per_beam)))
        )
    for n in range(1, number + 1):
        catalogs[n] = catalog(merge(Detections.concatenate(each[:n]), n, radius))
    return catalogs
