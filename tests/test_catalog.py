"""Fluxes and numbers of sources in catalogues of simulated fields: faint ones, close pairs, large ones."""

import functools

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.imager import CATALOGS
from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.simulate import Observation, Sources, read_array
from astro_ddpm_imager.sources.fluxes import fit_fluxes

NOISE = 50e-6  # Jy/beam
SIDE = 224  # pixels of 0.1 arcsec
BEAM = 8.56  # pixels
imager = functools.partial(DiffusionImager, n_samples=16, seed=4, device="cpu", threads=1, progress=False)


@pytest.fixture(scope="module")
def observation():
    """Twenty minutes of ALMA."""
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, shape=(SIDE, SIDE), integration=2 * u.min
    )  # fmt: skip


def dirty(observation, x, y, flux, fwhm, seed):
    """Dirty image of Gaussians, flux in units of the noise, without a primary beam, and its PSF."""
    flux = NOISE * flux / observation.primary_beam_at(x, y)
    fwhm = np.broadcast_to(np.asarray(fwhm, float) * BEAM, flux.shape)
    data = observation.dirty(Sources(x, y, flux, fwhm, fwhm, np.zeros(len(x))), NOISE, np.random.default_rng(seed))
    beam = observation.beam
    header = {name: value.to_value(u.deg) for name, value in
              (("BMAJ", beam.major), ("BMIN", beam.minor), ("BPA", beam.pa))}  # fmt: skip
    return CCDData(data, unit=u.Jy / u.beam, wcs=observation.wcs, meta=header), observation.psf


def places(rng, number):
    """Centres of the cells of a grid of number x number, each moved a little."""
    grid = (np.arange(number) + 0.5) * SIDE / number
    return (axis.ravel() + rng.uniform(-8, 8, number**2) for axis in np.meshgrid(grid, grid))


def test_sources_of_the_median_have_fluxes_and_errors_of_the_samples(observation):
    """The median over samples is fainter where some of them lack a source, or have it elsewhere."""
    differences, errors = [], []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        x, y = places(rng, 3)
        files = dirty(observation, x, y, np.full(9, 9.0), 0.7, seed)
        merged, seen = (imager(catalog=kind)(*files).catalog for kind in CATALOGS)
        for source in seen:
            same = merged[np.hypot(merged["x"] - source["x"], merged["y"] - source["y"]).argmin()]
            differences.append((source["flux"] - same["flux"]) / same["flux_err"])
            errors.append(source["flux_err"] / same["flux_err"])
    assert len(differences) > 12
    assert np.median(differences) == pytest.approx(0, abs=0.1) and np.mean(np.abs(differences)) < 0.3
    assert np.median(errors) == pytest.approx(1, abs=0.1)


def test_points_have_the_peak_that_the_data_have_and_no_size(observation):
    """Of S/N 15 to 40; their flux is known less well than their peak, and their size is what flux and peak leave."""
    ratios, fluxes, sizes = [], [], []
    for seed in range(2):
        rng = np.random.default_rng(40 + seed)
        x, y = places(rng, 3)
        flux = np.exp(rng.uniform(np.log(15), np.log(40), 9))
        result = imager()(*dirty(observation, x, y, flux, 0.0, seed))
        found = result.catalog
        nearest = [np.hypot(found["x"] - x[i], found["y"] - y[i]).argmin() for i in range(9)]
        fitted, _, _ = fit_fluxes(result.dirty, Components.points(x, y, np.ones(9)))
        ratios.extend(found["peak_flux"].value[nearest] / fitted)
        fluxes.extend(found["flux"].value[nearest] / fitted)
        sizes.extend(found["major"].to_value(u.arcsec)[nearest] / (0.1 * BEAM))
    assert np.mean(ratios) == pytest.approx(1, abs=0.015)
    assert np.mean(fluxes) == pytest.approx(1, abs=0.04)
    assert np.mean(np.less(sizes, 0.1)) > 0.3 and np.mean(sizes) < 0.25


def test_a_close_pair_is_one_source_or_two_with_all_of_its_flux(observation):
    find = imager()
    for seed in range(2):
        rng = np.random.default_rng(20 + seed)
        x, y = places(rng, 2)
        distance, angle = rng.uniform(0.6, 0.75, 4) * BEAM, rng.uniform(0, np.pi, 4)
        dx, dy = distance * np.cos(angle), distance * np.sin(angle)
        flux = np.exp(rng.uniform(np.log(10), np.log(20), 4))
        both = np.concatenate([x - dx, x + dx]), np.concatenate([y - dy, y + dy]), np.concatenate([flux, 0.7 * flux])
        found = find(*dirty(observation, *both, 0.5, seed)).catalog
        for i in range(4):
            pair = found[np.hypot(found["x"] - x[i], found["y"] - y[i]) < 1.6 * BEAM]
            assert 1 <= len(pair) <= 2
            difference = pair["flux"].value.sum() / NOISE - 1.7 * flux[i]
            assert abs(difference) < 3 * np.sqrt((pair["flux_err"].value ** 2).sum()) / NOISE


@pytest.mark.parametrize("fwhm", [5.0, 8.0])
def test_a_large_source_is_in_the_catalogue_once(observation, fwhm):
    middle, flux = np.full(1, SIDE / 2 + 0.3), np.full(1, 15 * (1 + fwhm**2))
    found = imager()(*dirty(observation, middle, middle, flux, fwhm, 7)).catalog
    main = found[found["flux"].argmax()]
    assert main["reliability"] > 0.9
    assert main["flux"] >= 0.9 * found["flux"].sum()
    assert np.hypot(main["x"] - middle[0], main["y"] - middle[0]) < 0.2 * fwhm * BEAM
