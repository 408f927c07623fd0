"""Only the cards of the sky matter, and those are never guessed."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from astro_ddpm_imager import DirtyImageError, read_image
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.products.headers import product_header, to_hdu
from astro_ddpm_imager.result import JY_PER_BEAM

from ..conftest import make_wcs

FOUR_AXES = {
    "CTYPE3": "FREQ", "CRVAL3": 2.3e11, "CDELT3": 1e9, "CRPIX3": 1.0,
    "CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0, "CRPIX4": 1.0,
}  # fmt: skip


def write(path, raw=(), without=(), **cards):
    """A four-dimensional image of noise, some cards exactly as they are given or left out."""
    header = make_wcs((64, 64)).to_header()
    header.update({"BUNIT": "Jy/beam", "BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600, "BPA": 0.0, **FOUR_AXES, **cards})
    data = 1e-4 * np.random.default_rng(0).standard_normal((1, 1, 64, 64))
    fits.PrimaryHDU(data, header).writeto(path)
    content = path.read_bytes()
    for card in raw:
        place = content.index(card[:9].encode())
        content = content[:place] + card.ljust(80).encode("latin1") + content[place + 80 :]
    for key in without:
        place = content.index(f"{key:8s}=".encode())
        content = content[:place] + b" " * 80 + content[place + 80 :]
    path.write_bytes(content)
    return path


def centre(path):
    sky = prepare(read_image(path)).wcs.pixel_to_world(32, 32)
    return sky.icrs.ra.deg, sky.icrs.dec.deg


@pytest.mark.parametrize(
    "cards",
    [
        {"CDELT4": 0.0},
        {"CDELT3": 0.0},
        {"CTYPE3": "FELO-LSR", "CRVAL3": 1e3},
        {"CTYPE3": "VELO-F2V", "SPECSYS": "LSRK"},
        {"CTYPE3": "FREQ-XYZ"},
        {"CUNIT3": "furlong"},
        {"SPECSYS": "NOWHERE"},
    ],
)
def test_axes_beyond_the_sky_may_be_broken(tmp_path, cards):
    assert centre(write(tmp_path / "a.fits", **cards)) == pytest.approx((150, 2), abs=1e-9)


def test_it_is_said_that_they_are_left_out(tmp_path, caplog):
    read_image(write(tmp_path / "a.fits", CDELT4=0.0))
    assert "the WCS of the axes beyond the sky cannot be used" in caplog.text and "singular" in caplog.text


@pytest.mark.parametrize(
    ("said", "meant", "equinox"),
    [("J2000", "FK5", 2000), ("j2000.0", "FK5", 2000), ("B1950", "FK4", 1950), ("icrs", "ICRS", None)],
)
def test_frames_that_are_called_by_their_equinox(tmp_path, caplog, said, meant, equinox):
    wcs = read_image(write(tmp_path / "a.fits", RADESYS=said)).wcs
    assert wcs.wcs.radesys == meant and f"RADESYS='{said}' is taken for {meant}" in caplog.text
    assert equinox is None or wcs.wcs.equinox == equinox
    sky = wcs.pixel_to_world(32, 32)
    assert (sky.ra.deg, sky.dec.deg) == pytest.approx((150, 2)) and sky.frame.name == meant.lower()


def test_a_frame_and_an_equinox_that_contradict_each_other(tmp_path):
    with pytest.raises(DirtyImageError, match=r"RADESYS='J2000'; image it, or regrid it"):
        read_image(write(tmp_path / "a.fits", RADESYS="J2000", EQUINOX=1950.0))


@pytest.mark.parametrize("key", ["EQUINOX", "EPOCH"])
@pytest.mark.parametrize(
    ("value", "frame", "said"),
    [
        (1950.0, "fk4", ""), (2000, "fk5", ""), ("1950.0", "fk4", "text"), ("B1950", "fk4", "for the number 1950"),
        ("J2000", "fk5", "for the number 2000"), (0.0, "icrs", "counts as not given"), ("", "icrs", "=nothing"),
    ],
)  # fmt: skip
def test_an_equinox_is_that_of_the_positions(tmp_path, caplog, key, value, frame, said):
    wcs = read_image(write(tmp_path / "a.fits", without=["RADESYS"], **{key: value})).wcs
    sky = wcs.pixel_to_world(32, 32)
    assert sky.frame.name == frame and (sky.ra.deg, sky.dec.deg) == pytest.approx((150, 2))
    assert f"{key}=" in caplog.text and said in caplog.text if said else not caplog.text


@pytest.mark.parametrize("key", ["EQUINOX", "EPOCH"])
@pytest.mark.parametrize("value", [20.0, 19500.0, 2451545.0, -1.0])
def test_an_equinox_that_is_no_year(tmp_path, key, value):
    with pytest.raises(DirtyImageError, match=rf"a\.fits: the equinox {value!r} \(EQUINOX or EPOCH\) is no year"):
        read_image(write(tmp_path / "a.fits", without=["RADESYS"], **{key: value}))
    assert centre(write(tmp_path / "b.fits", RADESYS="ICRS", **{key: value})) == pytest.approx((150, 2), abs=1e-9)


def test_an_equinox_of_nothing_leaves_the_epoch_and_the_frame(tmp_path):
    wcs = read_image(write(tmp_path / "a.fits", without=["RADESYS"], EQUINOX=0.0, EPOCH=1950.0)).wcs
    assert wcs.wcs.radesys == "FK4" and wcs.wcs.equinox == 1950
    sky = read_image(write(tmp_path / "b.fits", RADESYS="FK5", EQUINOX=0.0)).wcs.pixel_to_world(32, 32)
    assert sky.frame.equinox.jyear == 2000 and sky.ra.deg == pytest.approx(150)


def test_an_epoch_beside_an_equinox_is_not_read(tmp_path):
    image = read_image(write(tmp_path / "a.fits", EPOCH="2019-05-21", EQUINOX=2000.0, RADESYS="FK5"))
    assert image.wcs.wcs.equinox == 2000


@pytest.mark.parametrize("card", ["ORIGIN  = 'a\nb'", "ORIGIN  = 'Andr\xe9'", "ORIGIN  = 1x2", "ORIGIN  = 1E400"])
def test_cards_that_are_not_fits_do_no_harm(tmp_path, card):
    path = write(tmp_path / "a.fits", raw=[card], ORIGIN="CASA")
    image = read_image(path)
    assert centre(path) == pytest.approx((150, 2), abs=1e-9)
    image.meta.tostring()


@pytest.mark.parametrize("key", ["CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CTYPE1"])
def test_a_card_of_the_position_that_is_missing(tmp_path, key):
    with pytest.raises(DirtyImageError, match=rf"a\.fits: there is no {key} in the header"):
        read_image(write(tmp_path / "a.fits", without=[key]))


def test_pixels_of_no_size(tmp_path):
    path = write(tmp_path / "a.fits", without=["CDELT1", "PC1_1", "PC2_2"])
    with pytest.raises(DirtyImageError, match=r"a\.fits: there is no CDELT1 \(or CD matrix\) in the header"):
        read_image(path)


@pytest.mark.parametrize("key", ["CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "PC1_1", "LONPOLE"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("'NaN'", "'NaN'"), ("NaN", "'NaN'"), ("'Infinity'", "'Infinity'"), ("1E400", "inf"), ("T", "True"),
        ("(1.0, 2.0)", r"\(1\+2j\)"), ("15x.0", "'15x.0'"), ("", "nothing"),
    ],
)  # fmt: skip
def test_a_card_of_the_position_that_is_no_number(tmp_path, key, value, shown):
    path = write(tmp_path / "a.fits", raw=[f"{key:8s}= {value}"])
    with pytest.raises(DirtyImageError, match=rf"a\.fits: {key}={shown} is no finite number; correct it"):
        read_image(path)


def test_a_number_in_text_is_one(tmp_path, caplog):
    path = write(tmp_path / "a.fits", raw=["CRVAL1  = '1.6D+02 '"])
    assert centre(path) == pytest.approx((160, 2))
    assert "CRVAL1='1.6D+02' is text in the header; it is taken for the number 160.0" in caplog.text


def test_a_card_that_is_there_twice(tmp_path):
    path = write(tmp_path / "a.fits", raw=["CDELT3  =                151.0"])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CDELT3  =", b"CRVAL1  ="))
    with pytest.raises(DirtyImageError, match=r"CRVAL1 is in the header twice, 15.\.0 and 15.\.0; remove"):
        read_image(path)


def test_a_place_that_is_none(tmp_path, noise_image):
    with pytest.raises(DirtyImageError, match=r"CRVAL1=1e\+30 and CRVAL2=2 deg are no place on the sky"):
        read_image(write(tmp_path / "a.fits", CRVAL1=1e30))
    with pytest.raises(DirtyImageError, match=r"the middle of the image is beyond the projection"):
        prepare(read_image(write(tmp_path / "b.fits", CRPIX1=1e9)))
    image = noise_image()
    image.wcs.wcs.crval = [np.nan, 0]
    with pytest.raises(DirtyImageError, match=r"CRVAL1=nan"):
        prepare(image)


@pytest.mark.parametrize("key", ["CRVAL3", "CDELT3", "RESTFRQ"])
def test_numbers_without_end_do_not_reach_the_products(tmp_path, key):
    dirty = prepare(read_image(write(tmp_path / "a.fits", raw=[f"{key:8s}= 1E400"], RESTFRQ=2.3e11)))
    names = ["software", "model", "model_sha256", "noise_protocol", "sampler", "aggregate", "catalog", "misfit"]
    numbers = ["n_samples", "steps", "threshold", "reliability", "calibrated", "pblimit", "seed", "chi2"]
    header = product_header(dirty, dict.fromkeys(names, "a") | dict.fromkeys(numbers, 1))
    to_hdu(CCDData(dirty.data, unit=JY_PER_BEAM, wcs=dirty.wcs, meta=header)).writeto(tmp_path / "product.fits")
    assert np.isfinite(fits.getheader(tmp_path / "product.fits").get("FREQ", 0))


def test_a_date_that_is_a_number_is_left_out_and_said(tmp_path, caplog):
    assert "DATE-OBS" not in read_image(write(tmp_path / "a.fits", **{"DATE-OBS": 49788.5})).meta
    assert "left out of the header: DATE-OBS" in caplog.text


def write_cube(path, units, values):
    cube = 1e-4 * np.random.default_rng(0).standard_normal((2, 64, 64))
    header = make_wcs((64, 64)).to_header()
    header.update({"BUNIT": "Jy/beam", "CASAMBM": True, "CTYPE3": "FREQ", "CRVAL3": 1.0, "CDELT3": 1.0, "CRPIX3": 1.0})
    columns = [
        fits.Column(name, "D", unit, array=values) for name, unit in zip(("BMAJ", "BMIN", "BPA"), units, strict=True)
    ]
    columns.append(fits.Column("CHAN", "J", array=[0, 1]))
    table = fits.BinTableHDU.from_columns(columns, name="BEAMS")
    fits.HDUList([fits.PrimaryHDU(cube, header), table]).writeto(path)
    return path


@pytest.mark.parametrize(
    ("unit", "size"),
    [("deg", 0.6 / 3600), ("arcsec", 0.6), (None, 0.6), ("mas", 600.0), ("rad", np.deg2rad(0.6 / 3600))],
)
def test_tables_of_beams_say_their_unit(tmp_path, unit, size):
    image = read_image(write_cube(tmp_path / "a.fits", [unit, unit, "deg"], [99.0, size]), channel=1)
    assert 3600 * image.meta["BMAJ"] == pytest.approx(0.6)


def test_tables_of_beams_in_no_unit_of_angles(tmp_path):
    path = write_cube(tmp_path / "a.fits", ["Jy", "arcsec", "deg"], [0.6, 0.6])
    with pytest.raises(DirtyImageError, match=r"a\.fits: the table of beams has BMAJ in 'Jy', which is no angle"):
        read_image(path, channel=1)
