"""Bright sources, and the noise beneath their sidelobes."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter, label, maximum

from .bright_fit import FITTED, fit_bright
from .clean import clean
from .components import Components
from .outside import without_outside
from .unknown_sidelobes import measured_sidelobes, noise_beside, unknown_sidelobes

__all__ = ["SMOOTHING", "BrightPart", "bright_sky", "subtract_beyond", "subtract_bright"]

log = logging.getLogger(__name__)

ROUNDS = 16  # of CLEAN
SETTLED = 0.97  # of the noise before: falling to no less, it is that of the image
GAIN = 0.1
DEPTH = 5.0  # of CLEAN, times the noise
COMPONENTS_PER_BEAM = 20
WORK = 5e10  # components times pixels, at most: a minute
EDGE = 0.01  # of its peak: where an island of components ends
EDGE_NOISE = 3.0  # but not below this many times the noise
LEAST_LEFT = 0.5  # of the noise's variance, by a fit
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
    left : 2D array, shape (ny, nx), or float, optional
        What the model is shown of the same sources, in units of what it is not.
    """

    gaussians: Components
    pixels: np.ndarray
    left: np.ndarray | float = 0.0

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
        return BrightPart(gaussians.select(gaussians.flux != 0), self.pixels * factors, self.left)

    def seen_by(self, dirty):
        """The image, without noise, that an observation has of it, Jy/beam."""
        return dirty.see(self.gaussians, self.pixels)


def subtract_bright(dirty, brightest, kept):
    """Take the larger part of bright sources out of a dirty image, and measure the noise without them.

    A network cannot be exact to one part in a thousand, but a fit can be:
    Gaussians anywhere between pixels, and CLEAN for what these leave. What
    remains of each source has the same shape, and is bright enough for the
    model to say how certain it is. The noise is measured again and again as
    the sidelobes disappear.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
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
    found = without_outside(fit_bright(dirty))
    dirty = found.dirty
    inside = np.isfinite(dirty.data)
    if found.unknown.any():
        unknown = np.zeros(dirty.shape)
        unknown[inside] = measured_sidelobes(
            found.residual[inside], found.unknown[inside], found.rms, dirty.beam_area, found.near_sources[inside],
            taken=found.taken,
        )  # fmt: skip
        found = replace(found, unknown=unknown)
    ratio = found.loudness / found.rms
    loud = ratio[inside] > LOUD
    if loud.any() and not np.any(dirty.unknown):  # of a tile, the whole image has been told
        log.warning(
            "the PSF image ends within the field of a source of %.0f times the noise; sidelobes beyond are estimated; "
            "what is not known of them counts as noise, which is up to %.2g times as high as elsewhere (more than %.2g "
            "times in %.0f%% of the image); give a PSF image twice as wide as the field to be rid of it, with Briggs "
            "or uniform weights that of an image as wide, and the image cut out of that",
            np.nanmax(dirty.data) / found.rms, ratio.max(), LOUD, 100 * loud.mean(),
        )  # fmt: skip
    cleaned, rms = _clean_deeper(dirty, found.residual, found.rms, found.unknown)
    rms /= np.sqrt(_left_of_noise(dirty, found.gaussians))
    part = BrightPart(found.gaussians, cleaned)
    seen = dirty.convolve_beam(part.image) / rms
    dirty = replace(dirty, rms=rms, noise_ratio=np.hypot(rms, found.unknown) / rms)
    islands = label(seen > EDGE_NOISE)[0]
    dirty = replace(dirty, bright=_largest_part(part, seen, islands, dirty.noise_ratio, brightest, kept))
    return dirty if dirty.bright is None else _checked(dirty, islands, kept)


def subtract_beyond(dirty):
    """Take out what sources do to the image that lie where it is blanked for its primary beam.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With ``beyond``, if anything is known there.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
        Without ``beyond``; what is not known of their sidelobes is in ``unknown``.
    """
    if dirty.beyond is None or dirty.psf is None or not np.nanmax(dirty.beyond) > FITTED * dirty.rms:
        return replace(dirty, beyond=None)
    inside = np.isfinite(dirty.data)
    whole = replace(dirty, data=np.where(inside, dirty.data, dirty.beyond), beyond=None)
    found = fit_bright(whole)
    outside = found.gaussians.select(~inside[found.gaussians.nearest(dirty.shape)])
    if not len(outside):
        return replace(dirty, beyond=None)
    log.info("%d bright sources where the primary beam is below the limit: their sidelobes are taken out", len(outside))
    data = dirty.data - replace(dirty, psf=found.dirty.psf).see(outside)
    unknown = dirty.unknown if found.doubt is None else found.doubt.of(outside)
    return replace(dirty, data=data, unknown=unknown, beyond=None)


def _left_of_noise(dirty, gaussians):
    """Share of the noise's variance in the image that a fit of Gaussians leaves: each flux takes that of one number.

    Where it has taken it, the PSF says, in units of the noise: of noise n that has the PSF for its covariance, a point
    takes n(0) P (`~astro_ddpm_imager.observation.fitting.Likelihood`).
    """
    ones = replace(gaussians, flux=np.ones(len(gaussians)))
    taken = unknown_sidelobes(ones, dirty.shape, dirty.covering_psf**2) ** 2
    return max(LEAST_LEFT, 1 - taken[np.isfinite(dirty.data)].mean())


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
        measured = noise_beside(residual[inside], unknown[inside])
        before, rms = rms, dirty.fine_noise.beneath(measured, residual)
        if rms > SETTLED * before:
            break
    return components, rms


def _largest_part(part, seen, islands, noise_ratio, brightest, kept):
    """Of each source that is too bright all but ``kept`` times the noise, and less beneath unknown sidelobes."""
    if not seen.max() > brightest:
        return None
    factors, left, numbers = np.zeros(seen.shape), np.zeros(seen.shape), np.arange(1, islands.max() + 1)
    for island, peak in zip(numbers, np.atleast_1d(maximum(seen, islands, numbers)), strict=True):
        if peak > brightest:
            own = (islands == island) & (seen > max(EDGE * peak, DEPTH))
            # The model, to which these are noise, would take for them what it is shown of the source.
            shown = kept / noise_ratio[own].max()
            factors[own], left[own] = 1 - shown / peak, shown / (peak - shown)
            log.info("a source of %.0f times the noise: all but %.0f of it is subtracted", peak, shown)
    return replace(part.scaled(factors), left=left) if factors.any() else None


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


def bright_sky(dirty, grid, margin=0):
    """What of bright sources the model is not shown, on its pixels, and smoothed, so that it can be measured.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
    margin : int, optional
        Pixels around the model's.

    Returns
    -------
    2D array, shape ``(my + 2 margin, mx + 2 margin)``, or 0
        Flux per pixel in units of the noise, convolved with a round Gaussian
        of a standard deviation of ``SMOOTHING`` beams.
    """
    if dirty.bright is None:
        return 0
    pixels = np.pad(grid.gather(gaussian_filter(dirty.bright.pixels, SMOOTHING * dirty.beam_pixels)), margin)
    gaussians = dirty.bright.gaussians.on_grid(grid.ratio, (SMOOTHING * grid.pixels_per_beam) ** 2)
    gaussians = replace(gaussians, x=gaussians.x + margin, y=gaussians.y + margin)
    return (pixels + gaussians.squares(pixels.shape)) / dirty.rms
