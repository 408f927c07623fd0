"""Model image, residual and catalogue say the same."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.simulate import Observation, Sources, read_array

NOISE = 50e-6  # Jy/beam
BEAM = 8.55  # pixels
SIDE = 224


@pytest.fixture(scope="module")
def points():
    """Points of S/N 25 and 15, between pixels, in three fields of twenty minutes of ALMA."""
    seen = Observation(read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, shape=(SIDE, SIDE), integration=2 * u.min)
    imager = DiffusionImager(seed=2, device="cpu", progress=False)

    def field(seed):
        rng = np.random.default_rng(seed)
        x, y = SIDE / 2 + np.array([[-25.0, 28.0], [-14.0, 20.0]]) + rng.uniform(-3, 3, (2, 2))
        size = np.zeros(2)
        sources = Sources(x, y, np.array([25, 15]) * NOISE / seen.primary_beam_at(x, y), size, size, size)
        image = CCDData(seen.dirty(sources, NOISE, rng), unit=u.Jy / u.beam, wcs=seen.wcs)
        return imager(image, seen.psf, seen.pb, beam=seen.beam), sources

    return [field(seed) for seed in (0, 1, 4)]


def around(image, x, y):
    """Flux within 1.5 beams."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return image[np.hypot(columns - x, rows - y) < 1.5 * BEAM].sum()


def test_the_model_image_has_the_flux_of_the_sources_and_of_the_catalogue(points):
    ratios = []
    for result, truth in points:
        for x, y, flux in zip(truth.x, truth.y, truth.flux, strict=True):
            found = result.catalog[np.hypot(result.catalog["x"] - x, result.catalog["y"] - y).argmin()]
            in_image = around(result.image.data, x, y)
            assert np.hypot(found["x"] - x, found["y"] - y) < 0.2 * BEAM
            assert abs(in_image - found["flux"].to_value(u.Jy)) < 2.5 * found["flux_err"].to_value(u.Jy)
            ratios.append(in_image / flux)
    # Of six sources, whose noise is 4 and 7% of their flux.
    assert np.mean(ratios) == pytest.approx(1, abs=0.07)


def test_the_residual_is_noise(points):
    for result, _ in points:
        residual = result.residual.data / result.dirty.rms
        assert np.nanmax(residual) < 5.5 and np.nanmin(residual) > -5.5
        assert np.nanstd(result.residual.data) == pytest.approx(NOISE, rel=0.07)


def test_the_samples_scatter_as_the_data_allow(points):
    """The brighter one's flux by 1 / 25 of it, or 1.6 times that."""
    spreads = [
        np.std([around(sample, truth.x[0], truth.y[0]) for sample in result.samples.value], ddof=1) / truth.flux[0]
        for result, truth in points
    ]
    assert np.median(spreads) < 1.6 / 25 * 1.5
