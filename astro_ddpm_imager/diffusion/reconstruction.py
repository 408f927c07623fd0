"""From posterior samples to one sky."""

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

from ..parallel import in_parallel
from .exact import posterior_mean, towards_data

__all__ = ["AGGREGATES", "aggregate", "reconstruct"]

SMOOTHING = 0.8  # FWHM in beams of what is around a pixel of the aggregate
NOTHING = 1e-6  # of the noise, in a beam


def _beam_median(samples, pixels_per_beam):
    """Mean of the samples, as bright in each beam as their median is there.

    The median of pixels finer than the beam loses flux that is certain, but not
    its place in the beam; the mean keeps flux that hardly a sample has.
    """
    sigma = gaussian_fwhm_to_sigma * pixels_per_beam
    brightness = gaussian_filter(samples, (0, sigma, sigma))
    mean, median = brightness.mean(0), np.median(brightness, axis=0)
    share = np.divide(median, mean, out=np.zeros_like(mean), where=median > NOTHING)
    return samples.mean(0) * share.clip(0, 1)


AGGREGATES = {
    "beam-median": _beam_median,
    "mean": lambda samples, _: samples.mean(0),
    "median": lambda samples, _: np.median(samples, axis=0),
    "single": lambda samples, _: samples[0],
}


def aggregate(samples, how, pixels_per_beam):
    """One sky from many.

    Parameters
    ----------
    samples : 3D array, shape (n_samples, ny, nx)
    how : {"beam-median", "mean", "median", "single"}
        ``"beam-median"`` is the mean, with the median brightness in each beam;
        ``"mean"`` and ``"median"`` are of each pixel; ``"single"`` is the first sample.
    pixels_per_beam : float

    Returns
    -------
    2D array, shape (ny, nx), same unit
    """
    return AGGREGATES[how](samples, pixels_per_beam)


def _explaining(sky, samples, gridded, pixels_per_beam):
    """An aggregate that explains the data as well as its samples do, each of which has its flux on pixels of its own.

    It is in doubt as the samples differ, and where there is hardly any flux no
    more than by that. What lies between pixels is sharp only with negatives
    around it, which are left there.
    """
    sigma = gaussian_fwhm_to_sigma * SMOOTHING * pixels_per_beam
    differing = np.sqrt(gaussian_filter(samples.var(0, dtype=float), sigma))
    return posterior_mean(sky, np.minimum(differing, gaussian_filter(np.asarray(sky, float), sigma)), gridded)


def reconstruct(drawn, gridded, how, pixels_per_beam, workers):
    """Samples moved to what the data say, unless the model knows their noise, and what is made of them.

    Parameters
    ----------
    drawn : 3D array, shape (n_samples, my, mx)
        As `~astro_ddpm_imager.diffusion.drawing.draw_samples` draws them.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
    how : str
        One of ``AGGREGATES``.
    pixels_per_beam : float
    workers : int
        Threads.

    Returns
    -------
    samples : 3D array, shape (n_samples, my, mx)
    sky : 2D array, shape (my, mx)
    """
    if gridded.noise_known:
        return drawn, aggregate(drawn, how, pixels_per_beam)
    moved = in_parallel(lambda i: towards_data(drawn[i], gridded, pixels_per_beam), len(drawn), workers)
    samples = np.stack(moved)
    sky = aggregate(samples, how, pixels_per_beam)
    return samples, sky if how == "single" else _explaining(sky, samples, gridded, pixels_per_beam)
