"""Bright sources, and the noise beneath their sidelobes."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from astropy.stats import mad_std
from scipy.fft import irfft2, rfft2
from scipy.ndimage import distance_transform_edt, gaussian_filter, label, maximum, maximum_filter

from .clean import clean
from .components import Components
from .fitting import improve
from .reach import continue_psf, end_psf, sidelobe_doubt

__all__ = ["SMOOTHING", "BrightPart", "bright_sky", "subtract_beyond", "subtract_bright"]

log = logging.getLogger(__name__)

FITTED = 7.0  # times the noise: peaks that are fitted
TOGETHER = 0.6  # of the highest peak: those that are fitted with it, and not taken for its sidelobes
SEPARATION = 0.7  # beams between components
ROUNDS, SWEEPS = 16, 12
HALVINGS = 4  # of a step that explains less
GAIN = 0.1
DEPTH = 5.0  # of CLEAN, times the noise
COMPONENTS_PER_BEAM = 20
WORK = 5e10  # components times pixels, at most: a minute
EDGE = 0.01  # of its peak: where an island of components ends
EDGE_NOISE = 3.0  # but not below this many times the noise
UNKNOWN = 0.3  # times the noise: sidelobes beyond the PSF image that may be neglected
BINS, BEAMS = 12, 30  # parts of an image that differ by the sidelobes expected in them, at most, and their least size
LEAST = 0.25  # of a variance
LOUD = 1.5  # times the noise: sidelobes and noise that are worth a warning
MOST_LEFT = 2.5  # times what should be left of a bright source
SMOOTHING = 0.25  # beams, a standard deviation: what components are smoothed with to be measured


@dataclass(frozen=True)
class BrightPart:
    """What of bright sources the model is not shown.

    Parameters
    ----------
    gaussians : `~astro_ddpm_imager.observation.components.Components`
        Fitted, fluxes in Jy, on the pixels of the image.
    pixels : 2D array, shape (ny, nx)
        CLEAN's components where these do not suffice, Jy/pixel.
    """

    gaussians: Components
    pixels: np.ndarray

    @cached_property
    def image(self):
        """Both on the pixels of the image, Jy/pixel."""
        return self.pixels + self.gaussians.pixels(self.pixels.shape)

    def scaled(self, factors):
        """Each pixel, and each Gaussian by the pixel it is on, times its factor.

        Parameters
        ----------
        factors : 2D array, shape (ny, nx)

        Returns
        -------
        `BrightPart`
        """
        gaussians = self.gaussians.scaled(factors[self.gaussians.nearest(factors.shape)])
        return BrightPart(gaussians.select(gaussians.flux != 0), self.pixels * factors)

    def seen_by(self, dirty):
        """The image, without noise, that an observation has of it, Jy/beam."""
        return dirty.see(self.gaussians, self.pixels)


def subtract_bright(dirty, grid, brightest, kept):
    """Take the larger part of bright sources out of a dirty image, and measure the noise without them.

    A network cannot be exact to one part in a thousand, but a fit can be:
    Gaussians anywhere between pixels, and CLEAN for what these leave. What
    remains of each source has the same shape, and is bright enough for the
    model to say how certain it is. The noise is measured again and again as
    the sidelobes disappear.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
        Pixels for the fit.
    brightest : float
        Sources with a higher peak, in units of the noise, are reduced.
    kept : float
        Peak of what is left of them, in units of the noise.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With ``rms`` measured in the residual, and ``bright`` set where a
        source is that bright. Where the sidelobes of bright sources beyond the
        PSF image matter, the PSF is continued, and what is not known of them
        counts as noise (``noise_ratio``).
    """
    if dirty.psf is None or _covers(dirty.psf, dirty.shape):
        found, doubt = _fit(dirty, grid, None), None
    else:
        ended, doubt = end_psf(dirty.psf, dirty.shape)
        found = _fit(replace(dirty, psf=ended), grid, doubt)
    if doubt is not None and found.unknown.max() > UNKNOWN * found.rms:
        log.info("sidelobes of bright sources matter beyond the PSF image, which is continued")
        continued, doubt = continue_psf(dirty.psf, dirty.shape), sidelobe_doubt(dirty.psf, dirty.shape)
        dirty = replace(dirty, psf=continued)
        found = _fit(dirty, grid, doubt)
    inside = np.isfinite(dirty.data)
    loudness = np.full(dirty.shape, found.rms)
    loudness[inside] = _loudness(found.residual[inside], found.unknown[inside], found.rms, dirty.beam_area)
    found = replace(found, unknown=np.sqrt((loudness**2 - found.rms**2).clip(0)))
    ratio = found.loudness / found.rms
    loud = ratio[inside] > LOUD
    if loud.any() and not np.any(dirty.unknown):  # of a tile, the whole image has been told
        log.warning(
            "the PSF image ends within the field of a source of %.0f times the noise; sidelobes beyond are estimated; "
            "what is not known of them counts as noise, which is up to %.2g times as high as elsewhere (more than %.2g "
            "times in %.0f%% of the image); give a PSF image twice as wide as the field to be rid of it",
            np.nanmax(dirty.data) / found.rms, ratio.max(), LOUD, 100 * loud.mean(),
        )  # fmt: skip
    cleaned, rms = _clean_deeper(dirty, found.residual, found.rms, found.unknown)
    part = BrightPart(found.gaussians, cleaned)
    seen = dirty.convolve_beam(part.image) / rms
    dirty = replace(dirty, rms=rms, noise_ratio=np.hypot(rms, found.unknown) / rms)
    islands = label(seen > EDGE_NOISE)[0]
    dirty = replace(dirty, bright=_largest_part(part, seen, islands, brightest, kept))
    return dirty if dirty.bright is None else _checked(dirty, islands, kept)


def subtract_beyond(dirty, grid):
    """Take out what sources do to the image that lie where it is blanked for its primary beam.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With ``beyond``, if anything is known there.
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
        Pixels for the fit.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
        Without ``beyond``; what is not known of their sidelobes is in ``unknown``.
    """
    if dirty.beyond is None or dirty.psf is None or not np.nanmax(dirty.beyond) > FITTED * dirty.rms:
        return replace(dirty, beyond=None)
    inside = np.isfinite(dirty.data)
    whole = replace(dirty, data=np.where(inside, dirty.data, dirty.beyond), beyond=None)
    psf, doubt = dirty.psf, None
    if not _covers(psf, dirty.shape):
        psf, doubt = continue_psf(psf, dirty.shape), sidelobe_doubt(psf, dirty.shape)
    found = _fit(replace(whole, psf=psf), grid, doubt).gaussians
    outside = found.select(~inside[found.nearest(dirty.shape)])
    if not len(outside):
        return replace(dirty, beyond=None)
    log.info("%d bright sources where the primary beam is below the limit: their sidelobes are taken out", len(outside))
    data, unknown = dirty.data - replace(dirty, psf=psf).see(outside), dirty.unknown
    if doubt is not None:
        unknown = _unknown_sidelobes(outside, dirty.shape, _spread(doubt, dirty.shape))
    return replace(dirty, data=data, unknown=unknown, beyond=None)


def _covers(psf, shape):
    """Whether a PSF reaches all over an image from everywhere."""
    return all(n >= 2 * m for n, m in zip(psf.shape, shape, strict=True))


def _spread(doubt, shape):
    """Transform of the variance of a PSF, of offset 0 at pixel (0, 0)."""
    return rfft2(np.roll(doubt**2, shape, (0, 1)))


@dataclass(frozen=True)
class _Found:
    """Gaussians, what they leave of an image, its noise, and the unknown sidelobes, Jy/beam."""

    dirty: object
    gaussians: Components
    residual: np.ndarray
    rms: float
    unknown: np.ndarray

    @property
    def loudness(self):
        """Noise and unknown sidelobes, Jy/beam."""
        return np.hypot(self.rms, self.unknown)


def _fit(dirty, grid, doubt):
    """Fit Gaussians to all peaks that are certain; ``doubt`` is that of the PSF, or None where it is all known."""
    inside = np.isfinite(dirty.data)
    nothing = Components.points([], [], [])
    unknown = np.broadcast_to(np.asarray(dirty.unknown, float), dirty.shape)
    rms = _noise(dirty.data[inside], unknown[inside]) if unknown.any() else dirty.rms
    found = _Found(dirty, nothing, np.nan_to_num(dirty.data), rms, unknown)
    if found.residual.max() < FITTED * found.rms:
        return found
    psf, scale = grid.psf_to_model(dirty.covering_psf), grid.ratio
    spread = None if doubt is None else _spread(doubt, dirty.shape)
    at_edge = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1] < dirty.beam_pixels
    for _ in range(ROUNDS):
        peaks = _new_peaks(found, dirty.beam_pixels)
        if not len(peaks):
            break
        points = Components.points(peaks[:, 1], peaks[:, 0], found.residual[tuple(peaks.T)])
        without = found
        found = _explained(found, found.gaussians.joined(points), inside, spread)
        for _ in range(SWEEPS):
            on_grid = found.gaussians.on_grid(scale).scaled(1 / found.rms)
            fixed = at_edge[found.gaussians.nearest(dirty.shape)]
            better = improve(on_grid, grid.to_model(found.residual / found.rms), psf, grid.pixels_per_beam, fixed)
            better = better.on_grid([1 / s for s in scale]).scaled(found.rms)
            before, found = found, _towards(found, better, inside, spread)
            # Wide sources need many, for they grow from points by a beam's variance at a time.
            if found is before or _gain(before, found) < dirty.beam_pixels**2:
                break
        if not _gain(without, found) > 0:
            return without
    return found


def _explained(found, gaussians, inside, spread):
    """With other Gaussians; ``spread`` is the transform of the variance of the PSF, or None where it is all known."""
    dirty = found.dirty
    residual = np.where(inside, dirty.data - dirty.see(gaussians), 0)
    expected = np.broadcast_to(np.asarray(dirty.unknown, float), dirty.shape)
    if spread is not None:
        expected = np.hypot(expected, _unknown_sidelobes(gaussians, dirty.shape, spread))
    if not expected.any():
        return _Found(dirty, gaussians, residual, float(mad_std(residual[inside])), expected)
    return _Found(dirty, gaussians, residual, _noise(residual[inside], expected[inside]), expected)


def _noise(residual, expected):
    """That of the image where the least sidelobes are expected that are not known."""
    quiet = _quiet_part(residual, expected, np.argsort(expected))
    measured, sidelobes = mad_std(residual[quiet]), np.sqrt(np.mean(expected[quiet] ** 2))
    # Where some are expected everywhere, less of what is measured is noise.
    return float(np.sqrt(max(measured**2 - sidelobes**2, LEAST * measured**2)))


def _quiet_part(residual, expected, order):
    """First of the pixels in the order of the sidelobes expected, as many as have none that matter, or a few."""
    # All of them are needed: a small part of an image holds so few beams that it may be quiet by chance.
    noise, least = mad_std(residual), -(-len(order) // BINS)
    for _ in range(ROUNDS):
        before, quiet = noise, order[: max(np.count_nonzero(expected <= UNKNOWN * noise), least)]
        noise = mad_std(residual[quiet])
        if noise > 0.99 * before:
            break
    return quiet


def _loudness(residual, unknown, rms, beam_area):
    """Noise and unknown sidelobes in each pixel, as far as these are as large as they are expected to be.

    In parts of an image that differ by what is expected, what is measured is
    some factor times that. Where more is expected, no less is taken to be.

    Parameters
    ----------
    residual, unknown : 1D arrays
        Jy/beam.
    rms : float
        Noise where no sidelobes are expected, Jy/beam.
    beam_area : float
        Pixels.

    Returns
    -------
    1D array
        Jy/beam.
    """
    expected, order = np.hypot(rms, unknown), np.argsort(unknown)
    quiet = _quiet_part(residual, unknown, order)
    loud = order[len(quiet) :]
    number = np.clip(len(loud) // int(BEAMS * beam_area), 1, BINS)
    parts = [quiet, *(np.array_split(loud, number) if len(loud) else [])]
    middles = np.array([np.sqrt(np.mean(expected[part] ** 2)) for part in parts])
    # In a narrow part the errors are those of a few sidelobes, of which most of the pixels may see none.
    factors = np.maximum([mad_std(residual[part] / expected[part]) for part in parts], np.sqrt(LEAST))
    levels = np.maximum.accumulate(factors * middles)
    return expected * np.interp(expected, middles, levels / middles)


def _towards(found, gaussians, inside, spread):
    """With others, or as far on the way to them as leaves less of the image."""
    for share in 0.5 ** np.arange(HALVINGS):
        changed = _explained(found, found.gaussians.towards(gaussians, share), inside, spread)
        if _gain(found, changed) > 0:
            return changed
    return found


def _gain(before, after):
    """How much less of the image is left, the sum of squares in units of the noise before."""
    return np.sum((before.residual / before.loudness) ** 2) - np.sum((after.residual / before.loudness) ** 2)


def _new_peaks(found, beam_pixels):
    """Peaks (y, x) that are certain, and no sidelobes of others, away from the Gaussians that there are."""
    certain = found.residual / found.loudness
    size = 2 * int(SEPARATION * beam_pixels) + 1
    highest = certain == maximum_filter(certain, size)
    peaks = np.argwhere(highest & (certain > max(FITTED, TOGETHER * certain.max())))
    there = np.stack([found.gaussians.y, found.gaussians.x], axis=1)
    distance = np.linalg.norm(peaks[:, None] - there, axis=2).min(1, initial=np.inf)
    return peaks[distance > SEPARATION * beam_pixels]


def _unknown_sidelobes(gaussians, shape, spread):
    """Root mean square of what is not known of the sidelobes of some Gaussians, all together."""
    power, both = np.zeros(shape), [2 * n for n in shape]
    np.add.at(power, gaussians.nearest(shape), gaussians.flux**2)
    return np.sqrt(irfft2(rfft2(power, s=both) * spread, s=both)[: shape[0], : shape[1]].clip(0))


def _clean_deeper(dirty, residual, rms, unknown):
    """Components of CLEAN and the noise that they leave; it goes as deep as the noise falls on the way."""
    inside = np.isfinite(dirty.data)
    components = np.zeros_like(residual)
    most = int(min(COMPONENTS_PER_BEAM * residual.size / dirty.beam_pixels**2, WORK / residual.size))
    for _ in range(ROUNDS):
        # Among unknown sidelobes it would take these for sources.
        searched = inside & (unknown < 2 * rms)
        found, residual = clean(residual, dirty.covering_psf, DEPTH * rms, GAIN, searched, most, negative=True)
        components += found
        before, rms = rms, _noise(residual[inside], unknown[inside])
        if rms > 0.97 * before:
            break
    return components, rms


def _largest_part(part, seen, islands, brightest, kept):
    """Of each source that is too bright all but ``kept`` times the noise."""
    if not seen.max() > brightest:
        return None
    factors, numbers = np.zeros(seen.shape), np.arange(1, islands.max() + 1)
    for island, peak in zip(numbers, np.atleast_1d(maximum(seen, islands, numbers)), strict=True):
        if peak > brightest:
            own = (islands == island) & (seen > max(EDGE * peak, DEPTH))
            factors[own] = 1 - kept / peak
            log.info("a source of %.0f times the noise: all but %.0f of it is subtracted", peak, kept)
    return part.scaled(factors) if factors.any() else None


def _checked(dirty, islands, kept):
    """Say where more is left of a source than should be, and leave it whole where subtracting it has made it worse."""
    left, factors = np.nan_to_num(np.abs(dirty.reduced)) / dirty.loudness, np.ones(dirty.shape)
    before = np.nan_to_num(dirty.data) / dirty.loudness
    touched = np.unique(islands[dirty.bright.image != 0])
    for island in touched[touched > 0]:
        own = islands == island
        y, x = np.unravel_index(np.argmax(np.where(own, left, 0)), left.shape)
        if left[y, x] > MOST_LEFT * kept:
            worse = left[y, x] > before[own].max()
            factors[own] = 0 if worse else 1
            log.warning(
                "of the source of %.0f times the noise at pixel (x, y) = (%d, %d), %.0f is left, not %.0f%s; "
                "the PSF (without one the beam) does not fit it, or it is no sum of Gaussians: its flux is doubtful",
                before[own].max(), x, y, left[y, x], kept, ", so that nothing is subtracted" if worse else "",
            )  # fmt: skip
    return dirty if factors.all() else replace(dirty, bright=dirty.bright.scaled(factors))


def bright_sky(dirty, grid):
    """What of bright sources the model is not shown, on its pixels, and smoothed, so that it can be measured.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`

    Returns
    -------
    2D array, shape ``grid.shape``, or 0
        Flux per pixel in units of the noise, convolved with a round Gaussian
        of a standard deviation of ``SMOOTHING`` beams.
    """
    if dirty.bright is None:
        return 0
    pixels = grid.gather(gaussian_filter(dirty.bright.pixels, SMOOTHING * dirty.beam_pixels))
    gaussians = dirty.bright.gaussians.on_grid(grid.ratio, (SMOOTHING * grid.pixels_per_beam) ** 2)
    return (pixels + gaussians.squares(grid.shape)) / dirty.rms
