"""Detecting in skies and merging what was found."""

import numpy as np
import pytest

from astro_ddpm_imager.simulate import Sources, sky_pixels
from astro_ddpm_imager.sources.aggregation import Detections, merge, without_luck
from astro_ddpm_imager.sources.detection import detect


def sources(x, y, flux, fwhm=1.8):
    x, y, flux = (np.array(v, dtype=float) for v in (x, y, flux))
    size = np.full(len(x), fwhm)
    return Sources(x, y, flux, size, size, np.zeros(len(x)))


def test_positions_fluxes_and_sizes_of_a_noiseless_sky():
    truth = sources([12.3, 40.7, 22.0], [8.9, 30.2, 50.5], [3.0, 9.0, 20.0])
    found = detect(sky_pixels(truth, (64, 64)), threshold=1.0, pixels_per_beam=2.2)
    order = np.argsort(found.flux)
    np.testing.assert_allclose(found.x[order], truth.x, atol=0.02)
    np.testing.assert_allclose(found.y[order], truth.y, atol=0.02)
    np.testing.assert_allclose(found.flux[order], truth.flux, rtol=0.02)
    np.testing.assert_allclose(found.covariance[:, 0, 0], truth.covariance[0][0] + 1 / 12, rtol=0.1)


def test_two_sources_a_beam_and_a_half_apart_are_two():
    found = detect(sky_pixels(sources([20, 23.3], [20, 20], [5, 5]), (48, 48)), 1.0, 2.2)
    assert len(found) == 2
    np.testing.assert_allclose(found.flux, 5, rtol=0.1)


@pytest.mark.parametrize("fwhm", [0.0, 1.0, 2.2, 4.4, 6.6])
def test_the_flux_of_any_size_is_whole(fwhm):
    found = detect(sky_pixels(sources([30.3], [31.8], [50.0], fwhm), (64, 64)), 1.0, 2.2)
    assert len(found) == 1 and found.flux[0] == pytest.approx(50, rel=0.02)


def test_a_ripple_on_an_extended_source_is_no_source():
    sky = sky_pixels(sources([30, 30, 33], [30, 30, 31], [80.0, 0.8, 0.8], 6.6), (64, 64))
    sky[30, 34] *= 1.15
    assert len(detect(sky, 1.0, 2.2)) == 1


@pytest.mark.parametrize("beams", [5, 8])
def test_a_lane_through_a_large_source_does_not_make_it_two(beams):
    sky = sky_pixels(sources([40.2], [39.9], [400.0], beams * 2.2), (80, 80))
    sky *= 1 - 0.6 * np.exp(-0.5 * ((np.arange(80) - 40) / 1.5) ** 2)
    found = detect(sky, 1.0, 2.2)
    assert len(found) == 1 and found.flux[0] == pytest.approx(sky.sum(), rel=0.02)


@pytest.mark.parametrize("size", [6, 10])
@pytest.mark.parametrize("ground", [3, 8])
def test_points_on_a_halo_are_sources_of_their_own(size, ground):
    """Their brightness in the beam is 40 and 60, that of the halo ``ground``; halo and points have their own fluxes."""
    halo = ground * size**2
    x, y, flux = [60, 66.4, 53.2], [60, 54.7, 66.8], [40.0, 60.0, 40.0]
    sky = sky_pixels(sources([60], [60], [halo], size * 2.2), (120, 120)) + sky_pixels(
        sources(x, y, flux, 0.0), (120, 120)
    )
    found = detect(sky, 1.0, 2.2)
    compact = np.sqrt(np.linalg.det(found.covariance)) < 2.2**2 / 4
    assert compact.sum() == 3
    for x0, y0, flux0 in zip(x, y, flux, strict=True):
        nearest = np.argmin(np.hypot(found.x - x0, found.y - y0) + 99 * ~compact)
        assert np.hypot(found.x[nearest] - x0, found.y[nearest] - y0) < 0.6
        assert found.flux[nearest] == pytest.approx(flux0, rel=0.15)
        assert (found.island == found.island[nearest]).sum() == 1
    assert found.flux[~compact].sum() == pytest.approx(halo, rel=0.05)


@pytest.mark.parametrize("fwhm", np.arange(1.0, 3.0, 0.2))
def test_the_wings_of_a_bright_source_are_its_own(fwhm):
    found = detect(sky_pixels(sources([40.3], [41.8], [5000.0], fwhm * 2.2), (80, 80)), 1.0, 2.2)
    assert len(found) == 1 and found.flux[0] == pytest.approx(5000, rel=0.01)


def test_faint_flux_and_an_empty_sky_are_no_sources():
    assert len(detect(sky_pixels(sources([20], [20], [0.9]), (48, 48)), 1.0, 2.2)) == 0
    assert len(detect(np.zeros((48, 48)), 1.0, 2.2)) == 0


def detections(sample, x, y, flux):
    return Detections(
        np.array(sample),
        np.array(x, float),
        np.array(y, float),
        np.array(flux, float),
        np.tile(np.eye(2), (len(x), 1, 1)),
        np.zeros((len(x), 3)),
        np.arange(len(x)),
        np.array(flux, float),
    )


def test_merging_gives_mean_spread_and_reliability():
    found = detections([0, 1, 2, 0, 3], [10, 10.2, 10.4, 30, 30], [5, 5, 5, 7, 7.2], [2, 3, 4, 1, 1])
    merged = merge(found, n_samples=4, radius=1.5)
    assert len(merged) == 2
    first, second = merged.select([0]), merged.select([1])
    assert (first.x.item(), first.flux.item(), first.reliability.item()) == pytest.approx((10.2, 3.0, 0.75))
    assert (first.x_err.item(), first.flux_err.item()) == pytest.approx((0.2, 1.0))
    assert (second.y.item(), second.reliability.item()) == pytest.approx((7.1, 0.5))


def test_pieces_of_one_source_in_one_sample_are_added_up():
    merged = merge(detections([0, 0, 1], [10, 11, 10.4], [5, 5, 5], [2, 2, 4]), n_samples=2, radius=1.5)
    assert len(merged) == 1
    assert merged.reliability[0] == 1
    assert merged.flux[0] == pytest.approx(4)
    assert merged.flux_err[0] == pytest.approx(0)


def test_merging_nothing():
    merged = merge(Detections.empty(), n_samples=5, radius=1.0)
    assert len(merged) == 0 and merged.covariance.shape == (0, 2, 2)


def test_one_sample_gives_no_errors_rather_than_zeros():
    merged = merge(detections([0], [10], [5], [2]), n_samples=1, radius=1.0)
    assert merged.reliability[0] == 1 and np.isnan(merged.flux_err[0])


def test_equal_peaks_side_by_side_are_one_source():
    sky = np.zeros((32, 32))
    sky[10, 10:12] = 5.0
    found = detect(sky, 1.0, 2.2)
    assert len(found) == 1 and found.x[0] == pytest.approx(10.5) and found.flux[0] == pytest.approx(10)


def test_luck_is_taken_out_of_the_reliability():
    """A source in 3 of 4 samples, whose mean is half again as high as the model expects, has a reliability of 0.5."""
    merged = merge(detections([0, 1, 2], [10, 10, 10], [5, 5, 5], [2, 2, 2]), n_samples=4, radius=1.5)
    drawn = np.zeros((16, 16))
    drawn[5, 10] = 1.5
    corrected = without_luck(merged, drawn, drawn / 1.5, 0.7)
    assert corrected.reliability[0] == pytest.approx(0.5) and corrected.fraction[0] == 0.75
    assert without_luck(merged, drawn, 3 * drawn, 0.7).reliability[0] == 1
    assert without_luck(merged, 0 * drawn, drawn, 0.7).reliability[0] == 0.75
