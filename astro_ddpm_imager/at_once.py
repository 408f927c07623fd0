"""A dirty image that fits into memory, reconstructed: samples drawn, sources found in them, the fit measured."""

import logging
import os

import numpy as np
from scipy.fft import set_workers

from .diffusion.drawing import draw_samples
from .diffusion.protocol import admit, in_its_units
from .diffusion.reconstruction import aggregate, reconstruct
from .errors import DirtyImageError, SettingError
from .observation.artefacts import measure_artefacts
from .observation.bright import subtract_beyond, subtract_bright
from .observation.grid import ModelGrid
from .observation.gridded import GriddedObservation
from .observation.noise_map import flatten, uneven_noise
from .parallel import importing, one_blas_thread
from .progress import expect_more, progress_bar
from .result import ImagingResult
from .sources.aggregation import without_luck
from .sources.artefacts import doubt_artefacts
from .sources.calibration import calibrate
from .sources.catalog import build_catalog
from .sources.detection import SMOOTHING_BEAMS
from .sources.finding import find_in_samples, find_sources, merge_samples
from .sources.fit import Residual, measure_fit, warn_of_misfit
from .sources.smooth_noise import doubt_smooth_noise, noise_smoothness

__all__ = ["image_at_once"]

log = logging.getLogger(__name__)

BYTES = 16  # of a pixel of a sample, at work


@one_blas_thread()
def image_at_once(imager, observation):
    """Reconstruct a dirty image that has been checked.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    observation : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    `~astro_ddpm_imager.ImagingResult`

    Raises
    ------
    DirtyImageError
        Hardly a pixel is not blank.
    SettingError
        The samples need more memory than there is.
    """
    card, workers = imager.card, imager.denoiser.workers
    per_beam = card.pixels_per_beam
    seed = imager.drawn_seed()

    _warn_beyond_training(observation.beam, card.limits)
    grid = ModelGrid(observation.shape, observation.beam_pixels, per_beam, card.multiple)
    _check_memory(imager.n_samples, grid.shape)
    with set_workers(workers):  # the transforms of a large image with many sources take longer than its samples
        given = subtract_beyond(observation)
        observation = measure_artefacts(subtract_bright(given, **card.bright))
    measured = observation
    if card.protocol:
        observation = in_its_units(observation, card.protocol)
    gridded = GriddedObservation.of(observation, grid)
    if not gridded.pb.any():
        raise DirtyImageError(f"dirty: hardly a pixel is not blank; lower pblimit={imager.pblimit}, or check pb")
    notes = {"protocol": admit(measured, gridded, imager.denoiser, imager.insist)} if card.protocol else {}
    log.info("noise %.4g Jy/beam, model grid %s, seed %d", observation.rms, grid.shape, seed)

    bar = progress_bar(imager.progress, imager.n_samples * imager.steps)
    with importing(*imager.needed_later), bar as update:
        draws = draw_samples(gridded, imager.denoiser, imager.n_samples, imager.steps, imager.sampler, seed, update)
    samples, sky = reconstruct(draws.samples, gridded, imager.aggregate, per_beam, workers)
    residual = Residual.of(sky, gridded, grid)
    left = np.where(residual.inside, residual.image, np.nan)
    noise = None if card.protocol else uneven_noise(observation, left, grid)
    if noise is not None:
        expect_more(imager.progress, imager.n_samples * imager.steps)
        return image_at_once(imager.but(seed=seed), flatten(given, noise))
    fit = measure_fit(residual, sky, gridded)
    warn_of_misfit(fit)

    found = find_in_samples(draws.samples, gridded, imager.threshold, per_beam, workers)
    seeds = None
    if imager.catalog == "aggregate-detect":  # the sources are those of the reconstruction
        whole = aggregate(draws.samples, imager.aggregate, per_beam)
        seeds = find_sources(whole, gridded, imager.threshold, per_beam)
    sources = merge_samples(found, per_beam, seeds)
    if not observation.noise_known:
        sources = without_luck(sources, draws.mean, draws.expected, SMOOTHING_BEAMS * per_beam)
    if imager.calibrate:
        sources = calibrate(sources, card.calibration)
    if not observation.noise_known:
        sources = doubt_artefacts(sources, grid, observation)
        sources = doubt_smooth_noise(sources, grid, observation, noise_smoothness(left, gridded, per_beam))
    meta = imager.provenance(seed, observation.inputs) | notes
    meta |= {"chi2": round(fit.chi2, 3), "misfit": ", ".join(fit.misfits)}
    catalog = build_catalog(sources, grid, observation, residual, imager.reliability, meta)
    return ImagingResult(observation, grid, sky, samples, draws.samples, catalog, fit, meta)


def _check_memory(n_samples, shape):
    """Fail if the samples do not fit into the memory of the machine, instead of being killed."""
    needed = n_samples * shape[0] * shape[1] * BYTES
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # Windows
        return
    if needed > there:
        raise SettingError(
            f"n_samples={n_samples}: samples of {shape[1]} x {shape[0]} model pixels need some {needed / 2**30:.3g} "
            f"GiB, and there are {there / 2**30:.3g} GiB of memory; give fewer, 20 suffice"
        )


def _warn_beyond_training(beam, limits):
    ratio, longest = (beam.major / beam.minor).value, limits["beam_axis_ratio"]
    if ratio > longest:
        log.warning("the beam is %.3g times as long as wide, the model was trained for up to %.3g", ratio, longest)
