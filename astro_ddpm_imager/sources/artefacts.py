"""What artefacts of bright sources take from the reliability and add to the errors of others."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.special import expit, logit

from .catalog import apparent_peaks, filtered_snr

__all__ = ["doubt_artefacts", "odds_without"]

TAIL = 3.0  # how much higher artefacts rise than noise of the same variance
TRIALS = 8.0  # logarithm of the odds against a source at one place, before its S/N is known
CERTAIN = 1e-6
SIDELOBES = 2.0  # how much more the variance of unknown sidelobes counts than that of noise
CROWDED = 3.0  # logarithm of the odds against a source in a beam, at least


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

    Sidelobes that are not known (``noise_ratio``) count as noise to the network
    already, but of a kind that it does not know: their variance counts twice.
    An extended source is as credible as the filter of its shape makes it, if
    that is more: its height may be that of noise.

    And nowhere is a source more credible than its data allow. The odds for a
    source are those before the image is looked at, times a Bayes factor of at
    most exp(s^2 / 2), s being the S/N that a filter of its shape has; and
    before, one beam in twenty may hold a source in the most crowded fields.

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
    unknown = np.broadcast_to(dirty.noise_ratio, dirty.shape) ** 2 - 1
    if not len(sources):
        return sources
    y, x = grid.to_image_position(sources.y, sources.x)
    level, flux_err = 0.0, 0.0
    if dirty.artefacts is not None:
        level, flux_err = dirty.artefacts.at(x, y) / dirty.rms, dirty.artefacts.flux_err
    unknown = map_coordinates(unknown, [y, x], order=0, mode="nearest")
    # Samples share a wide peak of the image among several sources, which are as certain as the whole.
    seen = map_coordinates(dirty.reduced, [y, x], order=0, mode="nearest") / dirty.rms
    snr = np.fmax(apparent_peaks(sources, grid, dirty), seen)
    # The noise that was measured holds the artefacts once.
    artefacts, sidelobes = (TAIL**2 - 1) * level**2, SIDELOBES * unknown
    before, after = odds_without(sources.reliability, snr, 0.5 * snr**2 * (1 - 1 / (1 + artefacts + sidelobes)))
    filtered, beams = filtered_snr(sources, grid, dirty)
    # What is wide, and faint everywhere, owes its odds to all of its flux; artefacts of as many beams all add up.
    of_all = 0.5 * filtered**2 / (1 + artefacts * beams + sidelobes) - TRIALS
    after = np.maximum(after, np.minimum(before, of_all))
    after = np.minimum(after, 0.5 * filtered**2 / (1 + sidelobes) - CROWDED)
    return replace(
        sources,
        reliability=np.where(after < before, expit(after), sources.reliability),
        flux_err=np.sqrt(sources.flux_err**2 + level**2 + (flux_err * sources.flux) ** 2),
    )


def odds_without(reliability, snr, lost):
    """What is left of the odds for candidates that owe less to their height than was thought.

    Parameters
    ----------
    reliability, snr : 1D arrays, shape (n,)
    lost : 1D array, shape (n,)
        Logarithm of the odds.

    Returns
    -------
    before : 1D array, shape (n,)
        Logarithm of the odds, finite.
    after : 1D array, shape (n,)
        Likewise; what is lost is lost of what the height promises, if that is more.
    """
    before = logit(np.clip(reliability, CERTAIN, 1 - CERTAIN))
    return before, np.where(lost > 0, np.maximum(before, 0.5 * snr**2 - TRIALS) - lost, before)
