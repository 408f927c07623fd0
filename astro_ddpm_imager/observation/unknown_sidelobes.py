"""Sidelobes that are not known, for the PSF image ends: how large they are, and the noise beside them."""

import numpy as np
from astropy.stats import mad_std

__all__ = ["DEEPEST", "UNKNOWN", "measured_sidelobes", "noise_beside", "unknown_sidelobes"]

UNKNOWN = 0.3  # times the noise: sidelobes beyond the PSF image that may be neglected
BINS, BEAMS = 12, 30  # parts of an image that differ by the sidelobes expected in them, at most, and their least size
LEAST = 0.25  # of a variance
DEEPEST = 5.0  # standard deviations: noise of an image is never more negative
ROUNDS = 16
SETTLED = 0.99  # of the noise before: falling to no less, it is that of the quiet part


def unknown_sidelobes(gaussians, shape, variance):
    """Root mean square of what is not known of the sidelobes of some Gaussians, all together.

    Parameters
    ----------
    gaussians : `~astro_ddpm_imager.observation.components.Components`
    shape : tuple of int, (ny, nx)
        Of the image.
    variance : 2D array, shape (2 ny, 2 nx)
        Of the PSF, of offset 0 at pixel (ny, nx).

    Returns
    -------
    2D array, shape (ny, nx)
        In the unit of the fluxes.
    """
    (ny, nx), total = shape, np.zeros(shape)
    for y, x, flux in zip(*gaussians.nearest(shape), gaussians.flux, strict=True):
        total += flux**2 * variance[ny - y : 2 * ny - y, nx - x : 2 * nx - x]
    return np.sqrt(total)


def noise_beside(residual, expected):
    """Noise of an image, where the least sidelobes are expected that are not known.

    Parameters
    ----------
    residual, expected : 1D arrays
        What sources leave of it, and the standard deviation of the sidelobes in that; of one unit.

    Returns
    -------
    float
    """
    quiet, measured = _quiet_part(residual, expected, np.argsort(expected))
    sidelobes = np.sqrt(np.mean(expected[quiet] ** 2))
    # Where some are expected everywhere, less of what is measured is noise.
    return float(np.sqrt(max(measured**2 - sidelobes**2, LEAST * measured**2)))


def measured_sidelobes(residual, unknown, rms, beam_area, beside, least=LEAST, taken=0.0):
    """Unknown sidelobes in each pixel, a standard deviation, as far as these are as large as they are expected to be.

    In parts of an image that differ by what is expected, what is measured is
    some factor times that. Where more is expected, no less is taken to be, and
    so much that nothing is more negative than noise would be, but beside sources.

    Parameters
    ----------
    residual, unknown : 1D arrays
        Jy/beam.
    rms : float
        Noise where no sidelobes are expected, Jy/beam.
    beam_area : float
        Pixels.
    beside : 1D bool array
        Where a source is so near that a fit of it may leave something.
    least : float, optional
        Of the variance expected, that what is measured is taken to be at least.
    taken : float, optional
        Share of noise that has been taken for sidelobes, and is no more in ``residual`` where these are expected.

    Returns
    -------
    1D array
        Jy/beam.
    """
    expected, order = np.hypot(rms, unknown), np.argsort(unknown)
    quiet, _ = _quiet_part(residual, unknown, order)
    loud = order[len(quiet) :]
    number = np.clip(len(loud) // int(BEAMS * beam_area), 1, BINS)
    parts = np.array_split(loud, number) if len(loud) else []
    middles = np.array([np.sqrt(np.mean(expected[part] ** 2)) for part in (quiet, *parts)])
    measured = [mad_std(residual[quiet] / expected[quiet])]
    measured += [_deviation(residual[part] / expected[part]) / (1 - taken) for part in parts]
    # In a narrow part the errors are those of a few sidelobes, of which most of the pixels may see none.
    factors = np.maximum(measured, np.sqrt(least))
    levels = np.maximum.accumulate(factors * middles)
    loudness = expected * np.interp(expected, middles, levels / middles)
    # Sources are positive: what is deeper than noise ever is, a sidelobe has made, unless a fit has.
    lone = loud[~beside[loud]]
    deepest = -np.min(residual[lone] / loudness[lone], initial=0)
    loudness[loud] *= max(1, deepest / DEEPEST)
    return np.sqrt((loudness**2 - rms**2).clip(0))


def _deviation(values):
    """Standard deviation of normal ones; of others, whose tails are longer, one that they exceed as rarely."""
    return np.quantile(np.abs(values), 0.95) / 1.96


def _quiet_part(residual, expected, order):
    """First pixels in the order of the sidelobes expected, as many as have none that matter, and their noise."""
    # All of them are needed: a small part of an image holds so few beams that it may be quiet by chance.
    noise, least, quiet = mad_std(residual), -(-len(order) // BINS), order
    for _ in range(ROUNDS):
        few, before = order[: max(np.count_nonzero(expected <= UNKNOWN * noise), least)], noise
        if len(few) == len(quiet):
            break
        quiet = few
        noise = mad_std(residual[quiet])
        if noise > SETTLED * before:
            break
    return quiet, noise
