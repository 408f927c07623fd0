"""An observation, from antennas and sky to dirty image, through the visibilities."""

from dataclasses import dataclass
from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.wcs import WCS

from ..errors import SimulationError, shown
from .array import MIN_ELEVATION, Array
from .gains import baseline_gains
from .imaging import check_weighting, fit_beam, image_visibilities, imaging_weights, primary_beam

__all__ = ["Observation"]

UNITS = {
    "ra": u.deg, "declination": u.deg, "duration": u.s, "integration": u.s, "hour_angle": u.hourangle,
    "frequency": u.Hz, "cell": u.arcsec, "bandwidth": u.Hz,
}  # fmt: skip
MAX_PIXELS = 16384  # on a side
MAX_VISIBILITIES = 1e8  # some 10 GB


@dataclass(frozen=True)
class Observation:
    """One pointing of an interferometer and how it is imaged.

    Parameters
    ----------
    array : `Array`
    ra, declination : `~astropy.units.Quantity`
        Pointing and phase centre, ICRS.
    duration, integration : `~astropy.units.Quantity`, optional
        Of the whole observation and of one integration.
    hour_angle : `~astropy.units.Quantity`, optional
        Of the source in the middle of the observation; 0 is its transit.
    frequency : `~astropy.units.Quantity`, optional
        Of the middle of the band, where the primary beam is taken.
    shape : tuple of int, (ny, nx), optional
        Pixels of the image; even numbers.
    cell : `~astropy.units.Quantity`, optional
        Pixel.
    weighting : {"natural", "uniform", "briggs"}, optional
    robust : float, optional
        For ``"briggs"``.
    bandwidth : `~astropy.units.Quantity`, optional
        Of the band that fills the uv plane; sources have the same flux all over it.
    channels : int, optional
        Frequencies the band is made of, evenly spaced; 1 is the middle.

    Raises
    ------
    SimulationError
        An argument is out of range, or the source is never above the horizon.
    """

    array: Array
    ra: u.Quantity
    declination: u.Quantity
    duration: u.Quantity = 20 * u.min
    integration: u.Quantity = 30 * u.s
    hour_angle: u.Quantity = 0 * u.hourangle
    frequency: u.Quantity = 230 * u.GHz
    shape: tuple = (512, 512)
    cell: u.Quantity = 0.1 * u.arcsec
    weighting: str = "natural"
    robust: float = 0.5
    bandwidth: u.Quantity = 0 * u.GHz
    channels: int = 1

    def __post_init__(self):
        if not isinstance(self.array, Array):
            raise SimulationError(f"array={shown(self.array)}: must be an Array, such as read_array('alma.cycle5.3')")
        for name, unit in UNITS.items():
            value = getattr(self, name)
            if not (isinstance(value, u.Quantity) and value.isscalar and value.unit.is_equivalent(unit)):
                raise SimulationError(f"{name}={shown(value)}: must be a Quantity of one value in units such as {unit}")
        for name, unit in (("duration", u.s), ("integration", u.s), ("frequency", u.Hz), ("cell", u.rad)):
            value = getattr(self, name)
            if not 0 < value.to_value(unit) < np.inf:
                raise SimulationError(f"{name}={value}: must be positive and finite")
        if not 0 <= self.bandwidth.to_value(u.Hz) < np.inf:
            raise SimulationError(f"bandwidth={self.bandwidth}: must be finite and not negative")
        if self.channels > 1 and not self.bandwidth < 2 * self.frequency:
            raise SimulationError(
                f"bandwidth={self.bandwidth}: must be from 0 to below twice frequency={self.frequency}"
            )
        if not (isinstance(self.channels, int | np.integer) and self.channels >= 1):
            raise SimulationError(f"channels={shown(self.channels)}: must be a whole number of at least 1")
        for name in ("ra", "hour_angle"):
            if not np.isfinite(getattr(self, name)):
                raise SimulationError(f"{name}={getattr(self, name)}: must be finite")
        if not abs(self.declination.to_value(u.deg)) <= 90:
            raise SimulationError(f"declination={self.declination}: must lie between -90 and 90 deg")
        if not _is_shape(self.shape):
            raise SimulationError(f"shape={shown(self.shape)}: must be two even whole numbers from 32 to {MAX_PIXELS}")
        check_weighting(self.weighting, self.robust)
        baselines = len(self.array.positions) * (len(self.array.positions) - 1) // 2
        number, at_once = (self.duration / self.integration).to_value(u.one), self.channels * baselines
        if number * at_once > MAX_VISIBILITIES:
            raise SimulationError(
                f"integration={self.integration}: makes {number:.3g} integrations of {baselines} baselines "
                f"and {self.channels} channel(s) in {self.duration}, more than {MAX_VISIBILITIES:g} visibilities; take "
                f"at least {(self.duration * at_once / MAX_VISIBILITIES).to(u.s):.3g}, or a shorter duration"
            )
        longest = np.hypot(*self.uv.T[:2]).max()
        if self._cell * longest > 0.5:
            raise SimulationError(
                f"cell={self.cell}: too large for the longest baseline, {longest:.3g} wavelengths; take at most "
                f"{(0.5 / longest * u.rad).to(u.arcsec):.3g}"
            )

    @cached_property
    def _cell(self):
        return self.cell.to_value(u.rad)

    @cached_property
    def hour_angles(self):
        """Hour angle of the source in the middle of each integration."""
        number = max(1, round((self.duration / self.integration).to_value(u.one)))
        steps = (np.arange(number) + 0.5) / number - 0.5
        # A sidereal day is 0.9973 of a day.
        return self.hour_angle + steps * self.duration.to_value(u.hour) / 0.99727 * u.hourangle

    @cached_property
    def elevations(self):
        """Elevation of the source in the middle of each integration, without those that are left out."""
        elevation = self.array.elevation(self.declination, self.hour_angles)
        return elevation[elevation >= MIN_ELEVATION]

    @property
    def time_on_source(self):
        """Duration of the integrations that are not left out."""
        return self.duration * (len(self.elevations) / len(self.hour_angles))

    @cached_property
    def frequencies(self):
        """Middle of each channel, shape (channels,)."""
        return self.frequency + self.bandwidth * ((np.arange(self.channels) + 0.5) / self.channels - 0.5)

    @cached_property
    def uv(self):
        """Baselines of all visibilities, wavelengths, shape (n, 3): channels, integrations, pairs of antennas."""
        baselines = self.array.uv_coverage(self.declination, self.hour_angles).reshape(-1, 3)
        return np.concatenate([baselines * factor for factor in (self.frequencies / c).to_value(1 / u.m)])

    @cached_property
    def weights(self):
        """Imaging weights, shape (n,)."""
        return imaging_weights(self.uv, self.weighting, self.shape, self._cell, self.robust)

    @property
    def noise_factor(self):
        """Noise of the image over that of the naturally weighted one."""
        return np.sqrt(len(self.weights) * (self.weights**2).sum()) / self.weights.sum()

    def image(self, visibilities):
        """The dirty image of visibilities, shape (n,)."""
        return image_visibilities(self.uv, visibilities, self.weights, self.shape, self._cell)

    @cached_property
    def psf(self):
        """PSF, peak 1 at pixel ``(ny // 2, nx // 2)``."""
        return self.image(np.ones(len(self.uv)))

    @cached_property
    def beam(self):
        """Restoring beam, a `~radio_beam.Beam`."""
        return fit_beam(self.psf, self.cell)

    @cached_property
    def pb(self):
        """Primary beam."""
        y, x = np.ogrid[: self.shape[0], : self.shape[1]]
        return self.primary_beam_at(x, y)

    def primary_beam_at(self, x, y):
        """Primary beam at 0-based pixels."""
        separation = np.hypot(x - self.shape[1] // 2, y - self.shape[0] // 2) * self.cell
        return primary_beam(separation, self.frequency, self.array.diameter)

    @cached_property
    def wcs(self):
        """`~astropy.wcs.WCS` of the image, orthographic (SIN), as CASA's."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.cunit = ["RA---SIN", "DEC--SIN"], ["deg", "deg"]
        wcs.wcs.crval = [self.ra.to_value(u.deg), self.declination.to_value(u.deg)]
        wcs.wcs.crpix = [self.shape[1] // 2 + 1, self.shape[0] // 2 + 1]
        wcs.wcs.cdelt = np.array([-1, 1]) * self.cell.to_value(u.deg)
        wcs.wcs.radesys = "ICRS"
        return wcs

    def visibilities(self, sources):
        """Noiseless visibilities of Gaussians, attenuated by the primary beam at their centres.

        Parameters
        ----------
        sources : `Sources`
            On the pixels of the image, fluxes in Jy.

        Returns
        -------
        1D complex array, shape (n,), Jy
        """
        # The x axis of the image points west, u points east.
        along_x, along_y = -self.uv[:, 0] * self._cell, self.uv[:, 1] * self._cell
        total = np.zeros(len(self.uv), dtype=complex)
        flux = sources.flux * self.primary_beam_at(sources.x, sources.y)
        dx, dy = sources.x - self.shape[1] // 2, sources.y - self.shape[0] // 2
        for x, y, f, xx, xy, yy in zip(dx, dy, flux, *sources.covariance, strict=True):
            exponent = -np.pi * (xx * along_x**2 + 2 * xy * along_x * along_y + yy * along_y**2)
            total += f * np.exp(2 * np.pi * (exponent - 1j * (x * along_x + y * along_y)))
        return total

    def noise(self, rms, rng):
        """Noise of visibilities, all of the same variance.

        Parameters
        ----------
        rms : float
            Noise of the naturally weighted image, Jy/beam; other weightings have more.
        rng : `numpy.random.Generator`
            One with the same seed each time is the paper's shared noise.

        Returns
        -------
        1D complex array, shape (n,)

        Raises
        ------
        SimulationError
            The noise is negative.
        """
        if not rms >= 0:
            raise SimulationError(f"rms={rms}: must not be negative")
        number = len(self.uv)
        return rms * np.sqrt(number) * (rng.standard_normal(number) + 1j * rng.standard_normal(number))

    def gains(self, errors, rng):
        """Gains of all visibilities, the same in all channels.

        Parameters
        ----------
        errors : `GainErrors`
        rng : `numpy.random.Generator`

        Returns
        -------
        1D complex array, shape (n,)
        """
        of_antennas = errors.draw(rng, len(self.elevations), len(self.array.positions))
        return np.tile(baseline_gains(of_antennas).ravel(), self.channels)

    def dirty(self, sources, rms, rng, gains=1.0):
        """Dirty image of sources with noise, Jy/beam; `gains` change what the sources send."""
        return self.image(self.visibilities(sources) * gains + self.noise(rms, rng))


def _is_shape(shape):
    return (
        isinstance(shape, tuple | list)
        and len(shape) == 2
        and all(isinstance(n, int | np.integer) and n % 2 == 0 and 32 <= n <= MAX_PIXELS for n in shape)
    )
