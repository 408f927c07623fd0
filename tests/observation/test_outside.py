"""Bright sources just outside an image."""

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.stats import mad_std

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.observation.bright import subtract_bright
from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.outside import likely_outside, unseen_sidelobes
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array

NOISE = 1e-4  # Jy/beam
SIDE, START = 120, 60  # of the image, and where that begins in a larger one
FAINT = (45.3, 70.6, 12.0)
WHERE = {"left": (-1, 0), "right": (1, 0), "bottom": (0, -1), "top": (0, 1)}


@pytest.fixture(scope="module")
def observed():
    """A function that images points, (x, y, S/N) on the pixels of the image, with or without noise."""
    array = read_array("atca.6a")  # few antennas: high sidelobes
    setup = {"frequency": 5.5 * u.GHz, "cell": 0.5 * u.arcsec, "duration": 8 * u.hour, "integration": 5 * u.min}
    seen = Observation(array, 60 * u.deg, -45 * u.deg, shape=(240, 240), **setup)

    def image(*points, seed=0, blank=0):
        x, y, snr = np.transpose(points)
        x, y = x + START, y + START
        sources = Sources(x, y, NOISE * snr / seen.primary_beam_at(x, y), 0 * x, 0 * x, 0 * x)
        window = np.s_[START : START + SIDE, START : START + SIDE]
        data = seen.dirty(sources, NOISE, np.random.default_rng(seed))[window]
        if blank:
            data = np.where(np.pad(np.ones((SIDE - 2 * blank,) * 2, bool), blank), data, np.nan)
        return {
            "dirty": CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs[window]),
            "psf": seen.psf,
            "beam": seen.beam,
        }

    return image


def beyond(where, pixels, blank=0):
    """A place so far beyond the middle of the last pixel of an edge."""
    return [(SIDE - 1) / 2 + axis * ((SIDE - 1) / 2 - blank + pixels) for axis in WHERE[where]]


def subtracted(inputs):
    dirty = prepare(**inputs)
    return subtract_bright(dirty, 30, 15)


def noise_of(inputs):
    return mad_std(inputs["dirty"].data, ignore_nan=True)


@pytest.mark.parametrize("blank", [0, 20])
@pytest.mark.parametrize("pixels", [1.5, 4.0])
@pytest.mark.parametrize("where", WHERE)
def test_a_bright_source_just_outside_is_taken_out(observed, where, pixels, blank, caplog):
    inputs = observed(FAINT, (*beyond(where, pixels, blank), 1000.0), blank=blank)
    assert noise_of(inputs) > 5 * NOISE
    after = subtracted(inputs)
    assert after.bright is None
    assert after.rms == pytest.approx(NOISE, rel=0.15)
    x, y, snr = FAINT
    near = np.s_[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
    assert after.reduced[near].max() == pytest.approx(snr * NOISE, rel=0.35)
    assert "1 bright sources lie outside the image or where it is blank, the brightest of" in caplog.text
    said = [float(number) for number in re.search(r"at pixel \(x, y\) = \((.*), (.*)\)", caplog.text).groups()]
    assert said == pytest.approx(beyond(where, pixels, blank), abs=0.6)


@pytest.mark.parametrize("where", WHERE)
def test_it_does_not_become_a_source_at_the_edge(observed, where):
    result = DiffusionImager(n_samples=4, seed=1)(**observed(FAINT, (*beyond(where, 3.0), 300.0)))
    x, y, snr = FAINT
    assert np.hypot(result.catalog["x"] - x, result.catalog["y"] - y).min() < 2
    assert (result.catalog["flux"].value < 2 * snr * NOISE).all()
    assert np.nansum(result.image.data) < 30 * NOISE
    assert not result.fit.misfits


@pytest.mark.parametrize("snr", [100.0, 1000.0])
@pytest.mark.parametrize("inside", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("where", WHERE)
def test_a_bright_source_at_the_edge_keeps_its_flux_and_place(observed, where, inside, snr):
    at = beyond(where, -inside)
    result = DiffusionImager(n_samples=10, seed=1)(**observed((*at, snr)))
    brightest = result.catalog[0]
    assert brightest["flux"].value == pytest.approx(snr * NOISE, rel=0.02 + 4 / snr)
    assert np.hypot(brightest["x"] - at[0], brightest["y"] - at[1]) < 0.1 + 15 / snr
    assert np.nansum(result.image.data) == pytest.approx(snr * NOISE, rel=0.02 + 20 / snr)


def test_what_explains_most_inside_is_not_looked_for_outside(observed):
    for seed, points in enumerate([[FAINT], [(60.2, 55.1, 500.0), FAINT], [(3.0, 60.0, 300.0), (100.0, 20.0, 50.0)]]):
        dirty = prepare(**observed(*points, seed=seed))
        everywhere = np.ones(dirty.shape, bool)
        assert not len(likely_outside(dirty.data, dirty.covering_psf, everywhere, dirty.beam_pixels))


def test_sidelobes_that_no_psf_image_shows_are_as_high_as_those_at_its_ends(observed):
    dirty = prepare(**observed(FAINT))
    points = Components.points([SIDE + 4.0, 50.0], [30.0, 50.0], [2.0, 100.0])
    expected = unseen_sidelobes(dirty, points)
    far = np.arange(SIDE) < 5
    assert not expected[:, ~far].any()
    ends = np.abs(np.arange(2 * SIDE) - SIDE) > 0.9 * SIDE
    np.testing.assert_allclose(expected[:, far], 2 * np.std(dirty.covering_psf[:, ends]), rtol=0.2)
