"""Sources in skies: detected, refined, and those of many samples merged."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from ..observation.bright import SMOOTHING as BRIGHT_SMOOTHING
from ..observation.gridded import MARGIN
from ..parallel import in_parallel, one_blas_thread
from .aggregation import Detections, merge
from .detection import DRAWN, SHARP, SMOOTHING_BEAMS, detect
from .peaks import measure_peaks
from .refinement import refine

__all__ = ["find_in_samples", "find_sources", "merge_samples"]

MERGING_BEAMS = 0.6  # radius within which detections of different samples are one source


def find_sources(sky, gridded, threshold, pixels_per_beam, sample=0):
    """Detect the sources of one sky, and refine them.

    Skies of a model that knows the noise are not refined, and their sources may be nearer to each other.

    Parameters
    ----------
    sky : 2D array, shape (my, mx)
        Flux per model pixel, in units of the noise, without what the model is
        not shown of bright sources.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
    threshold, pixels_per_beam : float
    sample : int, optional
        As for `~astro_ddpm_imager.sources.detection.detect`.

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.Detections`
    """
    resolution = SHARP if gridded.noise_known else DRAWN
    if not np.any(gridded.bright):
        detections = detect(sky, threshold, pixels_per_beam, sample, resolution)
    else:
        # Smoothed, a source at an edge has flux beyond it.
        around, whole_sky = np.pad(sky, MARGIN), np.pad(sky + gridded.bright, MARGIN) + gridded.bright_around
        detections = detect(whole_sky, threshold, pixels_per_beam, sample, resolution)
        at, sigma = [detections.y, detections.x], SMOOTHING_BEAMS * pixels_per_beam
        part, whole = (map_coordinates(gaussian_filter(image, sigma), at, order=1) for image in (around, whole_sky))
        drawn = np.divide(part, whole, out=np.ones_like(whole), where=whole > 0).clip(0, 1)
        broadened = (1 - drawn)[:, None, None] * np.eye(2) * (BRIGHT_SMOOTHING * pixels_per_beam) ** 2
        detections = replace(
            detections,
            x=detections.x - MARGIN,
            y=detections.y - MARGIN,
            covariance=detections.covariance - broadened,
        )
    found = detections if gridded.noise_known else refine(detections, sky, gridded, pixels_per_beam)
    return measure_peaks(found, detections, sky, gridded, pixels_per_beam)


def find_in_samples(samples, gridded, threshold, pixels_per_beam, workers):
    """Find the sources of each sample.

    Parameters
    ----------
    samples : 3D array, shape (n_samples, my, mx)
        Skies as for `find_sources`.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
    threshold, pixels_per_beam : float
    workers : int
        Threads.

    Returns
    -------
    list of `~astro_ddpm_imager.sources.aggregation.Detections`
        Of each sample.
    """
    with one_blas_thread():
        return in_parallel(
            lambda i: find_sources(samples[i], gridded, threshold, pixels_per_beam, i), len(samples), workers
        )


def merge_samples(found, pixels_per_beam, seeds=None):
    """Merge what was found in samples into sources.

    Parameters
    ----------
    found : list of `~astro_ddpm_imager.sources.aggregation.Detections`
        Of each sample.
    pixels_per_beam : float
    seeds : `~astro_ddpm_imager.sources.aggregation.Detections`, optional
        As for `~astro_ddpm_imager.sources.aggregation.merge`.

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.MergedSources`
    """
    return merge(Detections.concatenate(found), len(found), MERGING_BEAMS * pixels_per_beam, seeds)
