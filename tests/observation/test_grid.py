"""Between image pixels and model pixels: exactness, conservation of flux, tiles."""

import numpy as np
import pytest
from astropy.stats import gaussian_fwhm_to_sigma

from astro_ddpm_imager.observation.grid import ModelGrid, fourier_resample, tiles, turn, turn_back


def wave(shape, cycles_y, cycles_x):
    y, x = np.indices(shape) / np.reshape(shape, (2, 1, 1))
    return np.cos(2 * np.pi * (cycles_y * y + cycles_x * x)) + 0.3


@pytest.mark.parametrize("shape", [(64, 48), (63, 50), (130, 201)])
def test_resampling_is_exact_for_waves_that_both_grids_hold(shape):
    before, after = wave((100, 99), 7, -11), wave(shape, 7, -11)
    np.testing.assert_allclose(fourier_resample(before, shape), after, atol=1e-12)


def test_resampling_there_and_back():
    image = fourier_resample(np.random.default_rng(0).standard_normal((40, 40)), (32, 32))
    np.testing.assert_allclose(fourier_resample(fourier_resample(image, (91, 77)), (32, 32)), image, atol=1e-12)


@pytest.mark.parametrize(("shape", "beam"), [((512, 512), 8.56), ((300, 411), 3.0), ((200, 200), 2.05)])
def test_model_grid_has_the_pixels_per_beam_of_the_model(shape, beam):
    grid = ModelGrid(shape, beam, 2.2, 8)
    assert all(m % 8 == 0 for m in grid.shape)
    assert all(p >= n for p, n in zip(grid.padded_shape, shape, strict=True))
    np.testing.assert_allclose(beam / np.array(grid.ratio), 2.2, rtol=5e-3)


@pytest.mark.parametrize("beam", [8.56, 3.3, 2.05])
@pytest.mark.parametrize("sharpen", [True, False])
def test_spreading_conserves_flux_and_position(beam, sharpen):
    grid = ModelGrid((240, 280), beam, 2.2, 8)
    # In the middle, for the tails of a spline reach far.
    sky, (middle_y, middle_x) = (
        np.zeros(grid.shape),
        (int(n / 2 / r) for n, r in zip((240, 280), grid.ratio, strict=True)),
    )
    sky[middle_y, middle_x], sky[middle_y + 3, middle_x - 3] = 2.0, 1.0
    image = grid.to_image(sky, sharpen)
    assert image.shape == (240, 280)
    assert image.sum() == pytest.approx(3.0, rel=1e-9)
    y, x = np.indices(image.shape)
    expected_y, expected_x = grid.to_image_position(middle_y + 1.0, middle_x - 1.0)
    # On pixels hardly smaller than the model's the centroid of a hat can be off by a little.
    assert (y * image).sum() / 3 == pytest.approx(expected_y, abs=0.02)
    assert (x * image).sum() / 3 == pytest.approx(expected_x, abs=0.02)


def test_sharpening_keeps_the_width_of_a_source():
    """A Gaussian binned to model pixels comes back with its own second moment."""
    grid, sigma = ModelGrid((200, 200), 8.0, 2.2, 8), 1.1
    y, x = np.indices(grid.shape)
    sky = np.exp(-0.5 * ((y - 25) ** 2 + (x - 25) ** 2) / (sigma**2 + 1 / 12))
    image = grid.to_image(sky / sky.sum())
    rows = np.arange(200) - 25 * grid.ratio[0]
    assert (rows**2 @ image.sum(1)) / grid.ratio[0] ** 2 == pytest.approx(sigma**2, rel=0.01)


def test_a_point_between_pixels_keeps_its_peak():
    """A point that four pixels share is less spread by a spline through them than by the pixels."""
    grid = ModelGrid((200, 200), 8.8, 2.2, 8)
    sky = np.zeros(grid.shape)
    sky[20:22, 20:22] = 0.25
    y, x = np.indices((200, 200)) - np.array(grid.to_image_position(20.5, 20.5))[:, None, None]
    beam = np.exp(-0.5 * (x**2 + y**2) / (8.8 * gaussian_fwhm_to_sigma) ** 2)
    image = grid.to_image(sky)
    assert (image * beam).sum() > 0.78
    assert image.min() > -0.2 * image.max()


def test_blank_pixels_are_zero_in_the_primary_beam():
    pb = np.ones((80, 80))
    pb[:, 40:] = np.nan
    sampled = ModelGrid((80, 80), 4.4, 2.2, 8).sample(pb)
    assert sampled[5, :19].min() == 1
    assert sampled[:, 20:].max() == 0


@pytest.mark.parametrize("shape", [(96, 64), (200, 328), (1000, 104)])
def test_every_pixel_is_owned_by_one_tile(shape):
    owned = np.zeros(shape, dtype=int)
    seen = np.arange(owned.size).reshape(shape)
    for tile in tiles(shape, 104, 24):
        owned[tile.core] += 1
        assert max(seen[tile.window].shape) <= 104
        np.testing.assert_array_equal(seen[tile.window][tile.inner], seen[tile.core])
    assert (owned == 1).all()


def test_the_eight_orientations_differ_and_come_back():
    images = np.random.default_rng(0).standard_normal((2, 3, 5))
    turned = [turn(images, orientation) for orientation in range(9)]
    assert {t.shape for t in turned} == {(2, 3, 5), (2, 5, 3)}
    assert len({t.tobytes() for t in turned}) == 8
    for orientation, t in enumerate(turned):
        np.testing.assert_array_equal(turn_back(t, orientation), images)
