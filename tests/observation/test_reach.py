"""The PSF beyond its image."""

import astropy.units as u
import numpy as np
import pytest
from scipy.fft import set_workers

from astro_ddpm_imager.observation.reach import (
    continue_psf,
    continued_by_rows,
    covering,
    doubt_beyond,
    end_psf,
    sidelobe_doubt,
)
from astro_ddpm_imager.simulate import Observation, read_array

N = 128


def rms(values):
    return np.sqrt(np.mean(values**2))


def distances(n):
    """From the middle of 2 n pixels, the larger one on both axes, in units of what n pixels reach."""
    along = np.abs(np.arange(2 * n) - n) / (n // 2)
    return np.maximum(along[:, None], along)


@pytest.fixture(
    scope="module", params=[(1.0, 0.1), (20.0, 0.1), (20.0, 0.25)], ids=["minute", "long", "few pixels a beam"]
)
def psfs(request):
    """A PSF of ALMA, in minutes and arcsec, on N pixels and on 2 N."""
    minutes, cell = request.param
    common = {"duration": minutes * u.min, "integration": min(minutes, 2) * u.min, "cell": cell * u.arcsec}
    array = read_array("alma.cycle5.3")
    return tuple(Observation(array, 150 * u.deg, 2 * u.deg, shape=(n, n), **common).psf for n in (N, 2 * N))


def test_it_is_the_known_one_inside(psfs):
    psf, whole = psfs
    inside = distances(N) < 0.9
    for continued in (continue_psf(psf, (N, N)), end_psf(psf, (N, N))[0]):
        assert continued.shape == (2 * N, 2 * N)
        np.testing.assert_allclose(continued[inside], whole[inside], atol=1e-6)
    assert not sidelobe_doubt(psf, (N, N))[distances(N) < 0.89].any()


def test_by_rows_it_is_the_same(psfs):
    psf, _ = psfs
    whole = continue_psf(psf, (N, N))
    with set_workers(2):
        rows_of = continued_by_rows(psf, (N, N))
        parts = [rows_of(slice(*rows)) for rows in ((0, 100), (100, 200), (200, 2 * N))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert sidelobe_doubt(psf, (N, N)).max() <= doubt_beyond(psf)


def test_beyond_it_is_nearer_to_the_truth_than_nothing_is(psfs):
    psf, whole = psfs
    beyond = (distances(N) > 1) & (distances(N) < 1.5)
    assert rms((continue_psf(psf, (N, N)) - whole)[beyond]) < 0.95 * rms(whole[beyond])


def test_its_errors_are_those_that_are_expected(psfs):
    """At each distance within a factor of 2.5, and no more of them far out than in a normal distribution."""
    psf, whole = psfs
    error, doubt = continue_psf(psf, (N, N)) - whole, sidelobe_doubt(psf, (N, N))
    for nearest in (1.0, 1.25, 1.5, 1.75):
        ring = (distances(N) >= nearest) & (distances(N) < nearest + 0.25)
        assert 1 / 2.5 < rms(error[ring]) / rms(doubt[ring]) < 2.5
    beyond = distances(N) > 1
    assert np.mean(np.abs(error[beyond]) < 2.5 * doubt[beyond]) > 0.9


def test_of_a_psf_that_ends_as_much_is_doubted_as_there_is_at_its_edge(psfs):
    psf, whole = psfs
    ended, doubt = end_psf(psf, (N, N))
    outside = distances(N) > 1
    assert not ended[outside].any()
    assert 1 / 2.5 < rms(whole[outside]) / rms(doubt[outside]) < 2.5


@pytest.mark.parametrize("shape", [(96, 96), (97, 97), (96, 113), (97, 80)])
def test_odd_and_even_sizes_are_symmetric_about_the_peak(psfs, shape):
    """As every PSF is, for an image on the sky is real."""
    _, whole = psfs
    ny, nx = shape
    psf = whole[N - ny // 2 : N - ny // 2 + ny, N - nx // 2 : N - nx // 2 + nx]
    for image in (continue_psf(psf, shape), sidelobe_doubt(psf, shape), *end_psf(psf, shape)):
        assert image.shape == (2 * ny, 2 * nx)
        np.testing.assert_allclose(image[1:, 1:], image[:0:-1, :0:-1], atol=1e-5)
    continued = continue_psf(psf, shape)
    assert np.unravel_index(continued.argmax(), continued.shape) == shape
    assert continued.max() == pytest.approx(1, abs=1e-6)


def test_a_psf_smaller_than_the_image_is_continued_to_all_of_it(psfs):
    psf, whole = psfs
    continued = continue_psf(psf[32:96, 32:96], (N, N))
    known = np.s_[N - 28 : N + 29, N - 28 : N + 29]
    assert continued.shape == (2 * N, 2 * N) and np.isfinite(continued).all()
    np.testing.assert_allclose(continued[known], whole[known], atol=1e-6)
    assert rms(continued) < 2 * rms(whole)


@pytest.mark.parametrize("shape", [(n, n) for n in (11, 22, 30, 40, 41, 43)] + [(41, 90)])
def test_of_a_small_psf_the_sidelobes_beyond_are_doubted_everywhere(psfs, shape):
    """Whose few pixels leave some distances out."""
    _, whole = psfs
    psf = whole[tuple(slice(N - n // 2, N - n // 2 + n) for n in shape)]
    doubt = sidelobe_doubt(psf, (N, N))
    reached = np.maximum(*(np.abs(p - N) / (n // 2) for p, n in zip(np.indices(doubt.shape), shape, strict=True)))
    assert np.isfinite(doubt).all() and (doubt[reached > 1] > 0).all()
    assert 0 < doubt_beyond(psf) < 1


def test_a_kernel_covers_an_image_from_its_middle():
    kernel = np.arange(15.0).reshape(3, 5)
    image = covering(kernel, (10, 12))
    assert image.shape == (20, 24) and image.sum() == kernel.sum()
    np.testing.assert_array_equal(image[9:12, 10:15], kernel)
    np.testing.assert_array_equal(covering(np.ones((50, 50)), (10, 12)), np.ones((20, 24)))
