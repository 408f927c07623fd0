"""Bright sources."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.observation.bright import subtract_bright
from astro_ddpm_imager.observation.dirty import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array


@pytest.fixture(scope="module")
def one_bright():
    """A source of 1060 times the noise amid faint ones, and what belongs to it."""
    seen = Observation(read_array("alma.cycle5.3"), 150 * u.deg, 2.4 * u.deg)
    x, y = np.array([276.37, 200, 300, 180.2, 230]), np.array([243.81, 300, 250, 330, 180])
    flux = np.array([1060, 9, 9, 60, 12]) * 47e-6 / seen.primary_beam_at(x, y)
    size = np.array([0, 6, 6, 12, 6.0])
    sources = Sources(x, y, flux, size, 0.8 * size, 0 * x)
    pb = np.where(seen.pb >= 0.2, seen.pb, np.nan)
    dirty = seen.dirty(sources, 47e-6, np.random.default_rng(3))
    image = CCDData(np.where(np.isfinite(pb), dirty, np.nan), unit=u.Jy / u.beam, wcs=seen.wcs)
    return {"dirty": image, "psf": seen.psf, "pb": pb, "beam": seen.beam}, sources


def test_noise_is_measured_beneath_the_sidelobes(one_bright):
    inputs, _ = one_bright
    before = prepare(**inputs)
    assert before.rms > 10 * 47e-6
    after = subtract_bright(before, 30, 15)
    assert after.rms == pytest.approx(47e-6, rel=0.1)
    assert np.nanmax(after.reduced) < 35 * 47e-6 and np.nanmin(after.reduced) > -8 * 47e-6
    np.testing.assert_array_equal(after.data, before.data)


def test_where_the_sidelobes_of_a_bright_source_are_not_known_the_image_is_blank(one_bright, caplog):
    inputs, truth = one_bright
    middle = np.s_[128:384, 128:384]
    cut = {name: inputs[name][middle] for name in ("dirty", "psf", "pb")}
    after = subtract_bright(prepare(**cut, beam=inputs["beam"]), 30, 15)
    first = round(truth.x[0]) - 128 - 128
    assert np.isnan(after.data[120, :first]).all() and np.isfinite(after.data[120, first + 4 :]).all()
    # No source is catalogued of which only a part is seen.
    assert not after.allowed[120, : first + 8].any() and after.allowed[120, first + 16 :].all()
    assert after.rms == pytest.approx(47e-6, rel=0.15)
    assert "make the images twice as wide" in caplog.text


def test_nothing_is_subtracted_where_nothing_is_bright(one_bright):
    inputs, _ = one_bright
    noise = np.random.default_rng(0).standard_normal((512, 512)) * 47e-6
    quiet = prepare(**{**inputs, "dirty": CCDData(noise, unit=u.Jy / u.beam, wcs=inputs["dirty"].wcs)})
    after = subtract_bright(quiet, 30, 15)
    assert after.bright is None and after.rms == pytest.approx(47e-6, rel=0.03)
    assert after.reduced is after.data


def test_one_bright_source_amid_faint_ones(one_bright):
    """The flux of the bright one within 2%; all above 6 sigma are likelier than not, and nothing else near it is."""
    inputs, truth = one_bright
    imager = DiffusionImager(n_samples=8, seed=1, reliability=0.5, device="cpu", progress=False)
    catalog = imager(**inputs).catalog
    apart = np.hypot(catalog["x"][:, None] - truth.x, catalog["y"][:, None] - truth.y)
    assert (apart.min(0) < 4.5).all()
    assert catalog["flux"][apart[:, 0].argmin()].value == pytest.approx(truth.flux[0], rel=0.02)
    assert apart[:, 0].min() < 0.5
    near = apart[:, 0] < 10 * 8.56
    assert (apart[near].min(1) < 4.5).all()


def test_nothing_is_invented_near_a_bright_source(one_bright):
    """At the default reliability, within 10 beams."""
    inputs, truth = one_bright
    catalog = DiffusionImager(n_samples=8, seed=1, device="cpu", progress=False)(**inputs).catalog
    apart = np.hypot(catalog["x"][:, None] - truth.x, catalog["y"][:, None] - truth.y)
    assert (apart[apart[:, 0] < 10 * 8.56].min(1) < 4.5).all()
