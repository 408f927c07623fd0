"""Sidelobes beyond the PSF image that several bright sources of an image have alike."""

from dataclasses import replace

import numpy as np
from scipy.fft import irfft2, rfft2
from scipy.ndimage import map_coordinates, maximum_filter
from scipy.sparse.csgraph import connected_components

__all__ = ["with_common_sidelobes"]

LEAST = 5.0  # standard deviations of what all sources show of a sidelobe
OTHERS = 2.5  # of what the others show without any one of them
TOGETHER = 0.7  # of the most certain sidelobe: those that are taken with it
ONE_SOURCE = 3.0  # beams: components that are nearer may see the same thing
ROUNDS = 8


def with_common_sidelobes(dirty, gaussians, loudness, doubted):
    """An image with a PSF that has the sidelobes that its bright sources have in common.

    A faint source is at some offset from one of them by chance; what several
    have at the same offset, or on both sides of one, is a sidelobe, as bright
    as it may be: their noise says how certain that is. In the uv plane it is a
    wave all over, which `~astro_ddpm_imager.observation.positive_transform.explain_image`
    does not see beneath the noise.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With a PSF that is continued, shape (2 ny, 2 nx).
    gaussians : `~astro_ddpm_imager.observation.components.Components`
        The bright sources, fluxes in Jy, on the pixels of the image.
    loudness : 2D array, shape (ny, nx)
        Noise and unknown sidelobes, Jy/beam.
    doubted : 2D array of bool, shape (2 ny, 2 nx)
        Offsets at which the PSF is not known.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
        ``dirty`` itself where there are none.
    """
    whole = dirty.psf.shape
    weights = np.where(np.isfinite(dirty.data), loudness**-2.0, 0)
    sources = np.conj(rfft2(gaussians.squares(dirty.shape), s=whole))
    power = np.conj(rfft2(gaussians.power(dirty.shape), s=whole))
    certainty = _both_sides(irfft2(power * rfft2(weights, s=whole), s=whole))
    # Where not even the faintest source is seen, rounding is no sidelobe.
    shown_at_all = certainty > np.square(gaussians.flux).min() * np.median(weights[weights > 0]) / 2
    shape_of_one = replace(dirty, psf=None).transfer  # the restoring beam's
    parts = _parts(gaussians, ONE_SOURCE * dirty.beam_pixels)
    doubted = np.roll(doubted, dirty.shape, (0, 1))
    searched = doubted & shown_at_all
    root = np.sqrt(certainty, where=searched, out=np.ones(whole))
    for _ in range(ROUNDS):
        weighted = np.nan_to_num(dirty.data - dirty.see(gaussians)) * weights
        shown = _both_sides(irfft2(sources * rfft2(weighted, s=whole), s=whole))
        significance = np.where(searched, np.abs(shown) / root, 0)
        highest = significance == maximum_filter(significance, 2 * int(dirty.beam_pixels) + 1, mode="wrap")
        heights = np.zeros(whole)
        for at in np.argwhere(highest & (significance > max(LEAST, TOGETHER * significance.max()))):
            offset = (at + dirty.shape) % whole - dirty.shape
            if _all_agree(offset, gaussians, parts, weighted, weights):
                heights[tuple(at)] = shown[tuple(at)] / certainty[tuple(at)]
        if not heights.any():
            break
        sidelobes = np.where(doubted, irfft2(rfft2(heights) * shape_of_one, s=whole), 0)
        dirty = replace(dirty, psf=dirty.psf + np.roll(sidelobes, dirty.shape, (0, 1)))
    return dirty


def _both_sides(image):
    """Of an image of offsets, with offset 0 at pixel (0, 0), the sum with what is on the other side."""
    return image + np.roll(image[::-1, ::-1], 1, (0, 1))


def _parts(gaussians, distance):
    """A number for each component, the same for those that are near each other."""
    apart = np.hypot(gaussians.x[:, None] - gaussians.x, gaussians.y[:, None] - gaussians.y)
    return connected_components(apart < distance)[1]


def _all_agree(offset, gaussians, parts, weighted, weights):
    """Whether a sidelobe at an offset is seen without any one of the places that it should be at, too."""
    shown, certainty = (np.zeros((2, parts.max() + 1)) for _ in range(2))
    for side, sign in enumerate((1, -1)):
        at = gaussians.y + sign * offset[0], gaussians.x + sign * offset[1]
        for total, image, power in ((shown, weighted, 1), (certainty, weights, 2)):
            values = map_coordinates(image, at, order=1, mode="grid-constant")
            np.add.at(total[side], parts, values * gaussians.flux**power)
    others, certain = shown.sum() - shown, certainty.sum() - certainty
    seen = np.sign(shown.sum()) * others / np.sqrt(np.maximum(certain, 1e-6 * certainty.sum()))
    return bool((seen > OTHERS).all())
