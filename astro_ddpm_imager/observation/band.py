"""Power where an interferometer has measured nothing: beyond its longest baselines."""

import logging

import numpy as np
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq
from scipy.ndimage import binary_dilation, binary_fill_holes, label, maximum_filter, minimum_filter, uniform_filter

from ..errors import DirtyImageError
from .ellipses import area, fwhm
from .pixels import MOST_SHARP, places
from .psf import middle_of

__all__ = ["blank_unmeasured"]

log = logging.getLogger(__name__)

EDGE = 0.6  # beams: of the box that, three times, is the edge of the window
SEEN = 3e-3  # of the highest value of the PSF's transform
REACH = 3  # cells of the transform that the window and the end of the PSF image blur it by, to either side
BEYOND = 2.0  # cycles in a beam: where no PSF that it may have been fitted to has anything
LEAST_PLANE = 0.05  # of the transform's plane
FEWEST_BEAMS = 30  # in the window
PIXEL = 8.0  # times the noise, of the part of a pixel that is not measured
SHARE = {True: 0.15, False: 0.05}  # of what is around it, with and without a PSF
EDGE_OF_PIECE = 0.3  # of the highest pixel near it: what belongs together
ALL = {True: 0.2, False: 0.5}  # times the noise, of that part of the image, with and without a PSF
SHARE_OF_ALL = {True: 0.15, False: 0.3}  # of what is typical where something is measured, likewise
ROUNDS = 24


def blank_unmeasured(data, rms, beam_covariance, psf):
    """Make pixels NaN that no interferometer makes, and say if there is more of that.

    A dirty image is the sky times a transfer function, the transform of the
    PSF, and so is its noise: beyond the longest baseline there is nothing. What
    an image has there is seen where it is by transforming back that part
    alone. The figures of images from CASA and of simulated ones (ALMA, VLA and
    MeerKAT; natural to uniform weighting, bright sources, gain errors) are
    below 0.03 of the noise with their PSF.

    Parameters
    ----------
    data : 2D array, shape (ny, nx)
        NaN where blank.
    rms : float
        Noise.
    beam_covariance : 2D array, shape (2, 2)
        See `~astro_ddpm_imager.observation.beam.beam_covariance`.
    psf : 2D array or None
        PSF with its peak, 1, at pixel ``n // 2``; without one, its band is that of all that fit the beam.

    Returns
    -------
    2D array, shape (ny, nx)

    Raises
    ------
    DirtyImageError
        Such pixels are many.
    """
    beam_pixels = fwhm(beam_covariance)
    outside = ~(_within_beam(data.shape, beam_covariance) if psf is None else _within_psf(data.shape, psf, beam_pixels))
    if outside.mean() < LEAST_PLANE:
        return data
    window = _window(np.isfinite(data), beam_pixels)
    if window.sum() < FEWEST_BEAMS * area(beam_covariance):
        return data
    found, left = _unmeasured_pixels(data / rms, window, outside, int(np.ceil(beam_pixels)), SHARE[psf is not None])
    if found.mean() > MOST_SHARP:
        raise DirtyImageError(
            f"dirty: {found.sum()} pixels hold what no baseline of this interferometer measures, up to "
            f"{np.nanmax(np.abs(data[found])):.3g} Jy/beam (at {places(found)}); blank (NaN) them, or give the PSF of "
            "this image"
        )
    if found.any():
        log.warning(
            "dirty: %d pixels hold what no baseline of this interferometer measures, up to %.3g (at %s); they are "
            "taken for blank, as if NaN", found.sum(), np.nanmax(np.abs(data[found])), places(found),
        )  # fmt: skip
    power = np.abs(rfft2(left * window)) ** 2 / np.sum(window**2)
    beyond, typical = np.sqrt(power[outside].mean()), np.sqrt(np.median(power[~outside]) / np.log(2))
    if beyond > max(ALL[psf is not None], SHARE_OF_ALL[psf is not None] * typical):
        log.warning(
            "dirty: has %.2g times the noise at scales that no baseline measures%s, which is no sky: noise of another "
            "kind, waves, steps or edges, or an image that is not of this interferometer; results will be doubtful",
            beyond, " by the PSF" if psf is not None else "",
        )  # fmt: skip
    return np.where(found, np.nan, data)


def _unmeasured_pixels(data, window, outside, reach, share):
    """Pixels in which much is outside the band, and the image, in units of the noise, with 0 there and where blank."""
    left, found = np.nan_to_num(data), np.zeros(data.shape, dtype=bool)
    for _ in range(ROUNDS):
        part = np.abs(irfft2(rfft2(left * window) * outside, s=data.shape))
        y, x = np.unravel_index(part.argmax(), part.shape)
        if part[y, x] < PIXEL:
            break
        near = tuple(slice(max(at - reach, 0), at + reach + 1) for at in (y, x))
        height = np.abs(left[near]).max()
        if part[y, x] < share * height:
            break  # which a bright source has in a restored image; what is fainter may be its rings
        pieces, _ = label(np.abs(left) > EDGE_OF_PIECE * height)
        own = np.isin(pieces, np.setdiff1d(pieces[near], 0))
        found |= binary_dilation(binary_fill_holes(own)) & np.isfinite(data)
        left = np.where(found, 0, left)
    return found, left


def _window(inside, beam_pixels):
    """1 in the middle of what is known, and 0, smoothly, where it ends."""
    size = 2 * int(np.ceil(EDGE * beam_pixels / 2)) + 1
    window = minimum_filter(inside.astype(float), 3 * size // 2 * 2 + 1, mode="constant")
    for _ in range(3):
        window = uniform_filter(window, size, mode="constant")
    return window.clip(0)


def _within_beam(shape, beam_covariance):
    """Frequencies, in the layout of `scipy.fft.rfft2`, that some PSF of this beam may have."""
    (xx, xy), (_, yy) = beam_covariance * 8 * np.log(2)
    v, u = fftfreq(shape[0])[:, None], rfftfreq(shape[1])
    return xx * u**2 + 2 * xy * u * v + yy * v**2 < BEYOND**2


def _within_psf(shape, psf, beam_pixels):
    """Frequencies, likewise, at which a PSF measures."""
    edge = min(beam_pixels, min(psf.shape) / 8)
    window = np.outer(*(_window(np.ones(side, dtype=bool), edge) for side in psf.shape))
    measures = np.abs(rfft2(middle_of(psf * window, shape), s=shape))
    reach = [int(np.ceil(REACH * max(n / m, 1))) for n, m in zip(shape, psf.shape, strict=True)]
    return maximum_filter(measures > SEEN * measures.max(), size=[2 * r + 1 for r in reach], mode=("wrap", "nearest"))
