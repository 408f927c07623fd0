"""What an array does to the sky: a PSF and the covariance of the noise, on the pixels of a model."""

from dataclasses import dataclass
from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.constants import c

from ..observation.grid import fourier_resample
from .array import list_arrays, read_array
from .imaging import fit_beam, image_visibilities, imaging_weights
from .noise import noise_amplitude

__all__ = ["Instrument", "draw_instrument"]

TAPER_BEAMS = 7  # keeps the transform of a truncated PSF positive, see noise_amplitude
INTEGRATIONS = 40  # at most; more make the same PSF
FREQUENCY = 230 * u.GHz  # a model knows beams only, so that any will do


@dataclass(frozen=True)
class Instrument:
    """A PSF and the covariance of the noise.

    Parameters
    ----------
    psf : 2D array, shape (n, n)
        Peak, 1 or a little less, at pixel ``(n // 2, n // 2)``.
    noise_covariance : 2D array, shape (n, n)
        Likewise; for natural weighting it is the PSF.
    pixels_per_beam : float
        Pixels per beam FWHM (geometric mean of the axes).
    description : str, optional
    """

    psf: np.ndarray
    noise_covariance: np.ndarray
    pixels_per_beam: float
    description: str = ""

    @cached_property
    def transfer(self):
        """Fourier transform of the PSF, in the layout of `numpy.fft.rfft2`."""
        return np.fft.rfft2(np.fft.ifftshift(self.psf))

    @cached_property
    def noise_amplitude(self):
        """What white noise of unit variance is multiplied with, see `noise_amplitude`."""
        return noise_amplitude(self.noise_covariance, TAPER_BEAMS * self.pixels_per_beam)

    def resampled(self, n):
        """The same field on n x n pixels."""
        psf, noise = (
            np.fft.fftshift(fourier_resample(np.fft.ifftshift(image), (n, n)))
            for image in (self.psf, self.noise_covariance)
        )
        return Instrument(psf, noise, self.pixels_per_beam * n / len(self.psf), self.description)

    def turned(self, orientation):
        """The same with north in another direction: 0 to 3, mirrored and with its axes exchanged."""

        def turn(image):
            image = image.T if orientation & 1 else image
            return np.roll(image[:, ::-1], 1 - len(image) % 2, axis=1) if orientation & 2 else image

        return Instrument(turn(self.psf), turn(self.noise_covariance), self.pixels_per_beam, self.description)


def draw_instrument(rng, n=128, pixels_per_beam=(2.1, 2.32)):
    """Draw an observation with ALMA's 12 m array: configuration, declination, hours and weighting.

    From snapshots of a minute to four hours, declinations from -70 to +30 deg,
    60% naturally weighted, the others Briggs' with robust from -0.5 to 2.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    n : int, optional
        Side of the PSF, pixels.
    pixels_per_beam : tuple of float, optional
        Range it is drawn from.

    Returns
    -------
    `Instrument`
    """
    array = read_array(rng.choice(list_arrays()))
    declination = rng.uniform(-70, 30) * u.deg
    hours = np.exp(rng.uniform(np.log(1 / 60), np.log(4)))
    middle = rng.uniform(-2, 2)
    times = int(np.clip(60 * hours, 2, INTEGRATIONS))
    hour_angles = (middle + hours * ((np.arange(times) + 0.5) / times - 0.5)) * u.hourangle
    uv = array.uv_coverage(declination, hour_angles).reshape(-1, 3) * (FREQUENCY / c).to_value(1 / u.m)
    weighting, robust = ("natural" if rng.random() < 0.6 else "briggs"), rng.uniform(-0.5, 2)

    # First fine enough for any PSF, to learn the beam; then on the model's pixels.
    cell = 0.2 / np.hypot(*uv.T[:2]).max()
    ones, beams = np.ones(len(uv)), rng.uniform(*pixels_per_beam)
    for _ in range(2):
        weights = imaging_weights(uv, weighting, (4 * n, 4 * n), cell, robust)
        fine = image_visibilities(uv, ones, weights, (4 * n, 4 * n), cell)
        beam = fit_beam(fine, cell * u.rad)
        cell = np.sqrt((beam.major * beam.minor).to_value(u.rad**2)) / beams / 4
    cell *= 4
    # An image resampled to these pixels has lost its longest baselines.
    kept = np.abs(uv[:, :2]).max(1) < 0.5 / cell
    psf, noise = (
        image_visibilities(uv[kept], ones[kept], w[kept], (n, n), cell) * w[kept].sum() / w.sum()
        for w in (weights, weights**2)
    )
    kind = "natural" if weighting == "natural" else f"robust {robust:.1f}"
    description = f"{array.name}, {declination:.0f}, {hours:.2f} h at {middle:+.1f} h, {kind}, {beam}"
    return Instrument(psf, noise, beams, description)
