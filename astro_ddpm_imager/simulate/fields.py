"""Simulated fields in flat-noise units, on the pixels of a model."""

from dataclasses import dataclass, field, replace

import numpy as np

from ..diffusion.conditioning import condition
from .instruments import Instrument
from .sky import Population, Sources, sky_pixels, sky_spectrum

__all__ = ["Field", "FieldSimulator"]


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
    instrument : `Instrument`
        What the dirty image was made with.
    """

    dirty: np.ndarray
    sky: np.ndarray
    pb: np.ndarray
    sources: Sources
    instrument: Instrument


@dataclass(frozen=True)
class FieldSimulator:
    """Draw fields as one of some instruments sees them, with independent noise each time.

    Parameters
    ----------
    instruments : sequence of `Instrument`
    population : `Population`, optional
    noise_spread : float, optional
        Scatter (natural logarithm) of the noise from field to field.
    table_pb_fwhm, table_pb_spread : float, optional
        FWHM of the Gaussian primary beam where the sky is that of Table 1 of
        Taran et al. 2023, in units of the beam there (26.3" of 0.856"), and its
        scatter (natural logarithm): an array with a smaller beam has more of
        them in its primary beam.
    pb_fwhm : tuple of float, optional
        Range of the FWHM for other skies, beams; uniform in the logarithm.
    flat_fraction : float, optional
        Fraction of the fields without a primary beam.
    pb_limit : float, optional
        Primary beam below which an image has no values.
    central_fraction, central_reach : float, optional
        Fraction of the fields with sources only this near to the pointing
        centre, on both axes, in FWHM of the primary beam: observers point at
        what they look for. Table 1 of Taran et al. 2023 has +-10" of 26.3".
    """

    instruments: tuple
    population: Population = field(default_factory=Population)
    noise_spread: float = 0.1
    table_pb_fwhm: float = 26.3 / 0.856
    table_pb_spread: float = 0.25
    pb_fwhm: tuple = (10.0, 120.0)
    flat_fraction: float = 0.15
    pb_limit: float = 0.2
    central_fraction: float = 0.7
    central_reach: float = 10 / 26.3

    def draw_sky(self, rng, shape, pixels_per_beam):
        """Draw the primary beam and the sources of one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        shape : tuple of int, (ny, nx)
        pixels_per_beam : float

        Returns
        -------
        sources : `Sources`
            Their fluxes multiplied by the primary beam.
        pb : 2D array, shape ``shape``
            0 below the limit.
        """
        middle = np.array(shape) // 2
        beam = self.population.draw_beam(rng)
        if beam is None:
            fwhm = np.exp(rng.uniform(*np.log(self.pb_fwhm)))
        else:
            fwhm = self.table_pb_fwhm / beam * np.exp(self.table_pb_spread * rng.standard_normal())
        fwhm *= pixels_per_beam
        flat = rng.random() < self.flat_fraction

        def beam_at(y, x):
            squared = (y - middle[0]) ** 2 + (x - middle[1]) ** 2
            return np.ones(squared.shape) if flat else np.exp(-4 * np.log(2) * squared / fwhm**2)

        y, x = np.ogrid[: shape[0], : shape[1]]
        pb = beam_at(y, x)
        pb[pb < self.pb_limit] = 0
        sources = self.population.draw(rng, shape, pixels_per_beam, beam)
        if not flat and rng.random() < self.central_fraction:
            offset = np.maximum(np.abs(sources.y - middle[0]), np.abs(sources.x - middle[1]))
            sources = sources.select(offset <= self.central_reach * fwhm)
        attenuation = beam_at(sources.y, sources.x)
        flux = sources.flux * attenuation * np.exp(self.noise_spread * rng.standard_normal())
        return replace(sources, flux=flux).select(attenuation >= self.pb_limit), pb

    def __call__(self, rng):
        """Draw one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`

        Returns
        -------
        `Field`
        """
        instrument = self.instruments[rng.integers(len(self.instruments))].turned(int(rng.integers(4)))
        shape = instrument.psf.shape
        sources, pb = self.draw_sky(rng, shape, instrument.pixels_per_beam)
        spectrum = sky_spectrum(sources, shape) * instrument.transfer
        spectrum += np.fft.rfft2(rng.standard_normal(shape)) * instrument.noise_amplitude
        dirty = np.where(pb > 0, np.fft.irfft2(spectrum, s=shape), 0)
        return Field(dirty, sky_pixels(sources, shape), pb, sources, instrument)

    def crops(self, rng, number, size, clean):
        """Draw fields and cut a random square out of each, around the middle.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        number : int
            Number of crops.
        size : int
            Side of a crop, pixels.
        clean : dict
            Threshold and gain of `~astro_ddpm_imager.diffusion.conditioning.condition`.

        Returns
        -------
        conditions : 4D array of float32, shape (number, 4, size, size)
            As `~astro_ddpm_imager.diffusion.conditioning.condition` makes them.
        skies : 3D array of float32, shape (number, size, size)
        """
        conditions, skies = [], []
        for _ in range(number):
            drawn = self(rng)
            # The fields are periodic, and so are the sidelobes in them.
            psf = np.tile(np.fft.ifftshift(drawn.instrument.psf), (2, 2))
            images = condition(drawn.dirty, psf, drawn.pb, drawn.instrument.pixels_per_beam, **clean)
            n = len(drawn.dirty)
            reach = min((n - size) // 2, int(0.28 * n))
            y, x = (n - size) // 2 + rng.integers(-reach, reach + 1, 2)
            conditions.append(images[:, y : y + size, x : x + size])
            skies.append(drawn.sky[y : y + size, x : x + size])
        return np.stack(conditions), np.stack(skies).astype(np.float32)
