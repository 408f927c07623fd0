"""Extended sources as sums of Gaussians."""

import numpy as np
import pytest

from astro_ddpm_imager.simulate import SHAPES, Population, Sources, sky_pixels, sky_spectrum
from astro_ddpm_imager.simulate.population import power_law
from astro_ddpm_imager.simulate.shapes import highest_brightness


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("size", [2.0, 8.0, 18.0])
def test_the_flux_of_a_shape_is_the_sum_of_its_pixels(kind, size):
    for seed in range(5):
        shape = SHAPES[kind](np.random.default_rng(seed), size, 1.0)
        placed = shape.placed(128.0, 128.0, 4.0, 7.0)
        assert placed.flux.sum() == pytest.approx(7)
        assert sky_spectrum(placed, (256, 256))[0, 0].real == pytest.approx(7)
        assert sky_pixels(placed, (256, 256)).sum() == pytest.approx(7, rel=0.01)
        assert (shape.part_of == 0).all() and len(shape) <= 300 and (shape.minor <= shape.major).all()


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_is_as_large_as_asked(kind):
    """From one end to the other, but for a disc that is seen from its side."""
    for seed in range(10):
        shape = SHAPES[kind](np.random.default_rng(seed), 10.0, 1.0)
        if kind == "ellipse":
            assert shape.major[0] == pytest.approx(10)
            continue
        ends = np.stack([shape.x, shape.y])
        extent = np.hypot(*(ends[:, :, None] - ends[:, None])).max()
        assert (3 if kind == "disc" else 7) < extent < 15


def test_the_whole_of_a_source_has_the_moments_of_its_pixels():
    shape = SHAPES["double"](np.random.default_rng(4), 8.0, 1.0).placed(120.2, 135.7, 10.0, 5.0)
    whole, pixels = shape.whole(), sky_pixels(shape, (256, 256))
    y, x = np.mgrid[:256, :256]
    mean_x, mean_y = ((pixels * axis).sum() / pixels.sum() for axis in (x, y))
    assert len(whole) == 1 and whole.flux == pytest.approx(5)
    assert whole.x == pytest.approx(mean_x, abs=0.05) and whole.y == pytest.approx(mean_y, abs=0.05)
    moments = [
        (pixels * a * b).sum() / pixels.sum()
        for a, b in ((x - mean_x,) * 2, (x - mean_x, y - mean_y), (y - mean_y,) * 2)
    ]
    np.testing.assert_allclose(np.ravel(whole.covariance), moments, rtol=0.02, atol=0.3)


def test_a_gaussian_alone_is_its_own_whole():
    alone = Sources(*(np.array(v, float) for v in ([3, 9], [4, 8], [1, 2], [5, 6], [2, 3], [0.3, 2.5])))
    whole = alone.whole()
    for name in ("x", "y", "flux", "major", "minor", "angle"):
        np.testing.assert_allclose(getattr(whole, name), getattr(alone, name))


def test_sources_keep_their_parts_when_they_are_put_together():
    double = SHAPES["double"](np.random.default_rng(1), 5.0, 1.0)
    points = Sources(*(np.zeros(3) for _ in range(6)))
    together = Sources.concatenate([points, double, double])
    assert len(np.unique(together.part_of)) == 5 and (together.part_of[:3] == [0, 1, 2]).all()


def test_highest_brightness_of_a_gaussian():
    """Of an ellipse of 3 x 4 beams, seen with the beam, and of two that lie on each other."""
    one = Sources(*(np.array([v], float) for v in (0, 0, 1, 4, 3, 0.7)))
    expected = 1 / np.sqrt((1 + 16) * (1 + 9))
    assert highest_brightness(one, 1.0) == pytest.approx(expected)
    assert highest_brightness(Sources.concatenate([one, one]), 1.0) == pytest.approx(2 * expected)


def test_extended_fields_have_sources_that_peak_as_asked():
    population = Population(extended_peak=(20, 21), extended_number=(1, 1), density=1e-9)
    for seed in range(5):
        sources = population.draw(np.random.default_rng(seed), (128, 128), 2.2, "extended")
        assert 20 <= highest_brightness(sources, 2.2) <= 21.5


def test_counts_are_a_power_law():
    """Of slope -2, half of the sources lie above twice the lowest flux, and a tenth above ten times."""
    flux = power_law(np.random.default_rng(0), 20000, 1.0, 1e6, -2.0)
    for level in (2, 10, 100):
        assert (flux > level).mean() == pytest.approx(1 / level, rel=0.15)
    survey = Population(survey_density=(0.5, 0.5), survey_faintest=(1, 1), survey_slope=(-2, -2), survey_brightest=1e4)
    flux = survey.draw(np.random.default_rng(0), (256, 256), 2.2, "survey").flux
    assert flux.min() >= 1 and (flux > 20).mean() == pytest.approx(1 / 20, rel=0.6)
