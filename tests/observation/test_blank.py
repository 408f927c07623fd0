"""Pixels of a constant that hold nothing are found, and noise that was rounded is none."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager.observation.blank import blank_constant
from astro_ddpm_imager.observation.preparation import prepare

SIGMA = 2.0  # pixels, of the beam
AREA = 2 * np.pi * SIGMA**2
OUTSIDE = np.hypot(*(np.indices((200, 200)) - 100)) > 100


def noise(seed):
    image = gaussian_filter(np.random.default_rng(seed).standard_normal((200, 200)), SIGMA / np.sqrt(2))
    return image / image.std()


@pytest.mark.parametrize("value", [0.0, -1.0, 0.3, 1.2345e38])
def test_corners_of_a_constant_are_blank(caplog, value):
    image = np.where(OUTSIDE, value, noise(1))
    np.testing.assert_array_equal(np.isnan(blank_constant(image, AREA, "a.fits")), OUTSIDE)
    assert f"a.fits: {OUTSIDE.sum()} pixels in a piece are exactly {value:.9g}; they are taken for blank" in caplog.text


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step", [0.0, 0.1, 0.5, 1.0, 2.0])
def test_rounded_noise_is_not_blank(caplog, seed, step):
    image = noise(seed) + 7.3
    image = np.round(image / step) * step if step else image
    np.testing.assert_array_equal(blank_constant(image, AREA, "a"), image)
    assert not caplog.text


def test_the_noise_is_that_of_what_is_not_blank(noise_image):
    image = noise_image((200, 200))
    image.data[OUTSIDE] = image.data[0, 0]
    seen = prepare(image)
    assert seen.rms == pytest.approx(1e-4, rel=0.05)
    np.testing.assert_array_equal(np.isnan(seen.data), OUTSIDE)
