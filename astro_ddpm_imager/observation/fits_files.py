"""The first image in a FITS file, however it is packed: read to its end, and no larger than it may be."""

import io
import logging
import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.data import get_readable_fileobj
from astropy.utils.exceptions import AstropyWarning

from ..errors import DirtyImageError
from ..ignored_warnings import ignored
from .extensions import hdu_number, is_meant, split_extension
from .scaled import scaled_pixels

__all__ = ["IMAGE_HDUS", "check_size", "first_image", "is_packed", "opened_fits"]

log = logging.getLogger(__name__)

IMAGE_HDUS = fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU
MOST_AXES = 999
HEADER = 2**23  # bytes: no header is longer
BEYOND = 2**26  # bytes after the first image of a compressed file that are read, to verify it
DENSEST = 1040  # of gzip: bytes for one
BLOCK = 2880  # bytes
CLOSED = "closed file"  # in what Python says of one
MASK = "MASK"
REGIONS = (".reg", ".crtf", ".rgn")  # of DS9 and CASA
PART = 2**22  # bytes, of 4 each
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
PACKED = (GZIP, b"BZh", b"\xfd7zXZ", b"\x1f\x9d")


@contextmanager
def opened_fits(path, channel, max_pixels, verified=False):
    """Pixels and header of the first image in a FITS file, while it is open.

    Parameters
    ----------
    path : `~pathlib.Path`
        With an extension in brackets, or without.
    channel : int
        As of `first_image`.
    max_pixels : int
        Of a plane, at most.
    verified : bool, optional
        Whether the checksum of the pixels is known to be right; to verify it takes all of them.

    Yields
    ------
    data : array-like, shape (..., ny, nx)
        What is indexed is read from the file, and nothing else.
    header : `~astropy.io.fits.Header`

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DirtyImageError
        It is none, is cut off, damaged or too large.
    """
    file, extension = split_extension(path)
    with _readable(path), ExitStack() as stack:
        with _quiet():
            stream = stack.enter_context(_opened(file, max_pixels, extension))
            hdus = stack.enter_context(fits.open(stream, memmap=False))
            number, hdu, header = _first_image(hdus, channel, path, max_pixels, extension)
            mask = _mask_of(hdu, hdus, path)
            data = scaled_pixels(hdu, header, stream, path) or hdu.section
        if not verified and _is_summed(hdu):
            _check_sum(hdu.header["DATASUM"], _has_its_sum(stream, hdu), path)
        with _of_hdu(number, hdu, file):
            yield data if mask is None else _Masked(data, mask.section), header


@contextmanager
def _of_hdu(number, hdu, file):
    """Say of which HDU an error is, if it is not the first."""
    try:
        yield
    except DirtyImageError as error:
        if number == 0:
            raise
        raise DirtyImageError(
            f"{error} (this is HDU {number}, {hdu.name!r}; another one is given with its number or name, as "
            f"{file.name}[{number + 1}])"
        ) from error


def _quiet():
    """Odd letters in a header, or missing padding, do no harm; where pixels are missing, reading them fails."""
    return ignored(AstropyWarning)


def is_packed(path):
    """Whether a file is compressed as a whole, so that no part of it can be read alone.

    Parameters
    ----------
    path : `~pathlib.Path`

    Returns
    -------
    bool
    """
    with path.open("rb") as stream:
        return stream.read(6).startswith((ZIP, *PACKED))


@contextmanager
def _readable(name):
    """Say which file it is that astropy stumbles over."""
    try:
        yield
    except (FileNotFoundError, PermissionError, DirtyImageError):
        raise
    except MemoryError as error:
        raise DirtyImageError(f"{name}: there is not enough memory for it; cut out a part, or one plane") from error
    except Exception as error:  # there is no end to what a damaged file makes astropy stumble over
        if CLOSED in str(error):
            raise DirtyImageError(
                f"{name}: its file was closed before all of it was read; give it while the file is open, or its path"
            ) from error
        if Path(name).suffix.lower() in REGIONS:
            raise DirtyImageError(
                f"{name} is a file of regions, not an image; make a mask of each one with regions.Regions.read(path) "
                "and region.to_pixel(wcs).to_mask().to_image(shape), or of all of them with CASA's task makemask"
            ) from error
        raise DirtyImageError(
            f"{name} is not a FITS file, or it is cut off or damaged ({str(error) or repr(error):.300}); export or "
            "copy it again"
        ) from error


def first_image(hdus, channel, name, max_pixels):
    """Pixels and header of the first image in HDUs, or of one.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList` or image HDU
    channel : int or None
        Whose beam goes into the header, if each channel has its own.
    name : str or path-like
        What it is called in errors.
    max_pixels : int
        Of a plane, at most.

    Returns
    -------
    data : array, shape (..., ny, nx)
    header : `~astropy.io.fits.Header`

    Raises
    ------
    DirtyImageError
        There is none, or it is too large or damaged.
    """
    with _readable(name):
        _, hdu, header = _first_image(hdus, channel, name, max_pixels)
        if _is_summed(hdu):
            _check_sum(hdu.header["DATASUM"], hdu.verify_datasum() != 0, name)
        mask, place = _mask_of(hdu, hdus, name), hdu.fileinfo()
        with _quiet():
            scaled = scaled_pixels(hdu, header, place["file"], name) if place else None
        data = hdu.data if scaled is None else scaled[...]
        return data if mask is None else _Masked(data, mask.data)[...], header


def _first_image(hdus, channel, name, max_pixels, extension=None):
    """Number, HDU and header of the extension, or the first image of the sky, or the first image if none is one."""
    all_of_them, others = [hdus] if isinstance(hdus, IMAGE_HDUS) else hdus, []
    meant = None if extension is None else hdu_number(hdus, extension, name)
    for number, hdu, header in _images(all_of_them, name, max_pixels, meant):
        if _is_of_sky(header):
            break
        others.append((number, hdu, header))
    else:
        if not others:
            raise DirtyImageError(f"{name} holds no image of two or more axes")
        (number, hdu, header), others = others[0], []
    if others:
        log.warning(
            "%s: HDU %d, %r, is read; what is before it is a mask, or no image of the sky: %s", name, number, hdu.name,
            ", ".join(f"HDU {each}, {other.name!r}" for each, other, _ in others),
        )  # fmt: skip
    if header.get("CASAMBM") and "BEAMS" in all_of_them:
        _copy_beam(hdus["BEAMS"], channel or 0, header, name)
    return number, hdu, header


@dataclass(frozen=True)
class _Masked:
    """Pixels that are NaN where a mask is not 0; only what is indexed is read."""

    data: object
    mask: object

    @property
    def shape(self):
        return self.data.shape

    def __getitem__(self, index):
        return np.where(self.mask[index], np.nan, self.data[index])


def _mask_of(image, hdus, name):
    """The HDU in which astropy writes the mask of a CCDData, if there is one for an image."""
    if isinstance(hdus, IMAGE_HDUS) or MASK not in hdus:
        return None
    mask = hdus[MASK]
    if mask is image or not mask.is_image or mask.shape != image.shape or mask.header["BITPIX"] != 8:
        return None
    log.info("%s: pixels are blank where HDU %r is not 0", name, MASK)
    return mask


def _images(hdus, name, max_pixels, meant=None):
    """Numbers, HDUs and headers of those that hold pixels, or of the one that is meant."""
    for number, hdu in enumerate(hdus):
        if meant not in (None, number) or not hdu.is_image or hdu.header.get("NAXIS", 0) < 2:
            continue
        check_size(hdu.shape, name, max_pixels)
        if 0 in hdu.shape:
            continue
        header = hdu.header.copy()
        if number and header.get("INHERIT") is True:  # FITS standard 4.0, 4.4.2.6
            header.extend(hdus[0].header, unique=True)
        yield number, hdu, header


def _is_of_sky(header):
    """Whether an image is no dummy of a pixel, no mask of bytes, and has coordinates."""
    *sides, bits = (header.get(f"Z{key}", header[key]) for key in ("NAXIS1", "NAXIS2", "BITPIX"))  # Z if compressed
    return min(sides) > 1 and bits != 8 and "CTYPE1" in header


def _is_summed(hdu):
    """Whether the pixels have a checksum that can be verified."""
    # Where programs have changed the header only, CHECKSUM is of no use; DATASUM is of the pixels.
    return "DATASUM" in hdu.header and not isinstance(hdu, fits.CompImageHDU)


def _check_sum(said, right, name):
    if not right:
        raise DirtyImageError(
            f"{name}: the pixels do not have the checksum of the header, DATASUM={said!r}; the file is damaged: copy "
            "it again, or remove DATASUM if they were changed on purpose"
        )


def _has_its_sum(stream, hdu):
    """Whether pixels in a file have the checksum of their header (FITS standard 4.0, appendix J), a part at a time."""
    place, total = hdu.fileinfo(), 0
    stream.seek(place["datLoc"])
    for left in range(place["datSpan"], 0, -PART):
        part = stream.read(min(left, PART))
        words = np.frombuffer(part + b"\0" * (-len(part) % 4), ">u4")  # the padding may be missing
        total += int(words.sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return str(total) == str(hdu.header["DATASUM"]).strip()


def check_size(shape, name, max_pixels):
    """Fail if a plane is larger than it may be.

    Parameters
    ----------
    shape : tuple of int, (..., ny, nx)
    name : str or path-like
        What the image is called in errors.
    max_pixels : int

    Raises
    ------
    DirtyImageError
    """
    ny, nx = shape[-2:]
    if ny * nx > max_pixels:
        raise DirtyImageError(
            f"{name}: has {nx} x {ny} pixels, more than max_pixels={max_pixels}; if that is right, give more to "
            "read_image, or cut out a part"
        )


def _opened(path, max_pixels, extension):
    """A file, unpacked if it is compressed, once its headers, to that of the image, are known to be sound."""
    with path.open("rb") as stream:
        magic = stream.read(6)
    if magic.startswith(ZIP):
        raise DirtyImageError(f"{path} is a zip archive; unpack it first")
    packed = magic.startswith(PACKED)
    densest = DENSEST if magic.startswith(GZIP) else math.inf if packed else 1
    with get_readable_fileobj(path, encoding="binary") as stream:
        content = bytearray(stream.read(HEADER))
        end, number = 0, 0
        while end < len(content) or not number:
            source = io.BytesIO(content)
            source.seek(end)
            header = fits.Header.fromfile(source)
            needed, end = _bytes_of(header, path, max_pixels), source.tell()
            size = path.stat().st_size
            if end + needed > size * densest:
                raise DirtyImageError(
                    f"{path} is not a FITS file, or it is cut off: its header says {needed} bytes of pixels, the file "
                    f"has {size}; copy it again"
                )
            if not packed:
                return path.open("rb")
            end += -(-needed // BLOCK) * BLOCK
            # One that inherits its coordinates has them in another header.
            wanted = _is_image(header) and (_is_of_sky(header) or "INHERIT" in header)
            if extension is not None:
                wanted = is_meant(number, header, extension)
            elif needed > BEYOND and number:
                break
            if wanted:
                break
            number += 1
            content += stream.read(max(end + HEADER - len(content), 0))
        # To the end, where the checksums of the compression are.
        content += stream.read(max(end + BEYOND - len(content), 0))
        if stream.read(1):
            log.warning("%s: goes on far beyond the first image; what follows is not read, so not verified", path)
        return io.BytesIO(content)


def _is_image(header):
    return header.get("NAXIS", 0) >= 2 and (header.get("XTENSION", "IMAGE") == "IMAGE" or "ZIMAGE" in header)


def _bytes_of(header, path, max_pixels):
    """Of the data of an HDU, as its header says."""
    number = header.get("NAXIS", 0)
    if isinstance(number, int) and number > MOST_AXES:
        raise DirtyImageError(f"{path}: NAXIS={number}: FITS has at most {MOST_AXES} axes; export or copy it again")
    lengths = [header.get(f"NAXIS{axis}", 1) for axis in range(1, number + 1)] if isinstance(number, int) else []
    if not lengths or not all(isinstance(length, int) and length >= 0 for length in lengths):
        return 0  # of which astropy says what is wrong
    if len(lengths) > 1 and header.get("XTENSION", "IMAGE") == "IMAGE":
        check_size(lengths[1::-1], path, max_pixels)
    beside = header.get("PCOUNT", 0) if "XTENSION" in header else 0
    return (math.prod(lengths) + beside) * abs(header.get("BITPIX", 8)) // 8


def _copy_beam(table, channel, header, path):
    """The beam of a channel, from CASA's table to the header."""
    units = {}
    for name in ("BMAJ", "BMIN", "BPA"):
        text = table.columns[name].unit or ("deg" if name == "BPA" else "arcsec")
        units[name] = u.Unit(text, parse_strict="silent")
        if not units[name].is_equivalent(u.deg):
            raise DirtyImageError(
                f"{path}: the table of beams has {name} in {text!r}, which is no angle; correct its TUNIT, or set "
                "BMAJ, BMIN and BPA in the header of the image and leave the table out"
            )
    beams = table.data
    rows = beams[beams["CHAN"] == channel] if "CHAN" in beams.names else beams[channel:]
    for row in rows[:1]:  # none if there is no such channel, as is said when it is selected
        for name, unit in units.items():
            value = (float(row[name]) * unit).to_value(u.deg)
            # A header cannot hold NaN as a number; as text it is refused as a beam.
            header[name] = value if np.isfinite(value) else str(value)
