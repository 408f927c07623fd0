"""Positions, fluxes and shapes that the data sharpen."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager.diffusion.exact import towards_data
from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.simulate import Sources, sky_pixels
from astro_ddpm_imager.sources.aggregation import Detections, merge
from astro_ddpm_imager.sources.detection import detect
from astro_ddpm_imager.sources.finding import find_sources
from astro_ddpm_imager.sources.refinement import POSITION_DOUBT, profiles, refine

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
    observed = GriddedObservation(np.zeros((N, N)), psf, np.ones((N, N)), SIGMA**2 * np.eye(2))
    dirty = observed.seen(sky)
    if rng is not None:
        noise = gaussian_filter(rng.standard_normal((N, N)), SIGMA / np.sqrt(2), mode="wrap")
        dirty += noise * np.sqrt(2 * np.pi) * SIGMA
    return replace(observed, dirty=dirty)


def test_the_dirty_image_of_a_sky_in_pixels_is_that_of_the_sky():
    y, x = np.mgrid[:N, :N]
    variance = (FWHM * gaussian_fwhm_to_sigma) ** 2
    expected = np.exp(-0.5 * ((x - 30.3) ** 2 + (y - 25.8) ** 2) / (SIGMA**2 + variance))
    expected *= 20.0 * SIGMA**2 / (SIGMA**2 + variance)
    np.testing.assert_allclose(observe(source(30.3, 25.8, 20.0)).dirty, expected, atol=0.02 * expected.max())


def test_gradient_and_information_are_derivatives_of_the_likelihood():
    """Of s.d - s.P s / 2, for continuous sources."""
    observed, one, other = observe(source(30.3, 25.8, 20.0)), source(31.1, 26.2, 1.0), source(29.0, 26.0, 1.0)
    variance = (FWHM * gaussian_fwhm_to_sigma) ** 2

    def overlap(distance, total):
        return np.exp(-0.5 * distance**2 / (SIGMA**2 + total)) * SIGMA**2 / (SIGMA**2 + total)

    expected = 20 * overlap(np.hypot(0.8, 0.4), 2 * variance)
    assert (one * observed.gradient(np.zeros((N, N)))).sum() == pytest.approx(expected, rel=0.01)
    both = (one * observed.gradient(other)).sum()
    assert both == pytest.approx(expected - overlap(np.hypot(2.1, 0.2), 2 * variance), rel=0.01)
    near = observed.information[N - 8 : N + 9, N - 8 : N + 9]
    patch = one[18:35, 23:40]
    curvature = sum(
        patch[i, j] * patch[k, m] * near[8 + i - k, 8 + j - m]
        for i in range(4, 13)
        for j in range(4, 13)
        for k in range(4, 13)
        for m in range(4, 13)
    )
    assert curvature == pytest.approx(overlap(0, 2 * variance), rel=0.02)


def detection(x, y, flux):
    moments = np.eye(2)[None] * ((FWHM * gaussian_fwhm_to_sigma) ** 2 + 1 / 12)
    columns = (np.array([value], float) for value in (x, y, flux))
    return Detections(np.zeros(1, int), *columns, moments, np.zeros((1, 3)), np.zeros(1, int), np.zeros(1))


def test_a_source_in_the_wrong_place_goes_to_the_right_one():
    observed = observe(source(30.3, 25.8, 20.0))
    found = refine(detection(30.0, 26.1, 20.0), source(30.0, 26.1, 20.0), observed, 2.2)
    assert (found.x.item(), found.y.item()) == pytest.approx((30.3, 25.8), abs=0.03)
    assert found.flux.item() == pytest.approx(20, rel=0.04)


def test_a_source_in_the_right_place_stays():
    observed = observe(source(12.2, 40.4, 5.0))
    found = refine(detection(12.2, 40.4, 5.0), source(12.2, 40.4, 5.0), observed, 2.2)
    assert (found.x.item(), found.y.item()) == pytest.approx((12.2, 40.4), abs=1e-3)


def test_the_variance_is_that_of_the_noise():
    rng, errors, variances = np.random.default_rng(3), [], []
    for _ in range(150):
        x, y = rng.uniform(25, 35, 2)
        found = refine(detection(x, y, 12.0), source(x, y, 12.0), observe(source(x, y, 12.0), rng), PIXELS_PER_BEAM)
        errors.append([found.x.item() - x, found.y.item() - y])
        variances.append(found.variance[0, :2])
    assert np.mean(np.square(errors)) == pytest.approx(np.mean(variances), rel=0.25)


def test_a_bright_source_gets_flux_and_size_from_the_data():
    columns = (np.array([value], float) for value in (30, 30, 80.0, 5.0, 3.0, 0.5))
    true = Sources(*columns)
    sky = sky_pixels(Sources(*(np.array([value], float) for value in (30, 30, 92.0, 5.6, 3.4, 0.5))), (N, N))
    observed = observe(sky_pixels(true, (N, N)))
    drawn = detect(sky, 1.0, PIXELS_PER_BEAM)
    found = refine(drawn, sky, observed, PIXELS_PER_BEAM)
    assert found.flux.item() == pytest.approx(80, rel=0.03)
    xx, xy, yy = np.array(true.covariance)[:, 0]
    np.testing.assert_allclose(found.covariance[0] - np.eye(2) / 12, [[xx, xy], [xy, yy]], atol=0.1 * xx)


@pytest.mark.parametrize(("x", "y"), [(30.0, 30.0), (30.5, 30.0), (30.5, 30.5), (30.3, 29.8)])
def test_a_point_that_the_network_draws_too_large_is_one(x, y):
    """Wherever between pixels it lies; the flux it was drawn with is 14% too high."""
    rows, columns = np.mgrid[:N, :N]
    dirty = 50 * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / SIGMA**2)
    drawn = sky_pixels(Sources(*(np.array([value], float) for value in (x, y, 57.0, 1.0, 0.8, 0.3))), (N, N))
    observed = replace(observe(drawn), dirty=dirty)
    found = refine(detect(drawn, 1.0, PIXELS_PER_BEAM), drawn, observed, PIXELS_PER_BEAM)
    assert found.flux.item() == pytest.approx(50, rel=0.035)
    assert (found.x.item(), found.y.item()) == pytest.approx((x, y), abs=0.02 * PIXELS_PER_BEAM)
    np.testing.assert_allclose(found.covariance[0] - np.eye(2) / 12, 0, atol=0.06 * SIGMA**2)


@pytest.mark.parametrize("snr", [7.0, 10.0])
@pytest.mark.parametrize("beams", [0.0, 0.45])
def test_peaks_are_what_the_network_knows_and_sizes_what_the_data_decide(snr, beams):
    """Points and Gaussians that peak as high; both are drawn as the larger one, which has 20% more flux."""

    def seen(fwhm):
        flux, size = snr * (1 + fwhm**2), max(fwhm, 1e-3) * PIXELS_PER_BEAM
        return sky_pixels(Sources(*(np.array([value], float) for value in (30.3, 29.8, flux, size, size, 0))), (N, N))

    rng, fluxes, errors = np.random.default_rng(11), [], []
    drawn = seen(0.45)
    detected = detect(drawn, 1.0, PIXELS_PER_BEAM)
    for _ in range(80):
        found = refine(detected, drawn, observe(seen(beams), rng), PIXELS_PER_BEAM)
        fluxes.append(found.flux.item() / (snr * (1 + beams**2)) - 1)
        errors.append(np.sqrt(found.variance[0, 2]) / snr)
    assert abs(np.median(fluxes)) < 0.06
    assert np.std(fluxes) < 1.3 * np.mean(errors)


@pytest.mark.parametrize("fwhm", [0.0, FWHM])
def test_a_bright_source_of_which_the_network_drew_little_has_the_error_of_the_data(fwhm):
    """Of 700 it drew 15: the data know the whole source, to one part in its S/N, whatever the network draws of it."""
    rng, errors, claimed = np.random.default_rng(9), [], []
    variance = (fwhm * gaussian_fwhm_to_sigma) ** 2
    snr = 700 * SIGMA / np.sqrt(SIGMA**2 + 2 * variance)
    rows, columns = np.mgrid[:N, :N]
    for _ in range(80):
        x, y = rng.uniform(28, 32, (2, 1))
        shown, hidden = (Components(x, y, np.array([flux]), variance * np.eye(2)[None]) for flux in (15.0, 685.0))
        profile = np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / (SIGMA**2 + variance))
        noise = observe(np.zeros((N, N)), rng)
        bright = hidden.on_grid((1, 1), (0.25 * PIXELS_PER_BEAM) ** 2).squares((N, N))
        observed = replace(noise, dirty=noise.dirty + 15 * profile * SIGMA**2 / (SIGMA**2 + variance), bright=bright)
        # The network has a fifth of what it is shown wrong.
        found = find_sources(shown.squares((N, N)) * rng.normal(1, 0.2), observed, 1.0, PIXELS_PER_BEAM)
        assert len(found) == 1
        errors.append([found.flux.item() - 700, found.x.item() - x.item(), found.y.item() - y.item()])
        claimed.append(np.sqrt(found.variance[0, [2, 0, 1]]))
    # Of flux and size together each is known less well than one alone (Condon 1997).
    assert 0.9 / snr < np.mean(claimed, 0)[0] / 700 < 2.1 / snr
    # What is measured in squares has its place to a thousandth of a pixel.
    np.testing.assert_allclose(np.std(errors, 0), np.hypot(np.mean(claimed, 0), [0, 1e-3, 1e-3]), rtol=0.3)
    assert (np.abs(np.mean(errors, 0)) < 0.75 * np.mean(claimed, 0)).all()


@pytest.mark.parametrize("long, wide", [(900.0, 60.0), (3000.0, 60.0), (300.0, 20.0)])
def test_a_jet_that_is_drawn_too_wide_does_not_become_narrower_than_a_point(long, wide):
    """Its moments were as negative as they had been large, in some images so much that the fit failed."""
    nothing, place = np.zeros(1), np.array([30.0])
    moments = np.diag([long, wide])[None]
    drawn = Detections(nothing.astype(int), place, place, nothing + 2e4, moments, np.zeros((1, 3)), nothing, nothing)
    along, across = (np.exp(-0.5 * ((np.arange(N) - 30) / width) ** 2) for width in (30, 0.5))
    jet, sky = np.outer(across, along), np.zeros((N, N))
    sky[5:56, 5:56] = profiles(drawn, np.array([[30], [30]]), 25)[0]
    found = refine(drawn, sky, observe(2e4 * jet / jet.sum()), PIXELS_PER_BEAM)
    assert np.linalg.eigvalsh(found.covariance).min() > -2.1 * SIGMA**2
    assert np.isfinite(found.flux).all() and (found.variance > 0).all()


def test_where_the_network_draws_nothing_of_a_bright_source_the_data_still_know_it():
    observed = replace(observe(source(30, 30, 4.0)), bright=gaussian_filter(source(30, 30, 696.0), 0.5))
    found = find_sources(np.zeros((N, N)), observed, 1.0, PIXELS_PER_BEAM)
    assert found.flux.item() == pytest.approx(700, abs=1)
    assert (found.x.item(), found.y.item()) == pytest.approx((30, 30), abs=0.01)


def test_a_faint_source_keeps_the_flux_that_the_network_gave_it():
    observed = observe(source(30, 30, 5.0))
    found = refine(detection(30, 30, 4.0), source(30, 30, 4.0), observed, PIXELS_PER_BEAM)
    assert found.flux.item() == pytest.approx(4.0, rel=0.02)


def test_no_source_goes_further_than_the_network_may_be_wrong():
    observed = observe(source(31.6, 30.0, 50.0))
    found = refine(detection(30.0, 30.0, 50.0), source(30.0, 30.0, 50.0), observed, 2.2)
    assert found.x.item() == pytest.approx(30 + POSITION_DOUBT * 2.2)


def test_at_the_edge_of_the_image_half_of_the_data_still_help():
    observed = observe(source(0.4, 62.9, 20.0))
    found = refine(detection(0.2, 62.7, 20.0), source(0.2, 62.7, 20.0), observed, 2.2)
    assert 0.2 < found.x.item() < 0.45
    assert 62.7 < found.y.item() < 62.95


def test_no_detections_are_no_sources():
    observed = observe(source(30, 30, 5.0))
    assert len(refine(Detections.empty(), observed.dirty, observed, PIXELS_PER_BEAM)) == 0


def test_what_the_data_leave_open_is_part_of_the_error():
    parts = [detection(30 + shift, 30, 5.0) for shift in (-0.1, 0.1)]
    both = Detections.concatenate(parts)
    left = np.tile([0.09, 0.09, 1.0], (2, 1))
    merged = merge(replace(both, sample=np.arange(2), variance=left), 2, radius=1.0)
    assert merged.x_err.item() == pytest.approx(np.sqrt(0.02 + 0.09))
    assert merged.y_err.item() == pytest.approx(0.3)
    assert merged.flux_err.item() == pytest.approx(1.0)


def test_pieces_of_an_extended_source_do_not_all_make_up_for_what_it_lacks():
    """Each of them grew by that, and the whole was a sixth too bright."""
    ratios = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:N, :N]
        disc = 1.5 * gaussian_filter((np.hypot(x - 31.3, y - 32.2) < 14).astype(float), 1)
        rough = gaussian_filter(rng.standard_normal((N, N)), 1.6)
        drawn = disc * np.exp(0.45 * rough / rough.std())
        observed = observe(disc, rng)
        drawn = towards_data(0.88 * disc.sum() / drawn.sum() * drawn, observed, PIXELS_PER_BEAM)
        detected = detect(drawn, 1.0, PIXELS_PER_BEAM)
        found = refine(detected, drawn, observed, PIXELS_PER_BEAM)
        assert len(detected) > 3
        ratios.append(found.flux.sum() / disc.sum())
    assert np.mean(ratios) == pytest.approx(1, abs=0.04) and np.std(ratios) < 0.04
