"""How good the pixels are: scores of images, coverage of the uncertainty, ranks of the truth."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from astro_ddpm_imager.evaluate.images import (
    image_scores,
    pixel_coverage,
    structural_similarity,
    true_brightness,
    true_ranks,
    true_sky,
)


def one_source(result, **changes):
    ny, nx = result.dirty.shape
    sky = result.dirty.wcs.pixel_to_world(nx // 2 + 5.3, ny // 2 - 8.6)
    values = {
        "ra": [sky.ra.deg] * u.deg, "dec": [sky.dec.deg] * u.deg, "flux": [1e-3] * u.Jy,
        "major": [0.8] * u.arcsec, "minor": [0.4] * u.arcsec, "pa": [30] * u.deg,
    }  # fmt: skip
    return QTable(values | changes)


def test_the_true_sky_has_the_flux_place_and_angle_of_the_truth(result):
    sky = true_sky(one_source(result), result.dirty)
    ny, nx = sky.shape
    y, x = np.mgrid[:ny, :nx] - np.array([ny // 2 - 8.6, nx // 2 + 5.3])[:, None, None]
    pb = result.dirty.pb[ny // 2 - 9, nx // 2 + 5]
    assert sky.sum() == pytest.approx(1e-3 * pb, rel=0.01)
    assert [(sky * x).sum() / sky.sum(), (sky * y).sum() / sky.sum()] == pytest.approx([0, 0], abs=0.05)
    # East is left: an angle of 30 degrees east of north leans to the left.
    moments = [[(sky * a * b).sum() for a in (x, y)] for b in (x, y)]
    vector = np.linalg.eigh(moments)[1][:, 1]
    assert np.rad2deg(np.arctan2(-vector[0], vector[1])) % 180 == pytest.approx(30, abs=2)


def test_image_scores_see_a_better_image(result):
    sky = true_sky(one_source(result), result.dirty)
    exact = result.grid.gather(sky) / result.dirty.rms
    scores = [
        image_scores(
            SimpleNamespace(apparent=result.apparent, dirty=result.dirty, sky_samples=factor * exact[None]),
            sky,
            true_brightness(one_source(result), result.dirty),
            2.2,
        )
        for factor in (1, 0.5)
    ]
    good, half = (score["mean"] for score in scores)
    assert good["mse"] < half["mse"] / 2 and good["psnr"] > half["psnr"] + 3 and half["ssim"] < good["ssim"] <= 1
    assert good["nrmse"] < 0.1 and half["nrmse"] == pytest.approx(0.5, abs=0.03)
    assert (good["flux_ratio"], half["flux_ratio"]) == pytest.approx((1, 0.5), rel=0.02)
    empty = image_scores(result, np.zeros(result.dirty.shape), np.zeros(result.dirty.shape), 2.2)["median"]
    assert empty["psnr"] is None and empty["ssim"] is None and empty["mse"] > 0
    assert structural_similarity(sky, sky, np.ones(sky.shape, dtype=bool)) == pytest.approx(1)


def drawn_like_the_truth(result, brighter=1.0, fields=60, samples=20):
    """Ranks and coverage where truth and samples are a source of a flux from one distribution."""
    rng = np.random.default_rng(0)
    truth = one_source(result)
    unit = true_sky(truth, result.dirty) / 1e-3
    on_grid = result.grid.gather(unit) / result.dirty.rms
    ranks, inside, pixels = [], 0, 0
    for seed in range(fields):
        fluxes = 1e-3 * rng.lognormal(size=samples + 1)
        skies = brighter * fluxes[1:, None, None] * on_grid
        drawn = SimpleNamespace(grid=result.grid, dirty=result.dirty, sky_samples=skies)
        ranks += true_ranks(drawn, fluxes[0] * unit, 2.2, seed)["total flux"]
        counts = pixel_coverage(drawn, fluxes[0] * unit, 2.2, seed)
        inside, pixels = inside + counts["quantiles"]["0.68"], pixels + counts["pixels"]
    return ranks, inside / pixels


def test_ranks_and_pixels_of_a_true_posterior(result):
    ranks, inside = drawn_like_the_truth(result)
    assert np.mean(ranks) == pytest.approx(10, abs=3 * 6 / np.sqrt(60))
    assert inside == pytest.approx(0.68, abs=0.2)
    # Samples that are three times too bright: the truth ranks low.
    ranks, inside = drawn_like_the_truth(result, brighter=3)
    assert np.mean(ranks) < 7 and inside < 0.65
