"""Peaks of sources, as the beam shows them."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import map_coordinates

from ..observation.patches import patches_around
from .refinement import profiles

__all__ = ["NARROWEST", "measure_peaks"]

NARROWEST = 0.25  # area of a source convolved with the beam, in units of the beam's
HOLLOW = 0.5  # of the peak of a Gaussian: what is fainter in its middle, such as a ring, has its peak elsewhere


def measure_peaks(found, drawn, sky, gridded, pixels_per_beam):
    """Brightness of sources in the middle, in a beam.

    That of a Gaussian with their flux and moments is too low for points, by 4%
    at a S/N of 20: on pixels of half a beam a network draws a point with faint
    wings, which add more to the moments than they take from the peak. The
    likelihood, which has seen the pixels and not the Gaussian, leaves that as
    it is. So what the observation sees of the sky beyond these Gaussians is
    added.

    Parameters
    ----------
    found : `~astro_ddpm_imager.sources.aggregation.Detections`
        Of one sky, in units of the noise; taken for Gaussians with their moments.
    drawn : `~astro_ddpm_imager.sources.aggregation.Detections`
        The same before they were refined, as they are in the sky.
    sky : 2D array, shape (my, mx)
        As for `~astro_ddpm_imager.sources.finding.find_sources`.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
    pixels_per_beam : float

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.Detections`
        As ``found``, with their ``peak``.
    """
    if not len(found):
        return found
    # Of points, half seem narrower than the beam: with these cut off, their peaks would be too low on average.
    spread = np.linalg.det(gridded.beam + found.covariance - np.eye(2) / 12) / np.linalg.det(gridded.beam)
    peak = found.flux / np.sqrt(spread.clip(NARROWEST))
    beyond = np.zeros(gridded.psf.shape)
    beyond[: sky.shape[0], : sky.shape[1]] = sky
    nearest, reach = patches_around(drawn, sky.shape, pixels_per_beam)
    rows, columns = (
        (middle[:, None] + np.arange(-reach, reach + 1)) % n for middle, n in zip(nearest, beyond.shape, strict=True)
    )
    np.subtract.at(beyond, (rows[:, :, None], columns[:, None, :]), profiles(drawn, nearest, reach))
    beyond = gridded.seen(beyond) + gridded.bright_seen
    beyond = map_coordinates(beyond, [found.y, found.x], order=3, mode="nearest")
    return replace(found, peak=peak + np.maximum(beyond, -HOLLOW * peak))
