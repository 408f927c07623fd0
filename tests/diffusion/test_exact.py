"""The step from what is drawn to what the data say."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.fft import irfft2, rfft2

from astro_ddpm_imager.diffusion.exact import towards_data
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.simulate import Sources, sky_pixels

N, PIXELS_PER_BEAM = 64, 2.2
SIGMA = PIXELS_PER_BEAM * gaussian_fwhm_to_sigma


def source(flux, fwhm=0.5, x=30.3, y=25.8):
    size = fwhm * PIXELS_PER_BEAM
    return sky_pixels(Sources(*(np.array([value], float) for value in (x, y, flux, size, size, 0))), (N, N))


def observe(sky, rng=None):
    """A sky seen with a Gaussian PSF, with noise of that spectrum."""
    y, x = np.mgrid[: 2 * N, : 2 * N] - N
    psf = np.exp(-0.5 * (x**2 + y**2) / SIGMA**2)
    empty = GriddedObservation(np.zeros((N, N)), psf, np.ones((N, N)), SIGMA**2 * np.eye(2))
    dirty = empty.seen(sky)
    if rng is not None:
        amplitude = np.sqrt(rfft2(np.roll(psf, (N, N), (0, 1))).real.clip(0))
        dirty = dirty + irfft2(rfft2(rng.standard_normal((2 * N, 2 * N))) * amplitude, s=(2 * N, 2 * N))[:N, :N]
    return replace(empty, dirty=dirty)


def around(sky, x=30.3, y=25.8):
    """Flux within two beams of a place."""
    rows, columns = np.mgrid[:N, :N]
    return sky[np.hypot(columns - x, rows - y) < 2 * PIXELS_PER_BEAM].sum()


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_flux_that_is_drawn_wrong_comes_back(factor):
    flux = 50.0
    moved = towards_data(factor * source(flux), observe(source(flux)), PIXELS_PER_BEAM)
    # The prior that it was drawn with weighs a little, against an error of 1 that noise makes.
    assert around(moved) == pytest.approx(flux, abs=1.5)
    rng, errors = np.random.default_rng(6), []
    for _ in range(10):
        moved = towards_data(factor * source(flux), observe(source(flux), rng), PIXELS_PER_BEAM)
        errors.append(around(moved) - flux)
    # The errors are some of the noise of a Gaussian of any size.
    assert abs(np.mean(errors)) < 1.5 and np.std(errors) < 3


def test_a_source_that_is_drawn_in_the_wrong_place_explains_the_data_again():
    observed = observe(source(40.0))
    drawn = source(40.0, x=30.6, y=25.5)
    before, after = (
        observed.dirty - observed.seen(sky) for sky in (drawn, towards_data(drawn, observed, PIXELS_PER_BEAM))
    )
    assert np.abs(before).max() > 5 and np.abs(after).max() < 2.5


def test_an_empty_sky_stays_so():
    observed = observe(source(40.0))
    assert not towards_data(np.zeros((N, N)), observed, PIXELS_PER_BEAM).any()
    # And where nothing was drawn nothing comes.
    moved = towards_data(source(10.0, x=50, y=50), observed, PIXELS_PER_BEAM)
    assert around(moved) < 0.01


def test_a_sky_that_explains_the_data_stays():
    sky = source(40.0)
    np.testing.assert_allclose(towards_data(sky, observe(sky), PIXELS_PER_BEAM), sky, atol=1e-3)


def test_no_flux_is_negative():
    rng = np.random.default_rng(2)
    for _ in range(5):
        moved = towards_data(2 * source(8.0), observe(0 * source(8.0), rng), PIXELS_PER_BEAM)
        assert moved.min() >= 0


def test_a_faint_source_hardly_moves():
    """It is drawn as bright as the prior and the noise let it be; the data have been used."""
    moved = towards_data(source(4.0), observe(source(6.0)), PIXELS_PER_BEAM)
    assert 4.0 < around(moved) < 5.0


def test_the_more_counts_as_noise_the_less_it_moves():
    changes = []
    for noise in (1.0, 3.0, 10.0):
        observed = replace(observe(source(30.0)), noise=np.full((N, N), noise))
        changes.append(around(towards_data(source(24.0), observed, PIXELS_PER_BEAM)) - 24)
    assert changes[0] > 4.5 and changes[0] > 1.2 * changes[1] > 1.5 * changes[2] > 0


def test_what_is_blank_says_nothing():
    observed = observe(source(30.0))
    blank = replace(observed, pb=np.zeros((N, N)))
    np.testing.assert_allclose(towards_data(source(24.0), blank, PIXELS_PER_BEAM), source(24.0), atol=1e-5)


def test_samples_scatter_as_the_data_allow():
    """Those of a point of S/N 25 that a network draws with errors of 18% (and moves, and blurs)."""
    rng, snr, found = np.random.default_rng(3), 25.0, []
    observed = observe(source(snr, fwhm=0.15), rng)
    for _ in range(24):
        x, y = np.array([30.3, 25.8]) + rng.normal(0, 0.06 * PIXELS_PER_BEAM, 2)
        drawn = source(snr * rng.normal(1, 0.18), rng.uniform(0.15, 0.4), x, y)
        found.append([around(drawn), around(towards_data(drawn, observed, PIXELS_PER_BEAM))])
    before, after = np.std(found, axis=0) / snr
    assert before > 0.12 and after < 1.6 / snr
    assert np.mean(found, axis=0)[1] == pytest.approx(snr, abs=2.5)
