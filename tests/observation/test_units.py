"""Units of brightness, as headers spell them."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.constants import c, k_B
from astropy.io import fits

from astro_ddpm_imager import DirtyImageError, read_image
from astro_ddpm_imager.observation.cubes import open_cube, read_plane
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.observation.stored import StoredObservation
from astro_ddpm_imager.observation.units import in_jy_per_beam, is_brightness

from ..conftest import write_image


@pytest.mark.parametrize("unit", ["", "  "])
def test_no_unit(tmp_path, unit):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), BUNIT=unit)
    with pytest.raises(DirtyImageError, match=r"a\.fits: the unit is missing; set BUNIT") as error:
        read_image(path)
    # Each way that it names is one.
    assert "read_image(path, unit='Jy/beam')" in str(error.value)
    assert read_image(path, unit="Jy/beam").unit == u.Jy / u.beam
    assert "astropy.io.fits.setval(path, 'BUNIT', value='Jy/beam')" in str(error.value)
    fits.setval(path, "BUNIT", value="Jy/beam")
    assert read_image(path).unit == u.Jy / u.beam


def test_strange_unit(tmp_path):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), BUNIT="quux")
    with pytest.raises(DirtyImageError, match="the unit 'quux' is unknown"):
        read_image(path)


def test_a_unit_that_is_given_may_be_spelled_as_in_headers(tmp_path):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)))
    assert read_image(path, unit="mJY/BEAM").unit == u.mJy / u.beam
    assert read_image(path, unit="").unit == u.one


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"unit": "quux"}, r"the unit 'quux' is unknown"),
        ({"unit": 3}, r"unit=3: must be a unit"),
        ({"max_pixels": None}, r"max_pixels=None: must be a whole number"),
    ],
)
def test_a_wrong_argument_is_no_fault_of_the_file(tmp_path, given, said):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)))
    with pytest.raises(DirtyImageError, match=rf"a\.fits: {said}"):
        read_image(path, **given)


def test_wrong_unit(noise_image):
    with pytest.raises(DirtyImageError, match="dirty: the unit is 'Jy', not Jy/beam"):
        prepare(noise_image(unit=u.Jy))


@pytest.mark.parametrize(
    "spelling",
    [
        "mJy/beam", "MJY/BEAM", "mJy beam-1", "mJy.beam^-1", "mJy*beam**-1", "mJy/bm", "MJY/BM", "milliJy/beam",
        "MILLIJANSKY/BEAM", "mJy/(beam)", "1e-3 Jy/beam", "10**-3 Jy/beam", "mJy/b", "mJy/B", "MJY/B", "mJy b-1",
        "1e-3 Jy/b", "MJY/BEAM (S.FLUX)",
    ],
)  # fmt: skip
def test_millijansky_are_converted(tmp_path, noise_image, spelling):
    image = noise_image()
    path = write_image(tmp_path / "a.fits", 1e3 * image.data, BUNIT=spelling)
    assert prepare(path).rms == pytest.approx(prepare(image).rms)


@pytest.mark.parametrize("letter", [u.bit, u.byte])
def test_what_astropy_takes_for_bits_is_beams(noise_image, letter):
    expected = in_jy_per_beam(noise_image(unit=u.mJy / u.beam), "dirty")
    np.testing.assert_array_equal(in_jy_per_beam(noise_image(unit=u.mJy / letter), "dirty"), expected)
    assert is_brightness(str(u.mJy / letter))


def test_megajansky_are_not_millijansky(tmp_path):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), BUNIT="MJy/beam")
    assert read_image(path).unit.to(u.Jy / u.beam) == pytest.approx(1e6)


@pytest.mark.parametrize("micro", [b"\xb5", b"\xc2\xb5"])
def test_a_letter_for_micro_is_said(tmp_path, caplog, micro):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), BUNIT="xxxJy/beam")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"'xxxJy/beam'", b"'" + micro + b"Jy/beam'" + b" " * (3 - len(micro))))
    assert read_image(path).unit == u.uJy / u.beam
    assert "has a letter that is not ASCII, which is taken for micro" in caplog.text


@pytest.mark.parametrize("unit", ["2 Jy/beam", "Jy/beam km/s", "JY/BEAM.KM/S", "dJy/beam", "JY/BEAM (KM/S)", "bit"])
def test_other_units_are_refused_without_more_words(tmp_path, unit):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), BUNIT=unit)
    with warnings.catch_warnings(), pytest.raises(DirtyImageError, match="the unit"):
        warnings.simplefilter("error")
        prepare(path)


def test_a_number_is_no_unit(tmp_path):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), BUNIT=5)
    with pytest.raises(DirtyImageError, match=r"a\.fits: BUNIT=5 is no unit; set it to 'Jy/beam'"):
        read_image(path)


KELVIN = (2 * k_B * u.K * (230e9 * u.Hz / c) ** 2).to(u.Jy)  # of Rayleigh and Jeans, for 1 K, from each sr


@pytest.mark.parametrize(
    ("spelling", "brightness"),
    [
        ("K", KELVIN), ("mK", 1e-3 * KELVIN), ("KELVIN", KELVIN), ("K (Tmb)", KELVIN), ("Jy/sr", u.Jy), ("JY/SR", u.Jy),
        ("MJy/sr", u.MJy), ("MJY/SR", u.MJy), ("mJy/arcsec2", u.mJy * u.sr.to(u.arcsec**2)),
    ],
)  # fmt: skip
def test_temperatures_and_brightness_per_solid_angle_are_converted(tmp_path, noise_image, caplog, spelling, brightness):
    caplog.set_level("INFO", "astro_ddpm_imager")
    image = noise_image()
    beam = (np.pi * (0.5 * u.arcsec) ** 2 / (4 * np.log(2))).to_value(u.sr)
    jy_per_beam = (1 * brightness).to_value(u.Jy) * beam
    path = write_image(tmp_path / "a.fits", image.data / jy_per_beam, BUNIT=spelling, FREQ=230e9)
    np.testing.assert_allclose(prepare(path).data, prepare(image).data, rtol=1e-6)
    at = " and 230 GHz" if "K" in spelling else ""
    assert f"to be in Jy/beam, with the beam, 0.5 x 0.5 arcsec at 0 deg{at}" in caplog.text
    # In tiles, too.
    given = StoredObservation(read_image(path), {}, None, tmp_path, 0.2, 0)
    np.testing.assert_allclose(given.planes["dirty"].opened(), prepare(image).data, rtol=1e-5)


def test_a_temperature_without_frequency(noise_image):
    with pytest.raises(DirtyImageError, match=r"dirty: the unit is 'K', and without the frequency .* set FREQ, in Hz"):
        prepare(noise_image(unit=u.K, RESTFRQ=230e9))
    image = noise_image(unit=u.K)
    image.meta["FREQ"] = 230e9  # the way out that it names
    assert prepare(image).rms > 0


def test_a_channel_in_kelvin_has_its_own_frequency(cube_files, tmp_path):
    with fits.open(cube_files["dirty"]) as hdus:
        hdus[0].header["BUNIT"] = "K"
        hdus.writeto(tmp_path / "cube.fits")
    cube = open_cube(tmp_path / "cube.fits")
    for channel, frequency in ((0, 230), (3, 239)):
        expected = prepare(read_image(cube_files["dirty"], channel=channel))
        found = prepare(read_plane(cube.plane(channel)))
        per_kelvin = expected.beam.jtok(frequency * u.GHz).value
        assert found.rms == pytest.approx(expected.rms / per_kelvin, rel=1e-5)


@pytest.mark.parametrize("spelling", ["Jy/pixel", "mJy/pix", "JY/PIXEL"])
def test_a_model_is_no_dirty_image(tmp_path, spelling):
    path = write_image(tmp_path / "a.fits", np.ones((64, 64)), BUNIT=spelling)
    with pytest.raises(DirtyImageError, match=r"dirty: the unit is 'm?Jy / pix', that of models of the sky.*multiply"):
        prepare(path)
