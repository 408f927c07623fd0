"""Sidelobes that are not known."""

import numpy as np
import pytest

from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.unknown_sidelobes import measured_sidelobes, noise_beside, unknown_sidelobes

EXPECTED = np.linspace(0, 5, 40_000)
NOWHERE = np.zeros(EXPECTED.size, bool)


def residual(share, seed=1):
    """Noise of 2, and a share of the sidelobes expected."""
    rng = np.random.default_rng(seed)
    return 2 * rng.standard_normal(EXPECTED.size) + share * EXPECTED * rng.standard_normal(EXPECTED.size)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_noise_is_that_where_no_sidelobes_are_expected(share):
    assert noise_beside(residual(share), EXPECTED) == pytest.approx(2, rel=0.05)


def test_they_follow_what_is_measured():
    sidelobes = measured_sidelobes(residual(0.5), EXPECTED, 2.0, 10.0, NOWHERE)
    np.testing.assert_allclose(np.hypot(2, sidelobes), np.hypot(2, 0.5 * EXPECTED), rtol=0.1)


def test_what_is_too_negative_for_noise_is_a_sidelobe():
    left = residual(0.5)
    left[-100] = -40
    sidelobes = measured_sidelobes(left, EXPECTED, 2.0, 10.0, NOWHERE)
    assert left[-100] / np.hypot(2, sidelobes[-100]) == pytest.approx(-5)
    left[-100] = 40
    assert np.hypot(2, measured_sidelobes(left, EXPECTED, 2.0, 10.0, NOWHERE)[-100]) < 4


def test_what_a_fit_has_left_beside_a_source_is_no_sidelobe():
    left, beside = residual(0.5), NOWHERE.copy()
    left[-100], beside[-100] = -40, True
    sidelobes = measured_sidelobes(left, EXPECTED, 2.0, 10.0, beside)
    np.testing.assert_allclose(np.hypot(2, sidelobes), np.hypot(2, 0.5 * EXPECTED), rtol=0.1)


def test_each_source_has_the_doubt_of_the_psf_around_it():
    shape = 8, 10
    doubt = np.zeros((16, 20))
    doubt[8:, :] = 0.1  # at the height of the source and above
    sources = Components.points([2, 7], [6, 3], [3.0, 4.0])
    expected = unknown_sidelobes(sources, shape, doubt**2)
    np.testing.assert_allclose(expected[:3], 0, atol=1e-12)
    np.testing.assert_allclose(expected[3:6], 0.4, atol=1e-12)
    np.testing.assert_allclose(expected[6:], 0.5, atol=1e-12)


def test_what_has_been_taken_for_sidelobes_is_missing_in_what_is_left():
    left = np.where(EXPECTED > 1, 0.9, 1.0) * residual(0.5)
    sidelobes = measured_sidelobes(left, EXPECTED, 2.0, 10.0, NOWHERE, taken=0.1)
    far = EXPECTED > 2
    np.testing.assert_allclose(np.hypot(2, sidelobes)[far], np.hypot(2, 0.5 * EXPECTED)[far], rtol=0.05)
