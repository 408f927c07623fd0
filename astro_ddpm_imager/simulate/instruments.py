"""What an array does to the sky: PSF, covariance of the noise and gain errors, on the pixels of a model."""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.utils.exceptions import AstropyUserWarning

from ..errors import SimulationError
from .array import list_arrays, read_array
from .gains import baseline_gains, drifts
from .imaging import fit_beam, image_visibilities, imaging_weights
from .noise import noise_amplitude

__all__ = ["OBSERVATORIES", "Instrument", "Usage", "draw_instrument"]

TAPER_BEAMS = 7  # keeps the transform of a truncated PSF positive, see noise_amplitude
INTEGRATIONS = 40  # at most; more make the same PSF
ANTENNAS = 70  # at most; more make nearly the same PSF
CHANNELS = 4  # of a broad band
FREQUENCY = 230 * u.GHz  # a model knows beams only, so that any will do
LONGEST_BEAM = 3.2  # axis ratio
LEAST_KEPT = 0.8  # of the weights, on the pixels of a model
PER_BEAM = 2.1, 2.32  # pixels: range they are drawn from
TRIES = 100


@dataclass(frozen=True)
class Usage:
    """How an observatory is used in training, each number drawn from its range.

    Parameters
    ----------
    share : float
        Of the observations.
    hours : tuple of float
        Length of an observation, uniform in the logarithm.
    natural : float
        Fraction with natural weighting; the others have Briggs'.
    robust : tuple of float
    bandwidth : tuple of float
        Width of the band over its frequency, of the half of the observations that have a broad one.
    declination : tuple of float, optional
        Deg; by default within 65 deg of the zenith.
    """

    share: float
    hours: tuple
    natural: float = 0.35
    robust: tuple = (-1.0, 2.0)
    bandwidth: tuple = (0.0, 0.0)
    declination: tuple | None = None


OBSERVATORIES = {
    "alma": Usage(0.4, (1 / 60, 4), 0.6, (-0.5, 2), declination=(-70, 30)),
    "aca": Usage(0.03, (0.1, 6), bandwidth=(0.01, 0.1)),
    "vla": Usage(0.22, (0.03, 9), bandwidth=(0.05, 0.5)),
    "meerkat": Usage(0.14, (0.1, 9), bandwidth=(0.05, 0.5)),
    "atca": Usage(0.07, (1.5, 12), bandwidth=(0.05, 0.5)),
    "sma": Usage(0.04, (1.5, 9), bandwidth=(0.01, 0.1)),
    "noema": Usage(0.04, (1.5, 9), bandwidth=(0.01, 0.1)),
    "wsrt": Usage(0.02, (6, 12), bandwidth=(0.01, 0.1)),
    "ngvla": Usage(0.04, (0.05, 9), bandwidth=(0.05, 0.5)),
}


@dataclass(frozen=True, eq=False)
class Instrument:
    """A PSF, the covariance of the noise, and what gain errors do.

    Parameters
    ----------
    psf : 2D array, shape (n, n)
        Peak, 1 or a little less, at pixel ``(n // 2, n // 2)``.
    noise_covariance : 2D array, shape (n, n)
        Likewise; for natural weighting it is the PSF.
    pixels_per_beam : float
        Pixels per beam FWHM (geometric mean of the axes).
    description : str, optional
    error : 2D array, shape (n, n), optional
        What gain errors of unit variance, of amplitudes and phases together,
        add to the dirty image of a point of 1 at pixel ``(n // 2, n // 2)``;
        in proportion to errors that are small. By default there are none.
    """

    psf: np.ndarray
    noise_covariance: np.ndarray
    pixels_per_beam: float
    description: str = ""
    error: np.ndarray | None = None

    def __post_init__(self):
        if self.error is None:
            object.__setattr__(self, "error", np.zeros_like(self.psf))

    @cached_property
    def transfer(self):
        """Fourier transform of the PSF, in the layout of `numpy.fft.rfft2`."""
        return np.fft.rfft2(np.fft.ifftshift(self.psf))

    @cached_property
    def error_transfer(self):
        """Fourier transform of the errors of a point, in the layout of `numpy.fft.rfft2`."""
        return np.fft.rfft2(np.fft.ifftshift(self.error))

    @cached_property
    def noise_amplitude(self):
        """What white noise of unit variance is multiplied with, see `noise_amplitude`."""
        return noise_amplitude(self.noise_covariance, TAPER_BEAMS * self.pixels_per_beam)

    def turned(self, orientation):
        """The same with north in another direction: 0 to 3, mirrored and with its axes exchanged."""

        def turn(image):
            image = image.T if orientation & 1 else image
            return np.roll(image[:, ::-1], 1 - len(image) % 2, axis=1) if orientation & 2 else image

        images = turn(self.psf), turn(self.noise_covariance)
        return Instrument(*images, self.pixels_per_beam, self.description, turn(self.error))


def draw_instrument(
    rng: np.random.Generator,
    n: int = 128,
    observatory: str = "alma",
) -> Instrument:
    """Draw an observation of one of the `~astro_ddpm_imager.simulate.OBSERVATORIES`: configuration, hours, weighting.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    n : int, optional
        Side of the PSF, pixels.
    observatory : str, optional
        One of `~astro_ddpm_imager.simulate.OBSERVATORIES`.

    Returns
    -------
    `Instrument`

    Raises
    ------
    SimulationError
        ``observatory`` is unknown.
    """
    if observatory not in OBSERVATORIES:
        raise SimulationError(f"observatory={observatory!r}: choose one of {', '.join(OBSERVATORIES)}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyUserWarning)  # of a fit of the beam that may be unsuccessful
        for _ in range(TRIES):
            try:
                return _draw(rng, n, rng.uniform(*PER_BEAM), observatory)
            except (SimulationError, AstropyUserWarning) as error:
                last = error  # the source does not rise, or makes no beam
    raise last


def _draw(rng, n, pixels_per_beam, observatory):
    usage = OBSERVATORIES[observatory]
    array = read_array(rng.choice(list_arrays(observatory)))
    if len(array.positions) > ANTENNAS:
        chosen = np.sort(rng.choice(len(array.positions), ANTENNAS, replace=False))
        array = replace(array, positions=array.positions[chosen])
    latitude = array.location.lat.to_value(u.deg)
    low, high = usage.declination or np.clip([latitude - 65, latitude + 65], -88, 88)
    declination = rng.uniform(low, high) * u.deg
    hours = np.exp(rng.uniform(*np.log(usage.hours)))
    middle = rng.uniform(-2, 2) if hours < 5 else 0.0
    times = int(np.clip(60 * hours, 2, INTEGRATIONS))
    hour_angles = (middle + hours * ((np.arange(times) + 0.5) / times - 0.5)) * u.hourangle
    seen = array.uv_coverage(declination, hour_angles) * (FREQUENCY / c).to_value(1 / u.m)
    width = rng.uniform(*usage.bandwidth) if rng.random() < 0.5 else 0.0
    channels = np.linspace(1 - width / 2, 1 + width / 2, CHANNELS) if width else np.ones(1)
    uv = np.concatenate([seen.reshape(-1, 3) * channel for channel in channels])
    weighting, robust = ("natural" if rng.random() < usage.natural else "briggs"), rng.uniform(*usage.robust)

    # First fine enough for any PSF, to learn the beam; then on the model's pixels.
    cell, ones = 0.2 / np.hypot(*uv.T[:2]).max(), np.ones(len(uv))
    for _ in range(2):
        weights = imaging_weights(uv, weighting, (4 * n, 4 * n), cell, robust)
        fine = image_visibilities(uv, ones, weights, (4 * n, 4 * n), cell)
        beam = fit_beam(fine, cell * u.rad)
        cell = np.sqrt((beam.major * beam.minor).to_value(u.rad**2)) / pixels_per_beam / 4
    cell *= 4
    if beam.major > LONGEST_BEAM * beam.minor:
        raise SimulationError(f"observatory={observatory!r}: {beam} is longer than {LONGEST_BEAM} times its width")
    # An image resampled to these pixels has lost its longest baselines.
    kept = np.abs(uv[:, :2]).max(1) < 0.5 / cell
    errors = np.concatenate([_unit_errors(rng, len(seen), len(array.positions))] * len(channels))
    psf, noise, error = (
        image_visibilities(uv[kept], visibilities[kept], w[kept], (n, n), cell) * w[kept].sum() / w.sum()
        for visibilities, w in ((ones, weights), (ones, weights**2), (errors, weights))
    )
    if psf.max() < LEAST_KEPT:
        raise SimulationError(
            f"observatory={observatory!r}: {1 - psf.max():.0%} of the weights are finer than the pixels"
        )
    kind = "natural" if weighting == "natural" else f"robust {robust:.1f}"
    band = f", {width:.0%} wide" if width else ""
    description = f"{array.name}, {declination:.0f}, {hours:.2f} h at {middle:+.1f} h{band}, {kind}, {beam}"
    return Instrument(psf, noise, pixels_per_beam, description, error)


def _unit_errors(rng, times, antennas):
    """Gain errors of baselines to first order, for errors of unit variance that drift or stay."""
    nodes = int(rng.integers(1, 6))
    amplitude, phase = drifts(rng, times, antennas, nodes), drifts(rng, times, antennas, nodes)
    share = rng.uniform(0.2, 0.8)
    tiny = 1e-6
    gains = 1 + tiny * (np.sqrt(share) * amplitude + 1j * np.sqrt(1 - share) * phase)
    return ((baseline_gains(gains) - 1) / tiny).ravel()
