"""Files that are larger than they say, damaged or packed: read to their end, or refused at once."""

import bz2
import gzip
import lzma
import os
import re
import warnings
import zipfile

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.nddata import CCDData

from astro_ddpm_imager import DirtyImageError, read_companion, read_image
from astro_ddpm_imager.observation.cubes import count_channels
from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import make_wcs
from .corpus_files import good, with_card

PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def write(tmp_path, content, name="field.fits"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", PACKERS)
def test_packed_files_are_read_and_verified_to_their_end(tmp_path, kind):
    packed = PACKERS[kind](good()["dirty"])
    expected = read_image(write(tmp_path, good()["dirty"])).data
    for name in (f"field.fits.{kind}", "other.fits"):
        np.testing.assert_array_equal(read_image(write(tmp_path, packed, name)).data, expected)
    for at in (len(packed) // 2, len(packed) - 6):
        damaged = packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]
        with pytest.raises(DirtyImageError, match=r"damaged\.fits.* is not a FITS file, or it is cut off or damaged"):
            read_image(write(tmp_path, damaged, "damaged.fits.gz"))


@pytest.mark.parametrize("name", ["field.reg", "field.CRTF"])
def test_regions_are_no_image_and_how_they_become_one_is_said(tmp_path, name):
    """They were called a damaged file, to be copied again."""
    regions = write(tmp_path, b'# Region file format: DS9\nicrs\ncircle(150.1,2.2,3")\n', name)
    dirty = write(tmp_path, good()["dirty"])
    with pytest.raises(DirtyImageError, match=rf"mask: .*{name} is a file of regions, not an image; .*\.to_mask\(\)"):
        prepare(dirty, mask=regions)


def test_a_packed_image_in_an_extension(tmp_path):
    wide = 1e-4 * np.random.default_rng(0).standard_normal((64, 64))
    header = make_wcs((64, 64)).to_header()
    header.update({"BUNIT": "Jy/beam", "BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600, "BPA": 0.0})
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.zeros(3000))])
    hdus = fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(wide, header)])
    hdus.writeto(tmp_path / "a.fits.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "a.fits.gz").data, wide)


def an_image(*left_out, **cards):
    """Pixels and header of an image, without some cards."""
    header = make_wcs((64, 64)).to_header()
    header.update({"BUNIT": "Jy/beam", "BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600, "BPA": 0.0, **cards})
    for key in left_out:
        del header[key]
    return 1e-4 * np.random.default_rng(0).standard_normal((64, 64)), header


MASK = np.zeros((64, 64), np.uint8)


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
@pytest.mark.parametrize(
    "before",
    [
        fits.PrimaryHDU(np.zeros((1, 1), np.float32)),
        fits.PrimaryHDU(MASK),
        fits.PrimaryHDU(MASK, an_image()[1]),
        fits.PrimaryHDU(np.zeros((20, 30))),
    ],
)
def test_what_is_no_image_of_the_sky_is_passed_over(tmp_path, caplog, before, name):
    data, header = an_image()
    fits.HDUList([before, fits.ImageHDU(data, header, name="SCI")]).writeto(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name).data, data)
    assert f"{name}: HDU 1, 'SCI', is read; what is before it is a mask, or no image" in caplog.text
    caplog.clear()
    fits.HDUList([fits.PrimaryHDU(data, header), fits.ImageHDU(MASK)]).writeto(tmp_path / name, overwrite=True)
    np.testing.assert_array_equal(read_image(tmp_path / name).data, data)
    assert not caplog.text


def test_a_mask_alone_is_read(tmp_path):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(MASK, an_image()[1])]).writeto(tmp_path / "mask.fits")
    np.testing.assert_array_equal(read_companion(tmp_path / "mask.fits").data, MASK)


def extensions():
    """A table, two images of the sky of one name, and one without a name; the images are multiples of the first."""
    data, header = an_image()
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.zeros(3))], name="LIST")
    first, second = (fits.ImageHDU(factor * data, header, name="SCI", ver=factor) for factor in (1, 2))
    return data, fits.HDUList([fits.PrimaryHDU(), table, first, second, fits.ImageHDU(3 * data, header)])


@pytest.mark.parametrize("ending", ["fits", "fits.gz"])
@pytest.mark.parametrize(
    ("extension", "factor"), [("2", 1), ("3", 2), ("4", 3), ("SCI", 1), ("sci,2", 2), ("SCI, 1", 1)]
)
def test_an_extension_in_brackets(tmp_path, ending, extension, factor):
    data, hdus = extensions()
    hdus.writeto(tmp_path / f"a.{ending}")
    image = read_image(f"{tmp_path}/a.{ending}[{extension}]")
    np.testing.assert_array_equal(image.data, factor * data)
    assert image.meta["FILENAME"] == f"a.{ending}[{extension}]" and image.meta["FILEPATH"].endswith(f"a.{ending}")
    assert image.meta["FILESHA"] == read_image(tmp_path / f"a.{ending}").meta["FILESHA"]


@pytest.mark.parametrize("extension", ["0", "1", "LIST", "5", "ERR", "SCI,3", "", "1:10,1:10"])
def test_an_extension_that_is_no_image(tmp_path, extension):
    extensions()[1].writeto(tmp_path / "a.fits")
    said = "holds no image of two or more axes" if extension in ("0", "1", "LIST") else "there is no such HDU"
    there = r"\[0\] 'PRIMARY', \[1\] 'LIST', \[2\] 'SCI', \[3\] 'SCI', \[4\] ''"
    with pytest.raises(DirtyImageError, match=rf"a.fits\[{extension}\]: {said}; the file has {there}"):
        read_image(tmp_path / f"a.fits[{extension}]")


def test_a_file_may_have_brackets_in_its_name(tmp_path):
    data, hdus = extensions()
    hdus.writeto(tmp_path / "a.fits")
    hdus[4].writeto(tmp_path / "a.fits[2]")
    np.testing.assert_array_equal(read_image(tmp_path / "a.fits[2]").data, 3 * data)
    with pytest.raises(FileNotFoundError, match=r"b.fits\[2\]"):
        read_image(tmp_path / "b.fits[2]")


def test_cards_of_the_primary_header_are_inherited_where_the_extension_says_so(tmp_path):
    data, header = an_image("BMAJ", "BUNIT")
    primary = fits.PrimaryHDU(header=fits.Header({"BMAJ": 2e-4, "BUNIT": "Jy/beam", "BPA": 45.0, "OBJECT": "a"}))
    for inherit in (True, False):
        header["INHERIT"] = inherit
        path = tmp_path / f"{inherit}.fits"
        fits.HDUList([primary, fits.ImageHDU(data, header, name="SCI")]).writeto(path)
    image = read_image(tmp_path / "True.fits")
    assert [image.meta[key] for key in ("BMAJ", "BPA", "OBJECT", "NAXIS")] == [2e-4, 0, "a", 2]
    with pytest.raises(DirtyImageError, match=r"the unit is missing; .* \(this is HDU 1, 'SCI'; another one is"):
        read_image(tmp_path / "False.fits")


@pytest.mark.parametrize("hdu", [fits.PrimaryHDU, fits.CompImageHDU])
def test_whole_numbers_of_microjansky_are_read_after_what_the_error_says(tmp_path, monkeypatch, hdu):
    monkeypatch.chdir(tmp_path)
    data, header = an_image(BUNIT="uJy/beam")
    whole = hdu(np.round(1e6 * data).astype(np.int32), header)
    fits.HDUList([whole] if hdu is fits.PrimaryHDU else [fits.PrimaryHDU(), whole]).writeto("a.fits")
    with pytest.raises(
        DirtyImageError, match="are int32, not floating point; if their values really are in uJy"
    ) as said:
        prepare("a.fits")
    given = {"fits": fits}
    for line in re.search(r"in a file by (.*) and (.*)", str(said.value)).groups():
        exec(line, given)
    np.testing.assert_allclose(prepare("float.fits").data, data, atol=5.1e-7)


@pytest.mark.parametrize("head", [b"", good()["dirty"][:8640]])
def test_a_bomb_of_zeros(tmp_path, head):
    if head:
        for axis in (1, 2):
            head = with_card(head, f"NAXIS{axis}", "16000")
    zeros = gzip.compress(bytes(1 << 24))
    path = write(tmp_path, gzip.compress(head) + zeros * 256, "field.fits.gz")  # 4 GB
    with pytest.raises(DirtyImageError, match=r"field\.fits\.gz"):
        read_image(path, max_pixels=10**6)


@pytest.mark.parametrize(("side", "match"), [("20000", "max_pixels=2684.*give more"), ("9000", "cut off.*324000000")])
def test_more_pixels_than_there_are(tmp_path, side, match):
    content = good()["dirty"]
    for axis in (1, 2):
        content = with_card(content, f"NAXIS{axis}", side)
    for name, packed in (("a.fits", content), ("a.fits.gz", gzip.compress(content))):
        with pytest.raises(DirtyImageError, match=rf"a\.fits.*{match}"):
            read_image(write(tmp_path, packed, name))


def test_the_most_pixels_of_a_plane_are_chosen(tmp_path, noise_image):
    path = write(tmp_path, good()["dirty"])
    for read in (read_image, read_companion):
        assert read(path, max_pixels=128**2).shape == (128, 128)
        with pytest.raises(DirtyImageError, match="has 128 x 128 pixels, more than max_pixels=16383; if that is right"):
            read(path, max_pixels=128**2 - 1)


def test_a_wrong_checksum_of_the_pixels(tmp_path):
    data, header = fits.getdata(write(tmp_path, good()["dirty"]), header=True)
    fits.PrimaryHDU(data, header).writeto(tmp_path / "a.fits", checksum=True)
    assert read_image(tmp_path / "a.fits").shape == (128, 128)
    content = bytearray((tmp_path / "a.fits").read_bytes())
    content[-20000] ^= 1
    with pytest.raises(DirtyImageError, match=r"b\.fits: the pixels do not have the checksum .*DATASUM='\d+'"):
        read_image(write(tmp_path, bytes(content), "b.fits"))
    # Programs that change a header leave the CHECKSUM of the HDU as it was.
    fits.setval(tmp_path / "a.fits", "OBJECT", value="other")
    assert read_image(tmp_path / "a.fits").meta["OBJECT"] == "other"


def test_zip_archives_and_homes_of_nobody(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.fits", good()["dirty"])
    with pytest.raises(DirtyImageError, match=r"a\.zip is a zip archive; unpack it first"):
        read_image(tmp_path / "a.zip")
    with pytest.raises(DirtyImageError, match=r"~nobody-at-all/x\.fits: there is no such home folder"):
        read_image("~nobody-at-all/x.fits")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_pipes_and_devices(tmp_path):
    """A pipe, as <(...) of a shell, could be read once; nobody writes to this one, which is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        for read in (read_image, read_companion, count_channels):
            with pytest.raises(DirtyImageError, match=f"^{path}: is a pipe or a device, not a file; .* a FITS file"):
                read(path)


def test_distortions_that_products_cannot_keep(tmp_path, caplog):
    content = good()["dirty"]
    for key, value in {"CTYPE1": "'RA---SIN-SIP'", "CTYPE2": "'DEC--SIN-SIP'", "A_ORDER": "2", "B_ORDER": "2"}.items():
        content = with_card(content, key, value)
    with pytest.raises(DirtyImageError, match=r"distortions \(SIP or tables, .*regrid it"):
        read_image(write(tmp_path, with_card(content, "A_0_2", "1E-3")))
    straight = read_image(write(tmp_path, with_card(content, "A_0_2", "1E-9"))).wcs
    assert straight.sip is None and straight.wcs.ctype[0] == "RA---SIN" and "left out" in caplog.text


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_what_astropy_writes_as_masked_is_blank(tmp_path, name):
    """The mask of a CCDData is an HDU of its own."""
    data, header = an_image()
    image = CCDData(data.astype(">f4"), unit="Jy/beam", wcs=make_wcs((64, 64)), meta=header, mask=data > 1e-4)
    image.write(tmp_path / name)
    with fits.open(tmp_path / name) as hdus:
        for given in (tmp_path / name, hdus):
            found = read_image(given)
            assert found.data.dtype.itemsize == 4
            np.testing.assert_array_equal(np.isnan(found.data), image.mask)
            np.testing.assert_array_equal(found.data[~image.mask], image.data[~image.mask])
    # Of another shape, or of numbers, it is the mask of something else.
    for other in (MASK[1:] + 1, np.ones((64, 64), np.float32)):
        fits.HDUList([fits.PrimaryHDU(data, header), fits.ImageHDU(other, name="MASK")]).writeto(tmp_path / "b.fits")
        assert np.isfinite(read_image(tmp_path / "b.fits").data).all()
        (tmp_path / "b.fits").unlink()


STORED = np.random.default_rng(0).integers(-3000, 3000, (64, 64))
STORED[3, 4] = -3001


def of_blank_nothing_is_said():
    """Without astropy's warnings, when a file is opened, that BLANK must be an integer."""
    return warnings.catch_warnings(action="ignore", category=VerifyWarning)


def stored_as_integers(path, bits="i2", packed=False, **cards):
    """A file of integers, with cards that say what they stand for."""
    stored = STORED.astype(bits)
    hdu = fits.CompImageHDU(stored, an_image()[1]) if packed else fits.PrimaryHDU(stored, an_image()[1])
    hdu.writeto(path, overwrite=True, checksum=True)
    with of_blank_nothing_is_said(), fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[-1].header.update(cards)
    return path


def opened(path, **how):
    with of_blank_nothing_is_said(), fits.open(path, **how) as hdus:
        return read_image(hdus)


SCALED = {"BSCALE": 1e-5, "BZERO": 1e-3}
AS_TEXT = {"BSCALE": "1.0E-5", "BZERO": " 1.0D-3"}


@pytest.mark.parametrize("bits", ["i2", "i4"])
@pytest.mark.parametrize(
    "packed, cards",
    [
        *((packed, cards) for packed in (False, True) for cards in (SCALED, SCALED | {"BLANK": -3001}, AS_TEXT)),
        (False, AS_TEXT | {"BLANK": "-3001"}),  # which astropy cannot unpack
    ],
)
def test_stored_integers_are_what_they_stand_for(tmp_path, cards, bits, packed):
    path = stored_as_integers(tmp_path / "a.fits", bits, packed, **cards)
    kind = np.float32 if bits == "i2" else np.float64
    expected = STORED.astype(kind) * kind(1e-5) + kind(1e-3)  # as astropy has it
    expected[3, 4] = np.nan if "BLANK" in cards else expected[3, 4]
    for seen in (read_image(path), opened(path), opened(path, memmap=True), opened(path, memmap=False)):
        np.testing.assert_array_equal(seen.data, expected)


def test_pixels_are_blank_also_where_astropy_leaves_them(tmp_path):
    for at in ({"BLANK": 0}, {"BLANK": -3001.0}, {"BLANK": -3001, "BZERO": 2**15}):
        path = stored_as_integers(tmp_path / "a.fits", **at)
        np.testing.assert_array_equal(np.isnan(read_image(path).data), at["BLANK"] == STORED)


def test_text_that_scales_pixels_is_said(tmp_path, caplog):
    read_image(stored_as_integers(tmp_path / "a.fits", **AS_TEXT))
    assert "a.fits: BSCALE='1.0E-5' is text in the header; it is taken for the number 1e-05" in caplog.text
    path = stored_as_integers(tmp_path / "b.fits", BSCALE="unknown")
    for read in (read_image, opened):
        with pytest.raises(DirtyImageError, match=r"b\.fits: BSCALE='unknown' is no finite number; correct it in the"):
            read(path)
