"""What the network is shown of an observation and of its own estimate, in each orientation."""

from dataclasses import replace

import numpy as np
import pytest

from astro_ddpm_imager import load_card
from astro_ddpm_imager.diffusion.denoiser import Denoiser
from astro_ddpm_imager.diffusion.drawing import _Views, draw_samples
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
    return GriddedObservation(np.where(pb > 0, rng.normal(size=(32, 40)), 0), psf, pb, np.eye(2), noise)


def test_an_estimate_is_looked_back_at_alike_from_all_sides(observed):
    views = _Views(observed, load_card("default")[0])
    estimate = np.random.default_rng(1).uniform(-1.2, 0.5, views.shape(0)).astype(np.float32)
    (expected,) = views.look_back([0], [estimate])
    (nothing,) = views.look_back([0], None)
    for i in range(ORIENTATIONS):
        turned = np.ascontiguousarray(turn(estimate, i))
        np.testing.assert_allclose(views.look_back([i], [turned])[0], turn(expected, i), atol=1e-4)
        np.testing.assert_allclose(views.sky(i, turned), views.sky(0, estimate), atol=1e-5)
        np.testing.assert_array_equal(views.look_back([i], None)[0], turn(nothing, i))


def test_what_the_truth_leaves_is_noise_in_units_of_what_counts_as_noise(observed):
    card = load_card("default")[0]
    views = _Views(observed, card)
    sky = np.random.default_rng(2).uniform(0, 1, views.shape(0)).astype(np.float32)
    whole = views.sky(0, card.stretch.forward(sky))
    seen = replace(observed, dirty=observed.seen(whole))
    ((left, estimate),) = _Views(seen, card).look_back([0], [card.stretch.forward(sky)])
    np.testing.assert_allclose(left, 0, atol=1e-3)
    np.testing.assert_allclose(card.stretch.inverse(estimate), sky, rtol=1e-4, atol=1e-6)


def test_before_there_is_an_estimate_the_sky_is_empty(observed):
    views = _Views(observed, load_card("default")[0])
    ((left, estimate),) = views.look_back([0], None)
    np.testing.assert_array_equal(left, views.conditions([0])[0, 0])
    assert (estimate == -1).all()


class _OnGpu(Denoiser):
    """As on a GPU: large batches, and two threads."""

    streams = 2

    def batch(self, shape, number):
        return -(-number // self.streams)


@pytest.mark.parametrize("sampler", ["unipc", "ddpm"])
def test_samples_in_large_batches_are_those_of_small_ones(observed, sampler):
    counts = []
    few, many = (
        draw_samples(observed, of(device="cpu"), 11, 3, sampler, 4, counts.append) for of in (Denoiser, _OnGpu)
    )
    # The network adds up in another order.
    for name in ("samples", "mean", "expected"):
        np.testing.assert_allclose(getattr(many, name), getattr(few, name), atol=1e-4)
    assert sum(counts) == 2 * 11 * 3
    assert max(counts) == 6
    assert np.ptp(few.samples, axis=0).max() > 100 * abs(many.samples - few.samples).max()


def test_a_sample_is_the_same_however_many_there_are_and_whoever_draws_them(observed):
    one, two = (
        draw_samples(observed, Denoiser(device="cpu", threads=threads), number, 2, "unipc", 4, lambda _: None).samples
        for threads, number in ((1, 9), (3, 12))
    )
    np.testing.assert_array_equal(one, two[:9])
    again = draw_samples(observed, Denoiser(device="cpu", threads=2), 12, 2, "unipc", 4, lambda _: None).samples
    np.testing.assert_array_equal(two, again)


def test_what_was_subtracted_of_a_source_is_in_what_was_drawn_and_in_what_was_expected(observed):
    """Its reliability is the ratio of the two, and of what is left of it nothing may be drawn."""
    bright = np.zeros(observed.dirty.shape)
    bright[10, 25] = 200.0
    plain, both = (
        draw_samples(replace(observed, bright=there), Denoiser(device="cpu"), 2, 2, "unipc", 4, lambda _: None)
        for there in (0, bright)
    )
    np.testing.assert_array_equal(both.samples, plain.samples)
    noise = observed.noise[10, 25]
    for name in ("mean", "expected"):
        more = getattr(both, name) - getattr(plain, name)
        assert more[10, 25] == pytest.approx(2 * np.sqrt(200 / noise / load_card("default")[0].stretch.c))
        assert np.count_nonzero(more) == 1
