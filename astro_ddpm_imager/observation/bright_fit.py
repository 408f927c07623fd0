"""Gaussians for all that is certain in an image, fitted together, with the PSF as far as it is known."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from astropy.stats import mad_std
from scipy.fft import irfft2, rfft2
from scipy.ndimage import distance_transform_edt, maximum_filter

from .common_sidelobes import with_common_sidelobes
from .components import Components
from .fitting import improve
from .outside import likely_outside, unseen_sidelobes
from .positive_transform import Seen
from .reach import continue_psf, continue_psf_as_seen, end_psf, sidelobe_doubt
from .unknown_sidelobes import DEEPEST, UNKNOWN, measured_sidelobes, noise_beside, power_of_doubt, unknown_sidelobes

__all__ = ["FITTED", "Doubt", "Fitted", "fit_bright"]

log = logging.getLogger(__name__)

FITTED = 7.0  # times the noise: peaks that are fitted
TOGETHER = 0.6  # of the highest peak: those that are fitted with it, and not taken for its sidelobes
SEPARATION = 0.7  # beams between components
WIDE = 0.1  # beams, a standard deviation: Gaussians that can be parted
GROUP = 2.0  # beams: of those as near as that to each other one is parted at a time
BESIDE = 3.0  # beams from a component: what is left there is no sidelobe
LEAST = 2.0  # twice the logarithm of a likelihood: what explains no more is the last step
ROUNDS, SWEEPS = 16, 24
DAMPINGS = 10.0 ** np.arange(4)  # more than before, of a step that explains less
TURNS = 3  # of fitting sources and PSF, at most


@dataclass(frozen=True)
class Doubt:
    """What is not known of a PSF.

    Parameters
    ----------
    deviation : 2D array, shape (2 ny, 2 nx)
        Standard deviation, of offset 0 at pixel (ny, nx).
    share : 2D array, shape (ny, nx)
        Of what that makes of sources, what an image leaves of it.
    taken : float
        Share of noise that has been taken for sidelobes to find that out.
    """

    deviation: np.ndarray
    share: np.ndarray
    taken: float = 0.0

    @cached_property
    def power(self):
        """Transform of its variance."""
        return power_of_doubt(self.deviation, self.share.shape)

    def of(self, gaussians):
        """Standard deviation of what is not known of the sidelobes of Gaussians, in each pixel."""
        return self.share * unknown_sidelobes(gaussians, self.share.shape, self.power)


@dataclass(frozen=True)
class Fitted:
    """Gaussians, and what they leave of an image.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With the PSF with which they were fitted.
    doubt : `Doubt` or None
        About that; None if it is known all over the image.
    gaussians : `~astro_ddpm_imager.observation.components.Components`
        Fluxes in Jy, on the pixels of the image.
    residual : 2D array, shape (ny, nx)
        Jy/beam; 0 where blank.
    rms : float
        Noise, Jy/beam.
    unknown : 2D array, shape (ny, nx)
        Sidelobes that are not known, a standard deviation, Jy/beam.
    """

    dirty: object
    doubt: Doubt | None
    gaussians: Components
    residual: np.ndarray
    rms: float
    unknown: np.ndarray

    @property
    def loudness(self):
        """Noise and unknown sidelobes, Jy/beam."""
        return np.hypot(self.rms, self.unknown)

    @property
    def near_sources(self):
        """Pixels, 2D bool array, in which a fit that is not exact leaves something."""
        return self.gaussians.near(self.residual.shape, BESIDE * self.dirty.beam_pixels)

    @cached_property
    def template(self):
        """What an image is multiplied with to tell how much of it the Gaussians explain, 2D array.

        Themselves, if noise has the PSF for its covariance; of those within a beam of
        what is not known, what is seen of them, as for least squares.
        """
        distance = distance_transform_edt(np.pad(np.isfinite(self.dirty.data), 1))[1:-1, 1:-1]
        at_edge = distance[self.gaussians.nearest(distance.shape)] < self.dirty.beam_pixels
        seen = self.dirty.see(self.gaussians.select(at_edge)) if at_edge.any() else 0
        return self.dirty.resolved(self.gaussians.select(~at_edge)) + seen / np.sum(self.dirty.covering_psf**2)

    @property
    def taken(self):
        """Share of noise that has been taken for sidelobes."""
        return 0.0 if self.doubt is None else self.doubt.taken

    @property
    def lacks_sidelobes(self):
        """Whether sidelobes that are not known matter anywhere."""
        return bool(self.unknown.max() > UNKNOWN * self.rms)


def fit_bright(dirty, grid):
    """Fit Gaussians to all peaks that are certain.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
        Pixels for the fit.

    Returns
    -------
    `Fitted`
        Where sidelobes beyond the PSF image matter, with a PSF that is continued.
    """
    if dirty.psf is None or _covers(dirty.psf, dirty.shape):
        return _fit(dirty, grid, None)
    ended, doubt = end_psf(dirty.psf, dirty.shape)
    found = _fit(replace(dirty, psf=ended), grid, _of_all(doubt, dirty.shape))
    if not found.lacks_sidelobes:
        return replace(found, dirty=dirty)
    log.info("sidelobes of bright sources matter beyond the PSF image, which is continued")
    return _fit_continued(dirty, grid)


def _of_all(deviation, shape):
    return Doubt(deviation, np.ones(shape))


def _covers(psf, shape):
    """Whether a PSF reaches all over an image from everywhere."""
    return all(n >= 2 * m for n, m in zip(psf.shape, shape, strict=True))


def _fit_continued(dirty, grid):
    """The same with a PSF that is continued beyond its image, as it and the dirty image tell.

    The brighter the sources are, the more the image knows of their sidelobes,
    and the better these are known, the fainter the sources that stand out.
    """
    psf, inside = continue_psf(dirty.psf, dirty.shape), np.isfinite(dirty.data)
    doubted = sidelobe_doubt(dirty.psf, dirty.shape)
    doubt = _of_all(doubted, dirty.shape)
    found = _fit(replace(dirty, psf=psf), grid, doubt)
    for _ in range(TURNS):
        if not found.lacks_sidelobes:
            break
        seen, taken = _with_sidelobes_seen(dirty, found)
        seen = with_common_sidelobes(seen, found.gaussians, found.loudness, doubted > 0)
        expected, left = found.unknown[inside], (dirty.data - seen.see(found.gaussians))[inside]
        beside = found.near_sources[inside]
        now = measured_sidelobes(left, expected, found.rms, dirty.beam_area, beside, 0, taken)
        share = np.ones(dirty.shape)
        share[inside] = doubt.share[inside] * (np.minimum(now, expected) / np.where(expected, expected, 1))
        doubt = replace(doubt, share=share, taken=taken)
        better = _fit(seen, grid, doubt, found.gaussians)
        if not better.loudness.mean() < found.loudness.mean():
            break
        before, found = found, better
        if len(found.gaussians) == len(before.gaussians):
            break
    return found


def _with_sidelobes_seen(dirty, found):
    """An image with the PSF that sources in it show, and the share of noise that is taken for sidelobes."""
    noise, loud = found.rms * _noise_like(dirty), found.unknown > UNKNOWN * found.rms
    seen = Seen(dirty.data, found.gaussians, found.rms, noise, loud)
    psf, taken = continue_psf_as_seen(dirty.psf, dirty.shape, seen)
    return replace(dirty, psf=psf), taken


def _noise_like(dirty):
    """Noise with the spectrum of the PSF, of a standard deviation of 1, always the same."""
    white = np.random.default_rng(0).standard_normal(dirty.covering_psf.shape)
    noise = irfft2(rfft2(white) * np.sqrt(np.abs(dirty.transfer)), s=white.shape)[: dirty.shape[0], : dirty.shape[1]]
    return noise / noise.std()


def _fit(dirty, grid, doubt, start=None):
    """Fit Gaussians to all peaks that are certain, besides those to start from.

    ``doubt`` is that of the PSF, or None where it is all known.
    """
    inside = np.isfinite(dirty.data)
    nothing = Components.points([], [], [])
    unknown = np.broadcast_to(np.asarray(dirty.unknown, float), dirty.shape)
    rms = noise_beside(dirty.data[inside], unknown[inside]) if unknown.any() else dirty.rms
    residual = np.nan_to_num(dirty.data)
    found = Fitted(dirty, doubt, nothing, residual, dirty.fine_noise.beneath(rms, residual), unknown)
    psf, scale = grid.psf_to_model(dirty.covering_psf), grid.ratio
    known = grid.sample(np.where(inside, 1, np.nan)) * grid.on_image > 0

    def new_points(found):
        if dirty.psf is None:
            return _new_points(found, nothing)
        on_grid = likely_outside(grid.to_model(found.residual), psf, known, grid.pixels_per_beam)
        return _new_points(found, on_grid.on_grid([1 / s for s in scale]))

    def with_points(found):
        return Components.concatenate([found.gaussians, new_points(found)])

    def step(found, damping):
        on_grid = found.gaussians.on_grid(scale).scaled(1 / found.rms)
        residual = grid.to_model(found.residual / found.rms)
        better = improve(on_grid, residual, psf, grid.pixels_per_beam, known, damping)
        return _explained(found, better.on_grid([1 / s for s in scale]).scaled(found.rms), inside)

    def fitted(found):
        damping = 1.0
        for _ in range(SWEEPS):
            before, (found, damping) = found, _stepped(found, step, damping)
            # Wide sources need many, for they grow from points.
            if found is before or _gain(before, found) < LEAST:
                break
        return found

    if start is not None:
        found = fitted(_explained(found, start, inside))
    for _ in range(ROUNDS):
        without = found
        for added in (_parted, with_points):
            more = added(without)
            if len(more) > len(without.gaussians):
                found = fitted(_explained(without, more, inside))
                if _is_better(found, without):
                    break
        else:
            return without
    return found


def _is_better(found, without):
    """Whether what has been added explains enough and leaves less of the image.

    Both, for what is not known of sidelobes has no shape that a likelihood knows.
    """
    added = len(found.gaussians) - len(without.gaussians)
    left, left_without = (np.sum((fit.residual / without.loudness) ** 2) for fit in (found, without))
    return left < left_without and _gain(without, found) > added * DEEPEST**2


def _explained(found, gaussians, inside):
    """With other Gaussians."""
    dirty = found.dirty
    residual = np.where(inside, dirty.data - dirty.see(gaussians), 0)
    expected = np.hypot(dirty.unknown, unseen_sidelobes(dirty, gaussians))
    if found.doubt is not None:
        expected = np.hypot(expected, found.doubt.of(gaussians))
    left = residual[inside]
    rms = noise_beside(left, expected[inside]) if expected.any() else float(mad_std(left))
    return Fitted(dirty, found.doubt, gaussians, residual, dirty.fine_noise.beneath(rms, residual), expected)


def _stepped(found, step, damping):
    """A step that explains more of the image, if any does, and the damping for the next (Marquardt 1963)."""
    for more in DAMPINGS:
        changed = step(found, damping * more)
        if _gain(found, changed) > 0:
            return changed, max(1.0, damping * more / DAMPINGS[1])
    return found, damping


def _gain(before, after):
    """How much more of the image is explained: twice the logarithm of the ratio of the likelihoods (see `improve`)."""
    explained = (after.template - before.template) * (after.residual + before.residual)
    return np.sum(explained / before.loudness**2)


def _new_points(found, outside):
    """Peaks that are certain, and no sidelobes of others, away from the Gaussians that there are; or those outside."""
    beam_pixels = found.dirty.beam_pixels
    certain = found.residual / found.loudness
    size = 2 * int(SEPARATION * beam_pixels) + 1
    highest = certain == maximum_filter(certain, size)
    y, x = np.nonzero(highest & (certain > max(FITTED, TOGETHER * certain.max())))
    points = Components.points(x, y, found.residual[y, x])
    if len(outside):
        points = outside
    offset = np.stack([points.x[:, None] - found.gaussians.x, points.y[:, None] - found.gaussians.y])
    return points.select(np.linalg.norm(offset, axis=0).min(1, initial=np.inf) > SEPARATION * beam_pixels)


def _parted(found):
    """The Gaussians; of those that leave more than noise, and are wide, the brightest of each group in two parts."""
    gaussians, beam_pixels = found.gaussians, found.dirty.beam_pixels
    left = maximum_filter(np.abs(found.residual) / found.loudness, 2 * int(beam_pixels) + 1)
    wide = np.linalg.eigvalsh(gaussians.covariance)[:, -1] > (WIDE * beam_pixels) ** 2
    poor = wide & (left[gaussians.nearest(left.shape)] > DEEPEST)
    distance = np.hypot(gaussians.x[:, None] - gaussians.x, gaussians.y[:, None] - gaussians.y)
    brighter = poor & (distance < GROUP * beam_pixels) & (gaussians.flux > gaussians.flux[:, None])
    poor = poor & ~brighter.any(1)
    return Components.concatenate([gaussians.select(~poor), gaussians.select(poor).parted()])
