"""Simulated fields in flat-noise units, on the pixels of a model."""

from dataclasses import dataclass, field, replace

import numpy as np

from .instruments import Instrument
from .population import Population
from .sky import Sources, sky_pixels, sky_spectrum

__all__ = ["DrawnSky", "Field", "FieldSimulator"]


@dataclass(frozen=True, eq=False)
class DrawnSky:
    """What is drawn of one field before it is observed.

    Parameters
    ----------
    kind : str
        One of the kinds of a `~astro_ddpm_imager.simulate.Population`.
    sources : `Sources`
        On the pixels of the field, in units of the noise, fluxes multiplied by the primary beam.
    pb_fwhm : float
        Of the Gaussian primary beam around pixel ``(n // 2, n // 2)``, pixels; infinite without one.
    gain_error : float
        Standard deviation of the gains.
    true_flux : 1D array
        Fluxes that the gain errors act on: of a source that was CLEANed down to
        a remainder, the errors of all of it are still in the image.
    """

    kind: str
    sources: Sources
    pb_fwhm: float
    gain_error: float
    true_flux: np.ndarray


@dataclass(frozen=True, eq=False)
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
    pb_fwhm : dict, optional
        Range of the FWHM for each other kind of sky, beams; uniform in the logarithm.
    flat : dict, optional
        Fraction of the fields of each kind without a primary beam.
    pb_limit : float, optional
        Primary beam below which an image has no values.
    central_fraction, central_reach : float, optional
        Fraction of the fields of compact sources that has them only this near
        to the pointing centre, on both axes, in FWHM of the primary beam:
        observers point at what they look for. Table 1 of Taran et al. 2023 has
        +-10" of 26.3".
    gain_errors, gain_error : float, tuple of float, optional
        Fraction of the fields with gain errors, and the range of their standard
        deviation, uniform in the logarithm.
    remainders, remainder, cleaned, cleaned_error : float, tuple of float, optional
        Fraction of the survey fields with one to three very bright sources of
        which CLEAN has left a remainder, with the errors of all of it; the
        range of the remainder and, uniform in the logarithm, of their true flux
        and of the gain errors. One in five of the other fields with gain errors
        has such a source, too.
    """

    instruments: tuple
    population: Population = field(default_factory=Population)
    noise_spread: float = 0.1
    table_pb_fwhm: float = 26.3 / 0.856
    table_pb_spread: float = 0.25
    pb_fwhm: dict = field(
        default_factory=lambda: {"other": (10.0, 120.0), "extended": (20.0, 150.0), "survey": (15.0, 300.0)}
    )
    flat: dict = field(
        default_factory=lambda: {"table": 0.15, "seen": 0.15, "other": 0.15, "extended": 0.3, "survey": 0.4}
    )
    pb_limit: float = 0.2
    central_fraction: float = 0.7
    central_reach: float = 10 / 26.3
    gain_errors: float = 0.35
    gain_error: tuple = (0.003, 0.1)
    remainders: float = 0.3
    remainder: tuple = (12.0, 16.0)
    cleaned: tuple = (60.0, 4000.0)
    cleaned_error: tuple = (0.001, 0.03)

    def draw_sky(self, rng, shape, pixels_per_beam, kind=None):
        """Draw the primary beam and the sources of one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        shape : tuple of int, (ny, nx)
        pixels_per_beam : float
        kind : str, optional
            Kind of the field; by default it is drawn, too.

        Returns
        -------
        `DrawnSky`
        """
        middle = np.array(shape) // 2
        kind = self.population.draw_kind(rng) if kind is None else kind
        beam = self.population.draw_beam(rng, kind)
        if kind in self.pb_fwhm:
            fwhm = np.exp(rng.uniform(*np.log(self.pb_fwhm[kind])))
        else:
            fwhm = self.table_pb_fwhm / beam * np.exp(self.table_pb_spread * rng.standard_normal())
        fwhm = np.inf if rng.random() < self.flat[kind] else fwhm * pixels_per_beam
        sources = self.population.draw(rng, shape, pixels_per_beam, kind, beam)
        if kind not in ("extended", "survey") and np.isfinite(fwhm) and rng.random() < self.central_fraction:
            offset = np.maximum(np.abs(sources.y - middle[0]), np.abs(sources.x - middle[1]))
            sources = sources.select(offset <= self.central_reach * fwhm)
        gain_error = np.exp(rng.uniform(*np.log(self.gain_error))) if rng.random() < self.gain_errors else 0.0
        sources = replace(sources, flux=sources.flux * np.exp(self.noise_spread * rng.standard_normal()))
        number = int(rng.integers(1, 4)) if kind == "survey" and rng.random() < self.remainders else 0
        if gain_error and not number:
            number = int(rng.random() < 0.2)
        if number:
            gain_error = gain_error or np.exp(rng.uniform(*np.log(self.cleaned_error)))
            bright = self._bright(rng, shape, pixels_per_beam, number)
            true_flux = np.exp(rng.uniform(*np.log(self.cleaned), number))
            true_flux = np.concatenate([sources.flux, true_flux])
            sources = Sources.concatenate([sources, bright])
        else:
            true_flux = sources.flux
        attenuation = self._beam_at(sources.y - middle[0], sources.x - middle[1], fwhm)
        inside = attenuation >= self.pb_limit
        sources = replace(sources, flux=sources.flux * attenuation).select(inside)
        return DrawnSky(kind, sources, fwhm, float(gain_error), (true_flux * attenuation)[inside])

    def _bright(self, rng, shape, pixels_per_beam, number):
        y, x = (n // 2 + rng.uniform(-0.3, 0.3, number) * n for n in shape)
        axes = rng.uniform(0, 0.4 * pixels_per_beam, (2, number))
        flux = rng.uniform(*self.remainder, number)
        return Sources(x, y, flux, axes.max(0), axes.min(0), rng.uniform(0, np.pi, number))

    def _beam_at(self, dy, dx, fwhm):
        return np.exp(-4 * np.log(2) * (dy**2 + dx**2) / fwhm**2)

    def primary_beam(self, shape, fwhm):
        """Image of a Gaussian primary beam, 0 below the limit.

        Parameters
        ----------
        shape : tuple of int, (ny, nx)
        fwhm : float
            Pixels; infinite without one.

        Returns
        -------
        2D array, shape ``shape``
        """
        y, x = np.ogrid[: shape[0], : shape[1]]
        pb = self._beam_at(y - shape[0] // 2, x - shape[1] // 2, fwhm)
        pb[pb < self.pb_limit] = 0
        return pb

    def __call__(self, rng, kind=None):
        """Draw one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        kind : str, optional
            As for `draw_sky`.

        Returns
        -------
        `Field`
        """
        instrument = self.instruments[rng.integers(len(self.instruments))].turned(int(rng.integers(4)))
        shape = instrument.psf.shape
        drawn = self.draw_sky(rng, shape, instrument.pixels_per_beam, kind)
        pb = self.primary_beam(shape, drawn.pb_fwhm)
        spectrum = sky_spectrum(drawn.sources, shape) * instrument.transfer
        if drawn.gain_error:
            wrong = replace(drawn.sources, flux=drawn.gain_error * drawn.true_flux)
            spectrum += sky_spectrum(wrong, shape) * instrument.error_transfer
        spectrum += np.fft.rfft2(rng.standard_normal(shape)) * instrument.noise_amplitude
        dirty = np.where(pb > 0, np.fft.irfft2(spectrum, s=shape), 0)
        return Field(dirty, sky_pixels(drawn.sources, shape), pb, drawn.sources, instrument)
