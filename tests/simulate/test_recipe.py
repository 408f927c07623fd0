"""Skies that recipes draw."""

import astropy.units as u
import numpy as np
import pytest

from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.simulate import SourceRecipe

from .test_observation import CELL


def test_recipes_draw_what_they_say():
    rng = np.random.default_rng(0)
    uniform, steep = (SourceRecipe(number=(4000, 4000), slope=slope).draw(rng, (512, 512), CELL) for slope in (0, -2))
    for drawn in (uniform, steep):
        assert drawn.flux.min() >= 49e-6 and drawn.flux.max() <= 501e-6
        assert np.abs(drawn.x - 256).max() <= 100 and drawn.major.max() <= 8.01
    assert np.median(uniform.flux) == pytest.approx(275e-6, rel=0.03)
    # N(> S) falls as 1 / S: half of them below 2 / (1 / 50 + 1 / 500).
    assert np.median(steep.flux) == pytest.approx(2 / (1 / 50e-6 + 1 / 500e-6), rel=0.03)
    bright = SourceRecipe(number=(0, 0), bright=[50] * u.mJy).draw(rng, (512, 512), CELL)
    assert bright.flux == [0.05]
    gathered = SourceRecipe(number=(200, 200), clustering=0.5 * u.arcsec).draw(rng, (512, 512), CELL)
    assert gathered.x.std() < 6 < uniform.x.std()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"slope": np.nan}, r"slope=nan: must be finite"),
        ({"flux": (50, 500)}, r"flux=\(50, 500\): must be a Quantity in units such as uJy"),
        ({"bright": [50]}, r"bright=\[50\]: must be a Quantity in units such as uJy"),
        ({"reach": 10}, r"reach=10: must be a Quantity in units such as arcsec"),
        ({"clustering": 1 * u.Jy}, r"clustering=<Quantity 1. Jy>: must be a Quantity in units such as arcsec"),
        ({"flux": [50, np.inf] * u.uJy}, r"flux=50.0 uJy to inf uJy: must be finite and not negative"),
        ({"size": [0, np.inf] * u.arcsec}, r"size=0.0 arcsec to inf arcsec: must be finite"),
        ({"bright": [np.inf] * u.mJy}, r"bright=\[inf\] mJy: must be positive and finite"),
        ({"reach": -2 * u.arcsec}, r"reach=-2.0 arcsec: must lie between 0 and 30 deg"),
        ({"reach": np.nan * u.arcsec}, r"reach=nan arcsec: must lie between 0 and 30 deg"),
        ({"clustering": -1 * u.arcsec}, r"clustering=-1.0 arcsec: must not be negative, and at most reach=10"),
        ({"clustering": 11 * u.arcsec}, r"clustering=11.0 arcsec: .*leave it out to spread the sources evenly"),
        ({"pairs": 0.5, "pair_distance": -1 * u.arcsec}, r"pair_distance=-1.0 arcsec: must be positive"),
        ({"pairs": 0.5, "reach": 0.5 * u.arcsec}, r"pair_distance=1.0 arcsec: .*at most reach=0.5 arcsec"),
    ],
)
def test_recipes_that_cannot_be_drawn(settings, message):
    with pytest.raises(SimulationError, match=message):
        SourceRecipe(**settings)


@pytest.mark.parametrize("number", [2, 3, 50])
@pytest.mark.parametrize("pairs", [0.1, 0.5, 1])
def test_as_many_sources_are_pairs_as_are_asked_for(number, pairs):
    """In a field so wide that few lie close by chance."""
    rng, fractions = np.random.default_rng(0), []
    recipe = SourceRecipe(number=(number, number), pairs=pairs, reach=200 * u.arcsec)
    for _ in range(100_000 // number if number == 50 else 4000):
        sources = recipe.draw(rng, (512, 512), CELL)
        distance = np.hypot(sources.x - sources.x[:, None], sources.y - sources.y[:, None])
        fractions.append(((distance <= 10 + 1e-6).sum(1) > 1).mean())
    assert np.mean(fractions) == pytest.approx(pairs, abs=0.02)


@pytest.mark.parametrize("settings", [{"pairs": 1.0}, {"clustering": 10 * u.arcsec}])
def test_close_and_gathered_sources_stay_within_reach_and_not_on_its_edge(settings):
    drawn = SourceRecipe(number=(2000, 2000), **settings).draw(np.random.default_rng(0), (512, 512), CELL)
    offset = np.abs([drawn.x - 256, drawn.y - 256])
    assert 98 < offset.max() < 100


@pytest.mark.parametrize(("reach", "grid", "furthest"), [(10, 6, 6), (10, 1, 10), (0.3, 0.1, 0.3), (1, 1, 1)])
def test_a_grid_does_not_go_beyond_the_reach(reach, grid, furthest):
    recipe = SourceRecipe(number=(500, 500), reach=reach * u.arcsec, grid=grid * u.arcsec)
    drawn = recipe.draw(np.random.default_rng(0), (512, 512), CELL)
    offset = np.array([drawn.x - 256, drawn.y - 256]) * 0.1
    assert np.abs(offset).max() == pytest.approx(furthest)
    np.testing.assert_allclose(offset / grid, np.round(offset / grid), atol=1e-9)


def test_a_faint_source_may_be_beside_a_bright_one():
    recipe = SourceRecipe(number=(1, 1), bright=[50] * u.mJy, pairs=1)
    faint, bright = np.transpose([(s := recipe.draw(np.random.default_rng(0), (512, 512), CELL)).x, s.y])
    assert 5 <= np.hypot(*(faint - bright)) <= 10


@pytest.mark.parametrize(
    ("slope", "median", "within"),
    [(1000, 499.65, 1e-4), (100, 496.58, 1e-3), (-1 - 1e-12, 158.1, 0.03), (-1000, 50.035, 1e-4)],
)
def test_steep_counts_are_exact(slope, median, within):
    drawn = SourceRecipe(number=(4000, 4000), slope=slope).draw(np.random.default_rng(0), (512, 512), CELL).flux * 1e6
    assert drawn.min() >= 50 and drawn.max() <= 500
    assert np.median(drawn) == pytest.approx(median, rel=within)
