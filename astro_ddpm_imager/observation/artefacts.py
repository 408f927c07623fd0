"""Artefacts of bright sources: what errors of gains leave around them, measured in the image itself."""

import logging
from dataclasses import dataclass, replace

import numpy as np
from astropy.stats import mad_std
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import label

from .components import nearest_pixels

__all__ = ["Artefacts", "measure_artefacts"]

log = logging.getLogger(__name__)

ISLAND = 3.0  # times the noise: where the image of a bright source ends
MOST_SOURCES = 8  # the brightest, about which an image is compared with its mirror image
NEAREST_BEAMS = 4.0  # nearer, CLEAN leaves the shape of the source
CLIPPED = 3.5  # times the noise: other sources count no more than that
LOW = 1.5  # times the noise, below 0
CLEAN_LEFT = 0.04  # relative: what CLEAN on whole pixels leaves of a source, sidelobes and all
SIGNIFICANT = 4.0  # standard deviations of the correlation of noise
RING_BEAMS = 4.0  # width of the rings in which artefacts are measured
FEWEST_BEAMS = 30  # that have a mirror image, to measure anything


@dataclass(frozen=True)
class Artefacts:
    """What errors of gains add to the noise.

    Parameters
    ----------
    level : 2D array, shape (ny, nx)
        Standard deviation, Jy/beam.
    flux_err : float
        Relative error of all fluxes that goes with them.
    """

    level: np.ndarray
    flux_err: float

    def at(self, x, y):
        """The level at pixels, 0-based and rounded; at the edge of the image beyond it.

        Parameters
        ----------
        x, y : 1D arrays, shape (n,)

        Returns
        -------
        1D array, shape (n,), Jy/beam
        """
        return self.level[nearest_pixels(x, y, self.level.shape)]


def measure_artefacts(dirty):
    """Compare an image with its mirror image about each bright source.

    An error e of the phase of a baseline multiplies the visibilities of a
    source with exp(i e). Its first order is odd in the uv plane, so what it
    leaves in the image is antisymmetric about the source; errors of
    amplitudes, and a PSF that is not quite right, leave what is symmetric
    (Ekers 1999, ASP Conf. Ser. 180, 321). Noise is neither, nor is the rest of
    the sky. So the correlation of an image, all but the bright sources, with
    its mirror image is the share of artefacts in its variance, and minus that
    for errors of phases; without errors it is 0 within a standard deviation
    that follows from the number of beams, or from how much the image is like
    its mirror image about all other places, if that is more: a disc and its
    bowl are.

    Fluxes go with the artefacts: phases of antennas with errors of variance v
    lower visibilities by exp(-v), and make artefacts of 2 v times the variance
    of the sidelobes (Perley 1999, ASP Conf. Ser. 180, 275), from which v is
    had: the relative error of all fluxes.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With ``bright`` as `~astro_ddpm_imager.observation.bright.subtract_bright` sets it.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With ``artefacts``, and a warning, where there are some.
    """
    if dirty.bright is None:
        return dirty
    residual, islands, sources = _without_bright(dirty)
    usable = np.isfinite(residual) & (islands == 0)
    noise = float(mad_std(residual[np.isfinite(residual)]))
    clipped = np.where(usable, residual.clip(-CLIPPED * noise, CLIPPED * noise), 0)
    by_chance = None
    variance, made, sidelobes, strongest = np.zeros(dirty.shape), 0.0, 0.0, (0.0, None)
    for height, y, x, own in sources[:MOST_SOURCES]:
        distance = np.hypot(*np.ogrid[-y : dirty.shape[0] - y - 0.5, -x : dirty.shape[1] - x - 0.5]) / dirty.beam_pixels
        far = usable & (distance > NEAREST_BEAMS)
        correlation, significance, both_low = _symmetry(clipped, far, (y, x), dirty.beam_area, -LOW * noise)
        seen_there = _sidelobe_variance(dirty, own, far, (y, x))
        power = abs(correlation) * np.mean(clipped[far] ** 2) if far.any() else 0.0
        # The sky may be symmetric as well, but it is positive; and what CLEAN leaves has the shape of the sidelobes.
        symmetric = both_low > SIGNIFICANT and power > CLEAN_LEFT**2 * seen_there > 0
        if abs(significance) > SIGNIFICANT:
            by_chance = by_chance or _symmetry_anywhere(clipped, usable, dirty.beam_area)
            significance /= by_chance
        if significance > -SIGNIFICANT and not (significance > SIGNIFICANT and symmetric):
            continue
        variance += abs(correlation) * _in_rings(residual, usable | (distance < NEAREST_BEAMS), distance)
        made, sidelobes = made + power, sidelobes + seen_there
        strongest = max(strongest, (abs(correlation), (correlation, height / dirty.rms, x, y)))
    if strongest[1] is None:
        return dirty
    flux_err = made / sidelobes / 2 if sidelobes else 0.0
    level = np.sqrt(variance)
    correlation, height, x, y = strongest[1]
    cause = (
        "of antiphase, as errors of the phases of antennas make them (self-calibrate)"
        if correlation < 0
        else "symmetric, as errors of the amplitudes of antennas make them (self-calibrate), or a PSF that is not "
        "quite that of the image"
    )
    log.warning(
        "around the source of %.0f times the noise at pixel (x, y) = (%.0f, %.0f) there are artefacts: %.0f%% of the "
        "variance is %s; they count as noise of %.3g Jy/beam (median) beside %.3g, and fluxes as uncertain by %.1f%%",
        height, x, y, 100 * abs(correlation), cause, np.median(level), dirty.rms, 100 * flux_err,
    )  # fmt: skip
    return replace(dirty, artefacts=Artefacts(level, flux_err))


def _without_bright(dirty):
    """The image without its bright sources, their islands, and of each height (Jy/beam), centre (y, x) and where it is.

    Of a source the model is shown a part; here it is subtracted as well. The brightest come first.
    """
    bright = dirty.bright
    image, shown = bright.image, bright.scaled(np.broadcast_to(bright.left, dirty.shape))
    seen = dirty.convolve_beam(image)
    whole = seen + dirty.convolve_beam(shown.image)
    islands, number = label(seen > ISLAND * dirty.rms)
    sources = []
    for island in range(1, number + 1):
        own = islands == island
        weight = np.where(own, image, 0).clip(0)
        centre = [(weight.sum(1 - axis) @ np.arange(n)) / weight.sum() for axis, n in enumerate(dirty.shape)]
        sources.append((whole[own].max(), *centre, own))
    return dirty.reduced - shown.seen_by(dirty), islands, sorted(sources, key=lambda source: -source[0])


def _symmetry(image, chosen, centre, beam_area, low):
    """Correlation of an image with its mirror image about a centre.

    Returns
    -------
    correlation : float
    significance : float
        In standard deviations of the correlation of noise.
    both_low : float
        How many more pixels are below ``low`` together with their mirror images
        than would be by chance, likewise.
    """
    mirror = [np.round(2 * c).astype(int) - np.arange(n) for c, n in zip(centre, image.shape, strict=True)]
    there = [(index >= 0) & (index < n) for index, n in zip(mirror, image.shape, strict=True)]
    here, there = np.ix_(*there), np.ix_(*(index[known] for index, known in zip(mirror, there, strict=True)))
    both = chosen[here] & chosen[there]
    one, other = image[here][both], image[there][both]
    pairs = len(one) / beam_area / 2
    if pairs < FEWEST_BEAMS:
        return 0.0, 0.0, 0.0
    correlation = one @ other / np.sum(one**2)  # of the other one it is the same
    by_chance = pairs * np.mean(one < low) ** 2
    both_low = pairs * np.mean((one < low) & (other < low)) - by_chance
    return correlation, correlation * np.sqrt(pairs), both_low / np.sqrt(max(by_chance, 1))


def _symmetry_anywhere(image, chosen, beam_area):
    """Standard deviation of the significance of `_symmetry` about all places of an image, at least 1."""
    shape = [next_fast_len(2 * n, real=True) for n in image.shape]
    about, power, number = (rfft2(values, s=shape) for values in (image, image**2, chosen.astype(float)))
    products, squares, both = (irfft2(values, s=shape) for values in (about**2, power * number, number**2))
    pairs = both / beam_area / 2
    enough = pairs > FEWEST_BEAMS
    significance = products[enough] / squares[enough] * np.sqrt(pairs[enough])
    return max(1.0, float(mad_std(significance)))


def _in_rings(residual, chosen, distance):
    """Variance of an image, by its negative side, which no source raises, in rings; interpolated."""
    ring = (distance / RING_BEAMS).astype(int)
    low = chosen & (residual < 0)
    number = np.bincount(ring[low], minlength=ring.max() + 1)
    power = np.bincount(ring[low], residual[low] ** 2, minlength=ring.max() + 1)
    known = np.flatnonzero(number)
    return np.interp(distance, (known + 0.5) * RING_BEAMS, power[known] / number[known])


def _sidelobe_variance(dirty, own, chosen, centre):
    """Of the sidelobes that a bright source has in some pixels, as far as the PSF is known there; 0 without a PSF.

    Those of an extended source are those of all of its flux, not of its peak.
    """
    if dirty.psf is None:
        return 0.0
    ny, nx = dirty.shape
    y, x = np.round(centre).astype(int)
    known = chosen & (dirty.covering_psf[ny - y : 2 * ny - y, nx - x : 2 * nx - x] != 0)
    sidelobes = dirty.bright.scaled(own * (1 + np.asarray(dirty.bright.left))).seen_by(dirty)
    return float(np.mean(sidelobes[known] ** 2)) if known.any() else 0.0
