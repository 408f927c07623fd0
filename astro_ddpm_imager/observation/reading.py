"""From a FITS file or a CASA image to one plane with a unit, a celestial WCS and a header."""

import hashlib
import os
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from urllib.parse import quote

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData

from ..errors import DirtyImageError, shown
from ..home import expanded
from .casa_images import is_casa_image, opened_casa_image
from .celestial import celestial_part, read_wcs
from .extensions import file_of
from .fits_files import IMAGE_HDUS, first_image, opened_fits
from .headers import as_card, check_celestial_cards, is_number, mend_spectral_cards, mended_header
from .spectral import uneven_step, without_terms
from .units import axis_unit, parse_unit

__all__ = [
    "called", "file_digest", "locate_plane", "opened_image", "plane_axes", "read_companion", "read_image",
    "select_plane",
]  # fmt: skip

MAX_PIXELS = 2**28  # of a plane: 16384 x 16384
LOCK = "table.lock"  # of a CASA image: changes each time one looks at it
LAST_AXIS = 5  # with a frequency in it


def read_image(
    path: str | PathLike[str] | fits.HDUList,
    channel: int | None = None,
    stokes: int | None = None,
    unit: u.UnitBase | str | None = None,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CCDData:
    """Read one plane of a FITS or CASA image.

    Parameters
    ----------
    path : str, path-like, `~astropy.io.fits.HDUList` or image HDU
        FITS file as CASA, WSClean or astropy write it, tile-compressed or not,
        with two axes or more; the first HDU that holds an image of the sky is
        taken, and no mask or dummy before it, or the one whose number or name
        stands in brackets, ``"image.fits[1]"`` or ``"image.fits[SCI]"``. Or the folder of a CASA image;
        its default mask makes pixels blank.
    channel, stokes : int, optional
        0-based plane of a spectral or Stokes axis longer than 1.
    unit : `~astropy.units.Unit`, optional
        Unit of the pixels, instead of the header's BUNIT; a text in any of its spellings.
    name : str, optional
        What the image is called in errors, by default its path.
    max_pixels : int, optional
        Most pixels of a plane; a file that says it has more is not read.

    Returns
    -------
    `~astropy.nddata.CCDData`
        Data of shape (ny, nx); ``meta`` is the FITS header, with the beam of
        the plane where each has its own, and with the name, the SHA-256 and
        the path of the file or folder as FILENAME, FILESHA and FILEPATH: the path as
        in an URL, the name likewise if it has letters that FITS has not.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DirtyImageError
        The file is neither, is cut off, damaged, too large or holds no image;
        a plane has to be chosen; the unit is missing or unknown; there is no
        celestial WCS, or one that astropy cannot use.
    TypeError
        ``path`` is none of these; an image in memory needs no reading.
    """
    name = called(path) if name is None else name
    unit = _given_unit(unit, name)
    with opened_image(path, channel, name, max_pixels) as (data, wcs, header):
        if unit is None:
            unit = parse_unit(header.get("BUNIT"), name)
        return select_plane(data, unit, wcs, header, channel, stokes, name=name)


def read_companion(
    path: str | PathLike[str] | fits.HDUList,
    channel: int | None = None,
    stokes: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CCDData:
    """Read the PSF, primary beam or mask of a plane of a dirty image.

    Parameters
    ----------
    path : str, path-like, `~astropy.io.fits.HDUList` or image HDU
        As of `read_image`.
    channel, stokes : int, optional
        0-based plane of the dirty image; of an axis on which the companion
        has only one plane, it is that.
    max_pixels : int, optional
        As of `read_image`.

    Returns
    -------
    `~astropy.nddata.CCDData`
        Dimensionless, whatever the header says.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DirtyImageError
        As of `read_image`.
    """
    name = called(path)
    with opened_image(path, channel, name, max_pixels) as (data, wcs, header):
        wanted = {"channel": channel, "stokes": stokes}
        several = {kind: wanted[kind] for kind, length in plane_axes(data, wcs) if length > 1}
        return select_plane(data, u.one, wcs, header, **several, name=name)


def file_digest(path):
    """The SHA-256 of a file, or of the files in the folder of a CASA image.

    Parameters
    ----------
    path : `~pathlib.Path`

    Returns
    -------
    str
    """
    if path.is_dir():
        parts = sorted(part for part in path.rglob("*") if part.is_file() and part.name != LOCK)
        said = "".join(f"{part.relative_to(path)} {file_digest(part)}" for part in parts)
        return hashlib.sha256(os.fsencode(said)).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _path_card(path):
    """The card that says where a file is, so that no product replaces it."""
    return {"FILEPATH": quote(os.fsencode(Path(path).absolute()))}


def called(source):
    """What an image is called in errors.

    Parameters
    ----------
    source : path-like, `~astropy.io.fits.HDUList` or image HDU

    Returns
    -------
    str
    """
    if isinstance(source, fits.HDUList | IMAGE_HDUS):
        file = source.filename() if isinstance(source, fits.HDUList) else None
        return file or f"the {type(source).__name__}"
    return str(source)


@contextmanager
def opened_image(source, channel, name, max_pixels=MAX_PIXELS, sha256=None):
    """Pixels, WCS and header of the image in a file, folder or HDUs, while the context lasts.

    Parameters
    ----------
    source : path-like, `~astropy.io.fits.HDUList` or image HDU
    channel : int or None
        Whose beam goes into the header.
    name : str
        What it is called in errors.
    max_pixels : int, optional
        Of a plane, at most.
    sha256 : str, optional
        Of the file, if it is known: then the file is not read as a whole.

    Yields
    ------
    data : array-like, shape (..., ny, nx)
        Of a file or folder, only what is indexed is read.
    wcs : `~astropy.wcs.WCS`
    header : `~astropy.io.fits.Header`

    Raises
    ------
    FileNotFoundError, DirtyImageError
        As of `~astro_ddpm_imager.read_image`.
    """
    if channel is not None:
        _check_whole("channel", channel, name)
    _check_whole("max_pixels", max_pixels, name)
    if isinstance(source, fits.HDUList | IMAGE_HDUS):
        data, header = first_image(source, channel, name, max_pixels)
        file = (source[0] if isinstance(source, fits.HDUList) else source).fileinfo()
        yield _with_wcs(data, header, _path_card(file["file"].name) if file else {}, name)
        return
    path, known = expanded(source, DirtyImageError), sha256 is not None
    file = file_of(path)
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise DirtyImageError(
            f"{name}: is a pipe or a device, not a file; the image is read more than once: write it to a FITS file, "
            "and give its path"
        )
    origin = {"FILENAME": path.name} | _path_card(file)
    if file.is_file() or is_casa_image(path):
        origin["FILESHA"] = sha256 if known else file_digest(file)
    opened = (
        opened_casa_image(path, channel or 0, max_pixels)
        if path.is_dir()
        else opened_fits(path, channel or 0, max_pixels, verified=known)
    )
    with opened as (data, header):
        yield _with_wcs(data, header, origin, name)


def _with_wcs(data, header, origin, name):
    """Pixels, and the WCS and the header, mended and checked, with the name and the checksum of the file in it."""
    header = mended_header(header, name)
    for key, value in origin.items():
        header[key] = as_card(value)
    check_celestial_cards(header, name)
    mend_spectral_cards(header, name)
    return data, read_wcs(header, name), header


def select_plane(data, unit, wcs, meta, channel=None, stokes=None, name="dirty"):
    """One plane of an image of any number of axes, with a celestial WCS.

    Parameters
    ----------
    data : array, shape (..., ny, nx)
    unit : `~astropy.units.Unit`
    wcs : `~astropy.wcs.WCS` or None
    meta : dict or `~astropy.io.fits.Header`
    channel, stokes : int, optional
        0-based plane of a spectral or Stokes axis longer than 1.
    name : str, optional
        What the image is called in errors.

    Returns
    -------
    `~astropy.nddata.CCDData`, data of shape (ny, nx)

    Raises
    ------
    DirtyImageError
        A plane has to be chosen or does not exist; there is no celestial WCS,
        or one that astropy cannot use.
    """
    index, celestial, meta = locate_plane(data, wcs, meta, channel, stokes, name)
    return CCDData(np.array(data[index]), unit=unit, wcs=celestial, meta=meta)


def locate_plane(data, wcs, meta, channel=None, stokes=None, name="dirty"):
    """Where a plane is in an image, and its celestial WCS and header.

    Parameters
    ----------
    data : array-like, shape (..., ny, nx)
        As of `select_plane`, as are the others.
    wcs : `~astropy.wcs.WCS` or None
    meta : dict or `~astropy.io.fits.Header`
    channel, stokes : int, optional
    name : str, optional

    Returns
    -------
    index : tuple
        Of the axes of ``data``.
    wcs : `~astropy.wcs.WCS`
    meta : dict or `~astropy.io.fits.Header`
        With the plane as the only pixel of its axis, in SI units.

    Raises
    ------
    DirtyImageError
        As of `select_plane`.
    """
    if len(data.shape) < 2:
        raise DirtyImageError(f"{name}: has {len(data.shape)} axes; an image has at least two")
    if 0 in data.shape:
        raise DirtyImageError(f"{name}: its shape is {data.shape}, so it has no pixel; slice it otherwise")
    celestial = celestial_part(wcs, name)
    wanted = {"channel": channel, "stokes": stokes}
    index, axes = [], plane_axes(data, wcs)
    for kind, plane in wanted.items():
        if plane is not None:
            _check_whole(kind, plane, name)
        if plane and kind not in [axis for axis, _ in axes]:
            raise DirtyImageError(f"{name}: {kind}={plane} does not exist; the image has no {kind} axis")
    for number, (kind, length) in enumerate(axes):
        plane = wanted[kind]
        if plane is None and length > 1:
            all_of_them = "; image_cube takes all" if kind == "channel" else ""
            raise DirtyImageError(
                f"{name}: has {length} planes on its {kind} axis; choose one with {kind}=0 to {length - 1} "
                f"in read_image, or --{kind} on the command line{all_of_them}"
            )
        if plane is not None and not 0 <= plane < length:
            raise DirtyImageError(f"{name}: {kind}={plane} does not exist; there are planes 0 to {length - 1}")
        meta = without_terms(meta, len(data.shape) - number, plane or 0, name)
        index.append(plane or 0)
        meta = _of_plane(meta, wcs, len(data.shape) - number, plane or 0)
    for axis in range(len(data.shape) + 1, LAST_AXIS + 1):  # that headers of cut-outs keep
        meta = _of_plane(meta, wcs, axis, 0)
    return (*index, slice(None), slice(None)), celestial, meta


def _given_unit(unit, name):
    """The unit that an argument says, in any spelling of headers; dimensionless as ``""``."""
    if isinstance(unit, str) and unit.strip():
        return parse_unit(unit, name)
    if not isinstance(unit, str | u.UnitBase | None):
        raise DirtyImageError(f"{name}: unit={shown(unit)}: must be a unit, such as 'Jy/beam'")
    return unit


def _check_whole(kind, number, name):
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise DirtyImageError(f"{name}: {kind}={shown(number)}: must be a whole number")


def _of_plane(meta, wcs, axis, plane):
    """A header of a plane alone, of whose axis CRVAL is its frequency or Stokes parameter, in SI units."""
    value, unit, pixel = (f"{key}{axis}" for key in ("CRVAL", "CUNIT", "CRPIX"))
    step = f"CDELT{axis}" if f"CDELT{axis}" in meta else f"CD{axis}_{axis}"
    first, width, reference = (meta.get(card) for card in (value, step, pixel))
    if not is_number(first):
        return meta
    meta, scale = meta.copy(), 1.0
    given = axis_unit(str(meta.get(unit, "")))
    for si in (u.Hz, u.m / u.s, u.m):
        if given.is_equivalent(si):
            scale, meta[unit] = given.to(si), si.to_string("fits")
    turn = f"PC{axis}_{axis}"
    if is_number(meta.get(turn)):  # as astropy writes a CD matrix, with a CDELT of 1 that it may leave out
        width = meta.pop(turn) * (width if is_number(width) else 1.0)
    if is_number(width):
        meta[f"CDELT{axis}"] = scale * width
        if is_number(reference):
            first, meta[pixel] = first + (plane + 1 - reference) * width, 1.0
    meta[value] = scale * first
    uneven = uneven_step(wcs, axis, plane)
    if uneven is not None:
        meta[value], meta[f"CDELT{axis}"] = uneven
    return meta


def plane_axes(data, wcs):
    """The axes of an image before the last two, in their order.

    Parameters
    ----------
    data : array-like, shape (..., ny, nx)
    wcs : `~astropy.wcs.WCS`

    Returns
    -------
    list of tuple
        Of each its kind, ``"channel"`` or ``"stokes"``, and its length.
    """
    ctypes = [*wcs.wcs.ctype, *[""] * len(data.shape)]  # there may be more axes than the WCS has
    kinds = ["stokes" if ctype.startswith("STOKES") else "channel" for ctype in ctypes[2 : len(data.shape)]]
    return list(zip(reversed(kinds), data.shape[:-2], strict=True))
