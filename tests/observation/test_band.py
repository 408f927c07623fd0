"""What no baseline measures is found; what imagers make is not taken for it."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager import DirtyImageError
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array

RMS = 47e-6


def observed(weighting="natural"):
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=5 * u.min, shape=(128, 128),
        cell=0.2 * u.arcsec, weighting=weighting,
    )  # fmt: skip


@pytest.fixture(scope="module")
def seen():
    return observed()


def dirty(seen, flux=0.0, seed=1):
    zero = np.zeros(1)
    source = Sources(zero + 70.3, zero + 60.6, zero + flux * RMS, zero, zero, zero)
    return seen.dirty(source, RMS, np.random.default_rng(seed))


def prepared(seen, data, psf=True):
    image = CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs)
    return prepare(image, psf=seen.psf if psf else None, beam=seen.beam)


@pytest.mark.parametrize("psf", [True, False])
@pytest.mark.parametrize(("size", "height"), [(3, 100), (4, -1000), (6, 1e4), (5, 1e6)])
def test_blocks_of_hot_or_cold_pixels_are_blank_and_said(seen, caplog, size, height, psf):
    data = dirty(seen)
    data[40 : 40 + size, 80 : 80 + size] = height * RMS
    after = prepared(seen, data, psf)
    assert after.blank[40 : 40 + size, 80 : 80 + size].all() and after.blank.sum() < (size + 8) ** 2
    assert after.rms == pytest.approx(RMS, rel=0.15)
    assert "dirty: " in caplog.text and "(8" in caplog.text


def test_noise_of_another_kind_is_said(seen, caplog):
    rng = np.random.default_rng(0)
    for extra in (RMS * rng.standard_normal((128, 128)), 3 * RMS * np.cos(2.8 * np.arange(128))):
        caplog.clear()
        prepared(seen, dirty(seen) + extra)
        assert "at scales that no baseline measures by the PSF, which is no sky" in caplog.text


def test_rows_at_the_edge(seen, caplog):
    data = dirty(seen)
    data[0] = data[:, -1] = 500 * RMS
    after = prepared(seen, data)
    assert after.blank[0].all() and after.blank[:, -1].all() and after.blank.sum() == 255
    assert "sharper than the beam allows" in caplog.text


def test_much_of_it_makes_no_image(seen):
    data = dirty(seen)
    data[::16, :] = data[1::16, :] = data[2::16, :] = 1e3 * RMS
    with pytest.raises(DirtyImageError, match=r"dirty: \d+ pixels .*blank|no interferometer makes them"):
        prepared(seen, data)


@pytest.mark.parametrize("weighting", ["natural", "uniform", "briggs"])
@pytest.mark.parametrize("flux", [0, 100, 1e5])
def test_dirty_images_have_none_of_it(weighting, flux, caplog):
    seen = observed(weighting)
    for psf in (True, False):
        data = dirty(seen, flux)
        data[:, :9] = np.nan
        assert prepared(seen, data, psf).blank.sum() == 9 * 128
    assert "measure" not in caplog.text and "sharper" not in caplog.text


@pytest.mark.parametrize("weighting", ["natural", "uniform"])
def test_cleaned_images_have_none_of_it(weighting, caplog):
    """A Gaussian of 1e4 times the noise in the place of its PSF, whose transform has no end."""
    seen = observed(weighting)
    data = dirty(seen)
    plain = prepared(seen, data)
    (xx, xy), (_, yy) = np.linalg.inv(plain.beam_covariance)
    y, x = np.indices((128, 128)) - np.reshape([60.6, 70.3], (2, 1, 1))
    data = data + 1e4 * RMS * np.exp(-0.5 * (xx * x**2 + 2 * xy * x * y + yy * y**2))
    for psf in (True, False):
        assert not prepared(seen, data, psf).blank.any()
    assert "measure" not in caplog.text and "sharper" not in caplog.text
