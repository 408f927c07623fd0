"""Gaussian components anywhere between pixels."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from radio_beam import Beam
from scipy.fft import fftfreq, rfft2, rfftfreq

from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array

from ..conftest import make_wcs

WIDE = np.array([[[30.0, 9.0], [9.0, 16.0]]])
ROUND = np.array([[[1.0, 0.0], [0.0, 1.0]]])


def one(x, y, flux=1.0, covariance=0 * WIDE):
    return Components(np.array([x]), np.array([y]), np.array([flux]), covariance)


def moments(image):
    """Flux, centroid and second moments of an image."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    flux = image.sum()
    x0, y0 = (x * image).sum() / flux, (y * image).sum() / flux
    xx, xy, yy = ((first * second * image).sum() / flux for first, second in
                  ((x - x0, x - x0), (x - x0, y - y0), (y - y0, y - y0)))  # fmt: skip
    return flux, x0, y0, np.array([[xx, xy], [xy, yy]])


def test_the_spectrum_is_the_transform_of_a_sampled_gaussian():
    y, x = np.mgrid[:96, :128]
    dx, dy = x - 61.3, y - 44.6
    (xx, xy), (_, yy) = np.linalg.inv(WIDE[0])
    sampled = np.exp(-0.5 * (xx * dx**2 + 2 * xy * dx * dy + yy * dy**2))
    sampled *= 3.0 / (2 * np.pi * np.sqrt(np.linalg.det(WIDE[0])))
    spectrum = one(61.3, 44.6, 3.0, WIDE).spectrum(fftfreq(96), rfftfreq(128))
    np.testing.assert_allclose(spectrum, rfft2(sampled), atol=1e-6)


def test_the_spectrum_of_several_is_the_sum():
    both = Components.concatenate([one(10.2, 8.8, 2.0, WIDE), one(20.1, 3.3, -1.0)])
    v, u_ = fftfreq(32), rfftfreq(32)
    alone = [both.select([i]).spectrum(v, u_) for i in (0, 1)]
    np.testing.assert_allclose(both.spectrum(v, u_), alone[0] + alone[1])
    assert both.spectrum(np.zeros(1), np.zeros(1)).item() == pytest.approx(1.0)


@pytest.mark.parametrize("covariance", [0 * WIDE, 0.3 * ROUND, ROUND, WIDE])
@pytest.mark.parametrize(("x", "y"), [(40.0, 50.0), (40.5, 50.0), (40.27, 49.61)])
def test_pixels_have_flux_centroid_and_moments(x, y, covariance):
    flux, x0, y0, second = moments(one(x, y, 7.0, covariance).pixels((96, 96)))
    assert flux == pytest.approx(7.0)
    assert (x0, y0) == pytest.approx((x, y), abs=0.01)
    np.testing.assert_allclose(second, covariance[0], atol=0.1, rtol=0.02)


@pytest.mark.parametrize("covariance", [0.3 * ROUND, ROUND, WIDE])
@pytest.mark.parametrize(("x", "y"), [(40.0, 50.0), (40.5, 50.0), (40.27, 49.61)])
def test_squares_are_positive_and_wider_by_the_moments_of_a_pixel(x, y, covariance):
    image = one(x, y, 7.0, covariance).squares((96, 96))
    flux, x0, y0, second = moments(image)
    assert image.min() >= 0
    assert flux == pytest.approx(7.0)
    assert (x0, y0) == pytest.approx((x, y), abs=2e-3)
    np.testing.assert_allclose(second, covariance[0] + np.eye(2) / 12, atol=0.02, rtol=1e-3)


def test_the_squares_of_points_have_their_flux_and_on_average_their_place():
    """A pixel says no more than that: around the true place the flux has the moments of a pixel."""
    rng, off, wide = np.random.default_rng(1), [], []
    for x, y in rng.uniform(28, 36, (400, 2)):
        image = one(x, y, 2.0).squares((64, 64))
        flux, x0, y0, second = moments(image)
        assert image.min() >= 0 and flux == pytest.approx(2.0)
        off.append([x0 - x, y0 - y])
        wide.append(np.diagonal(second) + np.square(off[-1]))
    np.testing.assert_allclose(np.mean(off, 0), 0, atol=0.05)
    np.testing.assert_allclose(np.mean(wide, 0), 1 / 12, rtol=0.15)


@pytest.mark.parametrize("pixels_per_beam", [3.05, 8.0])
def test_the_psf_sees_the_pixels_of_a_point_where_it_is(pixels_per_beam):
    """As `see` does, which goes through its transform, and as the visibilities have it."""
    array, cell = read_array("alma.cycle5.3"), 0.8555 / pixels_per_beam * u.arcsec
    seen = Observation(array, 150 * u.deg, 2 * u.deg, shape=(96, 96), cell=cell, integration=5 * u.min)
    whole = Observation(array, 150 * u.deg, 2 * u.deg, shape=(192, 192), cell=cell, integration=5 * u.min)
    x, y = 51.37, 40.62
    truth = Sources(*(np.array([value]) for value in (x, y, 1 / seen.primary_beam_at(x, y), 0.0, 0.0, 0.0)))
    expected = seen.dirty(truth, 0.0, np.random.default_rng(0))
    header = {"BMAJ": seen.beam.major.to_value(u.deg), "BMIN": seen.beam.minor.to_value(u.deg), "BPA": 0.0}
    noise = 1e-3 * np.random.default_rng(0).standard_normal((96, 96))
    dirty = prepare(CCDData(expected + noise, unit=u.Jy / u.beam, wcs=seen.wcs, meta=header), psf=seen.psf)
    # All of the PSF, so that nothing of it ends within the image.
    dirty.__dict__["covering_psf"] = whole.psf
    point = one(x, y)
    through = dirty.see(point)
    np.testing.assert_allclose(through, expected, atol=0.005)
    np.testing.assert_allclose(dirty.see(Components.points([], [], []), point.pixels((96, 96))), through, atol=0.01)


def test_what_lies_outside_an_image_is_not_in_it():
    shape = (40, 50)
    for method in (Components.pixels, Components.squares):
        for x, y in ((-200.0, 20.0), (20.0, 500.3), (75.2, -30.0)):
            assert not method(one(x, y, 5.0, ROUND), shape).any()
        half = method(one(-0.5, 20.0, 5.0, ROUND), shape)
        assert half.sum() == pytest.approx(2.5, rel=0.05)
        # The part of it that is inside is that of the same source in the middle of a larger image.
        larger = method(one(99.5, 20.0, 5.0, ROUND), (40, 150))
        np.testing.assert_allclose(half, larger[:, 100:], atol=1e-12)


def test_gaussians_seen_beyond_the_edge_still_have_sidelobes_inside():
    """A source just outside the image is seen in it."""
    wcs = make_wcs((64, 64))
    y, x = np.mgrid[:64, :64] - 32
    psf = np.exp(-0.5 * (x**2 + y**2) / 2.5**2) + 0.05 * np.cos(np.hypot(x, y)) * (np.hypot(x, y) > 9)
    noise = 1e-3 * np.random.default_rng(0).standard_normal((64, 64))
    image = CCDData(noise, unit=u.Jy / u.beam, wcs=wcs)
    dirty = prepare(image, psf=psf, beam=Beam(0.59 * u.arcsec))
    seen = dirty.see(one(-1.0, 30.0, 2.0))
    np.testing.assert_allclose(seen[30, :20], 2 * psf[32, 33:53], atol=0.03)


def test_what_is_near_is_within_a_distance_of_half_of_the_peak():
    shape, reach = (30, 40), 3.0
    wide = one(30, 20, covariance=16 * ROUND)
    near = Components.concatenate([one(1, 2), wide]).near(shape, reach)
    y, x = np.indices(shape)
    radius = reach + 4 * np.sqrt(2 * np.log(2))
    np.testing.assert_array_equal(near, (np.hypot(x - 1, y - 2) < reach) | (np.hypot(x - 30, y - 20) < radius))
    assert not Components.points([], [], []).near(shape, reach).any()


def test_components_on_other_pixels():
    source = one(30.0, 12.0, 2.0, WIDE)
    other = source.on_grid((2.0, 3.0), 0.5)
    assert (other.x.item(), other.y.item(), other.flux.item()) == (10.0, 6.0, 2.0)
    np.testing.assert_allclose(other.covariance[0], [[30 / 9 + 0.5, 9 / 6], [9 / 6, 16 / 4 + 0.5]])
    back = source.on_grid((2.0, 3.0)).on_grid((0.5, 1 / 3))
    np.testing.assert_allclose(back.covariance, WIDE)


def test_parts_have_the_moments_of_the_whole():
    """Two of half the flux, along the longer axis, as narrow there as a point; of a point nothing is moved."""
    parts = Components.concatenate([one(30.0, 12.0, 2.0, WIDE), one(5.0, 6.0, 1.0)]).parted()
    np.testing.assert_allclose(parts.flux, [1.0, 0.5, 1.0, 0.5])
    np.testing.assert_allclose((parts.x[[1, 3]], parts.y[[1, 3]]), [[5.0, 5.0], [6.0, 6.0]])
    away = np.array([parts.x[0] - parts.x[2], parts.y[0] - parts.y[2]]) / 2
    np.testing.assert_allclose(parts.covariance[0] + np.outer(away, away), WIDE[0], atol=1e-12)
    assert np.linalg.eigvalsh(WIDE[0])[1] == pytest.approx(away @ away)
