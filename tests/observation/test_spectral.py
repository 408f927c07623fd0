"""The spectral axis of a cube: frequencies and velocities."""

import astropy.units as u
import numpy as np
import pytest
from astropy.constants import c
from astropy.io import fits
from astropy.wcs import WCS

from astro_ddpm_imager import read_image
from astro_ddpm_imager.errors import DirtyImageError
from astro_ddpm_imager.observation.celestial import read_wcs
from astro_ddpm_imager.observation.cubes import open_cube
from astro_ddpm_imager.observation.spectral import plane_frequency, spectral_axis
from astro_ddpm_imager.products.headers import to_hdu

from ..conftest import make_wcs

REST = 230.538e9
KM = 1e3 / c.to_value(u.m / u.s)


def cube_wcs(kind, value, step, unit, rest=0.0):
    wcs = WCS(naxis=3)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---SIN", "DEC--SIN", kind], ["deg", "deg", unit]
    wcs.wcs.crval, wcs.wcs.cdelt, wcs.wcs.crpix = [150, 2, value], [-1e-4, 1e-4, step], [1, 1, 2]
    wcs.wcs.restfrq = rest
    return wcs


def test_channels_of_a_matrix_as_astropy_writes_it():
    """Whose step of frequency is in PC3_3, with a CDELT3 of 1."""
    wcs = WCS(naxis=3)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---SIN", "DEC--SIN", "FREQ"], [150, 2, 228e9], [1, 1, 1]
    wcs.wcs.cd = np.diag([-1e-4, 1e-4, 1e9])
    header = wcs.to_header()
    assert header["PC3_3"] == 1e9 and header["CDELT3"] == 1
    hdu = fits.PrimaryHDU(np.ones((3, 4, 4), np.float32), header)
    hdu.header["BUNIT"] = "Jy/beam"
    image = read_image(hdu, channel=2)
    assert plane_frequency(image.meta) == 230e9
    assert to_hdu(image, image.meta).header["CDELT3"] == 1e9 and "PC3_3" not in image.meta


def test_an_image_of_fewer_axes_than_its_header():
    """As CASA's images are when their axes of length 1 are dropped; one channel is a cube, too."""
    header = cube_wcs("FREQ", 230, 2, "GHz").to_header()
    hdu = fits.PrimaryHDU(np.ones((4, 4), np.float32), header)
    hdu.header["BUNIT"] = "Jy/beam"
    cube = open_cube(hdu)
    assert cube.n_channels == 1 and cube.axis.frequency.to_value(u.GHz) == pytest.approx([228])


def test_frequencies():
    axis = spectral_axis(cube_wcs("FREQ", 230, 2, "GHz"), 3, "cube")
    np.testing.assert_allclose(axis.frequency.to_value(u.GHz), [228, 230, 232])
    assert axis.velocity is None and axis.cards["CUNIT"] == "Hz" and axis.cards["CDELT"] == pytest.approx(2e9)


@pytest.mark.parametrize("kind", ["VRAD", "VOPT"])
def test_velocities_are_frequencies_of_a_rest_frequency(kind):
    axis = spectral_axis(cube_wcs(kind, 0, 3000, "km/s", 230e9), 3, "cube")
    np.testing.assert_allclose(axis.velocity.to_value(u.km / u.s), [-3000, 0, 3000])
    ratio = 3e6 / c.to_value(u.m / u.s)
    expected = [1 + ratio, 1, 1 - ratio] if kind == "VRAD" else [1 / (1 - ratio), 1, 1 / (1 + ratio)]
    np.testing.assert_allclose(axis.frequency.to_value(u.GHz), np.multiply(230, expected))


def test_velocities_without_a_rest_frequency_have_no_frequencies():
    axis = spectral_axis(cube_wcs("VRAD", 0, 3, "km/s"), 2, "cube")
    assert np.isnan(axis.frequency).all()
    np.testing.assert_allclose(np.diff(axis.velocity.to_value(u.km / u.s)), 3)


@pytest.mark.parametrize(
    ("kind", "value", "step", "said"),
    [("", 0, 1, "no spectral WCS"), ("STOKES", 1, 1, "no spectral WCS"), ("ZOPT", 0, 1, "no spectral WCS")],
)
def test_axes_that_are_not_spectral(kind, value, step, said):
    with pytest.raises(DirtyImageError, match=f"cube: {said}.*CTYPE3='{kind}'"):
        spectral_axis(cube_wcs(kind, value, step, ""), 2, "cube")


def plane(axes, channels=1, **cards):
    """An image of one plane, or a cube, with cards of axes beyond the sky."""
    header = make_wcs((64, 64)).to_header()
    header.update({"BUNIT": "Jy/beam", "BMAJ": 5e-4, "BMIN": 5e-4, "BPA": 0.0, **cards})
    shape = (*[1] * (axes - 3), channels)[: axes - 2]
    return fits.PrimaryHDU(np.random.default_rng(0).normal(size=(*shape, 64, 64)), header)


def third(kind, value, step=None, reference=1.0, unit=""):
    cards = {"CTYPE3": kind, "CRVAL3": value, "CDELT3": step, "CRPIX3": reference, "CUNIT3": unit}
    return {key: card for key, card in cards.items() if card is not None}


@pytest.mark.parametrize(
    ("axes", "cards", "frequency"),
    [
        (3, third("FREQ", 1.4, 0.1, 1.0, "GHZ"), 1.4e9),
        (3, third("FREQ", 1400.0, 10.0, 0.0, "MHZ"), 1.41e9),
        (3, third("FREQ", 1.4, None, 1.0, "GHz"), 1.4e9),
        (3, third("FREQ", 1.4, 1.0, None, "GHz"), 1.4e9),
        (2, third("FREQ", 1.4, 0.1, 1.0, "GHz"), 1.4e9),  # of a cut-out
        (3, third("FREQ", 1.4, 0.1, 1.0, "furlong"), None),
        (3, third("VRAD", 100.0, 10.0, 1.0, "km/s") | {"RESTFRQ": REST}, REST * (1 - 100 * KM)),
        (3, third("VELO-LSR", 1e5, 1e4) | {"RESTFREQ": REST, "VELREF": 257}, REST * (1 - 100 * KM)),
        (3, third("VELO-LSR", 1e5, 1e4) | {"RESTFREQ": REST, "VELREF": 1}, REST / (1 + 100 * KM)),
        (3, third("VELOCITY", 1e5, 1e4) | {"RESTFREQ": REST}, REST * (1 - 100 * KM)),
        (3, third("VRAD", 1e5, 1e4), None),
        (3, third("WAVE", 1.3, 0.1, 1.0, "mm"), c.to_value(u.m / u.s) / 1.3e-3),
        (3, third("WAVE", 1.3, 0.1, 1.0, "furlong"), None),
        (3, third("VELOCITY", 1e5, 1e4) | {"RESTFREQ": REST, "VELREF": 1}, REST / (1 + 100 * KM)),
        (3, third("FELO-HEL", 100.0, 10.0, 1.0, "KM/S") | {"RESTFREQ": REST}, REST / (1 + 100 * KM)),
        (3, third("VRAD", 1e5, 1e4) | {"RESTFRQ": REST / 1e9}, None),  # in GHz
        (3, third("FREQ", 1.42, 0.1), None),
        (3, third("SPECLNMF", 1.28e9, 8e8), 1.28e9),
        (2, {"FREQ": 200315000.0}, 200315000.0),
        (2, {"FREQ": 200.315}, None),
        (2, {"RESTFRQ": 1.4365e8}, None),  # of what, is not said
    ],
)
def test_the_frequency_of_a_plane(axes, cards, frequency):
    image = read_image(plane(axes, **cards))
    assert plane_frequency(image.meta) == (frequency if frequency is None else pytest.approx(frequency, rel=1e-9))


@pytest.mark.parametrize("axes", [2, 3])
def test_axes_that_are_kept_are_in_units_that_others_read(axes):
    image = read_image(plane(axes, **third("FREQ", 1.4, 0.1, 1.0, "GHZ")))
    header = to_hdu(image, image.meta).header
    assert (header["CUNIT3"], header["CRVAL3"], header["CDELT3"]) == ("Hz", pytest.approx(1.4e9), pytest.approx(1e8))


@pytest.mark.parametrize(
    "cards",
    [
        third("FELO-HEL", 1e6, -5e4) | {"RESTFREQ": 1.42e9, "VELREF": 2},
        third("VOPT-F2W", 1e3, -50.0, unit="km/s") | {"RESTFRQ": 1.42e9},
        third("FREQ-LOG", 1.42, 0.01, unit="GHz"),
    ],
)
def test_one_channel_of_uneven_steps_has_the_frequency_that_it_has_in_the_cube(cards):
    """One of 64 was wrong by 33 km/s: optical velocities of channels that are evenly spaced in frequency."""
    cube = plane(3, 64, **cards)
    expected = open_cube(cube).axis.frequency.to_value(u.Hz)
    for channel in (0, 63):
        meta = read_image(cube, channel=channel).meta
        assert plane_frequency(meta) == pytest.approx(expected[channel], rel=1e-12)
    one = fits.Header({key: meta[key] for key in meta if key[:5] in ("CRVAL", "CDELT", "CRPIX", "CUNIT", "CTYPE")})
    one.update({key: cards[key] for key in cards if key.startswith(("REST", "VELREF"))})
    after = spectral_axis(read_wcs(one, "one"), 2, "one").frequency.to_value(u.Hz)[1]  # beyond the edge
    assert after - expected[63] == pytest.approx(expected[63] - expected[62], rel=0.02)


def test_velocities_of_gildas_are_of_the_radio_convention(caplog):
    axis = open_cube(plane(3, 2, **third("VELOCITY", 1e5, 1e4), RESTFREQ=REST)).axis
    np.testing.assert_allclose(axis.frequency.to_value(u.Hz), REST * (1 - np.array([100, 110]) * KM))
    assert "CTYPE3='VELOCITY' is taken for VRAD" in caplog.text


@pytest.mark.parametrize(
    ("kind", "value", "unit", "others"),
    [
        ("FREQ", 230.0, "GHZ", ["GHz"]),
        ("FREQ", 230e9, "HZ", ["Hz"]),
        ("VRAD", 100.0, "KM/S", ["km/s"]),
        ("VOPT", 1e5, "M/S", ["m/s", ""]),
        ("VELO-LSR", 100.0, "KM/S", ["km/s"]),
        ("FELO-HEL", 1e5, "M/S", ["m/s", ""]),
    ],
)
def test_units_in_capitals(kind, value, unit, others):
    spelt, *wanted = (
        open_cube(plane(3, 3, **third(kind, value, value / 100, 1.0, each), RESTFRQ=REST)).axis
        for each in (unit, *others)
    )
    for each in wanted:
        np.testing.assert_array_equal(spelt.frequency, each.frequency)
        assert spelt.cards == each.cards
    assert abs(spelt.frequency[0].to_value(u.Hz) / REST - 1) < 0.01


@pytest.mark.parametrize(
    "cards",
    [third("FREQ", 1.42, 0.1), third("VRAD", 1e5, 1e4) | {"RESTFRQ": REST / 1e9}, third("WAVE", 0.5, 0.1, 1, "um")],
)
def test_frequencies_of_no_interferometer(cards):
    with pytest.raises(DirtyImageError, match=r"its channels are at .* Hz by CTYPE3, CUNIT3 and RESTFRQ, where no"):
        open_cube(plane(3, 2, **cards))


def test_planes_of_obit():
    """The image, its spectral index, and channels, which are not equidistant."""
    cards = {"NTERM": 2, "NSPEC": 2, "FREQ0001": 0.9e9, "FREQ0002": 1.6e9}
    hdu = plane(3, 5, **third("SPECLNMF", 1.28e9, 8e8), **cards)
    frequencies = [plane_frequency(read_image(hdu, channel=channel).meta) for channel in (0, 2, 3, 4)]
    assert frequencies == [1.28e9, 0.9e9, 1.6e9, None]
    with pytest.raises(DirtyImageError, match=r"channel=1 is a term of the spectrum .*; choose 0, or one from 2 on"):
        read_image(hdu, channel=1)
    with pytest.raises(DirtyImageError, match=r"no spectral WCS .*CTYPE3='SPECLNMF'; .*, or choose one plane"):
        open_cube(hdu)


@pytest.mark.parametrize(
    ("velref", "said"), [({}, True), ({"VELREF": 0}, True), ({"VELREF": 1}, False), ({"VELREF": 257}, False)]
)
def test_velocities_of_no_convention_are_said(caplog, velref, said):
    axis = open_cube(plane(3, 2, **third("VELO-LSR", 5e6, 1e4), RESTFREQ=REST, **velref)).axis
    optical, radio = REST / (1 + 5000 * KM), REST * (1 - 5000 * KM)
    assert axis.frequency[0].to_value(u.Hz) == pytest.approx(radio if velref == {"VELREF": 257} else optical, rel=1e-9)
    assert ("CTYPE3='VELO-LSR' without VELREF is taken for optical velocities" in caplog.text) is said
