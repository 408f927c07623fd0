"""A checked dirty image: what the model and the catalogue need to know of an observation."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from radio_beam import Beam
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq
from scipy.ndimage import map_coordinates

from .artefacts import Artefacts
from .beam import beam_covariance, beam_pixels, deep_copied
from .components import nearest_pixels
from .ellipses import area
from .fine_noise import FineNoise
from .reach import covering

__all__ = ["DirtyImage"]

NOTHING = 1e-3  # of the highest value of the PSF's transform


@dataclass(frozen=True, eq=False)
class DirtyImage:
    """One plane of an observation, checked; arrays are indexed [y, x].

    Parameters
    ----------
    data : 2D array, shape (ny, nx)
        Dirty image in Jy/beam, not corrected for the primary beam; NaN where
        blank, but interpolated in ``holes``.
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes.
    beam : `~radio_beam.Beam`
        Restoring beam.
    rms : float
        Noise, Jy/beam.
    psf : 2D array or None
        PSF with its peak, 1, in the middle, pixel ``n // 2``; of the shape of the
        image, smaller where the rest of it is blank, or larger where it was continued.
    pb : 2D array, shape (ny, nx)
        Primary beam; 1 everywhere if none was given, NaN where ``data`` is blank.
    allowed : 2D array of bool, shape (ny, nx)
        Where sources may be catalogued (CLEAN's mask).
    meta : dict-like
        Header of the input.
    bright : `~astro_ddpm_imager.observation.bright.BrightPart` or None
        Part of the brightest sources that the model is not shown, see
        `~astro_ddpm_imager.observation.bright.subtract_bright`.
    noise_ratio : 2D array, shape (ny, nx), or float
        Noise and all that counts as noise, such as unknown sidelobes, in units of ``rms``; at least 1.
    beyond : 2D array, shape (ny, nx), or None
        What the image has where it is blanked for its primary beam alone, Jy/beam; NaN elsewhere.
    unknown : 2D array, shape (ny, nx), or float
        What is not known of the sidelobes of sources outside a tile of a large image, a standard deviation, Jy/beam.
    artefacts : `~astro_ddpm_imager.observation.artefacts.Artefacts` or None
        Of the brightest sources, where there are any.
    holes : 2D array of bool, shape (ny, nx), or None
        Blank pixels in pieces so small that they are interpolated for what
        works on the image as a whole; products are blank there.
    noise_known : bool
        Whether the model knows the noise of this image by heart; the likelihood, which does not, is no judge then.
    relative_noise : 2D array, shape (ny, nx), or float
        Noise of the image as it was given, in units of ``rms``, where it varies: ``data`` and ``pb`` are divided by
        it, as `~astro_ddpm_imager.observation.noise_map.flatten` does it, so that the noise is ``rms`` everywhere.
    inputs : dict
        Of what was given, ``"dirty"``, ``"psf"``, ``"pb"``, ``"mask"`` and ``"noise"``, the
        `~astro_ddpm_imager.observation.inputs.Origin`.
    """

    data: np.ndarray
    wcs: object
    beam: Beam
    rms: float
    psf: np.ndarray | None
    pb: np.ndarray
    allowed: np.ndarray
    meta: object
    bright: object = None
    noise_ratio: np.ndarray | float = 1.0
    beyond: np.ndarray | None = None
    unknown: np.ndarray | float = 0.0
    artefacts: Artefacts | None = None
    holes: np.ndarray | None = None
    noise_known: bool = False
    relative_noise: np.ndarray | float = 1.0
    inputs: dict = field(default_factory=dict)

    __deepcopy__ = deep_copied

    @property
    def files(self):
        """Paths of the files that all of it was read from."""
        return [path for origin in self.inputs.values() for path in origin.paths]

    @cached_property
    def blank(self):
        """Where products are blank, 2D array of bool, shape (ny, nx)."""
        blank = ~np.isfinite(self.data)
        return blank if self.holes is None else blank | self.holes

    @property
    def loudness(self):
        """All that counts as noise, Jy/beam, 2D array or float."""
        return self.rms * self.noise_ratio

    @property
    def shape(self):
        """Shape (ny, nx)."""
        return self.data.shape

    @cached_property
    def beam_pixels(self):
        """Beam FWHM, geometric mean of the axes, pixels."""
        return beam_pixels(self.beam, self.wcs, self.data.shape)

    @cached_property
    def beam_covariance(self):
        """Second moments of the restoring beam, shape (2, 2), pixels squared, order x, y."""
        return beam_covariance(self.beam, self.wcs, self.data.shape)

    @cached_property
    def beam_area(self):
        """Solid angle of the restoring beam, pixels."""
        return area(self.beam_covariance)

    @cached_property
    def beam_kernel(self):
        """The restoring beam as an image with its peak, 1, in the middle of an odd number of pixels."""
        (xx, xy), (_, yy) = np.linalg.inv(self.beam_covariance)
        reach_x, reach_y = (int(np.ceil(5 * np.sqrt(variance))) for variance in np.diag(self.beam_covariance))
        y, x = np.mgrid[-reach_y : reach_y + 1, -reach_x : reach_x + 1]
        return np.exp(-0.5 * (xx * x**2 + 2 * xy * x * y + yy * y**2))

    @cached_property
    def covering_psf(self):
        """The PSF (or, without one, the restoring beam) with its peak at pixel (ny, nx) of (2 ny, 2 nx)."""
        return covering(self.beam_kernel if self.psf is None else self.psf, self.shape)

    @cached_property
    def transfer(self):
        """Fourier transform of ``covering_psf``, with its peak at pixel (0, 0)."""
        return rfft2(np.roll(self.covering_psf, self.shape, (0, 1)))

    @cached_property
    def fine_noise(self):
        """Measures the noise beneath emission, a `~astro_ddpm_imager.observation.fine_noise.FineNoise`."""
        inside = np.isfinite(self.data)
        return FineNoise(inside, self.transfer, self.covering_psf.shape, self.beam_pixels)

    @cached_property
    def band(self):
        """Rows and columns of ``transfer`` that matter."""
        seen = np.abs(self.transfer) > NOTHING * np.abs(self.transfer).max()
        return np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))

    def see(self, gaussians, sky=None):
        """The dirty image, without noise, of Gaussians anywhere between pixels, and of a sky on them.

        Parameters
        ----------
        gaussians : `~astro_ddpm_imager.observation.components.Components`
            Fluxes in Jy.
        sky : 2D array, shape (ny, nx), optional
            Jy/pixel.

        Returns
        -------
        2D array, shape (ny, nx), Jy/beam
        """
        spectrum = self._spectrum(gaussians)
        if sky is not None:
            spectrum += rfft2(sky, s=self.covering_psf.shape)
        return self._from_spectrum(spectrum * self.transfer)

    def seen_and_resolved(self, gaussians):
        """As `see`, Jy/beam, and as sharp as the longest baselines see them, Jy/pixel: 2D arrays, shape (ny, nx)."""
        spectrum = self._spectrum(gaussians)
        return self._from_spectrum(spectrum * self.transfer), self._from_spectrum(spectrum)

    def _spectrum(self, gaussians):
        """Their transform where the PSF sees anything, which most of the frequencies that pixels can hold are not."""
        (ny, nx), (rows, columns) = self.covering_psf.shape, self.band
        spectrum = np.zeros(self.transfer.shape, complex)
        spectrum[np.ix_(rows, columns)] = gaussians.spectrum(fftfreq(ny)[rows], rfftfreq(nx)[columns])
        return spectrum

    def _from_spectrum(self, spectrum):
        ny, nx = self.shape
        return irfft2(spectrum, s=self.covering_psf.shape)[:ny, :nx]

    @cached_property
    def reduced(self):
        """``data`` without what ``bright`` looks like."""
        return self.data if self.bright is None else self.data - self.bright_seen

    @cached_property
    def bright_seen(self):
        """What ``bright`` looks like, Jy/beam; 0 if there is nothing."""
        return 0 if self.bright is None else self.bright.seen_by(self)

    def primary_beam_at(self, x, y):
        """The primary beam between pixels; of the nearest pixel where a blank one is near.

        Parameters
        ----------
        x, y : 1D arrays, shape (n,)
            0-based pixels.

        Returns
        -------
        1D array, shape (n,); NaN where the nearest pixel is blank or there is none.
        """
        at = np.reshape([y, x], (2, -1))
        linear, nearest = (map_coordinates(self.pb, at, order=order, mode="nearest") for order in (1, 0))
        outside = np.any(np.abs(at.T - (np.array(self.shape) - 1) / 2) > np.array(self.shape) / 2, axis=1)
        return np.where(outside, np.nan, np.where(np.isfinite(linear), linear, nearest))

    def convolve_beam(self, sky):
        """A sky in Jy/pixel convolved with the restoring beam, Jy/beam."""
        return _convolve(sky, self.beam_kernel)

    def convolve_psf(self, sky):
        """A sky in Jy/pixel convolved with the PSF (or, without one, the restoring beam), Jy/beam."""
        return _convolve(sky, self.beam_kernel if self.psf is None else self.psf)

    def relative_noise_at(self, x, y):
        """``relative_noise`` of the nearest pixels.

        Parameters
        ----------
        x, y : 1D arrays, shape (n,)
            0-based pixels.

        Returns
        -------
        1D array, shape (n,), or float
        """
        return self._of_nearest(self.relative_noise, x, y)

    def noise_ratio_at(self, x, y):
        """``noise_ratio`` of the nearest pixels, as of `relative_noise_at`."""
        return self._of_nearest(self.noise_ratio, x, y)

    def _of_nearest(self, values, x, y):
        return values[nearest_pixels(x, y, self.shape)] if np.ndim(values) else values


def _convolve(sky, kernel):
    """Convolution, without wrapping, with a kernel centred on pixel n // 2."""
    # As scipy.signal.fftconvolve, whose import takes a third of a second.
    shape = [next_fast_len(n + k - 1, real=True) for n, k in zip(sky.shape, kernel.shape, strict=True)]
    full = irfft2(rfft2(sky, shape) * rfft2(kernel, shape), shape)
    y, x = (n // 2 for n in kernel.shape)
    return full[y : y + sky.shape[0], x : x + sky.shape[1]]
