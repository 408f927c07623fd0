"""What the network is shown of an observation and of its own estimate, in each orientation."""

import numpy as np
import pytest

from astro_ddpm_imager import load_card
from astro_ddpm_imager.diffusion.drawing import _Views
from astro_ddpm_imager.observation.grid import ORIENTATIONS, turn
from astro_ddpm_imager.observation.gridded import GriddedObservation


@pytest.fixture(scope="module")
def observed():
    """An observation without any symmetry, blank at one side, in which more counts as noise at another."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-32:32, -40:40]
    psf = np.exp(-(x**2 + 0.6 * x * y + 2 * y**2) / 3) + 0.02 * np.cos(0.5 * x + 0.2 * y)
    pb = np.ones((32, 40))
    pb[:, :9] = 0
    noise = 1 + np.linspace(0, 1, 32)[:, None] * np.ones(40)
    return GriddedObservation(np.where(pb > 0, rng.normal(size=(32, 40)), 0), psf, pb, noise)


def test_an_estimate_is_looked_back_at_alike_from_all_sides(observed):
    views = _Views(observed, load_card("default")[0])
    estimate = np.random.default_rng(1).uniform(-1.2, 0.5, views.shape(0)).astype(np.float32)
    expected = views.look_back(0, estimate)
    for i in range(ORIENTATIONS):
        turned = np.ascontiguousarray(turn(estimate, i))
        np.testing.assert_allclose(views.look_back(i, turned), turn(expected, i), atol=1e-4)
        np.testing.assert_allclose(views.sky(i, turned), views.sky(0, estimate), atol=1e-5)
        np.testing.assert_array_equal(views.look_back(i, None), turn(views.look_back(0, None), i))


def test_what_the_truth_leaves_is_noise_in_units_of_what_counts_as_noise(observed):
    card = load_card("default")[0]
    views = _Views(observed, card)
    sky = np.random.default_rng(2).uniform(0, 1, views.shape(0)).astype(np.float32)
    whole = views.sky(0, card.stretch.forward(sky))
    seen = GriddedObservation(observed.seen(whole), observed.psf, observed.pb, observed.noise)
    left, estimate = _Views(seen, card).look_back(0, card.stretch.forward(sky))
    np.testing.assert_allclose(left, 0, atol=1e-3)
    np.testing.assert_allclose(card.stretch.inverse(estimate), sky, rtol=1e-4, atol=1e-6)


def test_before_there_is_an_estimate_the_sky_is_empty(observed):
    views = _Views(observed, load_card("default")[0])
    left, estimate = views.look_back(0, None)
    np.testing.assert_array_equal(left, views.conditions(0)[0])
    assert (estimate == -1).all()
