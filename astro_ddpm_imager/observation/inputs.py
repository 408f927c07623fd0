"""What is given for an image, a path, HDUs, NDData or a slice of a cube, as one plane of numbers on the sky."""

import hashlib
import logging
import os
from numbers import Real
from os import PathLike
from typing import NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.wcs.utils import proj_plane_pixel_area

from ..errors import DirtyImageError
from .fits_files import IMAGE_HDUS
from .reading import read_image, select_plane
from .slices import with_fits_wcs

__all__ = [
    "Companion", "Image", "Origin", "are_several", "as_companion", "as_plane", "check_real", "file_paths",
    "given_paths", "joined_digest", "origin", "warn_uncertain",
]  # fmt: skip


class HasHDU(Protocol):
    """A slice, a moment or a cube of spectral-cube."""

    @property
    def hdu(self) -> fits.PrimaryHDU | fits.ImageHDU: ...


Image = str | PathLike[str] | fits.HDUList | IMAGE_HDUS | NDData | HasHDU
Companion = Image | np.ndarray


class Origin(NamedTuple):
    """Where an image comes from.

    Parameters
    ----------
    name : str
        Of its file, without the folder; ``"in memory"`` if there is none.
    sha256 : str
        Of the file, or of several; empty if it is none, or not known.
    paths : tuple of str
        Of all files, absolute: no product may replace them.
    """

    name: str
    sha256: str
    paths: tuple = ()


log = logging.getLogger(__name__)

TURNED = 0.02  # radians, and of the side of a pixel: less is another place, or rounding


def as_plane(image, name, unit=None):
    """One plane of an image, whatever it is given as.

    Parameters
    ----------
    image : path, `~astropy.io.fits.HDUList`, image HDU, `~astropy.nddata.NDData` or slice of a spectral cube
        Axes of length 1 are dropped.
    name : str
        What it is called in errors.
    unit : `~astropy.units.Unit`, optional
        Of the pixels of files and HDUs, instead of the header's BUNIT.

    Returns
    -------
    `~astropy.nddata.CCDData`, data of shape (ny, nx)

    Raises
    ------
    DirtyImageError
        It is no image of a place on the sky, or has several planes.
    TypeError
        It is something else, such as an array, which has no WCS.
    """
    if isinstance(image, str | PathLike):
        return read_image(image, unit=unit)
    if isinstance(image, fits.HDUList | IMAGE_HDUS):
        return read_image(image, unit=unit, name=name)
    if isinstance(getattr(image, "hdu", None), IMAGE_HDUS):  # spectral-cube's slices, moments and cubes
        return read_image(image.hdu, unit=unit, name=name)
    if not isinstance(image, NDData):
        arrays = "an array as CCDData(array, unit='Jy/beam', wcs=wcs)" if name == "dirty" else "a 2D array"
        raise TypeError(
            f"{name}: expected a CCDData or the path of a FITS or CASA image, got {type(image).__name__}; "
            f"HDUList, image HDUs, NDData and slices of a spectral cube can be used, too, and {arrays}"
        )
    if image.unit is None:
        raise DirtyImageError(f"{name}: the {type(image).__name__} has no unit; give it unit='Jy/beam', if that it is")
    image = with_fits_wcs(image, name)
    plane = select_plane(image.data, image.unit, image.wcs, image.meta, name=name)
    if image.mask is not None:
        plane.mask = np.broadcast_to(image.mask, image.data.shape).reshape(plane.shape).copy()
    return plane


def warn_uncertain(image):
    """Say that the uncertainty of a dirty image is not used: it need not be that of the noise alone.

    That of an optical camera, or one with errors of the flux scale, is larger where sources are, which would then be
    taken for fainter ones in more noise.

    Parameters
    ----------
    image : as of `as_plane`
    """
    if getattr(image, "uncertainty", None) is not None:
        log.warning(
            "dirty: its uncertainty is not used, for the noise is measured; if it is that of the noise alone, and no "
            "larger where sources are, give noise=dirty.uncertainty.quantity, and else leave it out"
        )


def are_several(given):
    """Whether what is given for an image are several of them, as PSFs of a mosaic.

    Parameters
    ----------
    given : list, tuple, or as of `as_plane`

    Returns
    -------
    bool
    """
    return isinstance(given, list | tuple) and not isinstance(given, fits.HDUList)  # which is a list


def as_companion(image, name, dirty, dtype=float):
    """A PSF, primary beam, mask or noise as a plane, checked against the dirty image.

    Parameters
    ----------
    image : 2D array, or as of `as_plane`
    name : str
        What it is, as it is called in errors; ``"psf"`` may be smaller or larger than the image.
    dirty : `~astropy.nddata.CCDData`
    dtype : data type, optional
        Of its pixels.

    Returns
    -------
    `~astropy.nddata.CCDData`; NaN where masked

    Raises
    ------
    DirtyImageError
        It is not of the same pixels, or they lie otherwise on the sky.
    TypeError
        It is no image at all.
    """
    if name == "noise" and isinstance(image, Real | u.Quantity) and np.ndim(image) == 0:
        raise TypeError(
            f"noise: expected a CCDData or the path of a map of the noise, got {type(image).__name__}; HDUs and "
            f"NDData can be used, too, and a 2D array, but no number, {image}: the level is measured, leave noise out "
            "if it is the same everywhere"
        )
    unit = image.unit if isinstance(image, u.Quantity) else u.one
    meta = {}
    if name == "noise" and unit == u.one and isinstance(image, np.ndarray):
        log.info(
            "noise: the array has no unit, so that it is taken for Jy/beam; give a weight as CCDData(..., unit='')"
        )
        meta["BUNIT"] = "Jy/beam"
    if isinstance(image, NDData) and image.wcs is None:
        unit, meta = image.unit or u.one, image.meta
        image = np.ma.masked_array(image.data, np.ma.nomask if image.mask is None else image.mask)
    if isinstance(image, np.ndarray) and not hasattr(image, "hdu"):
        check_real(image, name)
        masked = np.ma.getmaskarray(image).squeeze() if np.ma.is_masked(image) else None
        image = CCDData(np.squeeze(np.asarray(image)), unit=unit, mask=masked, meta=meta)
    else:
        try:
            image = as_plane(image, name, u.one)
        except (FileNotFoundError, DirtyImageError) as error:
            said = str(error)
            raise type(error)(said if said.startswith(f"{name}:") else f"{name}: {said}") from error
    check_real(image.data, name)
    if image.data.ndim != 2:
        raise DirtyImageError(f"{name}: is an array of shape {image.shape}, not one plane (ny, nx); choose one")
    if name != "psf" and image.shape != dirty.shape:
        raise DirtyImageError(
            f"{name}: has shape {image.shape} (ny, nx), but the dirty image {dirty.shape}; "
            f"make {name} with the same imsize, or cut it to the same pixels"
        )
    if image.wcs is not None:
        scale, wanted = (3600 * proj_plane_pixel_area(w) ** 0.5 for w in (image.wcs, dirty.wcs))
        if abs(scale / wanted - 1) > 0.01:
            raise DirtyImageError(
                f"{name}: has pixels of {scale:.4g} arcsec, but the dirty image of {wanted:.4g} arcsec; "
                f"make {name} with the same cell"
            )
        _check_axes(image.wcs, dirty.wcs, name)
        if name != "psf":
            _check_place(image.wcs, dirty, name)
    image.data = np.asarray(image.data, dtype=dtype)
    if name == "pb" and u.percent in (image.unit, u.Unit(str(image.meta.get("BUNIT", "")), parse_strict="silent")):
        image.data = image.data / 100
    if image.mask is not None:
        image.data = np.where(image.mask, np.nan, image.data)
    return image


def origin(image):
    """The name, the checksum and the path of the file that an image was read from.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        As `~astro_ddpm_imager.read_image` returns it.

    Returns
    -------
    `Origin`
    """
    meta = image.meta
    return Origin(str(meta.get("FILENAME", "in memory")), str(meta.get("FILESHA", "")), file_paths(meta))


def joined_digest(origins):
    """A checksum of several files, in their order.

    Parameters
    ----------
    origins : list of tuple of str
        Of each its name and its SHA-256.

    Returns
    -------
    str
        That of one file alone; empty if one is not known.
    """
    (_, first), *others = origins
    if not others or not all(sha256 for _, sha256 in origins):
        return "" if others else first
    return hashlib.sha256(os.fsencode("".join(f"{name} {sha256}" for name, sha256 in origins))).hexdigest()


def file_paths(meta):
    """The path of the file that an image was read from.

    Parameters
    ----------
    meta : dict-like
        Header, as of `~astro_ddpm_imager.read_image`.

    Returns
    -------
    tuple of str
        Absolute; empty if there is none.
    """
    return (os.fsdecode(unquote_to_bytes(meta["FILEPATH"])),) if "FILEPATH" in meta else ()


def given_paths(image):
    """The path of the file that what is given for an image is read from, or was.

    Parameters
    ----------
    image : array, None, or as of `as_plane`

    Returns
    -------
    tuple of path-like
        Empty if there is none.
    """
    if isinstance(image, str | PathLike):
        return (image,)
    if isinstance(image, fits.HDUList | IMAGE_HDUS):
        file = (image[0] if isinstance(image, fits.HDUList) else image).fileinfo()
        return (file["file"].name,) if file else ()
    return file_paths(getattr(image, "meta", {}))


def check_real(image, name):
    """Fail if pixels are not real numbers.

    Parameters
    ----------
    image : array
    name : str
        What it is called in errors.

    Raises
    ------
    DirtyImageError
    """
    kind = np.asarray(image).dtype
    if kind.kind not in "biuf":
        way = "take the part that is meant, such as .real" if kind.kind == "c" else "convert them with astype(float)"
        raise DirtyImageError(f"{name}: the pixels are {kind.name}, not real numbers; {way}")


def _check_axes(wcs, dirty, name):
    """Fail if the axes of a companion do not point where those of the dirty image do, wherever both are."""
    if wcs.wcs.lngtyp != dirty.wcs.lngtyp:  # north is another one
        return
    steps = np.linalg.solve(dirty.pixel_scale_matrix, wcs.pixel_scale_matrix)
    same = [np.eye(2), -np.eye(2)] if name == "psf" else [np.eye(2)]  # a PSF, half a turn does not change
    if min(np.abs(steps - each).max() for each in same) > TURNED:
        along_x, along_y = (f"({x:.3g}, {y:.3g})" for x, y in steps.T.round(3) + 0.0)
        raise DirtyImageError(
            f"{name}: its header has it {'rotated' if np.linalg.det(steps) > 0 else 'flipped'}: a step along its axes "
            f"is (x, y) = {along_x} and {along_y} pixels of the dirty image, not (1, 0) and (0, 1); flip or regrid it, "
            "or correct CDELT, CROTA, CD or PC in its header if its pixels do lie as those of the dirty image"
        )


def _check_place(wcs, dirty, name):
    """Fail if a companion does not lie where the dirty image does; a primary beam may be that of another pointing."""
    ny, nx = dirty.shape
    cell = 3600 * proj_plane_pixel_area(dirty.wcs) ** 0.5
    places = [0, nx - 1, 0, nx - 1, nx // 2], [0, 0, ny - 1, ny - 1, ny // 2]
    theirs, ours = (each.pixel_to_world(*np.column_stack([places, each.wcs.crpix - 1])) for each in (wcs, dirty.wcs))
    # Of other frames: between those of B1950 and others, angles differ, of which astropy warns in separation.
    *away, reference = theirs.transform_to(ours.frame).separation(ours).arcsec
    away = np.nan_to_num(away).max()  # corners of images of all the sky are none of it
    if away < cell:
        return
    if name == "pb" and reference > cell:
        near = reference < cell * np.hypot(ny, nx)
        log.log(
            logging.WARNING if near else logging.INFO,
            "pb: is that of another pointing, by its header, %.4g arcsec away; it is used pixel by pixel", reference,
        )  # fmt: skip
        return
    raise DirtyImageError(
        f"{name}: lies up to {away:.4g} arcsec from the dirty image, whose pixels are {cell:.4g} arcsec; "
        "make it with the same phase centre, cut it to the same pixels, or regrid it"
    )
