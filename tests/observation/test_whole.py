"""What an image shows as a whole is said of one in tiles as well, in the same words."""

import re

import numpy as np
import pytest
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.observation.stored import StoredObservation

from ..conftest import gaussian_psf

SHAPE = (260, 240)


@pytest.fixture(params=[None, 190])
def checked(request, tmp_path, caplog):
    """Function that prepares an image, at once or in tiles, and returns the beam and the brightest pixel."""

    def check(image, **companions):
        if request.param is None:
            dirty = prepare(image, **companions)
            return dirty.beam, np.nanmax(dirty.data)
        stored = StoredObservation(image, companions, None, tmp_path, 0.2, request.param)
        assert len(stored.tiles) > 1
        return stored.beam, np.nanmax(stored.planes["dirty"].opened())

    return check


@pytest.fixture
def image(noise_image):
    made = noise_image(SHAPE)
    for x, y in ((60, 50), (120, 130), (200, 210)):  # the second one where tiles overlap
        made.data += 0.1 * gaussian_psf(shape=SHAPE, at=(y, x))
    return made


def test_nothing_is_said_of_what_is_right(checked, image, caplog):
    beam, peak = checked(image, mask=np.ones(SHAPE), pb=np.ones(SHAPE))
    assert beam.major.to_value("arcsec") == pytest.approx(0.5) and peak == pytest.approx(0.1, rel=0.02)
    assert not [record for record in caplog.records if not record.name.endswith(".band")]


def test_a_mask_of_zeros(checked, image, caplog):
    checked(image, mask=np.zeros(SHAPE))
    assert caplog.text.count("mask: is 0 or blank wherever the image is not") == 1


def test_absorption(checked, image, caplog):
    image.data *= -1
    image.data[100, 30] = -5  # a cold pixel, which is another matter
    checked(image)
    assert re.search(
        r"reaches -(9|10)\d\d times the noise, and only .* above 0.*; change the sign, or subtract less", caplog.text
    )


def test_noise_that_is_known_to_grow_is_not_taken_for_absorption(checked, noise_image, caplog):
    """It was where its lowest peak happened to be lower than the highest is high."""
    image, noise = noise_image(SHAPE), 1 / gaussian_psf(150, SHAPE).clip(0.04)
    image.data = noise * gaussian_filter(image.data, 5 * gaussian_fwhm_to_sigma)
    image.data *= -np.sign(image.data.flat[np.abs(image.data).argmax()])
    before, deep = image.data.copy(), 50 * image.data[120:140, 110:130].std() * gaussian_psf(shape=SHAPE)
    checked(image, noise=noise * 1e-4)
    assert "if sources are negative" not in caplog.text
    image.data = before - deep
    checked(image, noise=noise * 1e-4)
    assert "if sources are negative" in caplog.text


def test_noise_that_grows_where_the_primary_beam_falls(checked, noise_image, caplog):
    image, pb = noise_image(SHAPE), gaussian_psf(150, SHAPE)
    image.data /= pb.clip(0.01)
    checked(image, pb=pb)
    assert re.search(r"below 0.4 is [34](\.\d)? times that where it is above 0.8", caplog.text)


def test_sources_that_are_narrower_than_the_beam(checked, image, caplog):
    image.meta.update(BMAJ=0.6 / 3600, BMIN=0.6 / 3600)
    image.data[100, 30] = 5  # a hot pixel, which is no source
    beam, peak = checked(image)
    assert "dirty: 3 sources above 30 times the noise are narrower than the restoring beam" in caplog.text
    assert beam.major.to_value("arcsec") == pytest.approx(0.5, rel=0.02)
    if peak < 1:
        assert peak == pytest.approx(0.1 / 1.44, rel=0.02)
