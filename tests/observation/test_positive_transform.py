"""What an image shows of the PSF beyond the PSF's own image."""

import astropy.units as u
import numpy as np
import pytest

from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.positive_transform import Seen, explain_image
from astro_ddpm_imager.observation.reach import continue_psf, continue_psf_as_seen, covering
from astro_ddpm_imager.simulate import Observation, Sources, read_array

N = 192
SOURCE = 160.3, 30.6  # pixels


def observation(n):
    """A snapshot of the VLA."""
    common = {"duration": 20 * u.min, "integration": 60 * u.s, "frequency": 1.4 * u.GHz, "cell": 1.4 * u.arcsec}
    return Observation(read_array("vla.b"), 150 * u.deg, 30 * u.deg, shape=(n, n), **common)


@pytest.fixture(scope="module")
def psfs():
    """A PSF as large as the image, and one that reaches all over it."""
    return observation(N).psf, observation(2 * N).psf


def image_of(x, y, flux, seed=1):
    """A dirty image with noise of 1."""
    seen = observation(N)
    x, y, flux = (np.atleast_1d(values).astype(float) for values in (x, y, flux))
    sources = Sources(x, y, flux / seen.primary_beam_at(x, y), 0 * x, 0 * x, 0 * x)
    return seen.dirty(sources, 1.0, np.random.default_rng(seed))


def shown(psfs, flux, image):
    """What the image shows of a PSF, and what it does not get right: both of the source, in the image."""
    psf, whole = psfs
    source = Components.points([SOURCE[0]], [SOURCE[1]], [flux])
    everywhere = np.ones((N, N), bool)
    continued, taken = continue_psf_as_seen(
        psf, (N, N), Seen(image, source, 1.0, image_of([], [], [], seed=7), everywhere)
    )
    assert 0 <= taken <= 0.1
    y, x = (round(N - at) for at in reversed(SOURCE))
    return continued, flux * (continued - whole)[y : y + N, x : x + N]


def test_an_image_of_a_bright_source_shows_its_sidelobes_beyond_the_psf_image(psfs):
    psf, whole = psfs
    image = image_of(*SOURCE, 200)
    continued, error = shown(psfs, 200, image)
    y, x = (round(N - at) for at in reversed(SOURCE))
    before = 200 * (continue_psf(psf, (N, N)) - whole)[y : y + N, x : x + N]
    assert before.std() > 1.5
    assert error.std() < 0.65 * before.std()
    known = np.s_[N - N // 2 + 10 : N + N // 2 - 10, N - N // 2 + 10 : N + N // 2 - 10]
    np.testing.assert_allclose(continued[known], whole[known], atol=1e-6)


def test_little_of_what_is_not_known_yet_is_taken_for_sidelobes(psfs):
    """In a small image as many sidelobes are possible as make one source more, or noise."""
    x, y = 40, 150
    more = image_of(x, y, 8) - image_of([], [], [])
    noise = image_of([], [], [], seed=3)
    image = image_of(*SOURCE, 200)
    before, with_source, with_noise = (shown(psfs, 200, image + other)[1] for other in (0, more, noise))
    assert (with_source - before)[y, x] / 8 < 0.35
    assert np.vdot(with_noise - before, noise) / np.vdot(noise, noise) < 0.13


def test_noise_is_no_sidelobe(psfs):
    psf, _ = psfs
    continued, _ = shown(psfs, 10, image_of(*SOURCE, 10))
    plain = continue_psf(psf, (N, N))
    assert np.abs(continued - plain).max() < 0.05 * np.abs(plain - covering(psf, (N, N))).max()


def test_blank_pixels_show_nothing(psfs):
    image = image_of(*SOURCE, 200)
    image[:, :20] = np.nan
    image[100:110, 60:90] = np.nan
    blank = np.isnan(image)
    images = image_of(*SOURCE, 200), image, np.where(blank, 1e4, image)
    errors = [shown(psfs, 200, each)[1][~blank].std() for each in images]
    assert errors[1] < 1.25 * errors[0]
    assert errors[2] > 1.1 * errors[1]


def test_all_iterations_are_in_single_precision(psfs, monkeypatch):
    """Noise that is measured is no array, and in double precision: with that, each took twice the time and memory."""
    for name, value in (("CHANGES", 2), ("FEWEST", 0), ("MOST_TAKEN", np.inf)):
        monkeypatch.setattr(f"astro_ddpm_imager.observation.positive_transform.{name}", value)
    source, noise = Components.points([SOURCE[0]], [SOURCE[1]], [200]), image_of([], [], [])
    seen = Seen(image_of(*SOURCE, 200), source, noise.std(), noise, np.ones((N, N), bool))
    start = np.ones((200, 101), np.float32)
    weights, _ = explain_image(start, psfs[0][1:, 1:], (3 * N, 3 * N), (200, 200), seen)
    assert weights.dtype == np.float32
