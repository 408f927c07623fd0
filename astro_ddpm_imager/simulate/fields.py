"""Simulated fields in flat-noise units, on the pixels of a model."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from ..grid import fourier_resample
from .noise import noise_amplitude
from .sky import Population, Sources, sky_pixels, sky_spectrum

__all__ = ["Field", "FieldSimulator"]

TAPER_BEAMS = 7  # keeps the transform of a truncated PSF positive, see noise_amplitude


@dataclass(frozen=True)
class Field:
    """One simulated field, in units of its noise (flat-noise units).

    Parameters
    ----------
    dirty : 2D array, shape (n, n)
        Dirty image; 0 where the primary beam is below the limit.
    sky : 2D array, shape (n, n)
        Flux per pixel, multiplied by the primary beam.
    pb : 2D array, shape (n, n)
        Primary beam; 0 below the limit.
    sources : `Sources`
        The sources in ``sky``, their fluxes multiplied by the primary beam.
    pixels_per_beam : float
    """

    dirty: np.ndarray
    sky: np.ndarray
    pb: np.ndarray
    sources: Sources
    pixels_per_beam: float


@dataclass(frozen=True)
class FieldSimulator:
    """Draw fields as an array with this PSF sees them, with independent noise each time.

    Parameters
    ----------
    psf : 2D array, shape (n, n)
        PSF with its peak, 1, at pixel ``(n // 2, n // 2)``.
    pixels_per_beam : float
        Pixels of ``psf`` per beam FWHM (geometric mean of the axes).
    population : `Population`, optional
    model_pixels_per_beam : tuple of float, optional
        Range the pixel size of the fields is drawn from.
    noise_spread : float, optional
        Scatter (natural logarithm) of the noise from field to field.
    pb_fwhm : tuple of float, optional
        Range of the FWHM of the Gaussian primary beam, beams; uniform in the logarithm.
    flat_fraction : float, optional
        Fraction of the fields without a primary beam.
    pb_limit : float, optional
        Primary beam below which an image has no values.
    """

    psf: np.ndarray
    pixels_per_beam: float
    population: Population = field(default_factory=Population)
    model_pixels_per_beam: tuple = (2.1, 2.32)
    noise_spread: float = 0.1
    pb_fwhm: tuple = (25.0, 90.0)
    flat_fraction: float = 0.15
    pb_limit: float = 0.2

    def __post_init__(self):
        # Sizes and orientations are few, so their transfer functions are kept.
        object.__setattr__(self, "_transfer", lru_cache(maxsize=None)(self._transfer))

    def _transfer(self, n, orientation):
        """Fourier transforms of the PSF and of the noise on n x n pixels."""
        psf = np.fft.ifftshift(self.psf)
        noise = np.fft.irfft2(noise_amplitude(self.psf, TAPER_BEAMS * self.pixels_per_beam), s=psf.shape)
        kernels = []
        for kernel in (psf, noise):
            kernel = fourier_resample(kernel, (n, n))
            if orientation & 1:
                kernel = kernel.T
            if orientation & 2:
                kernel = np.roll(kernel[:, ::-1], 1, axis=1)
            kernels.append(np.fft.rfft2(kernel))
        # White noise of unit variance has n^2 times unit power, whatever n.
        return kernels[0], kernels[1] * len(psf) / n

    def __call__(self, rng):
        """Draw one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`

        Returns
        -------
        `Field`
        """
        beams = len(self.psf) / self.pixels_per_beam
        n = 2 * round(beams * rng.uniform(*self.model_pixels_per_beam) / 2)
        per_beam = n / beams
        psf_transform, noise_transform = self._transfer(n, int(rng.integers(4)))

        y, x = np.ogrid[:n, :n]
        fwhm = np.exp(rng.uniform(*np.log(self.pb_fwhm))) * per_beam
        flat = rng.random() < self.flat_fraction
        beam_at = lambda y, x: np.exp(-4 * np.log(2) * ((y - n // 2) ** 2 + (x - n // 2) ** 2) / fwhm**2)  # noqa: E731
        pb = np.ones((n, n)) if flat else beam_at(y, x)
        pb[pb < self.pb_limit] = 0

        sources = self.population.draw(rng, (n, n), per_beam)
        attenuation = 1 if flat else beam_at(sources.y, sources.x)
        flux = sources.flux * attenuation * np.exp(self.noise_spread * rng.standard_normal())
        sources = replace(sources, flux=flux).select(np.broadcast_to(attenuation, flux.shape) >= self.pb_limit)

        spectrum = sky_spectrum(sources, (n, n)) * psf_transform
        spectrum += np.fft.rfft2(rng.standard_normal((n, n))) * noise_transform
        dirty = np.where(pb > 0, np.fft.irfft2(spectrum, s=(n, n)), 0)
        return Field(dirty, sky_pixels(sources, (n, n)), pb, sources, per_beam)

    def crops(self, rng, number, size, per_field=2):
        """Draw fields and cut random squares out of them, inside the primary beam.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        number : int
            Number of crops.
        size : int
            Side of a crop, pixels.
        per_field : int, optional
            Crops that share a field.

        Returns
        -------
        4D array of float32, shape (3, number, size, size)
            Dirty images, skies and primary beams.
        """
        crops = np.empty((3, number, size, size), dtype=np.float32)
        for i in range(number):
            if i % per_field == 0:
                drawn = self(rng)
                n = len(drawn.dirty)
                reach = min((n - size) // 2, int(0.28 * n))
            y, x = (n - size) // 2 + rng.integers(-reach, reach + 1, 2)
            for plane, image in enumerate((drawn.dirty, drawn.sky, drawn.pb)):
                crops[plane, i] = image[y : y + size, x : x + size]
        return crops
