"""Sources of which the samples hold several versions: a blend or its parts, one place or another, any size."""

import numpy as np
import pytest

from astro_ddpm_imager.sources.aggregation import Detections, merge

N, RADIUS = 20, 1.32  # samples; 0.6 beams on the model's pixels
BEAM = RADIUS / 0.6


def samples_with(*skies, seed=0, fwhm=0.5, scattered=True):
    """Detections of skies, each (number of samples, [(x, flux), (x, flux, FWHM), ...]) in beams, with some scatter."""
    rng = np.random.default_rng(seed)
    rows, sample = [], 0
    for number, sources in skies:
        for _ in range(number):
            for x, flux, *size in sources:
                size = size[0] if size else fwhm
                scatter = scattered * (0.05 + 0.1 * size)
                place = BEAM * np.array([20 + x, 20]) + rng.normal(0, scatter * BEAM, 2)
                rows.append([sample, *place, flux * rng.normal(1, 0.05 * scattered), (size * BEAM / 2.3548) ** 2])
            sample += 1
    sample, x, y, flux, variance = np.array(rows).T
    covariance = variance[:, None, None] * np.eye(2)
    return Detections(sample.astype(int), x, y, flux, covariance, np.zeros((len(x), 3)), np.arange(len(x)), flux)


def listed(*skies, **settings):
    """Sources merged from such samples, from left to right."""
    merged = merge(samples_with(*skies, **settings), N, RADIUS)
    return merged.select(np.argsort(merged.x))


PAIR, BLEND = [(-0.7, 10), (0.7, 10)], [(0.0, 20)]
UNEVEN, BLEND_NEAR_ONE = [(-0.3, 14), (1.0, 6)], [(0.05, 20)]


@pytest.mark.parametrize(("parts", "blend"), [(PAIR, BLEND), (UNEVEN, BLEND_NEAR_ONE)])
def test_a_blend_that_most_samples_have_is_one_source_with_all_of_the_flux(parts, blend):
    merged = listed((12, blend), (8, parts))
    assert len(merged) == 1
    assert merged.fraction[0] == 1
    assert merged.flux[0] == pytest.approx(20, rel=0.03)
    assert merged.flux_err[0] < 2


@pytest.mark.parametrize(("parts", "blend"), [(PAIR, BLEND), (UNEVEN, BLEND_NEAR_ONE)])
def test_two_sources_that_most_samples_have_are_two_with_all_of_the_flux(parts, blend):
    merged = listed((8, blend), (12, parts))
    assert len(merged) == 2
    np.testing.assert_allclose(merged.flux, [flux for _, flux in parts], rtol=0.05)
    assert (merged.flux_err < 1.5).all()


def test_one_source_whose_place_is_uncertain_is_one_in_the_middle():
    merged = listed((11, [(0.0, 10)]), (9, [(0.8, 10)]))
    assert len(merged) == 1 and merged.fraction[0] == 1
    assert (merged.x[0] / BEAM - 20, merged.flux[0]) == pytest.approx((0.36, 10), abs=0.2)


def test_neighbours_that_do_not_share_their_flux_stay():
    """One of them is in half of the samples, and the other is as bright without it."""
    merged = listed((10, [(-0.65, 10), (0.65, 4)]), (10, [(-0.65, 10)]))
    np.testing.assert_allclose(merged.flux, [10, 4], rtol=0.05)
    np.testing.assert_allclose(merged.fraction, [1, 0.5])


def test_what_is_never_together_but_far_apart_stays():
    merged = listed((10, [(-2.0, 10)]), (10, [(2.0, 10)]))
    np.testing.assert_allclose(merged.fraction, [0.5, 0.5])


def test_two_samples_are_no_evidence():
    found = samples_with((1, [(-0.6, 10)]), (1, [(0.6, 10)]))
    assert len(merge(found, 2, RADIUS)) == 2


@pytest.mark.parametrize("fwhm", [5.0, 8.0])
def test_a_large_source_is_one_wherever_the_samples_have_its_middle(fwhm):
    merged = listed((N, [(0.0, 400, fwhm)]))
    assert len(merged) == 1 and merged.fraction[0] == 1
    assert merged.flux[0] == pytest.approx(400, rel=0.03)


def test_a_large_source_that_some_samples_have_in_pieces_keeps_its_flux():
    pieces = [(-2.0, 130, 2.5), (0.3, 140, 2.5), (2.4, 130, 2.5)]
    merged = listed((14, [(0.0, 400, 6)]), (6, pieces))
    likely = merged.select(merged.fraction > 0.2)
    assert len(likely) == 1 and likely.fraction[0] == 1
    assert likely.flux[0] == pytest.approx(400, rel=0.05)


def test_a_point_on_a_large_source_is_a_source_of_its_own():
    merged = listed((N, [(0.0, 400, 6), (1.0, 15, 0.3)]))
    assert len(merged) == 2
    np.testing.assert_allclose(np.sort(merged.flux), [15, 400], rtol=0.05)
    np.testing.assert_allclose(merged.fraction, 1)


def test_a_point_is_no_alternative_to_a_piece_of_what_it_lies_on():
    """A piece that a few samples have, among them by chance those without the point, and not at its place."""
    merged = listed((16, [(0, 3), (9, 2)]), (2, [(0, 3), (9, 2), (6, 40, 5)]), (2, [(9, 2), (6, 40, 5)]))
    point = merged.x.argmin()
    assert (merged.flux[point], merged.fraction[point]) == (pytest.approx(3, rel=0.05), 0.9)
    assert merged.flux_err[point] < 0.3


def seeds_at(*sources):
    """Sources that are given, each (x, flux, FWHM), in beams."""
    return samples_with((1, list(sources)), scattered=False)


def test_a_point_does_not_own_what_is_far_larger_in_its_place():
    found = samples_with((N, [(0, 3), (0, 60, 7)]))
    merged = merge(found, N, RADIUS, seeds_at((0, 3, 0.5), (3, 60, 7)))
    assert merged.flux[0] == pytest.approx(3, rel=0.05) and merged.flux_err[0] < 0.3


def test_given_sources_own_what_lies_within_their_size():
    found = samples_with((N, [(0.0, 400, 6)]))
    merged = merge(found, N, RADIUS, seeds_at((0.5, 300, 6)))
    assert merged.fraction.item() == 1 and merged.flux.item() == pytest.approx(400, rel=0.03)


def test_what_samples_have_is_nothing_where_no_source_is_given():
    assert len(merge(samples_with((3, [(0, 3)])), N, RADIUS, Detections.empty())) == 0
