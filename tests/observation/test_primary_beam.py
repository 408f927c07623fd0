"""Primary beams that do not belong to an image, and how they are used."""

import numpy as np

from astro_ddpm_imager.observation.preparation import prepare


def test_an_image_corrected_for_the_primary_beam_is_noticed(noise_image, caplog):
    image = noise_image((300, 300))
    pb = np.exp(-4 * np.log(2) * np.hypot(*np.ogrid[-150:150, -150:150]) ** 2 / 200**2)
    prepare(image, pb=pb)
    assert "pbcor" not in caplog.text
    image.data /= pb
    prepare(image, pb=pb)
    assert "is corrected for the primary beam (.pbcor), give the one that is not" in caplog.text


def test_the_primary_beam_between_pixels(noise_image):
    """Where a blank pixel is near, that of the nearest; outside none."""
    pb = np.tile(np.linspace(0.1, 1, 96), (96, 1))
    dirty = prepare(noise_image(), pb=pb, pblimit=0.2)
    first = np.flatnonzero(np.isfinite(dirty.pb[0]))[0]
    x = np.array([50.5, first - 0.4, first - 0.6, 95.4, 95.6, -0.6])
    expected = [pb[0, 50:52].mean(), pb[0, first], np.nan, 1, np.nan, np.nan]
    np.testing.assert_allclose(dirty.primary_beam_at(x, np.full(6, 40.0)), expected)


def test_a_primary_beam_of_zero_is_blank_whatever_the_limit(noise_image):
    pb = np.ones((96, 96))
    pb[:20] = 0
    dirty = prepare(noise_image(), pb=pb, pblimit=0)
    assert np.isnan(dirty.data[:20]).all() and np.isfinite(dirty.data[20:]).all()
