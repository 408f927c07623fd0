"""Noise that varies over an image."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS
from radio_beam import Beam
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.errors import DirtyImageError
from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.noise_map import flatten, measure_noise, noise_of, unflatten, warn_inverted
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.observation.stored import StoredObservation
from astro_ddpm_imager.simulate import Observation, Sources, read_array
from astro_ddpm_imager.sources.fluxes import fit_fluxes

SIGMA = 1.5  # pixels, of the beam
BEAM_AREA = 2 * np.pi * SIGMA**2


def noise(shape=(480, 480), seed=1):
    """Of a naturally weighted image, standard deviation 1."""
    image = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), SIGMA / np.sqrt(2), mode="wrap")
    return image / image.std()


def sky(n_sources, shape=(480, 480), seed=2, peak=20.0):
    rng = np.random.default_rng(seed)
    image = np.zeros(shape)
    image[tuple(rng.integers(0, shape[0], (2, n_sources)))] = rng.uniform(0, peak, n_sources)
    return gaussian_filter(image, SIGMA) * BEAM_AREA


def measured(image):
    return measure_noise(lambda window: image[window], image.shape, BEAM_AREA)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_noise_everywhere_does_not_vary(seed):
    found = measured(noise(seed=seed) + sky(300, seed=seed))
    assert not found.varies
    np.testing.assert_allclose(np.nanmedian(found.levels), 1, atol=0.1)


def test_sources_that_crowd_in_a_corner_are_no_noise():
    crowd = np.zeros((480, 480))
    crowd[:160, :160] = sky(60, (160, 160))
    assert not measured(noise() + crowd).varies


def test_noise_that_varies_is_mapped():
    shape = 1 + 1.5 * np.arange(480) / 480
    found = measured(noise() * shape + sky(100))
    assert found.varies
    level = found.at(slice(100, 400), slice(100, 400))
    np.testing.assert_allclose(np.median(level, 0), shape[100:400], rtol=0.1)


@pytest.mark.parametrize("side", [160, 300, 600])
def test_noise_of_an_image_corrected_for_its_primary_beam(side):
    """From 45 beams across, blank where the primary beam is below 0.2: known at the edge as in the middle."""
    y, x = np.indices((side, side)) - side / 2
    pb = np.exp(-4 * np.log(2) * (x**2 + y**2) / (0.64 * side) ** 2)
    inside = pb > 0.2
    found = measured(np.where(inside, (noise((side, side)) + sky(side**2 // 800, (side, side), peak=10)) / pb, np.nan))
    assert found.varies
    ratio = (found.at(slice(0, side), slice(0, side)) * pb)[inside]
    assert np.percentile(ratio, 5) > 0.75 and np.percentile(ratio, 95) < 1.25


@pytest.mark.parametrize("side", [120, 250])
def test_the_same_noise_in_a_small_image_does_not_vary(side):
    for seed in range(10):
        assert not measured(noise((side, side), seed) + sky(side**2 // 800, (side, side), seed)).varies


def test_a_box_without_pixels_has_the_noise_of_its_neighbours():
    image = noise()
    image[:120, :120] = np.nan
    found = measured(image)
    assert np.isnan(found.levels[0, 0])
    assert np.isfinite(found.at(slice(0, 480), slice(0, 480))).all()


def a_plane(data, unit=u.Jy / u.beam, **meta):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---SIN", "DEC--SIN"], [-1 / 3600, 1 / 3600]
    return CCDData(data, unit=unit, wcs=wcs, meta=meta)


def test_a_weight_is_the_inverse_of_a_variance():
    weight = a_plane(np.array([[4.0, 1.0], [0.0, np.nan]]), u.one)
    weight.meta["BUNIT"] = ""
    np.testing.assert_allclose(noise_of(weight), [[0.5, 1], [np.nan, np.nan]])


@pytest.mark.parametrize("unit", ["Jy-2 beam2", "(Jy/beam)^-2", "1/(Jy/beam)^2", "beam^2/Jy^2", "odd", "mag", 1.0])
def test_a_map_in_another_unit_is_a_weight(unit):
    image = a_plane(np.array([[4.0, 1.0]]), u.one, BUNIT=unit)
    np.testing.assert_allclose(noise_of(image), [[0.5, 1]])


@pytest.mark.parametrize(
    "unit",
    ["Jy/beam", "JY/BEAM", "mJy/beam", "uJy beam-1", "JY/BM", "Jy/bm", "K", "mK", "MJy/sr", "JY/SR", "Jy/pixel", "Jy"],
)
def test_a_map_of_brightness_is_the_noise(unit):
    image = a_plane(np.array([[4.0, 1.0]]), u.one, BUNIT=unit)
    np.testing.assert_array_equal(noise_of(image), [[4, 1]])


@pytest.mark.parametrize(
    "unit", ["Jy2 beam-2", "(Jy/beam)^2", "(MJY/BEAM)**2", "mJy^2/beam^2", "K2", "(Jy/sr)^2", "Jy2"]
)
def test_a_map_in_the_square_of_that_is_the_variance(unit):
    """Which was taken for a weight, so that the noise was lowest where it is highest."""
    variance = np.array([[4.0, 1.0], [0.0, np.nan]])
    for image in (a_plane(variance, u.one, BUNIT=unit), a_plane(variance, u.mJy**2 / u.beam**2)):
        np.testing.assert_array_equal(noise_of(image), [[2, 1], [np.nan, np.nan]])


RIGHT = {"Jy/beam": 1, "": -2}  # powers of the noise, by unit


@pytest.mark.parametrize("unit, power", [("Jy/beam", 1), ("", -2), ("Jy/beam", -2), ("", 1), ("odd", 1), ("", 0)])
@pytest.mark.parametrize("tiles", [False, True])
def test_a_weight_that_is_called_noise_and_noise_that_is_called_a_weight(tmp_path, caplog, unit, power, tiles):
    caplog.set_level("INFO")
    shape = np.exp(2 * np.hypot(*(np.indices((160, 160)) / 160 - 0.5)))
    image, level = a_plane(1e-4 * (noise((160, 160)) * shape + sky(30, (160, 160)))), a_plane(shape**power, u.one)
    level.meta["BUNIT"], beam = unit, Beam(SIGMA * 2.3548 * u.arcsec)
    if tiles:
        StoredObservation(image, {"noise": level}, beam, tmp_path, 0.2, None)
    else:
        prepare(image, beam=beam, noise=level)
    taken = "the noise" if unit == "Jy/beam" else "a weight"
    assert f"noise: its unit is {unit!r}" in caplog.text and f"it is taken for {taken}" in caplog.text
    wrong = power not in (0, RIGHT.get(unit, -2))
    assert ("is lowest where that says it is highest" in caplog.text) == wrong
    if wrong:
        other, way = ("a weight", "''") if unit == "Jy/beam" else ("the noise", "'Jy/beam'")
        assert f"if it is {other}, set BUNIT in its header to {way}, or give CCDData(..., unit={way})" in caplog.text


@pytest.mark.parametrize("seed", range(10))
def test_a_map_that_is_right_is_not_called_wrong(caplog, seed):
    """Of noise that varies, and does not, with sources that crowd where it is low."""
    crowd = sky(40, (160, 160), seed, peak=100) * (np.hypot(*(np.indices((160, 160)) - 80)) < 40)
    for shape in (np.ones((160, 160)), np.exp((np.indices((160, 160))[0] / 80 - 1) ** 2)):
        image = a_plane(noise((160, 160), seed) * shape + crowd)
        for unit, power in RIGHT.items():
            level = a_plane(shape**power, u.one, BUNIT=unit)
            warn_inverted(level, noise_of(level), image, BEAM_AREA)
    assert not caplog.text


def mosaic(seed):
    """A field seen through a primary beam that falls to 0.2, with the same noise everywhere: image, PSF, and beam."""
    seen = Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=300 * u.s, shape=(240, 240),
        cell=0.2 * u.arcsec,
    )  # fmt: skip
    y, x = np.indices(seen.shape) - 119.5
    pb, rng = np.exp(-np.log(5) * (x**2 + y**2) / 119.5**2), np.random.default_rng(seed)
    at, flux, zero = rng.uniform(60, 180, (2, 15)), rng.uniform(3e-4, 6e-4, 15), np.zeros(15)
    sources = Sources(*at, flux * pb[tuple(at[::-1].astype(int))], zero, zero, zero)
    beam = {"BMAJ": seen.beam.major.to_value("deg"), "BMIN": seen.beam.minor.to_value("deg")}
    data = seen.dirty(sources, 60e-6, rng)
    return CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs, meta=beam | {"BPA": seen.beam.pa.to_value("deg")}), seen, pb


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_that_contradicts_the_image_is_said(quick, caplog, seed):
    """That of a mosaic whose noise is the same everywhere; an image divided by its primary beam has such noise."""
    (image, seen, pb), quick = mosaic(seed), quick.but(n_samples=1, steps=1)
    weight = CCDData(pb**2, unit=u.one)
    quick(image.multiply(1 / pb, handle_meta="first_found"), seen.psf, noise=weight)
    quick(image, seen.psf, pb=pb, noise=np.full(pb.shape, 60e-6))
    assert "does not fit the image" not in caplog.text
    for wrong in (weight, pb):  # the other way round, as CASA's unit of a weight is that of the image
        caplog.clear()
        quick(image, seen.psf, pb=pb, noise=wrong)
        assert "noise: the map does not fit the image: by it the noise rises" in caplog.text
        assert "give no noise if that of the image is the same everywhere" in caplog.text


def test_noise_that_is_nowhere_positive_is_an_error():
    with pytest.raises(DirtyImageError, match="noise: is nowhere positive"):
        noise_of(a_plane(np.zeros((2, 2))))


def test_an_image_divided_by_its_noise_holds_the_same_sky():
    shape = np.broadcast_to(1 + np.arange(120) / 60, (120, 120))
    fwhm = np.sqrt(8 * np.log(2)) * SIGMA * u.arcsec
    image = a_plane(1e-5 * noise((120, 120)) * shape)
    dirty = prepare(image, psf=psf_like(120), beam=Beam(fwhm, fwhm, 0 * u.deg))
    flat = flatten(dirty, 7 * shape)
    assert flat.rms == pytest.approx(1e-5, rel=0.1)
    np.testing.assert_allclose(flat.pb * flat.relative_noise, 1)
    # Corrected for a primary beam, for which it goes with its noise, it is again as the interferometer has seen it.
    seen_through_pb = Components.points([30.0], [60.0], [1e-3 / shape[60, 30]])
    corrected = replace(dirty, data=dirty.see(seen_through_pb) * shape)
    flat = flatten(corrected, 7 * shape)
    np.testing.assert_allclose(flat.data, flat.see(seen_through_pb), atol=1e-12)


def psf_like(n):
    y, x = np.indices((n, n)) - n // 2
    return np.exp(-(x**2 + y**2) / (2 * SIGMA**2)) + 0.02 * np.cos(x) * np.cos(y) * ((x != 0) | (y != 0))


def test_what_was_divided_by_its_noise_comes_back(uneven):
    dirty, _, result = uneven
    given, divided = unflatten(result.dirty), result.dirty
    np.testing.assert_allclose(given.data, dirty.data)
    np.testing.assert_allclose(given.pb, 1)
    np.testing.assert_allclose(given.loudness, divided.loudness * divided.relative_noise)
    assert unflatten(given) is given


def test_fluxes_in_an_image_of_noise_that_varies(uneven):
    _, _, result = uneven
    brightest = result.catalog[np.argmax(result.catalog["flux"])]
    place = Components.points([brightest["x"]], [brightest["y"]], [1.0])
    flux, _, _ = fit_fluxes(unflatten(result.dirty), place)
    assert flux[0] == pytest.approx(5e-3, rel=0.1)


def test_the_seed_of_noise_that_was_measured_reproduces_the_result(uneven, quick):
    dirty, psf, _ = uneven
    drawn = quick.but(seed=None)(dirty, psf)
    again = quick.but(seed=drawn.meta["seed"])(dirty, psf)
    np.testing.assert_array_equal(again.image.data, drawn.image.data)


def test_the_noise_of_a_small_hole_is_that_beside_it():
    n = 200
    level = np.where(np.arange(n) < n // 2, 1.0, 4.0) * np.ones((n, 1))
    data = noise((n, n)) * level
    hole = np.s_[100:102, 150:152]
    data[hole] = level[hole] = np.nan
    beam = Beam(SIGMA * 2.3548 * u.arcsec)
    observation = prepare(a_plane(data), beam=beam, noise=a_plane(level, BUNIT="Jy/beam"))
    np.testing.assert_allclose(observation.relative_noise[hole], 4, rtol=1e-6)


@pytest.mark.parametrize("power, kind", [(1, StdDevUncertainty), (2, VarianceUncertainty), (-2, InverseVariance)])
def test_an_uncertainty_is_noise_if_it_is_given_as_such(noise_image, caplog, power, kind):
    image, shape = noise_image(unit=u.Jy / u.beam), 1 + 1.5 * np.arange(96) / 96
    image.uncertainty = kind(np.broadcast_to((1e-4 * shape) ** power, image.shape))
    given = prepare(image, noise=image.uncertainty.quantity)
    np.testing.assert_allclose(given.relative_noise, np.broadcast_to(shape, image.shape), rtol=1e-6)
    assert "uncertainty" not in caplog.text


def test_an_uncertainty_that_is_not_used_is_said(noise_image, caplog, quick):
    image = noise_image()
    without = quick(image)
    assert "uncertainty" not in caplog.text
    image.uncertainty = StdDevUncertainty(np.abs(image.data) + 1e-4)
    np.testing.assert_array_equal(quick(image).image.data, without.image.data)
    assert "dirty: its uncertainty is not used" in caplog.text
    caplog.clear()
    quick(image, noise=image.uncertainty.quantity)
    assert "uncertainty" not in caplog.text


def test_a_weight_without_wcs_is_one_as_well():
    data = noise((200, 200)) * np.linspace(1, 2, 200)
    weight = CCDData(np.linspace(1, 2, 200) ** -2 * np.ones((200, 1)), unit=u.beam**2 / u.Jy**2)
    observation = prepare(a_plane(data), beam=Beam(SIGMA * 2.3548 * u.arcsec), noise=weight)
    np.testing.assert_allclose(observation.relative_noise[0], np.linspace(1, 2, 200), rtol=1e-6)


def test_a_bright_source_is_certain_whatever_is_left_of_it():
    """Divided by a noise that changes from beam to beam, sidelobes are not the PSF's, and all of it is subtracted."""
    seen, wide = (
        Observation(
            read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=5 * u.min, shape=(n, n),
            cell=0.2 * u.arcsec,
        )
        for n in (300, 600)
    )  # fmt: skip
    y, x = np.mgrid[:300, :300] / 300
    shape = 1 + 1.5 * np.exp(-((x - 0.67) ** 2 + (y - 0.33) ** 2) / 0.04)
    point, none = np.full(1, 0.01), np.zeros(1)
    source = Sources(
        np.array([141.0]), np.array([189.0]), 0.02 / seen.primary_beam_at(141, 189) + none, point, point, none
    )
    rng = np.random.default_rng(9)
    data = seen.dirty(source, 0, rng) + shape * seen.image(seen.noise(5e-5, rng))
    image = CCDData(data, unit="Jy/beam", wcs=seen.wcs)
    catalog = DiffusionImager(n_samples=3, steps=3, seed=3, progress=False)(
        image, wide.psf, beam=seen.beam, noise=shape
    ).catalog
    assert catalog["snr"][0] > 200 and catalog["reliability"][0] > 0.99
