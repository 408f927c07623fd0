"""Fluxes of sources of known place and shape."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.stats import gaussian_fwhm_to_sigma

from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array
from astro_ddpm_imager.sources.fluxes import as_components, fit_fluxes, resized

X, Y, SIZE = np.array([40.3, 45.1, 84.7, 88.2]), np.array([40.8, 88.2, 60.4, 64.9]), np.array([0.0, 6.0, 9.0, 0.0])
FLUX = np.array([1e-3, 1.5e-3, 3e-3, 1e-3])  # the last two are within a beam and a half
PLACES = Components(X, Y, np.ones(4), np.eye(2) * (gaussian_fwhm_to_sigma * SIZE[:, None, None]) ** 2)


@pytest.fixture(scope="module", params=["natural", "briggs", "uniform"])
def seen(request):
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, -20 * u.deg, integration=300 * u.s, shape=(128, 128),
        cell=0.15 * u.arcsec, weighting=request.param,
    )  # fmt: skip


def dirty_image(seen, rms, seed, sources=None):
    sources = Sources(X, Y, FLUX, SIZE, SIZE, np.zeros(4)) if sources is None else sources
    data = seen.dirty(sources, rms, np.random.default_rng(seed))
    return prepare(CCDData(data, unit="Jy/beam", wcs=seen.wcs), seen.psf, seen.pb, beam=seen.beam)


def test_fluxes_are_unbiased_and_their_errors_right_whatever_the_weighting(seen):
    pulls, truth = [], FLUX * seen.primary_beam_at(X, Y)
    for seed in range(25):
        flux, covariance, rms = fit_fluxes(dirty_image(seen, 60e-6, seed), PLACES)
        pulls.append((flux - truth) / np.sqrt(np.diagonal(covariance)))
    assert rms == pytest.approx(60e-6 * seen.noise_factor, rel=0.15)
    assert np.abs(np.mean(pulls, axis=0)).max() < 4 / np.sqrt(25)
    assert 0.75 < np.std(pulls) < 1.25


def test_nothing_to_measure(seen):
    flux, covariance, rms = fit_fluxes(dirty_image(seen, 60e-6, 1), PLACES.select([]))
    assert flux.shape == (0,) and covariance.shape == (0, 0) and rms > 0


def test_size_follows_flux(seen):
    dirty = dirty_image(seen, 1e-6, 1)
    wide = Components(X, Y, np.ones(4), PLACES.covariance * 1.4 + np.eye(2))
    truth = FLUX * seen.primary_beam_at(X, Y)
    assert (fit_fluxes(dirty, wide)[0] > 1.1 * truth).all()
    np.testing.assert_allclose(fit_fluxes(dirty, resized(dirty, wide, truth))[0], truth, rtol=0.08)


def test_a_catalogue_as_components(result):
    catalog, wcs = result.catalog, result.dirty.wcs
    places = as_components(catalog, wcs)
    np.testing.assert_array_equal(places.x, catalog["x"])
    scale = np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600
    area = np.sqrt(np.linalg.det(places.covariance)) * scale**2 / gaussian_fwhm_to_sigma**2
    np.testing.assert_allclose(area, (catalog["major"] * catalog["minor"]).to_value(u.arcsec**2), rtol=1e-3)
