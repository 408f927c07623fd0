"""Bright sources."""

from dataclasses import dataclass, replace
from functools import cached_property

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.stats import gaussian_fwhm_to_sigma, mad_std

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.observation.bright import subtract_beyond, subtract_bright
from astro_ddpm_imager.observation.bright_fit import fit_bright
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array

NOISE = 1e-4  # Jy/beam
ALMA = read_array("alma.cycle5.3")
MIDDLE = np.s_[64:192, 64:192]


def subtracted(dirty):
    """All but 15 of what is above 30 times the noise."""
    return subtract_bright(dirty, 30, 15)


@dataclass(frozen=True)
class Seen:
    """An observation of Gaussians (fluxes in units of the noise, FWHM in beams), with the noise of its field alone."""

    side: int
    pixels_per_beam: float
    field: float
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    fwhm: float = 0.0
    seed: int = 0

    @cached_property
    def observation(self):
        cell = 0.8553 / self.pixels_per_beam * u.arcsec
        return Observation(ALMA, 150 * u.deg, 2 * u.deg, shape=(self.side,) * 2, cell=cell, integration=2 * u.min)

    @cached_property
    def inside(self):
        """The field; around it the image is blank."""
        along = np.abs(np.arange(self.side) - self.side / 2)
        return np.maximum(along[:, None], along) < self.field / 2

    @cached_property
    def inputs(self):
        seen = self.observation
        flux = NOISE * self.flux / seen.primary_beam_at(self.x, self.y)
        size = np.full(len(flux), self.fwhm * self.pixels_per_beam)
        sources = Sources(self.x, self.y, flux, size, size, 0 * size)
        data = np.where(self.inside, seen.dirty(sources, NOISE, np.random.default_rng(self.seed)), np.nan)
        return {"dirty": CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs), "psf": seen.psf, "beam": seen.beam}

    @cached_property
    def noise(self):
        """Its level in the field."""
        alone = self.observation.image(self.observation.noise(NOISE, np.random.default_rng(self.seed)))
        return mad_std(alone[self.inside])

    @cached_property
    def result(self):
        return subtracted(prepare(**self.inputs))


@pytest.fixture(scope="module")
def one_bright():
    """A source of 1060 times the noise amid faint ones, and what belongs to it."""
    seen = Observation(ALMA, 150 * u.deg, 2.4 * u.deg, shape=(256, 256), cell=0.2 * u.arcsec)
    x, y = np.array([138.185, 100, 150, 90.1, 115]), np.array([121.905, 150, 125, 165, 90])
    flux = np.array([1060, 9, 9, 60, 12]) * 47e-6 / seen.primary_beam_at(x, y)
    size = np.array([0, 3, 3, 6, 3.0])
    sources = Sources(x, y, flux, size, 0.8 * size, 0 * x)
    pb = np.where(seen.pb >= 0.2, seen.pb, np.nan)
    dirty = seen.dirty(sources, 47e-6, np.random.default_rng(3))
    image = CCDData(np.where(np.isfinite(pb), dirty, np.nan), unit=u.Jy / u.beam, wcs=seen.wcs)
    return {"dirty": image, "psf": seen.psf, "pb": pb, "beam": seen.beam}, sources


@pytest.fixture(scope="module")
def result_of_one_bright(one_bright):
    """At the default reliability."""
    return DiffusionImager(n_samples=8, seed=1, device="cpu", progress=False)(**one_bright[0])


def test_noise_is_measured_beneath_the_sidelobes(one_bright, result_of_one_bright):
    inputs, _ = one_bright
    before = prepare(**inputs)
    assert before.rms > 10 * 47e-6
    after = result_of_one_bright.dirty
    assert after.rms == pytest.approx(47e-6, rel=0.1)
    assert np.nanmax(after.reduced) < 35 * 47e-6 and np.nanmin(after.reduced) > -8 * 47e-6
    np.testing.assert_array_equal(after.data, before.data)


def test_where_the_sidelobes_of_a_bright_source_are_not_known_more_counts_as_noise(one_bright, caplog):
    inputs, truth = one_bright
    cut = {name: inputs[name][MIDDLE] for name in ("dirty", "psf", "pb")}
    before = prepare(**cut, beam=inputs["beam"])
    after = subtracted(before)
    np.testing.assert_array_equal(np.isnan(after.data), np.isnan(before.data))
    np.testing.assert_array_equal(after.allowed, before.allowed)
    first = round(truth.x[0]) - 64 - 64
    assert after.noise_ratio[60, :first].min() > 1.5 and after.noise_ratio[60, 70:80].max() < 1.2
    assert after.rms == pytest.approx(47e-6, rel=0.15)
    # What is left is what counts as noise there.
    left = (after.reduced / after.rms / after.noise_ratio)[:, :first]
    assert mad_std(left[np.isfinite(left)]) < 1.5
    assert "give a PSF image twice as wide" in caplog.text


def test_a_psf_image_twice_as_wide_knows_all_sidelobes(one_bright):
    """Of the same image."""
    inputs, _ = one_bright
    wide = subtracted(prepare(inputs["dirty"][MIDDLE], inputs["psf"], inputs["pb"][MIDDLE], beam=inputs["beam"]))
    assert np.max(wide.noise_ratio) == pytest.approx(1)
    assert wide.rms == pytest.approx(47e-6, rel=0.1)


@pytest.mark.parametrize("shape", [(90, 100), (151, 130)])
def test_a_psf_image_may_have_another_size(one_bright, shape):
    inputs, _ = one_bright
    window = tuple(slice(128 - n // 2, 128 - n // 2 + n) for n in shape)
    after = subtracted(prepare(**{**inputs, "psf": inputs["psf"][window]}))
    assert after.rms == pytest.approx(47e-6, rel=0.2)
    # Of the bright source as much as is left of any, 15, with its noise.
    assert 14 < np.nanmax(after.reduced / after.loudness) < 40


@pytest.mark.parametrize("apart, fluxes", [
    (0.5, [5000, 1500]), (0.65, [300, 300]), (0.7, [700, 1000, 500]), (0.54, [1182, 1885, 1703, 1684]),
    (0.57, [2107, 4585, 2109, 2733]),
])  # fmt: skip
def test_points_within_a_beam_leave_the_noise(apart, fluxes):
    """In a row, ``apart`` beams; one Gaussian for them leaves tens of times the noise, which its sidelobes hide."""
    row = 5 * apart * (np.arange(len(fluxes)) - (len(fluxes) - 1) / 2)
    seen = Seen(128, 5, 128, 64.2 + 0.6 * row, 63.7 + 0.8 * row, np.array(fluxes, float))
    fit = fit_bright(prepare(**seen.inputs))
    assert fit.rms == pytest.approx(seen.noise, rel=0.06)
    assert np.abs(fit.residual[fit.near_sources]).max() < 5.5 * seen.noise
    assert np.sum(fit.gaussians.flux) == pytest.approx(NOISE * sum(fluxes), rel=0.005)


def test_sidelobes_in_a_strip_beyond_the_psf_image_are_no_sources():
    """They are a hundred times the noise there, in so few pixels that the rest of the image hardly tells."""
    seen = Seen(256, 4, 236, np.array([120.3]), np.array([105.8]), np.array([10_000.0]), 0.5)
    after, strip = seen.result, np.s_[236:246, 12:244]
    assert after.rms == pytest.approx(seen.noise, rel=0.1)
    assert np.abs(after.reduced[strip]).max() > 20 * after.rms
    assert after.noise_ratio[strip].min() > 10 and after.noise_ratio[20:200, 20:220].max() < 1.1
    assert not after.bright.pixels[strip].any()
    assert np.nanmax(np.abs(after.reduced[strip]) / after.loudness[strip]) < 7


def test_unknown_sidelobes_of_sources_outside_count_as_noise(caplog):
    """Those that a tile is told of, at half of the height that they have."""
    seen = Seen(256, 4, 512, np.array([90.0]), np.array([140.0]), np.array([20.0]))
    height = NOISE * np.linspace(0, 4, 256)[None, :] * np.ones((256, 1))
    sidelobes = height * seen.observation.image(seen.observation.noise(1, np.random.default_rng(9)))
    before = prepare(**seen.inputs)
    before = replace(before, data=before.data + sidelobes, unknown=height / 2)
    after = subtracted(before)
    assert after.rms == pytest.approx(NOISE, rel=0.2)
    np.testing.assert_allclose(after.loudness, np.hypot(NOISE, height), rtol=0.25)
    assert mad_std(after.reduced / after.loudness) == pytest.approx(1, rel=0.1)
    assert not caplog.text  # the whole image is told of it


def test_of_a_source_beneath_unknown_sidelobes_less_is_shown():
    """Fifteen times the noise were no more than noise there: samples lacked them, and the flux was as much too low."""
    seen = Seen(160, 4.2, 150, np.array([40.0, 120.0]), np.array([80.0, 80.0]), np.array([80.0, 80.0]))
    dirty, right = prepare(**seen.inputs), np.arange(160) >= 80
    sidelobes = seen.observation.image(seen.observation.noise(4 * NOISE, np.random.default_rng(5)))
    unknown = np.broadcast_to(4 * NOISE * right, dirty.shape)
    after = subtracted(replace(dirty, data=dirty.data + sidelobes * right, unknown=unknown))
    shown = 80 * after.bright.left[80, [40, 120]] / (1 + after.bright.left[80, [40, 120]]) * NOISE / after.rms
    assert shown[0] == pytest.approx(15, rel=0.2)
    assert shown[1] * after.noise_ratio[80, 120] == pytest.approx(15, rel=0.3)
    assert after.noise_ratio[80, 120] > 2


@pytest.fixture(scope="module")
def snapshot():
    """A source of 800 times the noise in a corner, seen by the VLA for an hour, and one of 25 far from it."""
    vla = {"frequency": 1.4 * u.GHz, "cell": 1.2 * u.arcsec, "duration": 1 * u.hour, "integration": 120 * u.s}
    seen = Observation(read_array("vla.b"), 150 * u.deg, 30 * u.deg, shape=(320, 320), **vla)
    x, y, flux = np.array([262.4, 80.3]), np.array([61.7, 270.8]), NOISE * np.array([800, 25])
    sources = Sources(x, y, flux / seen.primary_beam_at(x, y), 0 * x, 0 * x, 0 * x)
    data = seen.dirty(sources, NOISE, np.random.default_rng(5))
    return prepare(CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs), seen.psf, beam=seen.beam)


def test_an_image_shows_the_sidelobes_beyond_the_psf_image(snapshot, monkeypatch):
    after = subtracted(snapshot)
    far = np.s_[200:, :180]
    assert 0.7 < mad_std((after.reduced / after.loudness)[far]) < 1.3
    monkeypatch.setattr("astro_ddpm_imager.observation.bright_fit.TURNS", 0)
    before = subtracted(snapshot)
    assert mad_std(after.reduced[far]) < 0.8 * mad_std(before.reduced[far])
    assert after.loudness[far].mean() < 0.8 * before.loudness[far].mean()
    # The other source is not known yet, and is no sidelobe.
    at = np.s_[265:278, 74:87]
    assert after.reduced[at].max() > 0.6 * before.reduced[at].max() > 8 * NOISE


def test_nothing_is_subtracted_where_nothing_is_bright(one_bright):
    inputs, _ = one_bright
    noise = np.random.default_rng(0).standard_normal((256, 256)) * 47e-6
    quiet = prepare(**{**inputs, "dirty": CCDData(noise, unit=u.Jy / u.beam, wcs=inputs["dirty"].wcs)})
    after = subtracted(quiet)
    assert after.bright is None and after.rms == pytest.approx(47e-6, rel=0.03)
    assert after.reduced is after.data


def apart_from(truth, catalog):
    """How far in pixels each source of a catalogue is from each true one."""
    return np.hypot(catalog["x"][:, None] - truth.x, catalog["y"][:, None] - truth.y)


def test_one_bright_source_amid_faint_ones(one_bright, result_of_one_bright):
    """The flux of the bright one within 2%; all above 6 sigma are likelier than not, and nothing else near it is."""
    _, truth = one_bright
    catalog = result_of_one_bright.catalog[result_of_one_bright.catalog["reliability"] >= 0.5]
    apart = apart_from(truth, catalog)
    assert (apart.min(0) < 2.25).all()
    assert catalog["flux"][apart[:, 0].argmin()].value == pytest.approx(truth.flux[0], rel=0.02)
    assert apart[:, 0].min() < 0.25
    near = apart[:, 0] < 10 * 4.28
    assert (apart[near].min(1) < 2.25).all()


def test_nothing_is_invented_near_a_bright_source(one_bright, result_of_one_bright):
    """At the default reliability, within 10 beams."""
    apart = apart_from(one_bright[1], result_of_one_bright.catalog)
    assert (apart[apart[:, 0] < 10 * 4.28].min(1) < 2.25).all()


@pytest.mark.parametrize("pixels_per_beam", [3.05, 4.0, 8.0])
@pytest.mark.parametrize("snr", [200.0, 1000.0, 10000.0])
def test_a_point_between_pixels_is_fitted(pixels_per_beam, snr):
    """Amid two faint ones, in an image twice as wide as the field, whose PSF knows all sidelobes in it."""
    side, rng = 192 if pixels_per_beam < 5 else 384, np.random.default_rng(int(snr))
    field = 0.44 * side
    # The faint ones are too far from it for what they add to its flux to matter.
    x, y = side / 2 + (rng.uniform(-0.1, 0.1, (2, 3)) + [[-0.15, 0.3, -0.2], [-0.2, 0.1, 0.3]]) * field
    seen = Seen(side, pixels_per_beam, field, x, y, np.array([snr, 9.0, 12.0]))
    after, found = seen.result, seen.result.bright.gaussians
    assert len(found) == 1
    assert after.rms == pytest.approx(seen.noise, rel=0.03)
    left = after.reduced - after.rms * 15 * (found.flux[0] > 0) * _shape(seen, found)
    flux = found.flux[0] / NOISE + 15 * after.rms / NOISE
    assert abs(flux - snr) < max(0.005 * snr, 3)
    off = np.hypot(found.x[0] - x[0], found.y[0] - y[0]) / pixels_per_beam
    # A point's position is known to its FWHM / sqrt(8 ln 2) over the S/N (Condon 1997), with a natural beam's wings.
    assert off < 4 / snr
    others = np.hypot(*(np.mgrid[:side, :side] - np.array([y[0], x[0]])[:, None, None])) < 3 * pixels_per_beam
    assert np.nanmax(np.abs(left[others])) < 5.5 * seen.noise
    assert np.nanmax(after.reduced) < 20.5 * seen.noise and np.nanmin(after.reduced) > -5.5 * seen.noise


def _shape(seen, found):
    """The dirty image of a component of flux 1."""
    return prepare(**seen.inputs).see(found.scaled(1 / found.flux))


@pytest.mark.parametrize("seed", [0, 1, 3, 4])
def test_noise_amid_many_sources_is_that_of_the_field(seed):
    """Twenty-five of S/N 15, which CLEAN takes out before it is measured."""
    rng, side = np.random.default_rng(seed), 384
    x, y = side / 2 + rng.uniform(-0.21, 0.21, (2, 25)) * side
    seen = Seen(side, 3.05, 0.44 * side, x, y, np.full(25, 15.0), seed=seed)
    assert seen.result.rms == pytest.approx(seen.noise, rel=0.03)


@pytest.mark.parametrize(("fwhm", "snr", "seed"), [(1.0, 1000.0, 0), (2.0, 300.0, 1), (3.0, 300.0, 0)])
def test_an_extended_bright_source_is_one_gaussian_with_all_its_flux(fwhm, snr, seed):
    side, flux = 256, snr * (1 + fwhm**2)
    at = np.array([side / 2 + 3.3])
    seen = Seen(side, 5.0, 0.44 * side, at, at - 5.6, np.array([flux]), fwhm, seed)
    after, found = seen.result, seen.result.bright.gaussians
    assert len(found) == 1 and not after.bright.pixels.any()
    assert after.rms == pytest.approx(seen.noise, rel=0.04)
    assert found.flux[0] / NOISE / (1 - 15 / snr) == pytest.approx(flux, rel=0.01)
    expected = np.eye(2) * (gaussian_fwhm_to_sigma * fwhm * 5) ** 2
    np.testing.assert_allclose(found.covariance[0], expected, atol=0.03 * expected[0, 0])


@pytest.fixture(scope="module", params=[0, 1])
def cluster(request):
    """Six sources of S/N 60 to 150 within 10 arcsec, a PSF image as large as the image, and the result."""
    rng = np.random.default_rng(request.param)
    side, reach = 256, 5 / (0.8553 / 5)
    x, y = side / 2 + 30 + rng.uniform(-reach, reach, (2, 6))
    seen = Seen(side, 5.0, 2 * side, x, y, rng.uniform(60, 150, 6), seed=request.param)
    imager = DiffusionImager(n_samples=6, seed=1, reliability=0.5, device="cpu", progress=False)
    return seen, imager(**seen.inputs)


def test_nothing_is_blank_where_the_psf_ends(cluster):
    seen, result = cluster
    after = result.dirty
    assert np.isfinite(after.data).all() and after.allowed.all()
    assert np.min(after.noise_ratio) >= 1
    assert after.rms == pytest.approx(seen.noise, rel=0.1)


def test_few_sources_are_false_where_the_psf_ends(cluster):
    seen, result = cluster
    apart = apart_from(seen, result.catalog)
    assert (apart.min(1) > 5.0).sum() <= 2
    assert (apart.min(0) < 2.5).sum() >= 5


@pytest.fixture(scope="module", params=[False, True], ids=["PSF as large", "PSF twice as wide"])
def beyond_the_limit(request):
    """A faint source in the middle, and one of S/N 40 where the primary beam is 0.16, as an image of WSClean has it."""
    seen = Observation(ALMA, 150 * u.deg, 2 * u.deg, shape=(300, 300), cell=0.2 * u.arcsec, integration=2 * u.min)
    wide = Observation(ALMA, 150 * u.deg, 2 * u.deg, shape=(600, 600), cell=0.2 * u.arcsec, integration=2 * u.min)
    zero = np.zeros(2)
    flux = NOISE * np.array([15, 40 / seen.primary_beam_at(150, 50.0)])
    sources = Sources(np.array([150.0, 150.0]), np.array([150.0, 50.0]), flux, zero, zero, zero)
    data = seen.dirty(sources, NOISE, np.random.default_rng(0))
    psf = wide.psf if request.param else seen.psf
    return {"dirty": CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs), "psf": psf, "pb": seen.pb, "beam": seen.beam}


def test_sources_below_the_limit_of_the_primary_beam_leave_no_sidelobes(beyond_the_limit):
    before = prepare(**beyond_the_limit, pblimit=0.2)
    after = subtract_beyond(before)
    assert before.rms > 1.1 * NOISE
    inside = np.isfinite(after.data)
    np.testing.assert_array_equal(inside, np.isfinite(before.data))
    assert mad_std(after.data[inside]) == pytest.approx(NOISE, rel=0.08)
    assert after.beyond is None


@pytest.mark.parametrize("tile", [0, 200])
def test_sources_below_the_limit_make_no_false_ones(beyond_the_limit, tile):
    imager = DiffusionImager(n_samples=8, seed=1, reliability=0.5, device="cpu", progress=False, tile=tile)
    catalog = imager(**beyond_the_limit).catalog
    assert 1 <= len(catalog) <= 2
    assert np.hypot(catalog["x"][0] - 150, catalog["y"][0] - 150) < 2
