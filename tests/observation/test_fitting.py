"""Gaussians fitted through a PSF."""

import numpy as np
import pytest
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq

from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.fitting import Likelihood

N, PIXELS_PER_BEAM = 64, 2.2
SIGMA = PIXELS_PER_BEAM * gaussian_fwhm_to_sigma
STEPS = 12
EVERYWHERE = np.ones((N, N), bool)


@pytest.fixture(scope="module")
def psf():
    """A beam with a sidelobe, whose transform is positive; peak 1 at pixel (N, N)."""
    v, u = fftfreq(2 * N)[:, None], rfftfreq(2 * N)
    radius = np.hypot(v, u)
    transfer = np.exp(-2 * (np.pi * SIGMA * radius) ** 2) + 0.4 * np.exp(-0.5 * ((radius - 0.18) / 0.02) ** 2)
    image = np.roll(irfft2(transfer, s=(2 * N, 2 * N)), (N, N), (0, 1))
    return image / image.max()


def seen(components, psf):
    """Their dirty image; the last half of a period twice as long is empty."""
    shape = (2 * N, 2 * N)
    spectrum = components.spectrum(fftfreq(2 * N), rfftfreq(2 * N))
    return irfft2(spectrum * rfft2(np.roll(psf, (N, N), (0, 1))), s=shape)[:N, :N]


def noise(psf, rng):
    """Of unit variance and the spectrum of the PSF."""
    amplitude = np.sqrt(rfft2(np.roll(psf, (N, N), (0, 1))).real.clip(0))
    image = irfft2(rfft2(rng.standard_normal((2 * N, 2 * N))) * amplitude, s=(2 * N, 2 * N))
    return image[:N, :N]


def fit(start, dirty, psf, known=EVERYWHERE, steps=STEPS):
    likelihood = Likelihood(psf, PIXELS_PER_BEAM, known)
    for _ in range(steps):
        start = likelihood.expand(start, np.where(known, dirty - seen(start, psf), 0)).improved()
    return start


def gaussian(x, y, flux, *moments):
    xx, xy, yy = moments or (0, 0, 0)
    return Components(np.array([x]), np.array([y]), np.array([flux]), np.array([[[xx, xy], [xy, yy]]], float))


def test_the_noise_has_unit_variance(psf):
    rng = np.random.default_rng(0)
    assert np.mean([noise(psf, rng).var() for _ in range(20)]) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("moments", [(0, 0, 0), (0.5, 0.2, 0.3), (4.0, -1.0, 2.0)])
def test_from_a_wrong_start_the_truth_is_found(psf, moments):
    flux = 2000.0
    truth = gaussian(31.37, 28.61, flux, *moments)
    start = gaussian(30.9, 29.0, 0.8 * flux, *(np.array(moments) + [0.6, -0.1, 0.2]))
    found = fit(start, seen(truth, psf), psf, steps=25)
    assert found.flux.item() == pytest.approx(flux, rel=1e-3)
    assert (found.x.item(), found.y.item()) == pytest.approx((31.37, 28.61), abs=1e-3 * PIXELS_PER_BEAM)
    np.testing.assert_allclose(found.covariance, truth.covariance, atol=1e-3 * (SIGMA**2 + max(moments)))


def test_no_component_is_narrower_than_a_point(psf):
    found = fit(
        gaussian(30.2, 30.4, 100.0), seen(gaussian(30.2, 30.4, 100.0), psf) + noise(psf, np.random.default_rng(4)), psf
    )
    assert np.linalg.eigvalsh(found.covariance[0]).min() >= -1e-12


def test_errors_are_those_of_the_likelihood(psf):
    """Of the flux alone of a point the S/N is that in the dirty image; with its size they are correlated."""
    rng, pulls = np.random.default_rng(5), []
    flux, moments = 200.0, (3.0, 0.5, 2.0)
    # The information, from the dirty images of small changes (Fisher 1925).
    truth = np.array([31.3, 30.8, flux, *moments])
    steps = np.array([0.01, 0.01, 0.1, 0.01, 0.01, 0.01])
    spectra = []
    for i, step in enumerate(steps):
        up, down = (gaussian(*(truth + sign * step * (np.arange(6) == i))) for sign in (1, -1))
        spectra.append([(c.spectrum(fftfreq(2 * N), rfftfreq(2 * N))) for c in (up, down)])
    skies = [
        irfft2((up - down) / (2 * step), s=(2 * N, 2 * N)) for (up, down), step in zip(spectra, steps, strict=True)
    ]
    through = [irfft2(rfft2(sky) * rfft2(np.roll(psf, (N, N), (0, 1))), s=(2 * N, 2 * N)) for sky in skies]
    covariance = np.linalg.inv([[(sky * image).sum() for image in through] for sky in skies])
    for _ in range(50):
        dirty = seen(gaussian(*truth), psf) + noise(psf, rng)
        found = fit(gaussian(*truth), dirty, psf, steps=3)
        got = [found.x.item(), found.y.item(), found.flux.item(), *found.covariance[0].ravel()[[0, 1, 3]]]
        pulls.append((np.array(got) - truth) / np.sqrt(np.diag(covariance)))
    np.testing.assert_allclose(np.std(pulls, 0), 1, atol=0.25)
    np.testing.assert_allclose(np.mean(pulls, 0), 0, atol=0.45)


@pytest.mark.parametrize("x", [28.4, 31.8, 33.6])
def test_beside_what_is_not_known_size_does_not_change_and_place_is_what_the_known_part_says(psf, x):
    """A point before, at and beyond the last known column, 31; another one is far from it."""
    known = np.arange(N) < 32 + np.zeros((N, 1))
    truth = Components.concatenate([gaussian(x, 29.8, 1000.0), gaussian(15.4, 13.0, 100.0, 0.8, 0.1, 0.4)])
    start = Components.concatenate([gaussian(31.0, 30.2, 400.0), gaussian(15.2, 12.9, 80.0)])
    found = fit(start, seen(truth, psf), psf, known, 40)
    assert found.flux == pytest.approx(truth.flux, rel=0.01)
    assert np.hypot(found.x - truth.x, found.y - truth.y).max() < 0.02
    np.testing.assert_allclose(found.covariance, truth.covariance, atol=0.02)
    assert not found.covariance[0].any() or x < 29


def test_no_step_goes_further_than_the_doubts(psf):
    start = gaussian(30.0, 30.0, 100.0)
    found = Likelihood(psf, PIXELS_PER_BEAM, EVERYWHERE).expand(start, seen(gaussian(32.0, 30.0, 1e6), psf)).improved()
    assert found.flux.item() == pytest.approx(150.0)
    assert found.x.item() == pytest.approx(30.0 + 0.5 * PIXELS_PER_BEAM)


def test_two_closer_than_a_beam_are_told_apart(psf):
    """From halves of what one Gaussian is that has the moments of both; each for itself does not get there."""
    apart = 0.6 * PIXELS_PER_BEAM
    truth = Components.points([31.2 - apart / 2, 31.2 + apart / 2], [30.7, 30.7], [3000.0, 1500.0])
    start = gaussian(31.2 - apart / 6, 30.7, 4500.0, 2 / 9 * apart**2, 0, 0).parted()
    found = fit(start, seen(truth, psf), psf, steps=25)
    np.testing.assert_allclose(np.sort(found.flux), [1500, 3000], rtol=0.01)
    np.testing.assert_allclose(np.sort(found.x), truth.x, atol=0.01 * PIXELS_PER_BEAM)


def test_damping_makes_steps_shorter(psf):
    start, dirty = gaussian(30.0, 30.0, 100.0), seen(gaussian(30.4, 30.0, 120.0), psf)
    expansion = Likelihood(psf, PIXELS_PER_BEAM, EVERYWHERE).expand(start, dirty - seen(start, psf))
    far, near = (expansion.improved(damping) for damping in (1, 1e5))
    assert 0 < near.x.item() - 30 < 0.5 * (far.x.item() - 30)
    assert 0 < near.flux.item() - 100 < 0.5 * (far.flux.item() - 100)


@pytest.mark.parametrize("side", [12, 19, 24])
def test_an_image_may_be_small(psf, side):
    """Smaller than the patches around components, two of them close together."""
    middle = slice(N - side, N + side)
    cut = psf[middle, middle]
    truth = Components.points([side / 2 - 0.7, side / 2 + 0.7], [side / 2 - 0.3, side / 2], [500.0, 400.0])
    dirty = seen(truth, psf)[:side, :side]
    start = Components.points(truth.x + 0.2, truth.y, truth.flux)
    likelihood = Likelihood(cut, PIXELS_PER_BEAM, np.ones((side, side), bool))
    for _ in range(STEPS):
        start = likelihood.expand(start, dirty - seen(start, psf)[:side, :side]).improved()
    np.testing.assert_allclose(start.x, truth.x, atol=0.05)
