"""Positions, fluxes and shapes that the data sharpen."""

import numpy as np
import pytest
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager.aggregation import Detections, merge
from astro_ddpm_imager.detection import detect
from astro_ddpm_imager.gridded import GriddedObservation
from astro_ddpm_imager.refinement import POSITION_DOUBT, refine
from astro_ddpm_imager.simulate import Sources, sky_pixels

N, PIXELS_PER_BEAM = 64, 2.2
SIGMA = PIXELS_PER_BEAM * gaussian_fwhm_to_sigma
FWHM = 0.7 * PIXELS_PER_BEAM


def source(x, y, flux):
    """A sky with one round source."""
    columns = (np.array([value], float) for value in (x, y, flux, FWHM, FWHM, 0))
    return sky_pixels(Sources(*columns), (N, N))


def observe(sky, rng=None):
    """A sky seen with a Gaussian PSF, with noise of that covariance."""
    y, x = np.mgrid[: 2 * N, : 2 * N] - N
    psf = np.exp(-0.5 * (x**2 + y**2) / SIGMA**2)
    observed = GriddedObservation(np.zeros((N, N)), psf, np.ones((N, N)))
    dirty = -observed.residual(sky)
    if rng is not None:
        noise = gaussian_filter(rng.standard_normal((N, N)), SIGMA / np.sqrt(2), mode="wrap")
        dirty += noise * np.sqrt(2 * np.pi) * SIGMA
    return GriddedObservation(dirty, psf, np.ones((N, N)))


def detection(x, y, flux):
    moments = np.eye(2)[None] * ((FWHM * gaussian_fwhm_to_sigma) ** 2 + 1 / 12)
    columns = (np.array([value], float) for value in (x, y, flux))
    return Detections(np.zeros(1, int), *columns, moments, np.zeros((1, 3)))


def test_a_source_in_the_wrong_place_goes_to_the_right_one():
    observed = observe(source(30.3, 25.8, 20.0))
    found = refine(detection(30.0, 26.1, 20.0), observed.residual(source(30.0, 26.1, 20.0)), observed.psf, 2.2)
    assert (found.x.item(), found.y.item()) == pytest.approx((30.3, 25.8), abs=0.03)
    assert found.flux.item() == pytest.approx(20, rel=0.04)


def test_a_source_in_the_right_place_stays():
    observed = observe(source(12.2, 40.4, 5.0))
    found = refine(detection(12.2, 40.4, 5.0), observed.residual(source(12.2, 40.4, 5.0)), observed.psf, 2.2)
    assert (found.x.item(), found.y.item()) == pytest.approx((12.2, 40.4), abs=1e-3)


def test_the_variance_is_that_of_the_noise():
    rng, errors, variances = np.random.default_rng(3), [], []
    for _ in range(150):
        x, y = rng.uniform(25, 35, 2)
        residual = observe(source(x, y, 12.0), rng).residual(source(x, y, 12.0))
        found = refine(detection(x, y, 12.0), residual, observe(np.zeros((N, N))).psf, PIXELS_PER_BEAM)
        errors.append([found.x.item() - x, found.y.item() - y])
        variances.append(found.variance[0, :2])
    assert np.mean(np.square(errors)) == pytest.approx(np.mean(variances), rel=0.25)


def test_a_bright_source_gets_flux_and_size_from_the_data():
    columns = (np.array([value], float) for value in (30, 30, 80.0, 5.0, 3.0, 0.5))
    true = Sources(*columns)
    sky = sky_pixels(Sources(*(np.array([value], float) for value in (30, 30, 92.0, 5.6, 3.4, 0.5))), (N, N))
    observed = observe(sky_pixels(true, (N, N)))
    drawn = detect(sky, 1.0, PIXELS_PER_BEAM)
    found = refine(drawn, observed.residual(sky), observed.psf, PIXELS_PER_BEAM)
    assert found.flux.item() == pytest.approx(80, rel=0.03)
    xx, xy, yy = np.array(true.covariance)[:, 0]
    np.testing.assert_allclose(found.covariance[0] - np.eye(2) / 12, [[xx, xy], [xy, yy]], atol=0.1 * xx)


def test_a_faint_source_keeps_the_flux_that_the_network_gave_it():
    observed = observe(source(30, 30, 5.0))
    found = refine(detection(30, 30, 4.0), observed.residual(source(30, 30, 4.0)), observed.psf, PIXELS_PER_BEAM)
    assert found.flux.item() == pytest.approx(4.0, rel=0.02)


def test_no_source_goes_further_than_the_network_may_be_wrong():
    observed = observe(source(31.6, 30.0, 50.0))
    found = refine(detection(30.0, 30.0, 50.0), observed.residual(source(30.0, 30.0, 50.0)), observed.psf, 2.2)
    assert found.x.item() == pytest.approx(30 + POSITION_DOUBT * 2.2)


def test_at_the_edge_of_the_image_half_of_the_data_still_help():
    observed = observe(source(0.4, 62.9, 20.0))
    found = refine(detection(0.2, 62.7, 20.0), observed.residual(source(0.2, 62.7, 20.0)), observed.psf, 2.2)
    assert 0.2 < found.x.item() < 0.45
    assert 62.7 < found.y.item() < 62.95


def test_no_detections_are_no_sources():
    observed = observe(source(30, 30, 5.0))
    assert len(refine(Detections.empty(), observed.dirty, observed.psf, PIXELS_PER_BEAM)) == 0


def test_what_the_data_leave_open_is_part_of_the_error():
    parts = [detection(30 + shift, 30, 5.0) for shift in (-0.1, 0.1)]
    both = Detections.concatenate(parts)
    left = np.tile([0.09, 0.09, 1.0], (2, 1))
    merged = merge(Detections(np.arange(2), both.x, both.y, both.flux, both.covariance, left), 2, radius=1.0)
    assert merged.x_err.item() == pytest.approx(np.sqrt(0.02 + 0.09))
    assert merged.y_err.item() == pytest.approx(0.3)
    assert merged.flux_err.item() == pytest.approx(1.0)
