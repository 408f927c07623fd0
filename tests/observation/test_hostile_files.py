"""Whatever a file holds, there is a result where it should be or an error of the package."""

import io
import logging

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astro_ddpm_imager import DirtyImageError, read_image
from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import make_wcs

KEYS = [
    "SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "NAXIS4", "BSCALE", "BZERO", "BLANK", "EXTEND",
    "GROUPS", "PCOUNT", "WCSAXES", "CTYPE1", "CTYPE2", "CTYPE3", "CTYPE4", "CRVAL1", "CRVAL2", "CRVAL3", "CRPIX1",
    "CRPIX2", "CRPIX3", "CDELT1", "CDELT2", "CDELT3", "CDELT4", "CUNIT1", "CUNIT2", "CUNIT3", "PC1_1", "PC1_2",
    "PC3_1", "CD1_1", "CROTA2", "LONPOLE", "LATPOLE", "RADESYS", "EQUINOX", "PV1_1", "PV2_100", "SPECSYS",
    "RESTFRQ", "MJD-OBS", "DATE-OBS", "OBSGEO-X", "BMAJ", "BMIN", "BPA", "BUNIT", "CASAMBM", "A_ORDER", "CPDIS1",
    "TIMESYS",
]  # fmt: skip
VALUES = [
    "0", "1", "-1", "5", "-32", "64", "1000000", "99999999999999999999999999999999", "1E400", "1D-3", "NaN", "T",
    "F", "(1.0,2.0)", "1x2", "'NaN'", "'Infinity'", "'12.5'", "'x'", "'J2000'", "'RA---TAN'", "'GLON-CAR'",
    "'FELO-LSR'", "'STOKES'", "'DEC--TAN-SIP'", "'Jy/beam'", "''", "'é'",
]  # fmt: skip
CHANGES = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(KEYS), st.sampled_from([*VALUES, "", "'a\nb'"])),
    st.tuples(st.just("drop"), st.integers(0, 50), st.none()),
    st.tuples(st.just("byte"), st.integers(0, 50 * 80), st.integers(0, 255)),
    st.tuples(st.just("cut"), st.integers(0, 30_000), st.none()),
)
SEEDED = {"derandomize": True, "deadline": None, "database": None}
SHARED = [HealthCheck.function_scoped_fixture]  # they hold nothing of the example before


def make_file():
    """A good file, as bytes, and the number of cards in its header."""
    header = make_wcs((48, 48)).to_header()
    header.update({"BUNIT": "Jy/beam", "BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600, "BPA": 0.0})
    header.update({"CTYPE3": "FREQ", "CRVAL3": 2.3e11, "CDELT3": 1e9, "CRPIX3": 1.0})
    header.update({"CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0, "CRPIX4": 1.0, "RESTFRQ": 2.3e11})
    header.add_history("AIPS   CLEAN BMAJ=  1.3889E-04 BMIN=  1.3889E-04 BPA=   2.61")
    pixels = 1e-4 * np.random.default_rng(0).standard_normal((1, 1, 48, 48)).astype(np.float32)
    stream = io.BytesIO()
    fits.PrimaryHDU(pixels, header).writeto(stream)
    content = stream.getvalue()
    return content, content.index(b"END".ljust(80)) // 80


GOOD, CARDS = make_file()


def changed(content, kind, where, value):
    """The bytes of a file after one change."""
    if kind == "cut":
        return content[:where]
    if kind == "byte":
        where %= CARDS * 80
        return content[:where] + bytes([value]) + content[where + 1 :]
    if kind == "drop":
        where = where % CARDS * 80
        return content[:where] + b" " * 80 + content[where + 80 :]
    card = f"{where:8s}= {value:>20s}".ljust(80).encode("latin1")
    starts = [at for at in range(0, min(len(content), CARDS * 80), 80) if content[at : at + 9] == card[:9]]
    at = starts[0] if starts else 80 * CARDS
    moved = b"" if starts else b"END".ljust(80)
    return content[:at] + card + moved + content[at + 80 + len(moved) :]


@pytest.fixture
def path(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    return tmp_path / "a.fits"


@settings(max_examples=600, suppress_health_check=SHARED, **SEEDED)
@given(changes=st.lists(CHANGES, min_size=1, max_size=3))
@pytest.mark.filterwarnings("ignore")
def test_mutated_headers(path, changes):
    content = GOOD
    for change in changes:
        content = changed(content, *change)
    path.write_bytes(content)
    try:
        dirty = prepare(read_image(path))
    except DirtyImageError as error:
        assert len(str(error)) > 20
        return
    # Whatever was not touched has its place.
    touched = {change[1] for change in changes if change[0] == "set"} | {change[0] for change in changes} - {"set"}
    if touched <= {"RADESYS", "SPECSYS", "RESTFRQ", "CDELT4", "CRVAL3", "CTYPE3", "BLANK", "EXTEND", "drop"}:
        sky = dirty.wcs.pixel_to_world(24, 24)
        assert (sky.ra.deg, sky.dec.deg) == pytest.approx((150, 2), abs=1e-5)


PIXELS = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30, 1e-42, 1e308, 5e-4])


@settings(max_examples=150, suppress_health_check=SHARED, **SEEDED)
@given(
    values=st.lists(st.tuples(st.integers(0, 47), st.integers(0, 47), st.integers(1, 48), PIXELS), max_size=4),
    scale=st.sampled_from([1.0, 1e-42, 1e30, 1e300, 0.0]),
    kind=st.sampled_from(["f4", "f8", ">f4", "f2", "i2", "c16", "?"]),
    companion=st.sampled_from([None, "psf", "pb", "mask"]),
)
@pytest.mark.filterwarnings("ignore")
def test_mutated_pixels(noise_image, values, scale, kind, companion):
    image, other = noise_image((48, 48)), noise_image((48, 48))
    pixels = image.data * scale if companion is None else np.abs(other.data) / np.abs(other.data).max()
    for y, x, size, value in values:
        pixels[y : y + size, x : x + size] = value
    (image if companion is None else other).data = pixels.astype(kind)
    try:
        dirty = prepare(image, **({} if companion is None else {companion: other}))
    except DirtyImageError as error:
        assert str(error).startswith(("dirty: ", f"{companion}: "))
    else:
        np.testing.assert_array_equal(np.isnan(dirty.data), np.isnan(dirty.pb))
        assert dirty.rms > 0 and not dirty.allowed[np.isnan(dirty.data)].any()


def test_more_axes_than_fits_knows(path):
    path.write_bytes(changed(GOOD, "set", "NAXIS", "9" * 20))
    with pytest.raises(DirtyImageError, match=r"a\.fits: NAXIS=9+: FITS has at most 999 axes"):
        read_image(path)


def test_distortions_of_an_order_that_takes_forever(path):
    path.write_bytes(changed(GOOD, "set", "A_ORDER", "1000"))
    with pytest.raises(DirtyImageError, match=r"a\.fits: A_ORDER=1000: distortions \(SIP\) are of order 0 to 9"):
        read_image(path)


@pytest.mark.parametrize(("kind", "way"), [("c16", r"such as \.real"), ("U1", r"convert them with astype\(float\)")])
@pytest.mark.parametrize("name", ["dirty", "psf", "pb", "mask"])
def test_pixels_that_are_not_real(noise_image, name, kind, way):
    given = {"dirty": noise_image()}
    if name == "dirty":
        given[name].data = given[name].data.astype(kind)
    else:
        given[name] = np.ones((96, 96)).astype(kind)
    with pytest.raises(DirtyImageError, match=rf"{name}: the pixels are .*, not real numbers; .*{way}"):
        prepare(**given)
