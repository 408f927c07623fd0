"""CLEAN, and bright sources."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.bright import subtract_bright
from astro_ddpm_imager.conditioning import CONDITIONS, clean, condition
from astro_ddpm_imager.dirty import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array


def ring_psf(n):
    """A narrow beam with a sidelobe of 20% at ten pixels, covering an image of n pixels."""
    y, x = np.mgrid[: 2 * n, : 2 * n] - n
    r = np.hypot(x, y)
    return np.exp(-((r / 1.3) ** 2)) + 0.2 * np.exp(-(((r - 10) / 1.5) ** 2))


def test_clean_separates_sources_from_sidelobes():
    n, psf = 48, ring_psf(48)
    dirty = 30 * psf[n - 20 : 2 * n - 20, n - 15 : 2 * n - 15] + 8 * psf[n - 36 : 2 * n - 36, n - 40 : 2 * n - 40]
    allowed = np.ones((n, n), bool)
    components, residual = clean(dirty, psf, 0.5, 0.2, allowed, 1000)
    assert residual.max() <= 0.5
    assert components[18:23, 13:18].sum() == pytest.approx(30, rel=0.03)
    assert components[34:39, 38:43].sum() == pytest.approx(8, rel=0.1)
    assert components.sum() == pytest.approx(38, rel=0.03)
    allowed[36, 40] = False
    assert clean(dirty, psf, 0.5, 0.2, allowed, 1000)[0][36, 40] == 0


def test_clean_leaves_what_it_says_and_subtracts_negatives_when_told():
    n, psf = 32, ring_psf(32)
    dirty = -10 * psf[n - 16 : 2 * n - 16, n - 16 : 2 * n - 16]
    every = np.ones((n, n), bool)
    assert not clean(dirty, psf, 2.5, 0.2, every, 100)[0].any()
    components, residual = clean(dirty, psf, 1.0, 0.2, every, 100, negative=True)
    assert components.sum() == pytest.approx(-10, rel=0.12) and np.abs(residual).max() <= 1
    again = residual.copy()
    for y, x in np.argwhere(components):
        again += components[y, x] * psf[n - y : 2 * n - y, n - x : 2 * n - x]
    np.testing.assert_allclose(again, dirty, atol=1e-4)


def test_clean_stops_and_says_so_when_it_diverges(caplog):
    """With a PSF that is the negative of the true one, each step makes it worse."""
    n, psf = 32, ring_psf(32)
    dirty = 10 * psf[n - 16 : 2 * n - 16, n - 16 : 2 * n - 16]
    components, _ = clean(dirty, -psf, 1.0, 0.2, np.ones((n, n), bool), 1000)
    assert "CLEAN diverges" in caplog.text and components.sum() < 100


def test_conditions_are_blank_where_the_image_is():
    n, psf = 32, ring_psf(32)
    pb = np.ones((n, n))
    pb[:, :8] = 0
    images = condition(np.where(pb > 0, 20 * psf[16 : 16 + n, 20 : 20 + n], 0), psf, pb, 2.2, 4, 0.2)
    assert images.shape == (len(CONDITIONS), n, n) and images.dtype == np.float32
    assert not images[:, :, :8].any() and images[2].max() > 10


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
