"""From one sky of all channels to that of each: the spectrum is what the channel's own residual says."""

from dataclasses import replace

import numpy as np
from astropy.stats import mad_std

from ...diffusion.exact import towards_data
from ...observation.gridded import GriddedObservation
from ...observation.reach import covering, end_psf

__all__ = ["channel_models"]

DOUBT = 1.0  # of the flux around a pixel: how far that of a channel may be off, a standard deviation
NEAR = 0.1  # times the noise, as the beam shows it: where the sky ends


def channel_models(cycle, dirty, psf, weights, pixels_per_beam):
    """Models of the channels.

    What the sky of all channels leaves of that of one is moved onto it, see
    `~astro_ddpm_imager.diffusion.exact.towards_data`: as far as the channel's
    own noise allows.

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
    3D array, shape (channels, ny, nx), Jy/pixel
    """
    result, grid = cycle.result, cycle.result.grid
    observation = result.dirty
    gridded = GriddedObservation.of(observation, grid)
    total = (result.sky + gridded.bright) * observation.rms
    if cycle.peak:
        total = np.where(grid.sample((cycle.model > 0).astype(float)) > 0, total, 0)
    near = observation.convolve_beam(cycle.model) > NEAR * observation.rms
    models = np.repeat(cycle.model[None], len(dirty), 0)
    for channel in np.flatnonzero(weights > 0):
        ended = end_psf(psf[channel] / psf[channel].max(), observation.shape)[0]
        left = dirty[channel] - replace(observation, psf=ended).convolve_psf(cycle.model)
        left = np.where(observation.blank, 0, left)
        rms = mad_std(left)
        own = GriddedObservation(
            grid.to_model(left / rms, observation.beam_covariance), grid.psf_to_model(covering(ended, observation.shape)),
            gridded.pb,
        )  # fmt: skip
        sky = total / rms
        moved = towards_data(sky, replace(own, dirty=own.dirty + own.seen(sky)), pixels_per_beam, DOUBT)
        models[channel] += np.where(near, grid.to_image(moved - sky) * rms, 0)
    return models
