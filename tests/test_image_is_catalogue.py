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


@pytest.fixture(scope="module", params=[0, 1])
def points(request):
    """A point of S/N 25 and one of 15, between pixels, in twenty minutes of ALMA."""
    array = read_array("alma.cycle5.3")
    seen = Observation(array, 150 * u.deg, 2 * u.deg, shape=(SIDE, SIDE), integration=2 * u.min)
    rng = np.random.default_rng(request.param)
    x, y = SIDE / 2 + np.array([[-25.0, 28.0], [-14.0, 20.0]]) + rng.uniform(-3, 3, (2, 2))
    apparent = np.array([25.0, 15.0]) * NOISE
    size = np.zeros(2)
    sources = Sources(x, y, apparent / seen.primary_beam_at(x, y), size, size, size)
    image = CCDData(seen.dirty(sources, NOISE, rng), unit=u.Jy / u.beam, wcs=seen.wcs)
    imager = DiffusionImager(n_samples=8, seed=2, device="cpu", progress=False)
    return imager(image, seen.psf, seen.pb, beam=seen.beam), sources


def around(image, x, y):
    """Flux within 1.5 beams."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return image[np.hypot(columns - x, rows - y) < 1.5 * BEAM].sum()


def test_the_model_image_has_the_flux_of_the_sources_and_of_the_catalogue(points):
    result, truth = points
    for x, y, flux in zip(truth.x, truth.y, truth.flux, strict=True):
        found = result.catalog[np.hypot(result.catalog["x"] - x, result.catalog["y"] - y).argmin()]
        in_image = around(result.image.data, x, y)
        assert np.hypot(found["x"] - x, found["y"] - y) < 0.2 * BEAM
        assert in_image == pytest.approx(flux, rel=0.12)
        assert in_image == pytest.approx(found["flux"].to_value(u.Jy), rel=0.12)


def test_the_residual_is_noise(points):
    result, _ = points
    residual = result.residual.data / result.dirty.rms
    assert np.nanmax(residual) < 5.5 and np.nanmin(residual) > -5.5
    assert np.nanstd(result.residual.data) == pytest.approx(NOISE, rel=0.07)


def test_the_samples_scatter_as_the_data_allow(points):
    """The brighter one's flux by 1 / 25 of it, or 1.6 times that."""
    result, truth = points
    fluxes = [around(sample, truth.x[0], truth.y[0]) for sample in result.samples.value]
    assert np.std(fluxes, ddof=1) < 1.6 / 25 * 1.5 * truth.flux[0]
