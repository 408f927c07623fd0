"""Results that explain their data say so, those that do not say what is likely wrong."""

import logging
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.observation.grid import ModelGrid
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array
from astro_ddpm_imager.sources.aggregation import MergedSources
from astro_ddpm_imager.sources.fit import Residual, measure_fit
from astro_ddpm_imager.sources.flags import FLAGS

NOISE = 50e-6  # Jy/beam
SIDE = 256
TARGET = 150 * u.deg, 2 * u.deg


@pytest.fixture(scope="module")
def seen():
    return Observation(read_array("alma.cycle5.3"), *TARGET, shape=(SIDE, SIDE), integration=1 * u.min)


@pytest.fixture(scope="module")
def imager():
    return DiffusionImager(n_samples=8, seed=1, device="cpu", progress=False)


def image(seen, rng, *sources):
    """A dirty image with sources, each (x, y, S/N, FWHM in pixels)."""
    x, y, snr, fwhm = np.transpose([(100, 140, 25, 5), (170, 90, 12, 5), *sources]).astype(float)
    flux = snr * NOISE / seen.primary_beam_at(x, y)
    dirty = seen.dirty(Sources(x, y, flux, fwhm, fwhm, 0 * x), NOISE, rng)
    return CCDData(dirty, unit=u.Jy / u.beam, wcs=seen.wcs)


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_left_of_what_is_explained(seen, imager, caplog, seed):
    with caplog.at_level(logging.WARNING, "astro_ddpm_imager"):
        result = imager(image(seen, np.random.default_rng(seed)), seen.psf, seen.pb, beam=seen.beam)
    assert not result.fit.misfits and "residual" not in caplog.text
    assert result.fit.chi2 == pytest.approx(1, abs=5 * result.fit.chi2_err)
    assert result.image.header["DMISFIT"] == "" and result.image.header["DCHI2"] == round(result.fit.chi2, 3)
    assert not (result.catalog["flags"] & FLAGS["misfit"]).any() and (result.catalog["chi2"] < 4).all()


def test_corners_beyond_the_image_are_no_misfit():
    """Nearly a pixel beyond one, noise was four times as high as on the image."""
    seen = Observation(
        read_array("alma.cycle5.3"), *TARGET, shape=(250, 250), cell=0.05 * u.arcsec, integration=1 * u.min
    )
    nothing, corners, highest = Sources(*np.zeros((6, 0))), [], []
    for seed in range(20):
        data = CCDData(seen.dirty(nothing, NOISE, np.random.default_rng(seed)), unit=u.Jy / u.beam, wcs=seen.wcs)
        dirty = prepare(data, seen.psf, beam=seen.beam)
        grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
        gridded, sky = GriddedObservation.of(dirty, grid), np.zeros(grid.shape)
        residual = Residual.of(sky, gridded, grid)
        fit = measure_fit(residual, sky, gridded)
        corners.append(residual.image[gridded.pb > 0][-1])
        highest.append(max(fit.highest, -fit.lowest))
    assert np.std(corners) < 1.5 and max(highest) < fit.peak_limit


def test_the_psf_of_another_hour_is_found(seen, imager, caplog):
    """It is as wide as the beam, but another; a source of S/N 25 shows it by 5 to 9 sigma, in three of four fields."""
    psf = Observation(
        read_array("alma.cycle5.3"), *TARGET, shape=(SIDE, SIDE), integration=1 * u.min, hour_angle=2 * u.hourangle
    ).psf
    with caplog.at_level(logging.WARNING, "astro_ddpm_imager"):
        results = [imager(image(seen, np.random.default_rng(seed)), psf, seen.pb, beam=seen.beam) for seed in range(4)]
    found = [result for result in results if list(result.fit.misfits) == ["psf"]]
    assert len(found) >= 3 and caplog.text.count("PSF of this image") >= 3
    assert all(result.catalog.meta["misfit"] == "psf" for result in found)


def test_where_sidelobes_are_not_known_they_say_nothing_of_the_psf(seen):
    dirty = prepare(image(seen, np.random.default_rng(0)), seen.psf, seen.pb, beam=seen.beam)
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    gridded, sky = GriddedObservation.of(dirty, grid), np.zeros(grid.shape)
    sky[tuple(n // 2 for n in grid.shape)] = 300
    gridded = replace(gridded, dirty=1.3 * gridded.seen(sky))
    errors = []
    for noise in (1.0, 1.3):
        of_noise = replace(gridded, noise=np.full(grid.shape, noise))
        errors.append(measure_fit(Residual.of(sky, of_noise, grid), sky, of_noise).psf_error)
    assert errors[0] > 20 and errors[1] == 0


def test_where_sidelobes_are_not_known_a_quiet_residual_is_no_emission_that_fills_the_field(seen):
    nothing = seen.dirty(Sources(*np.zeros((6, 0))), NOISE, np.random.default_rng(0))
    dirty = prepare(CCDData(nothing, unit=u.Jy / u.beam, wcs=seen.wcs), seen.psf, seen.pb, beam=seen.beam)
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    gridded, sky = GriddedObservation.of(dirty, grid), np.zeros(grid.shape)
    doubted = gridded.noise.copy()
    doubted[:, : grid.shape[1] * 3 // 4] = 1.5
    doubted = replace(gridded, noise=doubted)
    quiet = replace(gridded, dirty=0.7 * gridded.dirty)
    fits = [measure_fit(Residual.of(sky, case, grid), sky, case) for case in (doubted, quiet)]
    assert fits[0].chi2 < 0.7 and not fits[0].misfits
    assert list(fits[1].misfits) == ["noise"]
    nowhere = replace(gridded, noise=np.full(grid.shape, 1.5))
    assert not measure_fit(Residual.of(sky, nowhere, grid), sky, nowhere).misfits


def test_absorption_is_found_and_its_neighbours_are_not_to_blame(seen, imager, caplog):
    with caplog.at_level(logging.WARNING, "astro_ddpm_imager"):
        result = imager(image(seen, np.random.default_rng(0), (60, 60, -15, 3)), seen.psf, seen.pb, beam=seen.beam)
    assert "negative" in result.fit.misfits and "is there absorption" in caplog.text
    assert result.fit.lowest == pytest.approx(-14, abs=3)
    bright = result.catalog["snr"] > 8
    assert not (result.catalog["flags"][bright] & FLAGS["misfit"]).any()


def test_a_source_with_more_than_noise_left_is_flagged():
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.normal(size=(64, 64)), 0.93)
    noise /= noise.std()
    left = noise.copy()
    left[18:23, 18:23] += 5
    one, two = np.ones(2), np.ones((2, 2))
    sources = MergedSources(
        x=np.array([20.0, 45]), y=np.array([20.0, 45]), flux=one, x_err=one, y_err=one, flux_err=one,
        covariance=np.tile(np.eye(2), (2, 1, 1)), peak=one, fraction=one, reliability=one, sample_flux=two,
        whole=np.arange(2), whole_flux=two,
    )  # fmt: skip
    chi2, misfit = Residual(left, np.ones((64, 64), dtype=bool), 5.5, 2.2).around(sources)
    assert misfit.tolist() == [True, False] and chi2[0] > 10 and chi2[1] < 3
    assert not Residual(noise, np.ones((64, 64), dtype=bool), 5.5, 2.2).around(sources)[1].any()
