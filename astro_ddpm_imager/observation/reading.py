"""From a FITS file or a CASA image to one plane with a unit, a celestial WCS and a header."""

import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import wcs_to_celestial_frame

from ..errors import DirtyImageError
from .casa_images import read_casa_image

__all__ = ["in_jy_per_beam", "read_companion", "read_image", "select_plane"]

JY_PER_BEAM = u.Jy / u.beam


def read_image(path, channel=None, stokes=None, unit=None):
    """Read one plane of a FITS or CASA image.

    Parameters
    ----------
    path : str or path-like
        FITS file as CASA, WSClean or astropy write it, tile-compressed or not,
        with two axes or more; the first HDU that holds an image is taken. Or
        the folder of a CASA image; its default mask makes pixels blank.
    channel, stokes : int, optional
        0-based plane of a spectral or Stokes axis longer than 1.
    unit : `~astropy.units.Unit`, optional
        Unit of the pixels, instead of the header's BUNIT.

    Returns
    -------
    `~astropy.nddata.CCDData`
        Data of shape (ny, nx); ``meta`` is the FITS header, with the beam of
        the plane where each has its own.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DirtyImageError
        The file is neither, is cut off or holds no image; a plane has to be
        chosen; the unit is missing or unknown; there is no celestial WCS, or
        one that astropy cannot use.
    """
    data, wcs, header = _read(path, channel)
    if unit is None:
        unit = _parse_unit(header.get("BUNIT"), path)
    return select_plane(data, unit, wcs, header, channel, stokes, name=str(path))


def read_companion(path, channel=None, stokes=None):
    """Read the PSF, primary beam or mask of a plane of a dirty image.

    Parameters
    ----------
    path : str or path-like
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
    data, wcs, header = _read(path, channel)
    wanted = {"channel": channel, "stokes": stokes}
    several = {kind: wanted[kind] for kind, length in _plane_axes(data, wcs) if length > 1}
    return select_plane(data, u.one, wcs, header, **several, name=str(path))


def _read(path, channel):
    """Pixels, WCS and header of the image in a file or folder."""
    path = Path(path).expanduser()
    data, header = (read_casa_image if path.is_dir() else _read_fits)(path, channel or 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            return data, WCS(header), header
        except ValueError as error:  # WcsError is one
            raise _wcs_error(path, error) from error


def _wcs_error(name, error):
    # Without the places in the source of wcslib.
    cause = " ".join(line.strip() for line in str(error).splitlines() if not line.startswith("ERROR"))
    return DirtyImageError(f"{name}: the WCS cannot be used ({cause}); correct CTYPE, CDELT and the like in the header")


def _read_fits(path, channel):
    """Pixels and header of the first image in a FITS file."""
    try:
        # Odd letters in a header, or missing padding, do no harm; where pixels are missing, reading them fails.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with path.open("rb") as stream, fits.open(stream, memmap=False) as hdus:
                hdu = next((hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2), None)
                header, data = (hdu.header, hdu.data) if hdu is not None else (None, None)
                if data is not None and header.get("CASAMBM") and "BEAMS" in hdus:
                    _copy_beam(hdus["BEAMS"].data, channel, header)
    except FileNotFoundError:
        raise
    except (OSError, TypeError, ValueError, IndexError, fits.VerifyError) as error:
        raise DirtyImageError(
            f"{path} is not a FITS file, or it is cut off ({error}); export or copy it again"
        ) from error
    if data is None:
        raise DirtyImageError(f"{path} holds no image of two or more axes")
    return data, header


def _copy_beam(beams, channel, header):
    """The beam of a channel, from CASA's table (axes in arcsec) to the header."""
    for row in beams[beams["CHAN"] == channel][:1]:  # none if there is no such channel, as is said when it is selected
        header["BMAJ"], header["BMIN"], header["BPA"] = row["BMAJ"] / 3600, row["BMIN"] / 3600, row["BPA"]


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
    celestial = _celestial(wcs, name)
    wanted = {"channel": channel, "stokes": stokes}
    index, axes = [], _plane_axes(data, wcs)
    for kind, plane in wanted.items():
        if plane is not None and (isinstance(plane, bool) or not isinstance(plane, int | np.integer)):
            raise DirtyImageError(f"{name}: {kind}={plane!r}: must be a whole number")
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


def _of_plane(meta, axis, plane):
    """A header with a plane as the reference pixel of its axis, so that CRVAL is its frequency or Stokes parameter."""
    cards = {key: f"{key}{axis}" for key in ("CRVAL", "CDELT", "CRPIX")}
    if not all(isinstance(meta.get(card), int | float) for card in cards.values()):
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


def _celestial(wcs, name):
    """The celestial part of a WCS, if its positions are known on the sky."""
    try:
        celestial = wcs.celestial if wcs is not None and wcs.has_celestial else None
    except ValueError as error:  # as above
        raise _wcs_error(name, error) from error
    if celestial is None:
        raise DirtyImageError(f"{name}: no celestial WCS (CTYPE such as RA---SIN and DEC--SIN); add it to the header")
    axes = wcs.wcs.lng, wcs.wcs.lat
    if axes == (1, 0):
        raise DirtyImageError(
            f"{name}: axis 1 is {wcs.wcs.lattyp} and axis 2 {wcs.wcs.lngtyp}; swap them, "
            "for instance with data.swapaxes(-1, -2) and wcs.swapaxes(0, 1)"
        )
    if axes != (0, 1):
        raise DirtyImageError(f"{name}: the celestial axes are not the first two of the file; reorder its axes")
    if not _is_known(celestial):
        raise DirtyImageError(
            f"{name}: the frame of the sky is not known, CTYPE1={wcs.wcs.ctype[0]!r} with "
            f"RADESYS={wcs.wcs.radesys!r}; image it, or regrid it, in ICRS, FK5, FK4 or Galactic coordinates"
        )
    return celestial


def _is_known(wcs):
    """Whether a celestial WCS is of a frame that astropy knows."""
    try:
        wcs_to_celestial_frame(wcs)
    except ValueError:
        return False
    # It takes ecliptic longitudes with a RADESYS for right ascensions.
    return wcs.wcs.lngtyp in ("RA", "GLON")
