"""The physics of simulated fields."""

import warnings
from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS, FITSFixedWarning

from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.simulate import (
    OBSERVATORIES,
    FieldSimulator,
    Instrument,
    Population,
    Sources,
    draw_instrument,
    fit_beam,
    noise_amplitude,
    sky_pixels,
    sky_spectrum,
)
from astro_ddpm_imager.simulate.instruments import LEAST_KEPT

BEAM_PIXELS = 8.56


@pytest.fixture(scope="module")
def psf():
    return fits.getdata(demo_files()["psf"]).squeeze().astype(float)


def test_pixels_and_spectrum_are_the_same_sky():
    truth = Sources(*(np.array(v, float) for v in ([20.3, 40.0], [22.8, 9.1], [3, 1], [6, 5], [4, 5], [0.5, 0])))
    spectrum = sky_spectrum(truth, (64, 64))
    assert spectrum[0, 0].real == pytest.approx(4.0)
    window = np.sinc(np.fft.fftfreq(64))[:, None] * np.sinc(np.fft.rfftfreq(64))
    averaged = np.fft.irfft2(spectrum * window, s=(64, 64))
    pixels = sky_pixels(truth, (64, 64))
    assert pixels.sum() == pytest.approx(4.0, rel=1e-3)
    np.testing.assert_allclose(pixels, averaged, atol=0.003 * averaged.max())


def test_position_angle_of_pixels():
    truth = Sources(*(np.array([v], float) for v in (32, 32, 1, 8, 3, np.pi / 4)))
    image = sky_pixels(truth, (64, 64))
    assert image[36, 36] > 3 * image[36, 28]


def test_noise_has_unit_variance_and_the_spectrum_of_the_psf(psf):
    amplitude = noise_amplitude(psf, 7 * BEAM_PIXELS)
    rng = np.random.default_rng(1)
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(psf.shape)) * amplitude, s=psf.shape)
    assert noise.std() == pytest.approx(1, rel=0.05)
    # The autocorrelation of the noise is the PSF itself.
    correlation = np.fft.irfft2(amplitude**2, s=psf.shape)
    centre = len(psf) // 2
    np.testing.assert_allclose(correlation[0, :12], psf[centre, centre : centre + 12], atol=0.03)


@pytest.fixture(scope="module")
def instrument(psf):
    return Instrument(psf, psf, BEAM_PIXELS)


def test_an_instrument_keeps_its_beam_when_turned(psf, instrument):
    for orientation in range(4):
        turned = instrument.turned(orientation).psf
        assert np.unravel_index(turned.argmax(), turned.shape) == (len(psf) // 2,) * 2
        assert turned.max() == pytest.approx(1, abs=0.02)
    c = len(psf) // 2
    assert instrument.turned(1).psf[c + 2, c] == instrument.psf[c, c + 2]
    # Mirrored about the peak: the PSF of a mirrored sky.
    assert instrument.turned(2).psf[c + 2, c + 3] == pytest.approx(instrument.psf[c + 2, c - 3])


def test_empty_fields_are_noise_that_repeats_with_the_seed(instrument):
    simulator = FieldSimulator(
        (instrument,), Population(kinds={"table": 1}, density=1e-9), flat={"table": 1}, gain_errors=0
    )
    first, again, other = (simulator(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(first.sources) == 0 and first.sky.max() == 0
    assert first.dirty.std() == pytest.approx(1, rel=0.1)
    np.testing.assert_array_equal(first.dirty, again.dirty)
    assert abs(np.corrcoef(first.dirty.ravel(), other.dirty.ravel())[0, 1]) < 0.1


def test_fields_are_blank_beyond_the_primary_beam(instrument):
    population = Population(kinds={"table": 1, "other": 1}, density=0.05, bright_fraction=0.5)
    simulator = FieldSimulator((instrument,), population, pb_fwhm={"other": (20, 25)})
    fields = [simulator(np.random.default_rng(seed)) for seed in range(6)]
    assert all((field.dirty[field.pb == 0] == 0).all() and field.pb.max() <= 1 for field in fields)
    assert min(field.sky.min() for field in fields) >= 0 and max(field.dirty.max() for field in fields) > 5


def test_drawn_instruments_have_the_beam_they_say():
    """On pixels that hold 2.1 to 2.32 of them, whatever the array; repeatable."""
    for seed in range(4):
        drawn = draw_instrument(np.random.default_rng(seed), n=64)
        again = draw_instrument(np.random.default_rng(seed), n=64)
        np.testing.assert_array_equal(drawn.psf, again.psf)
        beam = fit_beam(drawn.psf, 1 * u.arcsec)
        assert 2.1 <= drawn.pixels_per_beam <= 2.32
        assert np.sqrt(beam.major * beam.minor).value == pytest.approx(drawn.pixels_per_beam, rel=0.03)
        assert drawn.psf[32, 32] == pytest.approx(1, abs=0.1) and drawn.psf.argmax() == 32 * 64 + 32


@pytest.mark.parametrize("observatory", OBSERVATORIES)
def test_drawn_instruments_of_other_observatories(observatory):
    """Beams with broad wings are not as the Gaussian says that was fitted on finer pixels, by up to 5%."""
    for seed in range(2):
        drawn = draw_instrument(np.random.default_rng(seed), n=64, observatory=observatory)
        beam = fit_beam(drawn.psf, 1 * u.arcsec)
        assert np.sqrt(beam.major * beam.minor).value == pytest.approx(drawn.pixels_per_beam, rel=0.05)
        assert drawn.psf[32, 32] > LEAST_KEPT and drawn.psf.argmax() == 32 * 64 + 32
        assert 1e-3 < drawn.error.std() < 0.2 and drawn.description.startswith(observatory)


def test_unknown_observatories_are_refused():
    with pytest.raises(SimulationError, match=r"observatory='vlba': choose one of alma, aca, vla"):
        draw_instrument(np.random.default_rng(0), observatory="vlba")


def test_close_sources_of_the_population_are_beside_others_and_on_the_field():
    """Here of such low density that few are close by chance."""
    rng, close, total = np.random.default_rng(0), 0, 0
    population = Population(other_density=0.004, pairs=0.4)
    for _ in range(60):
        sources = population.draw(rng, (256, 256), 2.2, "other")
        position = np.array([sources.x, sources.y])
        assert position.size == 0 or (position.min() >= -0.5 and position.max() <= 255.5)
        distance = np.hypot(*(position[:, :, None] - position[:, None]))
        close, total = close + ((distance <= 4.4 + 1e-9).sum(1) > 1).sum(), total + len(sources)
    assert close / total == pytest.approx(0.4, abs=0.06)


def test_bright_sources_of_the_population_do_not_promise_faint_ones():
    """Half of the fields have bright sources only; a quarter has one or none."""
    rng, population = np.random.default_rng(1), Population(boosted_fraction=0, other_scale=(1, 1))
    fields = [population.draw(rng, (96, 96), 2.2, "other").flux for _ in range(400)]
    all_bright = [flux.min() >= population.bright_flux[0] for flux in fields if len(flux) > 20]
    assert np.mean(all_bright) == pytest.approx(population.all_bright, abs=0.1)
    assert np.mean([len(flux) < 2 for flux in fields]) == pytest.approx(0.25, abs=0.07)


def apparent_sources(rows, header, pb):
    """True sources of a CASA field as pixels of its image, multiplied by the primary beam."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        x, y = WCS(header).celestial.wcs_world2pix(rows["ra"], rows["dec"], 0)
    flux = rows["flux_jy"] * pb[np.round(y).astype(int), np.round(x).astype(int)]
    # Position angles run from north to east, which is the negative x axis.
    angle = np.deg2rad(np.array(rows["pa_deg"])) + np.pi / 2
    return Sources(x, y, np.array(flux), rows["maj_arcsec"] / 0.1, rows["min_arcsec"] / 0.1, angle)


def test_casa_fields_are_sky_times_psf_plus_noise_with_the_spectrum_of_the_psf(casa_fields):
    """What is left of CASA's images without the true sources has the tapered PSF's spectrum within 10%."""
    psf, pb = (fits.getdata(casa_fields / f"{name}.fits", 1).astype(float) for name in ("psf", "pb"))
    truth = Table.read(casa_fields / "truth.ecsv")
    transfer = np.fft.rfft2(np.fft.ifftshift(psf))
    amplitude = noise_amplitude(psf, 7 * BEAM_PIXELS)
    window = np.outer(np.hanning(256), np.hanning(256))
    centre = slice(128, 384)
    rng = np.random.default_rng(0)
    measured = expected = 0
    for number in range(60):
        with fits.open(casa_fields / f"{number:04d}.dirty.fits") as hdus:
            header, image = hdus[1].header, hdus[1].data.astype(float)
        sources = apparent_sources(truth[truth["field"] == number], header, pb)
        image -= np.fft.irfft2(sky_spectrum(sources, psf.shape) * transfer, s=psf.shape)
        measured = measured + np.abs(np.fft.fft2(image[centre, centre] * window)) ** 2
        noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(psf.shape)) * amplitude, s=psf.shape)
        expected = expected + np.abs(np.fft.fft2(noise[centre, centre] * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    edges = [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15]
    rings = [(frequency >= low) & (frequency < high) for low, high in pairwise(edges)]
    ratios = np.array([measured[ring].mean() / expected[ring].mean() for ring in rings])
    np.testing.assert_allclose(ratios / ratios.mean(), 1, atol=0.1)
    assert np.sqrt(ratios.mean()) == pytest.approx(47.3e-6, rel=0.03)
