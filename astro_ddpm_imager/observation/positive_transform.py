"""The transform of a PSF, which is positive, from the part of the PSF that is known, and from what an image shows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice

import numpy as np
from astropy.stats import mad_std
from scipy.fft import fft, fftfreq, get_workers, ifft, irfft, rfft, rfftfreq
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates

from .components import Components

__all__ = ["Seen", "explain_image", "positive_transform"]

ITERATIONS = 100
CHANGES = 70  # iterations for what an image changes, at most: what is missing is far below what is not known
COUNTED = 2.8, 2.0, 1.4, 1.0, 0.7, 0.5  # times as much as by its noise: how much counts what an image shows
FEWEST = 40  # iterations: where less would take too much, the image is to count less
MOST_TAKEN = 0.1  # of what is not known yet, for sidelobes
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
        Of the image, in its unit, which is that of the fluxes per beam.
    more_noise : 2D array, shape (ny, nx)
        Other noise like that of the image, which tells how much of what is not known yet is taken for sidelobes.
    counted : 2D array of bool, shape (ny, nx)
        Where that counts.
    """

    image: np.ndarray
    gaussians: Components
    noise: float
    more_noise: np.ndarray
    counted: np.ndarray


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
    known = _KnownPsf.of(psf, period, sides)
    nothing = np.zeros((sides[0], sides[1] // 2 + 1), np.float32)
    descent = _descend(known.towards(nothing).clip(0), known.towards)
    return next(islice(descent, ITERATIONS - 1, None))


def explain_image(weights, psf, period, sides, seen):
    """A positive transform changed by what an image shows of the PSF.

    It is to explain the image as well, but is changed only as far as noise
    would not often change it (soft thresholds of ``1 / COUNTED`` standard
    deviations: the proximal operator of the sum of absolute changes), and only
    until the sidelobes would take a tenth of other noise for their own: that
    tells the degrees of freedom of a fit (Ramani, Blu & Unser 2008, IEEE Trans.
    Image Process. 17, 1540), and the number of iterations regularizes it (Yao,
    Rosasco & Caponnetto 2007, Constr. Approx. 26, 289).

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
    weights : 2D array
        As the others.
    taken : float
        Share of noise that is taken for sidelobes.
    """
    known = _KnownPsf.of(psf, period, sides)
    # The known part counts by the error with which it can be had on coarse pixels, the image by its noise.
    error = np.sqrt(np.mean(known.left_by(weights) ** 2))
    once = _Shown.of(seen, period, sides, weights, error)
    for counted in COUNTED:
        found, taken, iterations = _before_noise_is_taken(weights, known, once.scaled(counted))
        if iterations >= FEWEST:
            break
    return found, taken


def _before_noise_is_taken(weights, known, shown):
    """Weights that explain an image as well, the share of noise that they take, and after how many iterations."""

    def towards_both(image, weights):
        return (known.towards(weights) + shown.towards(image, weights)) / shown.curvature

    ignored = shown.of_noise / shown.curvature
    images = shown.image, shown.image + shown.more_noise
    descents = [_descend(weights, partial(towards_both, image), ignored) for image in images]
    taken = 0.0
    with ThreadPoolExecutor(min(2, get_workers())) as executor:
        for iterations in range(CHANGES):
            found, with_noise = executor.map(next, descents)
            more = shown.share_of_noise(with_noise - found)
            if more > MOST_TAKEN:
                return weights, taken, iterations
            weights, taken = found, more
    return weights, taken, CHANGES


def _descend(start, step, ignored=0):
    """Positive weights, one iteration after the other; ``step`` says what they are to change by, some is ignored."""
    ahead, weights, pace = start, start, 1.0
    while True:
        change = ahead + step(ahead) - start
        found = (start + change - change.clip(-ignored, ignored)).clip(0)
        if np.vdot(ahead - found, found - weights) > 0:
            pace = 1.0
        later = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead, weights, pace = found + np.float32((pace - 1) / later) * (found - weights), found, later
        yield weights


@dataclass(frozen=True)
class _Part:
    """The pixels of a periodic image that are looked at; the transforms leave out the rows that have none of them."""

    sides: tuple
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, shape, period, sides):
        """Those of a coarse image, of offset 0 at (0, 0), that lie in an image, and where there, as to interpolate."""
        steps = [p / side for p, side in zip(period, sides, strict=True)]
        offsets = [np.arange(-m, m + 1) for m in (int((n - n // 2 - 1) / s) for n, s in zip(shape, steps, strict=True))]
        at = np.meshgrid(*(n // 2 + o * s for n, o, s in zip(shape, offsets, steps, strict=True)), indexing="ij")
        return cls(sides, *offsets), at

    def seen(self, transform):
        """What an image has there, from its transform, as of `scipy.fft.rfft2`."""
        return irfft(ifft(transform, axis=0)[self.rows], self.sides[1], axis=1)[:, self.columns]

    def transform(self, values):
        """The transform of an image that has these values there, and else 0."""
        wide = np.zeros((len(self.rows), self.sides[1]), np.float32)
        wide[:, self.columns] = values
        whole = np.zeros((self.sides[0], self.sides[1] // 2 + 1), np.complex64)
        whole[self.rows] = rfft(wide, axis=1)
        return fft(whole, axis=0, overwrite_x=True)


@dataclass(frozen=True)
class _KnownPsf:
    """The part of a PSF that is known, on coarse pixels."""

    part: _Part
    psf: np.ndarray

    @classmethod
    def of(cls, psf, period, sides):
        """A PSF with its peak in the middle, interpolated."""
        part, at = _Part.of(psf.shape, period, sides)
        return cls(part, map_coordinates(psf, at, order=5, mode="mirror").astype(np.float32))

    def left_by(self, weights):
        """What weights leave of it."""
        return self.psf - self.part.seen(weights)

    def towards(self, weights):
        """The gradient."""
        return self.part.transform(self.left_by(weights)).real


@dataclass(frozen=True)
class _Shown:
    """What an image says of weights that explain a PSF but for an error: all on coarse pixels, those in the image.

    Convolution with the sources is a factor in the uv plane, so their power there bounds the curvature of each weight.
    Half of the noise, which has the PSF's spectrum, looks like sidelobes of the sources.
    """

    part: _Part
    inside: np.ndarray
    counted: np.ndarray
    image: np.ndarray
    more_noise: np.ndarray
    waves: np.ndarray
    noise: np.ndarray  # standard deviation of the transform of what is noise in the image, as far as it looks so

    @classmethod
    def of(cls, seen, period, sides, weights, error):
        """An image in units in which its noise is the error."""
        middle, scale = [n // 2 for n in seen.image.shape], error / seen.noise
        part, at = _Part.of(seen.image.shape, period, sides)
        inside = binary_erosion(np.isfinite(seen.image), iterations=NEAR_BLANKS, border_value=1)
        inside, counted = (
            map_coordinates(mask.astype(np.float32), at, order=0) > 0 for mask in (inside, inside & seen.counted)
        )
        image, more_noise = (
            (map_coordinates(np.nan_to_num(values), at, order=5, mode="mirror") * scale).astype(np.float32)
            for values in (seen.image, seen.more_noise)
        )
        sources = replace(seen.gaussians, x=seen.gaussians.x - middle[1], y=seen.gaussians.y - middle[0])
        on_coarse = sources.on_grid([p / side for p, side in zip(period, sides, strict=True)]).scaled(scale)
        waves = on_coarse.spectrum(fftfreq(sides[0]), rfftfreq(sides[1])).astype(np.complex64)
        # The image is a window, which smooths the spectrum.
        width = [side / (2 * n) for side, n in zip(sides, image.shape, strict=True)]
        spectrum = gaussian_filter(weights, width, mode="wrap")
        noise = error * np.sqrt(np.count_nonzero(inside) / 2 * spectrum / spectrum.mean())
        return cls(part, inside, counted, image, more_noise, waves, noise.astype(np.float32))

    def scaled(self, factor):
        """The same image, so many times as large beside the PSF."""
        return replace(self, image=factor * self.image, more_noise=factor * self.more_noise, waves=factor * self.waves)

    @cached_property
    def curvature(self):
        """Of image and PSF together, at most."""
        return 1 + np.abs(self.waves) ** 2

    @property
    def of_noise(self):
        """Standard deviation of the gradient due to noise."""
        return np.abs(self.waves) * self.noise

    def see(self, weights):
        """The sources, with the PSF that some weights make, on coarse pixels."""
        return self.part.seen(weights * self.waves)

    def towards(self, image, weights):
        """The gradient, where more than noise is left of an image."""
        residual = image - self.see(weights)
        most = OUTLIERS * mad_std(residual[self.inside])
        left = self.part.transform(residual.clip(-most, most) * self.inside)
        return (np.conj(self.waves) * left).real

    def share_of_noise(self, weights):
        """How much of the noise that was added a change of weights explains."""
        noise = self.more_noise[self.counted]
        if not len(noise):
            return 1.0  # no coarse pixel counts: nothing can be told
        return float(np.vdot(self.see(weights)[self.counted], noise) / np.vdot(noise, noise))
