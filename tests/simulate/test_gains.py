"""Gain errors of antennas and the patterns they make."""

import astropy.units as u
import numpy as np
import pytest

from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.simulate import (
    FieldSimulator,
    GainErrors,
    Instrument,
    Observation,
    Population,
    Sources,
    read_array,
)
from astro_ddpm_imager.simulate.gains import baseline_gains, drifts


@pytest.fixture(scope="module")
def observation():
    return Observation(
        read_array("vla.c"), 0 * u.deg, 40 * u.deg, 1 * u.hour, 300 * u.s, frequency=1.4 * u.GHz, shape=(128, 128),
        cell=3 * u.arcsec, channels=2, bandwidth=0.2 * u.GHz,
    )  # fmt: skip


def point(x, y, flux):
    return Sources(*(np.array([value], float) for value in (x, y, flux, 0, 0, 0)))


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_errors_have_unit_variance_all_the_time(nodes):
    errors = drifts(np.random.default_rng(0), 21, 20000, nodes)
    np.testing.assert_allclose(errors.std(1), 1, atol=0.03)
    same = np.abs(np.diff(errors, axis=0)).max()
    assert same == 0 if nodes == 1 else same > 0.1


def test_gains_of_a_baseline_are_those_of_its_antennas():
    gains = np.array([[1.1, 2j, 1]])
    np.testing.assert_allclose(baseline_gains(gains), [[1.1 * -2j, 1.1, 2j]])


def test_no_errors_are_no_change_and_phases_lose_flux(observation):
    rng = np.random.default_rng(1)
    assert (observation.gains(GainErrors(), rng) == 1).all()
    phases = observation.gains(GainErrors(phase=20 * u.deg), rng)
    np.testing.assert_allclose(np.abs(phases), 1)
    # Two antennas' errors on a baseline: exp(-sigma^2) is left (Thompson, Moran & Swenson 2017, equation 10.3 ff.).
    assert phases.mean().real == pytest.approx(np.exp(-(np.deg2rad(20) ** 2)), abs=0.02)


def test_gains_are_the_same_in_all_channels(observation):
    gains = observation.gains(GainErrors(0.1, 10 * u.deg), np.random.default_rng(1))
    first, second = np.split(gains, 2)
    assert len(gains) == len(observation.uv) and (first == second).all()


def test_the_pattern_of_a_point_moves_with_it_and_grows_with_its_flux(observation):
    """What an instrument adds for small errors is what visibilities with these gains make."""
    gains = observation.gains(GainErrors(0.01, 0.5 * u.deg), np.random.default_rng(2))
    error = observation.image(gains - 1)
    for x, y, flux in ((64, 64, 1.0), (80, 51, 30.0)):
        sources = point(x, y, flux / observation.primary_beam_at(x, y))
        clean, wrong = (observation.dirty(sources, 0.0, np.random.default_rng(0), g) for g in (1.0, gains))
        expected = flux * np.roll(error, (y - 64, x - 64), (0, 1))
        inner = (slice(20, 108),) * 2
        np.testing.assert_allclose(
            (wrong - clean)[inner], expected[inner], atol=2e-3 * flux * np.abs(error).max() + 1e-9
        )
    assert 1e-4 < error.std() < 0.01


def test_fields_with_gain_errors_have_the_pattern_of_their_instrument():
    """The same field with errors twice as large has twice the pattern."""
    rng = np.random.default_rng(3)
    psf = np.zeros((32, 32))
    psf[16, 16] = 1
    instrument = Instrument(psf, psf, 2.2, error=rng.standard_normal((32, 32)))
    population = Population(kinds={"survey": 1}, survey_density=(0.05, 0.05))
    none, some, twice = (
        FieldSimulator(
            (instrument,), population, gain_errors=1, gain_error=(error, error), remainders=0, flat={"survey": 1}
        )(np.random.default_rng(5)).dirty
        for error in (1e-12, 0.05, 0.1)
    )
    np.testing.assert_allclose(twice - none, 2 * (some - none), atol=1e-9)
    assert (some - none).std() > 0.1


def test_remainders_of_cleaned_sources_have_the_errors_of_all_of_their_flux():
    population = Population(kinds={"survey": 1}, survey_density=(1e-9, 1e-9))
    simulator = FieldSimulator((), population, remainders=1, flat={"survey": 1})
    drawn = simulator.draw_sky(np.random.default_rng(0), (64, 64), 2.2)
    assert 1 <= len(drawn.sources) <= 3 and drawn.gain_error > 0
    assert (drawn.true_flux >= 60).all() and (drawn.sources.flux < 25).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"amplitude": -0.1}, r"amplitude=-0.1: of gain errors, must be a fraction"),
        ({"phase": 200 * u.deg}, r"phase=200.0 deg: of gain errors, must lie between 0 and 180"),
        ({"nodes": 0}, r"nodes=0: of gain errors, must be at least 1"),
    ],
)
def test_gain_errors_that_cannot_be(arguments, message):
    with pytest.raises(SimulationError, match=message):
        GainErrors(**arguments)
