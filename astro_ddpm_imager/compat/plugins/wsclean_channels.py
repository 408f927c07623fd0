"""From one sky of all channels to that of each: the spectrum is what the channel's own residual says."""

from dataclasses import replace

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma, mad_std
from scipy.ndimage import gaussian_filter, label
from scipy.ndimage import sum as sum_labels
from scipy.sparse.linalg import LinearOperator, cg

from ...diffusion.exact import towards_data
from ...observation.gridded import GriddedObservation
from ...observation.noise_map import unflatten
from ...observation.reach import covering, end_psf

__all__ = ["channel_models"]

DOUBT = 1.0  # of the flux of a source in all channels: how far that in one may be off, a standard deviation
ITERATIONS = 20
ISLAND = 1.0  # times the noise, as the beam shows it: where a source of one spectrum ends
NEAR = 0.1  # likewise, where the sky ends


def channel_models(cycle, dirty, psf, weights, pixels_per_beam):
    """Models of the channels.

    In each channel each source gets the factor that explains the channel's
    data best, and then all is moved towards these data, as far as its own
    noise allows, see `~astro_ddpm_imager.diffusion.exact.towards_data`.

    Parameters
    ----------
    cycle : `~astro_ddpm_imager.compat.major_cycles.Cycle`
    dirty : 3D array, shape (channels, ny, nx)
        Dirty images, Jy/beam.
    psf : 3D array, shape (channels, ny, nx)
    weights : 1D array, shape (channels,)
        0 for a channel without data, which gets the sky of all.
    pixels_per_beam : float
        Of the model's grid.

    Returns
    -------
    models : 3D array, shape (channels, ny, nx), Jy/pixel
    islands : 2D array of int, shape (ny, nx)
        Number of the source at each pixel; 0 where there is none.
    """
    result, observation, grid = cycle.result, unflatten(cycle.result.dirty), cycle.result.grid
    gridded = GriddedObservation.of(observation, grid)
    relative_noise = grid.sample(np.broadcast_to(result.dirty.relative_noise, observation.shape))
    total = (result.sky * relative_noise + gridded.bright) * observation.rms
    if cycle.peak:
        total = np.where(grid.sample((cycle.model > 0).astype(float)) > 0, total, 0)
    sigma = gaussian_fwhm_to_sigma * pixels_per_beam
    islands, _ = label(gaussian_filter(total, sigma) * 2 * np.pi * sigma**2 > ISLAND * observation.rms)
    seen = observation.convolve_beam(cycle.model)
    models = np.repeat(cycle.model[None], len(dirty), 0)
    for channel in np.flatnonzero(weights > 0):
        ended = end_psf(psf[channel] / psf[channel].max(), observation.shape)[0]
        left = dirty[channel] - replace(observation, psf=ended).convolve_psf(cycle.model)
        left = np.where(observation.blank, 0, left)
        rms = mad_std(left)
        left = grid.to_model(left / rms, observation.beam_covariance)
        psf_there = grid.psf_to_model(covering(ended, observation.shape))
        own = GriddedObservation(left, psf_there, gridded.pb, gridded.beam)
        sky = total / rms
        own = replace(own, dirty=left + own.seen(sky))
        scaled = sky * _factors(sky, islands, own)
        moved = towards_data(scaled, own, pixels_per_beam)
        models[channel] += np.where(seen > NEAR * observation.rms, grid.to_image(moved - sky) * rms, 0)
    return models, label(seen > ISLAND * observation.rms)[0]


def _factors(sky, islands, gridded):
    """What each island of a sky is to be multiplied with, 2D array; 1 outside of them."""
    numbers = np.arange(1, islands.max() + 1)
    factors = np.ones(islands.max() + 1)
    if not len(numbers):
        return factors[islands]
    nothing = gridded.gradient(np.zeros_like(sky))

    def applied(change):
        image = sky * np.r_[0, change][islands]
        seen = nothing - gridded.gradient(image)
        return change / DOUBT**2 + sum_labels(sky * seen, islands, numbers)

    wanted = sum_labels(sky * gridded.gradient(sky), islands, numbers)
    operator = LinearOperator((len(numbers), len(numbers)), matvec=applied, dtype=float)
    # Sources hardly overlap: the diagonal says most.
    power = np.maximum(sum_labels(sky, islands, numbers), 1)
    scaling = LinearOperator(operator.shape, matvec=lambda change: change / power**2, dtype=float)
    factors[1:] += cg(operator, wanted, maxiter=ITERATIONS, M=scaling)[0]
    return factors.clip(0)[islands]
