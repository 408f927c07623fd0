"""From a FITS file or a CASA image to one plane with a unit, a celestial WCS and a header."""

import hashlib
import re
import sys
import warnings
from contextlib import suppress
from os import PathLike
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.utils.data import get_readable_fileobj
from astropy.utils.exceptions import AstropyWarning

from ..errors import DirtyImageError
from .casa_images import read_casa_image
from .celestial import celestial_part, read_wcs
from .headers import check_celestial_cards, mended_header

__all__ = ["in_jy_per_beam", "read_companion", "read_image", "select_plane"]

JY_PER_BEAM = u.Jy / u.beam
MOST_AXES = 999
IMAGE_HDUS = fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU


def read_image(
    path: str | PathLike[str] | fits.HDUList,
    channel: int | None = None,
    stokes: int | None = None,
    unit: u.UnitBase | str | None = None,
    name: str | None = None,
) -> CCDData:
    """Read one plane of a FITS or CASA image.

    Parameters
    ----------
    path : str, path-like, `~astropy.io.fits.HDUList` or image HDU
        FITS file as CASA, WSClean or astropy write it, tile-compressed or not,
        with two axes or more; the first HDU that holds an image is taken. Or
        the folder of a CASA image; its default mask makes pixels blank.
    channel, stokes : int, optional
        0-based plane of a spectral or Stokes axis longer than 1.
    unit : `~astropy.units.Unit`, optional
        Unit of the pixels, instead of the header's BUNIT.
    name : str, optional
        What the image is called in errors, by default its path.

    Returns
    -------
    `~astropy.nddata.CCDData`
        Data of shape (ny, nx); ``meta`` is the FITS header, with the beam of
        the plane where each has its own, and with the name and the SHA-256 of
        the file as FILENAME and FILESHA.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DirtyImageError
        The file is neither, is cut off or holds no image; a plane has to be
        chosen; the unit is missing or unknown; there is no celestial WCS, or
        one that astropy cannot use.
    """
    name = _called(path) if name is None else name
    data, wcs, header = _read(path, channel, name)
    if unit is None:
        unit = _parse_unit(header.get("BUNIT"), name)
    return select_plane(data, unit, wcs, header, channel, stokes, name=name)


def read_companion(
    path: str | PathLike[str] | fits.HDUList, channel: int | None = None, stokes: int | None = None
) -> CCDData:
    """Read the PSF, primary beam or mask of a plane of a dirty image.

    Parameters
    ----------
    path : str, path-like, `~astropy.io.fits.HDUList` or image HDU
        As of `read_image`.
    channel, stokes : int, optional
        0-based plane of the dirty image; of an axis on which the companion
        has only one plane, it is that.

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
    name = _called(path)
    data, wcs, header = _read(path, channel, name)
    wanted = {"channel": channel, "stokes": stokes}
    several = {kind: wanted[kind] for kind, length in _plane_axes(data, wcs) if length > 1}
    return select_plane(data, u.one, wcs, header, **several, name=name)


def _called(source):
    """What a source is called in errors."""
    if isinstance(source, fits.HDUList | IMAGE_HDUS):
        file = source.filename() if isinstance(source, fits.HDUList) else None
        return file or f"the {type(source).__name__}"
    return str(source)


def _read(source, channel, name):
    """Pixels, WCS and header of the image in a file, folder or HDUs."""
    _check_whole("channel", channel, name)
    origin = {}
    if isinstance(source, fits.HDUList | IMAGE_HDUS):
        data, header = _first_image(source, channel, name)
    else:
        path = Path(source).expanduser()
        data, header = (read_casa_image if path.is_dir() else _read_fits)(path, channel or 0)
        origin["FILENAME"] = path.name
        if path.is_file():
            with path.open("rb") as stream:
                origin["FILESHA"] = hashlib.file_digest(stream, "sha256").hexdigest()
    header = mended_header(header, name)
    for key, value in origin.items():
        with suppress(ValueError):  # no name of letters beyond ASCII fits into a header
            header[key] = value
    check_celestial_cards(header, name)
    return data, read_wcs(header, name), header


def _read_fits(path, channel):
    """Pixels and header of the first image in a FITS file."""
    try:
        # Odd letters in a header, or missing padding, do no harm; where pixels are missing, reading them fails.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            _check_axes(path)
            with path.open("rb") as stream, fits.open(stream, memmap=False) as hdus:
                return _first_image(hdus, channel, path)
    except (FileNotFoundError, DirtyImageError):
        raise
    except Exception as error:  # there is no end to what a damaged file makes astropy stumble over
        raise DirtyImageError(
            f"{path} is not a FITS file, or it is cut off ({error}); export or copy it again"
        ) from error


def _first_image(hdus, channel, name):
    """Pixels and header of the first image in HDUs, or of one."""
    all_of_them = [hdus] if isinstance(hdus, IMAGE_HDUS) else hdus
    hdu = next((hdu for hdu in all_of_them if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2), None)
    if hdu is None or hdu.data is None:
        raise DirtyImageError(f"{name} holds no image of two or more axes")
    header = hdu.header.copy()
    if header.get("CASAMBM") and "BEAMS" in all_of_them:
        _copy_beam(hdus["BEAMS"], channel or 0, header, name)
    return hdu.data, header


def _check_axes(path):
    """Fail if the file says that it has more axes than FITS knows, which astropy would count one by one."""
    with get_readable_fileobj(path, encoding="binary") as stream:  # compressed ones, too
        header = fits.Header.fromfile(stream)
    number = header.get("NAXIS")
    if isinstance(number, int) and number > MOST_AXES:
        raise DirtyImageError(f"{path}: NAXIS={number}: FITS has at most {MOST_AXES} axes; export or copy it again")


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


def _parse_unit(text, name):
    """Unit of a BUNIT card; the spellings in use are 'Jy/beam', 'JY/BEAM' and 'Jy beam-1'."""
    if not isinstance(text, str | None):
        raise DirtyImageError(f"{name}: BUNIT={text!r} is no unit; set it to 'Jy/beam', if that is what it is")
    text = (text or "").strip()
    if not text:
        raise DirtyImageError(
            f"{name}: the unit is missing; set BUNIT in the header, to 'Jy/beam' if that is what it is"
        )
    match = re.fullmatch(r"([mun]?)jy\s*(?:/\s*beam|[.*]?\s*beam(?:\^|\*\*)?-1)", text, re.IGNORECASE)
    if match:
        # All in capitals, M is milli: images in mega-Jansky are not known to be written so.
        prefix = "M" if text.startswith("MJy") else match[1].lower()
        return u.Unit(prefix + "Jy") / u.beam
    try:
        return u.Unit(text)
    except ValueError as error:
        raise DirtyImageError(
            f"{name}: the unit {text!r} is unknown; set BUNIT in the header to 'Jy/beam' if that is what it is, "
            "or convert the image"
        ) from error


def in_jy_per_beam(image, name):
    """The pixels of an image in Jy/beam.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    name : str or path-like
        What it is called in errors.

    Returns
    -------
    array of float, of the shape of the image

    Raises
    ------
    DirtyImageError
        It is in another unit.
    """
    try:
        return (image.data.astype(float) * image.unit).to_value(JY_PER_BEAM)
    except u.UnitConversionError as error:
        raise DirtyImageError(
            f"{name}: the unit is {image.unit.to_string()!r}, not Jy/beam or a multiple of it; convert the image first"
        ) from error


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
    if data.ndim < 2:
        raise DirtyImageError(f"{name}: has {data.ndim} axes; an image has at least two")
    celestial = celestial_part(wcs, name)
    wanted = {"channel": channel, "stokes": stokes}
    index, axes = [], _plane_axes(data, wcs)
    for kind, plane in wanted.items():
        _check_whole(kind, plane, name)
        if plane and kind not in [axis for axis, _ in axes]:
            raise DirtyImageError(f"{name}: {kind}={plane} does not exist; the image has no {kind} axis")
    for number, (kind, length) in enumerate(axes):
        plane = wanted[kind]
        if plane is None and length > 1:
            raise DirtyImageError(
                f"{name}: has {length} planes on its {kind} axis; choose one with {kind}=0 to {length - 1} "
                f"in read_image, or --{kind} on the command line"
            )
        if plane is not None and not 0 <= plane < length:
            raise DirtyImageError(f"{name}: {kind}={plane} does not exist; there are planes 0 to {length - 1}")
        index.append(plane or 0)
        meta = _of_plane(meta, data.ndim - number, plane or 0)
    return CCDData(np.array(data[tuple(index)]), unit=unit, wcs=celestial, meta=meta)


def _check_whole(kind, plane, name):
    if plane is not None and (isinstance(plane, bool) or not isinstance(plane, int | np.integer)):
        raise DirtyImageError(f"{name}: {kind}={plane!r}: must be a whole number")


def _of_plane(meta, axis, plane):
    """A header with a plane as the reference pixel of its axis, so that CRVAL is its frequency or Stokes parameter."""
    cards = {key: f"{key}{axis}" for key in ("CRVAL", "CDELT", "CRPIX")}
    numbers = [meta.get(card) for card in cards.values()]
    if not all(isinstance(number, int | float) and abs(number) < sys.float_info.max for number in numbers):
        return meta
    meta = meta.copy()
    meta[cards["CRVAL"]] += (plane + 1 - meta[cards["CRPIX"]]) * meta[cards["CDELT"]]
    meta[cards["CRPIX"]] = plane + 1.0
    return meta


def _plane_axes(data, wcs):
    """Kind, "channel" or "stokes", and length of each axis before the last two."""
    ctypes = [*wcs.wcs.ctype, *[""] * data.ndim]  # there may be more axes than the WCS has
    kinds = ["stokes" if ctype.startswith("STOKES") else "channel" for ctype in ctypes[2 : data.ndim]]
    return list(zip(reversed(kinds), data.shape[:-2], strict=True))
