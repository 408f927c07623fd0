"""A pedestal beneath an image is said and taken away; emission is not."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager.observation.offset import fit_pedestal, share_beside
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array

RMS = 47e-6


@pytest.fixture(scope="module")
def seen():
    return Observation(
        read_array("alma.cycle5.3"),
        150 * u.deg,
        2 * u.deg,
        integration=5 * u.min,
        shape=(192, 192),
        cell=0.2 * u.arcsec,
    )


def image(seen, sources=None, seed=0):
    rng = np.random.default_rng(seed)
    nothing = Sources(*np.zeros((6, 0)))
    return seen.dirty(sources or nothing, RMS, rng)


def prepared(seen, data):
    return prepare(CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs), psf=seen.psf, beam=seen.beam)


@pytest.mark.parametrize("offset", [-10, -3, 1.5, 3, 10])
def test_a_constant_is_said_and_subtracted(seen, offset, caplog):
    data = image(seen)
    after = prepared(seen, data + offset * RMS)
    assert np.abs(np.median(after.data - data)) < 0.3 * RMS
    assert "dirty: lies on a pedestal" in caplog.text


def test_a_gradient_is_said_and_subtracted(seen, caplog):
    data = image(seen)
    slope = np.linspace(-4, 6, 192)[:, None] * RMS + np.linspace(0, 3, 192) * RMS
    after = prepared(seen, data + slope)
    assert (after.data - data).std() < 0.3 * RMS and after.rms == pytest.approx(RMS, rel=0.1)
    assert "dirty: lies on a pedestal" in caplog.text


@pytest.mark.parametrize("size, number, snr", [(5, 6, 1000), (20, 4, 100), (60, 2, 30), (2, 150, 20), (0, 400, 20)])
def test_emission_is_no_pedestal(seen, size, number, snr, caplog):
    """Extended, or so many sources that they touch: the image stays as it is."""
    rng = np.random.default_rng(size)
    x, y = rng.uniform(30, 162, (2, number))
    flux = rng.uniform(0.3, 1, number) * snr * RMS * (1 + (size / 4.2) ** 2)
    sources = Sources(x, y, flux, np.full(number, float(size)), np.full(number, 0.7 * size), np.zeros(number))
    data = image(seen, sources)
    np.testing.assert_array_equal(prepared(seen, data).data, data)
    assert "pedestal" not in caplog.text


@pytest.fixture(scope="module")
def crowded():
    """Sources all over a field of 20 beams, and a PSF that measures neither large scales nor, so, a mean."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(200), np.fft.fftfreq(200)))
    transfer = np.exp(-90 * frequency**2) * -np.expm1(-5400 * frequency**2)
    psf = np.fft.fftshift(np.fft.ifft2(transfer).real)
    rng = np.random.default_rng(5)
    sky = np.zeros((200, 200))
    sky[tuple(rng.integers(5, 95, (2, 20)))] = rng.uniform(25, 75, 20) * RMS / psf.max()
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((200, 200))) * np.sqrt(transfer)).real
    data = np.fft.ifft2(np.fft.fft2(sky) * transfer).real + RMS * noise / noise.std()
    return data[:100, :100], psf / psf.max()


def test_the_bowl_of_many_sources_is_no_pedestal(noise_image, crowded, caplog):
    """It is below the noise all over the image, and subtracted, as it was, fluxes were a tenth too high."""
    data, psf = crowded
    assert np.median(data) < -RMS < 0 < data.mean()
    dirty = noise_image((100, 100))
    dirty.data = data
    np.testing.assert_array_equal(prepare(dirty, psf=psf).data, data)
    assert "pedestal" not in caplog.text
    dirty.data = data - 3 * RMS
    prepare(dirty, psf=psf)
    assert "dirty: lies on a pedestal" in caplog.text


def test_the_foot_of_the_psf_under_many_sources_is_no_pedestal():
    """As of natural weighting of an array with a dense core: subtracted, as it was, fluxes were a third too low."""
    side, beam_area = 160, 28.6
    whole, rng = 4 * side, np.random.default_rng(5)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(whole), np.fft.fftfreq(whole)))
    transfer = (np.exp(-90 * frequency**2) + 30 * np.exp(-4e5 * frequency**2)) * (frequency > 0)
    psf = np.fft.fftshift(np.fft.ifft2(transfer).real)
    sky = rng.standard_normal((whole, whole)) / np.sqrt(psf.max())
    noise = np.fft.ifft2(np.fft.fft2(sky) * np.sqrt(transfer)).real[:side, :side]
    points = np.zeros((whole, whole))
    points[tuple(rng.integers(5, side - 5, (2, 40)))] = rng.uniform(5, 20, 40) / psf.max()
    data = noise + np.fft.ifft2(np.fft.fft2(points) * transfer).real[:side, :side]
    beside = share_beside((psf / psf.max())[side:-side, side:-side], data.shape, beam_area)
    assert np.median(data) > 1.5 and beside > 2
    assert fit_pedestal(data, beam_area)[0] is not None  # without the PSF
    assert fit_pedestal(data, beam_area, beside)[0] is None
    assert fit_pedestal(data + 5, beam_area, beside)[0] is not None
    assert fit_pedestal(noise + 2, beam_area, beside)[0] is not None


def test_a_restored_image_of_a_large_source_has_none(seen):
    """Emission all over most of it, positive, as CLEAN and short spacings leave it."""
    y, x = np.indices(seen.shape) - 80
    data = image(seen) + 40 * RMS * np.exp(-0.5 * ((x / 40) ** 2 + (y / 25) ** 2))
    assert fit_pedestal(data, 20.0)[0] is None


def test_real_noise_has_none(seen):
    for seed in range(20):
        data = image(seen, seed=seed)
        data[np.hypot(*np.ogrid[-96:96, -96:96]) > 90] = np.nan
        assert fit_pedestal(data, 20.0)[0] is None


def test_small_images_full_of_restored_emission_have_none():
    """Where four blocks, which nearly always lie on a plane, are all that there is room for."""
    rng = np.random.default_rng(3)
    y, x = np.indices((64, 64))
    for _ in range(30):
        data = rng.standard_normal((64, 64))
        for _ in range(3):
            (x0, y0), width, peak = rng.uniform(0, 64, 2), rng.uniform(4, 9), 10 ** rng.uniform(1, 2)
            data += peak * np.exp(-0.5 * (((x - x0) / width) ** 2 + ((y - y0) / width) ** 2))
        assert fit_pedestal(data, 20.0)[0] is None
        assert fit_pedestal(rng.standard_normal((64, 64)) + 2, 20.0)[0] is not None
