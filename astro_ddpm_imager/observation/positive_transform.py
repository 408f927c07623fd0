"""The transform of a PSF, which is positive, from the part of the PSF that is known, and from what an image shows."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.stats import mad_std
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates

from .components import Components

__all__ = ["Seen", "explain_image", "positive_transform"]

ITERATIONS = 100
CHANGES = 70  # iterations for what an image changes: what is missing is far below what is not known
OUTLIERS = 3.0  # standard deviations of what an image has besides: no more of it is taken for sidelobes
NEAR_BLANKS = 3  # pixels: how far a spline sees blank ones


@dataclass(frozen=True)
class Seen:
    """An image of sources that are known: what it shows of the PSF that they have.

    Parameters
    ----------
    image : 2D array, shape (ny, nx)
        Dirty image; NaN where blank.
    gaussians : `~astro_ddpm_imager.observation.components.Components`
        The sources, on its pixels.
    noise : float
        Of the image, in its unit, which is that of the fluxes per beam. The
        lower it is, the more the image counts beside the known part of the PSF.
    """

    image: np.ndarray
    gaussians: Components
    noise: float


def positive_transform(psf, period, sides):
    """A positive transform of which a PSF shows a part.

    It is found by projected gradients with momentum (FISTA: Beck & Teboulle
    2009, SIAM J. Imaging Sci. 2, 183; O'Donoghue & Candes 2015, Found. Comput.
    Math. 15, 715, for the restart).

    Parameters
    ----------
    psf : 2D array
        Odd numbers of pixels; its peak in the middle.
    period : tuple of int, (ny, nx)
        Pixels after which the transform's PSF repeats itself.
    sides : tuple of int, (ny, nx)
        Coarse pixels in a period, as few as hold all frequencies of the PSF; even.

    Returns
    -------
    2D array, shape (ny, nx // 2 + 1) of ``sides``
        As of `scipy.fft.rfft2`, for a PSF with its peak at pixel (0, 0).
    """
    left_of = _psf_on_coarse_pixels(psf, period, sides)
    nothing = np.zeros((sides[0], sides[1] // 2 + 1), np.float32)
    start = rfft2(left_of(nothing)).real.clip(0)
    return _descend(start, lambda weights: rfft2(left_of(weights)).real, ITERATIONS)


def explain_image(weights, psf, period, sides, seen):
    """A positive transform changed by what an image shows of the PSF.

    It is to explain the image as well, but is changed only as far as that is
    more than a standard deviation of the noise would (soft thresholds: the
    proximal operator of the sum of absolute changes).

    Parameters
    ----------
    weights : 2D array
        As `positive_transform` returns it for the others.
    psf : 2D array
    period, sides : tuple of int, (ny, nx)
        All three as for `positive_transform`.
    seen : `Seen`

    Returns
    -------
    2D array
        As ``weights``.
    """
    left_of = _psf_on_coarse_pixels(psf, period, sides)
    # The known part counts by the error with which it can be had on coarse pixels, the image by its noise.
    left = left_of(weights)
    error = np.sqrt(np.mean(left[left != 0] ** 2))
    towards_image, of_noise, most = _image_of(seen, period, sides, weights, error)

    def towards_both(weights):
        return (rfft2(left_of(weights)).real + towards_image(weights)) / most

    return _descend(weights, towards_both, CHANGES, of_noise / most)


def _psf_on_coarse_pixels(psf, period, sides):
    """A function of weights: what they leave of a PSF, 0 where it is not known."""
    known, at = _coarse_pixels(psf.shape, period, sides)
    target = map_coordinates(psf, at, order=5, mode="mirror").astype(np.float32)

    def left_of(weights):
        left = np.zeros(sides, np.float32)
        left[known] = target - irfft2(weights, s=sides)[known]
        return left

    return left_of


def _descend(start, step, iterations, ignored=0):
    """Positive weights, from some on; ``step`` says what they are to be changed by, of which some is ignored."""
    ahead, weights, pace = start, start, 1.0
    for _ in range(iterations):
        change = ahead + step(ahead) - start
        found = (start + change - change.clip(-ignored, ignored)).clip(0)
        if np.vdot(ahead - found, found - weights) > 0:
            pace = 1.0
        later = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead, weights, pace = found + np.float32((pace - 1) / later) * (found - weights), found, later
    return weights


def _image_of(seen, period, sides, weights, error):
    """What an image says of weights that explain a PSF but for an error.

    Convolution with the sources is a factor in the uv plane, so their power there bounds the curvature of each weight.
    Half of the noise, which has the PSF's spectrum, looks like sidelobes of the sources.

    Returns
    -------
    function
        Of weights; the gradient.
    of_noise : 2D array
        Standard deviation of that due to noise.
    most : 2D array
        Highest curvature of image and PSF together.
    """
    middle, scale = [n // 2 for n in seen.image.shape], error / seen.noise
    there, at = _coarse_pixels(seen.image.shape, period, sides)
    inside = binary_erosion(np.isfinite(seen.image), iterations=NEAR_BLANKS, border_value=1)
    inside = map_coordinates(inside.astype(np.float32), at, order=0) > 0
    image = map_coordinates(np.nan_to_num(seen.image), at, order=5, mode="mirror") * scale
    sources = replace(seen.gaussians, x=seen.gaussians.x - middle[1], y=seen.gaussians.y - middle[0])
    on_coarse = sources.on_grid([p / side for p, side in zip(period, sides, strict=True)]).scaled(scale)
    waves = on_coarse.spectrum(fftfreq(sides[0]), rfftfreq(sides[1])).astype(np.complex64)

    def towards_image(weights):
        residual = image - irfft2(weights * waves, s=sides)[there]
        most = OUTLIERS * mad_std(residual[inside])
        left = np.zeros(sides, np.float32)
        left[there] = residual.clip(-most, most) * inside
        return (np.conj(waves) * rfft2(left)).real

    # The image is a window, which smooths the spectrum.
    width = [side / (2 * n) for side, n in zip(sides, image.shape, strict=True)]
    spectrum = gaussian_filter(weights, width, mode="wrap")
    of_noise = error * np.abs(waves) * np.sqrt(np.count_nonzero(inside) / 2 * spectrum / spectrum.mean())
    return towards_image, of_noise, 1 + np.abs(waves) ** 2


def _coarse_pixels(shape, period, sides):
    """Which pixels of a coarse image, of offset 0 at (0, 0), lie in an image, and where there, as to interpolate."""
    steps = [p / side for p, side in zip(period, sides, strict=True)]
    offsets = [np.arange(-m, m + 1) for m in (int((n - n // 2 - 1) / s) for n, s in zip(shape, steps, strict=True))]
    at = np.meshgrid(*(n // 2 + o * s for n, o, s in zip(shape, offsets, steps, strict=True)), indexing="ij")
    return np.ix_(*offsets), at
