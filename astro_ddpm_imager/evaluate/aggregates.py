"""Catalogues that several ways of aggregating make of the same samples."""

from ..diffusion.reconstruction import AGGREGATES, aggregate
from ..observation.gridded import GriddedObservation
from ..sources.catalog import build_catalog
from ..sources.finding import find_in_samples, find_sources, merge_samples
from ..sources.fit import Residual

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
    gridded = GriddedObservation.of(result.dirty, result.grid)
    residual = Residual.of(result.sky, gridded, result.grid)
    found = find_in_samples(samples, gridded, threshold, pixels_per_beam, workers=1)

    def catalog(found, seeds=None):
        merged = merge_samples(found, pixels_per_beam, seeds)
        return build_catalog(merged, result.grid, result.dirty, residual, 0, {})

    catalogs = {}
    for how in AGGREGATES:
        seeds = find_sources(aggregate(samples, how, pixels_per_beam), gridded, threshold, pixels_per_beam)
        catalogs[how] = catalog(found[:1] if how == "single" else found, seeds)
    for n in range(1, len(samples) + 1):
        catalogs[n] = catalog(found[:n])
    return catalogs
