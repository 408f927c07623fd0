"""Pixels that no interferometer makes are found by being sharper than the beam; what it makes never is."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager import DirtyImageError
from astro_ddpm_imager.observation.beam import beam_covariance
from astro_ddpm_imager.observation.pixels import sharp_pixels
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array

from ..conftest import gaussian_psf

RMS = 47e-6


@pytest.fixture(scope="module")
def seen():
    return Observation(
        read_array("alma.cycle5.3"),
        150 * u.deg,
        2 * u.deg,
        integration=5 * u.min,
        shape=(128, 128),
        cell=0.2 * u.arcsec,
    )


@pytest.fixture
def noise(seen):
    """Noise with the spectrum of the PSF, blank outside a circle, as `prepare` takes it."""
    data = seen.image(seen.noise(RMS, np.random.default_rng(2)))
    data[np.hypot(*np.ogrid[-64:64, -64:64]) > 60] = np.nan
    return {"dirty": CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs), "psf": seen.psf, "beam": seen.beam}


@pytest.mark.parametrize("height", [100, -100, -1000, 1e6, 1e30, 1e200])
def test_a_hot_or_cold_pixel_is_blank_and_its_place_is_said(noise, height, caplog):
    before = prepare(**noise)
    noise["dirty"].data[70, 51] = height * RMS
    after = prepare(**noise)
    assert after.blank[70, 51] and after.blank.sum() == before.blank.sum() + 1
    assert after.rms == pytest.approx(before.rms, rel=0.01)
    assert "dirty: 1 pixels are sharper than the beam allows" in caplog.text and "(51, 70)" in caplog.text


@pytest.mark.parametrize("where", [np.s_[40], np.s_[:, 90], np.s_[64, 60:62], np.s_[30:32, 30]])
def test_rows_columns_and_pairs(noise, where):
    inside = np.isfinite(noise["dirty"].data)
    hot = np.zeros_like(inside)
    hot[where] = True
    hot[80, :] = True  # crosses the columns
    hot &= inside
    noise["dirty"].data[hot] += 200 * RMS
    np.testing.assert_array_equal(prepare(**noise).blank, hot | ~inside)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_pixels_are_blank_and_said(noise, value, caplog):
    noise["dirty"].data[60, 61] = value
    assert prepare(**noise).blank[60, 61]
    assert "dirty: 1 pixels are infinite (pixel (x, y) = (61, 60))" in caplog.text


def test_many_of_them_make_no_image(noise):
    noise["dirty"].data[::5, ::5] = 1e4 * RMS
    with pytest.raises(DirtyImageError, match=r"dirty: \d+ pixels are sharper than the beam allows.*right beam"):
        prepare(**noise)


@pytest.mark.parametrize("scale", [1e-42, 1e-20, 1e25])
def test_noise_that_no_telescope_has(noise, scale):
    noise["dirty"].data[:] *= scale
    with pytest.raises(DirtyImageError, match=r"dirty: the noise is .* Jy/beam, and no telescope has"):
        prepare(**noise)


def test_a_spot_beyond_any_dynamic_range(noise):
    noise["dirty"].data[30:40, 30:40] = 1e30
    with pytest.raises(DirtyImageError, match=r"dirty: reaches 1e\+30 Jy/beam \(pixel \(x, y\) = \(30, 30\)"):
        prepare(**noise)


@pytest.mark.parametrize("weighting, cell", [("natural", 0.28), ("uniform", 0.28), ("briggs", 0.1)])
def test_what_an_interferometer_makes_is_never_too_sharp(weighting, cell):
    """Points of S/N 10 to 10,000 at 2.2 pixels a beam and more, dirty and restored, also beyond a blank edge."""
    seen = Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=5 * u.min, shape=(128, 128),
        cell=cell * u.arcsec, weighting=weighting, robust=-1.0,
    )  # fmt: skip
    covariance, rng = beam_covariance(seen.beam, seen.wcs, seen.shape), np.random.default_rng(4)
    y, x = np.indices(seen.shape)
    inverse = np.linalg.inv(covariance)
    for number in range(1, 9):
        flux, nothing = 10 ** rng.uniform(1, 4, number) * RMS, np.zeros(number)
        sources = Sources(*rng.uniform(2, 126, (2, number)), flux, nothing, nothing, nothing)
        images = [seen.dirty(sources, RMS, rng), seen.image(seen.noise(RMS, rng))]
        for x0, y0, f in zip(sources.x, sources.y, flux, strict=True):
            away = np.stack([x - x0, y - y0])
            images[1] += f * np.exp(-0.5 * np.einsum("iyx,ij,jyx->yx", away, inverse, away))
        for image in images:
            image[:, : rng.integers(40)] = np.nan
            assert not sharp_pixels(image, covariance).any()


def test_a_hot_pixel_in_a_corner_of_the_psf(noise_image, caplog):
    psf = gaussian_psf()
    psf[5, 90] = 30
    np.testing.assert_allclose(prepare(noise_image(), psf=psf).psf, gaussian_psf(), atol=1e-12)
    assert "psf: 1 pixels are sharper than the beam allows" in caplog.text and "(90, 5)" in caplog.text
