"""Gaussians for all that is certain in an image, fitted together, with the PSF as far as it is known."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from astropy.stats import mad_std
from scipy.fft import irfft2, rfft2
from scipy.ndimage import maximum_filter

from .common_sidelobes import with_common_sidelobes
from .components import Components
from .fitting import Likelihood
from .grid import ModelGrid
from .outside import likely_outside, unseen_sidelobes
from .patches import distance_inside
from .positive_transform import Seen
from .reach import continue_psf, continue_psf_as_seen, end_psf, sidelobe_doubt
from .unknown_sidelobes import DEEPEST, UNKNOWN, measured_sidelobes, noise_beside, unknown_sidelobes

__all__ = ["FITTED", "Doubt", "Fitted", "fit_bright"]

log = logging.getLogger(__name__)

FITTED = 7.0  # times the noise: peaks that are fitted
TOGETHER = 0.6  # of the highest peak: those that are fitted with it, and not taken for its sidelobes
PIXELS_PER_BEAM, MULTIPLE = 3.0, 8  # of the fit: fewer do not hold what the longest baselines see, which parts points
SEPARATION = 0.7  # beams between components
WIDE = 0.1  # beams, a standard deviation: Gaussians that can be parted
POOR = 3.0  # times the noise: Gaussians that leave no more are not parted
GROUP = 2.0  # beams: of those as near as that to each other one is parted at a time
BESIDE = 3.0  # beams from a component: what is left there is no sidelobe
LEAST = 2.0  # twice the logarithm of a likelihood: what explains no more is the last step
ROUNDS, SWEEPS = 16, 24
FIRST_DAMPING = 100.0  # halves of one Gaussian lie between several optima, and long steps lead to any of them
DAMPINGS = 10.0 ** np.arange(4)  # more than before, of a step that explains less
TURNS = 3  # of fitting sources and PSF, at most
NOTHING = Components.points([], [], [])


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
    def variance(self):
        """Its square."""
        return self.deviation**2

    def of(self, gaussians):
        """Standard deviation of what is not known of the sidelobes of Gaussians, in each pixel."""
        return self.share * unknown_sidelobes(gaussians, self.share.shape, self.variance)


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
    template : 2D array, shape (ny, nx)
        What an image is multiplied with to tell how much of it all that was fitted explains: itself, if noise has the
        PSF for its covariance; of what lies within a beam of what is not known, what is seen, as for least squares.
    """

    dirty: object
    doubt: Doubt | None
    gaussians: Components
    residual: np.ndarray
    rms: float
    unknown: np.ndarray
    template: np.ndarray

    @cached_property
    def loudness(self):
        """Noise and unknown sidelobes, Jy/beam."""
        return np.hypot(self.rms, self.unknown)

    @property
    def near_sources(self):
        """Pixels, 2D bool array, in which a fit that is not exact leaves something."""
        return self.gaussians.near(self.residual.shape, BESIDE * self.dirty.beam_pixels)

    @property
    def taken(self):
        """Share of noise that has been taken for sidelobes."""
        return 0.0 if self.doubt is None else self.doubt.taken

    @property
    def lacks_sidelobes(self):
        """Whether sidelobes that are not known matter anywhere."""
        return bool(self.unknown.max() > UNKNOWN * self.rms)


def fit_bright(dirty):
    """Fit Gaussians to all peaks that are certain.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    `Fitted`
        Where sidelobes beyond the PSF image matter, with a PSF that is continued.
    """
    if dirty.psf is None or _covers(dirty.psf, dirty.shape):
        return _Fit(dirty, None).result()
    ended, doubt = end_psf(dirty.psf, dirty.shape)
    for found in _Fit(replace(dirty, psf=ended), _of_all(doubt, dirty.shape)).rounds():
        if found.lacks_sidelobes:
            log.info("sidelobes of bright sources matter beyond the PSF image, which is continued")
            return _fit_continued(dirty)
    return replace(found, dirty=dirty)


def _of_all(deviation, shape):
    return Doubt(deviation, np.ones(shape))


def _covers(psf, shape):
    """Whether a PSF reaches all over an image from everywhere."""
    return all(n >= 2 * m for n, m in zip(psf.shape, shape, strict=True))


def _fit_continued(dirty):
    """The same with a PSF that is continued beyond its image, as it and the dirty image tell.

    The brighter the sources are, the more the image knows of their sidelobes,
    and the better these are known, the fainter the sources that stand out.
    """
    psf, inside = continue_psf(dirty.psf, dirty.shape), np.isfinite(dirty.data)
    doubted = sidelobe_doubt(dirty.psf, dirty.shape)
    doubt = _of_all(doubted, dirty.shape)
    found = _Fit(replace(dirty, psf=psf), doubt).result()
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
        better = _Fit(seen, doubt).result(found.gaussians)
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


@dataclass(frozen=True)
class _Fit:
    """Gaussians fitted to an image; ``doubt`` is that of the PSF, or None where it is all known."""

    dirty: object
    doubt: Doubt | None

    @cached_property
    def grid(self):
        return ModelGrid(self.dirty.shape, self.dirty.beam_pixels, PIXELS_PER_BEAM, MULTIPLE)

    @cached_property
    def inside(self):
        return np.isfinite(self.dirty.data)

    @cached_property
    def likelihood(self):
        """On the pixels of the grid."""
        known = self.grid.sample(np.where(self.inside, 1, np.nan)) * self.grid.on_image > 0
        return Likelihood(self.grid.psf_to_model(self.dirty.covering_psf), self.grid.pixels_per_beam, known)

    @cached_property
    def distance(self):
        return distance_inside(self.inside)

    @cached_property
    def alone(self):
        """Pixels whose noise is one value."""
        return np.sum(self.dirty.covering_psf**2)

    def result(self, start=NOTHING):
        """All peaks that are certain, besides the Gaussians to start from."""
        *_, found = self.rounds(start)
        return found

    def rounds(self, start=NOTHING):
        """The same as far as it is, after each round; at first what there is to start from."""
        found = self._improved(start) if len(start) else self._nothing()
        yield found
        for _ in range(ROUNDS):
            without = found
            for added in (_parted, self._with_points):
                more = added(without)
                if len(more) > len(without.gaussians):
                    found = self._improved(more)
                    if _is_better(found, without):
                        break
            else:
                return
            yield found

    def _nothing(self):
        dirty, inside = self.dirty, self.inside
        unknown = np.broadcast_to(np.asarray(dirty.unknown, float), dirty.shape)
        rms = noise_beside(dirty.data[inside], unknown[inside]) if unknown.any() else dirty.rms
        residual = np.nan_to_num(dirty.data)
        rms = dirty.fine_noise.beneath(rms, residual)
        return Fitted(dirty, self.doubt, NOTHING, residual, rms, unknown, np.zeros(dirty.shape))

    def _with_points(self, found):
        outside = NOTHING
        if self.dirty.psf is not None:
            on_grid = self.grid.to_model(found.residual)
            one = likely_outside(on_grid, self.likelihood.psf, self.likelihood.known, self.grid.pixels_per_beam)
            outside = self._on_image(one)
        return Components.concatenate([found.gaussians, _new_points(found, outside)])

    def _on_image(self, gaussians):
        return gaussians.on_grid([1 / s for s in self.grid.ratio])

    def _improved(self, gaussians):
        """What Gaussians explain that are improved as far as they can be."""
        found, damping = self._explained(gaussians), FIRST_DAMPING
        for _ in range(SWEEPS):
            before, (found, damping) = found, self._stepped(found, damping)
            # Wide sources need many, for they grow from points.
            if found is before or _gain(before, found) < LEAST:
                break
        return found

    def _stepped(self, found, damping):
        """A step that explains more of the image, if any does, and the damping for the next (Marquardt 1963)."""
        on_grid = found.gaussians.on_grid(self.grid.ratio).scaled(1 / found.rms)
        expansion = self.likelihood.expand(on_grid, self.grid.to_model(found.residual / found.rms))
        for more in DAMPINGS:
            improved = self._on_image(expansion.improved(damping * more))
            changed = self._explained(improved.scaled(found.rms))
            if _gain(found, changed) > 0:
                return changed, max(1.0, damping * more / DAMPINGS[1])
        return found, damping

    def _explained(self, gaussians):
        """What Gaussians explain, and what they leave."""
        dirty, inside = self.dirty, self.inside
        at_edge = self.distance[gaussians.nearest(dirty.shape)] < dirty.beam_pixels
        seen, template = dirty.seen_and_resolved(gaussians.select(~at_edge))
        if at_edge.any():
            seen_at_edge = dirty.see(gaussians.select(at_edge))
            seen, template = seen + seen_at_edge, template + seen_at_edge / self.alone
        residual = np.where(inside, dirty.data - seen, 0)
        expected = np.hypot(dirty.unknown, unseen_sidelobes(dirty, gaussians))
        if self.doubt is not None:
            expected = np.hypot(expected, self.doubt.of(gaussians))
        left = residual[inside]
        rms = noise_beside(left, expected[inside]) if expected.any() else float(mad_std(left))
        rms = dirty.fine_noise.beneath(rms, residual)
        return Fitted(dirty, self.doubt, gaussians, residual, rms, expected, template)


def _is_better(found, without):
    """Whether what has been added explains enough and leaves less of the image.

    Both, for what is not known of sidelobes has no shape that a likelihood knows.
    """
    added = len(found.gaussians) - len(without.gaussians)
    left, left_without = (np.sum((fit.residual / without.loudness) ** 2) for fit in (found, without))
    return left < left_without and _gain(without, found) > added * DEEPEST**2


def _gain(before, after):
    """How much more of the image is explained: twice the logarithm of a ratio of likelihoods (see `Likelihood`)."""
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
    poor = wide & (left[gaussians.nearest(left.shape)] > POOR)
    distance = np.hypot(gaussians.x[:, None] - gaussians.x, gaussians.y[:, None] - gaussians.y)
    brighter = poor & (distance < GROUP * beam_pixels) & (gaussians.flux > gaussians.flux[:, None])
    poor = poor & ~brighter.any(1)
    return Components.concatenate([gaussians.select(~poor), gaussians.select(poor).parted()])
