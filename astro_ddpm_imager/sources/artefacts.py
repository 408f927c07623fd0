"""What artefacts of bright sources take from the reliability and add to the errors of others."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.special import expit, logit

from .catalog import apparent_peaks

__all__ = ["doubt_artefacts"]

TAIL = 3.0  # how much higher artefacts rise than noise of the same variance
TRIALS = 8.0  # logarithm of the odds against a source at one place, before its S/N is known
CERTAIN = 1e-6


def doubt_artefacts(sources, grid, dirty):
    """Lower reliabilities, and raise errors, by the artefacts at each source.

    A candidate of S/N s owes log-odds of s^2 / 2 to its height, where the noise
    is Gaussian (those of a source of S/N 4 are then about even). Where there
    are artefacts, s is lower. Artefacts hold what is measured twice as twice as
    bright, noise as sqrt(2) as bright: their large scales are the stronger
    ones, and so they look more like sources than noise does. With three times
    their standard deviation, 24 simulated fields (phase errors of 5 to 30 deg
    about a source of S/N 200 to 500) have 0.8 false sources each and not 35,
    but of the sources of S/N 5 to 20 also only 0.58 (5 deg), 0.08 (10 deg) and
    none, where 0.92, 0.83 and 0.5 were found.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
        On the model's pixels, in units of the noise; reliabilities calibrated.
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.MergedSources`
    """
    if dirty.artefacts is None or not len(sources):
        return sources
    y, x = grid.to_image_position(sources.y, sources.x)
    level = dirty.artefacts.at(x, y) / dirty.rms
    # Samples share a wide peak of the image among several sources, which are as certain as the whole.
    seen = map_coordinates(dirty.reduced, [y, x], order=0, mode="nearest") / dirty.rms
    snr = np.fmax(apparent_peaks(sources, grid, dirty), seen)
    # The noise that was measured holds the artefacts once.
    lost = 0.5 * snr**2 * (1 - 1 / (1 + (TAIL**2 - 1) * level**2))
    before = logit(np.clip(sources.reliability, CERTAIN, 1 - CERTAIN))
    after = np.maximum(before, 0.5 * snr**2 - TRIALS) - lost
    return replace(
        sources,
        reliability=np.where(after < before, expit(after), sources.reliability),
        flux_err=np.sqrt(sources.flux_err**2 + level**2 + (dirty.artefacts.flux_err * sources.flux) ** 2),
    )
