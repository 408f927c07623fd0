"""CASA's own image format (a folder), read without CASA."""

import re
from contextlib import contextmanager
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.wcs import FITSFixedWarning

from ..errors import DirtyImageError
from ..ignored_warnings import ignored
from .fits_files import check_size

__all__ = ["is_casa_image", "opened_casa_image"]

SAID = rb"(?:gridder|normtype)\s*=\s*\"\w+\""  # of the parameters of tclean


def is_casa_image(path):
    """Whether a path is the folder of a CASA image.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
    """
    return _table_type(path) == "Image"


@contextmanager
def opened_casa_image(path, channel=0, max_pixels=np.inf):
    """Pixels and header of a CASA image, while the context lasts.

    Parameters
    ----------
    path : path-like
        The folder.
    channel : int, optional
        Whose beam goes into the header, if each channel has its own.
    max_pixels : int, optional
        Of a plane, at most.

    Yields
    ------
    data : dask array, shape (..., ny, nx)
        NaN where the default mask of the image is False. What is computed is
        read from the image, and nothing else.
    header : `~astropy.io.fits.Header`
        As CASA's ``exportfits`` writes it, as far as this package needs it.

    Raises
    ------
    DirtyImageError
        It is no CASA image, or cannot be read.
    """
    # Here, because it takes a second, and FITS files do without.
    import dask.array
    from casa_formats_io import image_to_dask

    keywords = _keywords(path)
    with _readable(path):
        data = image_to_dask(str(path))
        check_size(data.shape, path, max_pixels)
        if keywords.get("Image_defaultmask"):
            mask = image_to_dask(str(path), mask=keywords["Image_defaultmask"])
            data = dask.array.where(mask, data, np.nan)
        yield data.astype(data.dtype.newbyteorder("=")), _header(path, keywords, data.shape, channel)


@contextmanager
def _readable(path):
    """Say which image it is that the reader stumbles over."""
    try:
        yield
    except DirtyImageError:
        raise
    except Exception as error:  # the reader has no exception of its own
        raise DirtyImageError(
            f"{path}: the CASA image cannot be read ({error}); if the copy is complete, export it with exportfits"
        ) from error


def _table_type(path):
    info = Path(path) / "table.info"
    first = info.read_text(errors="replace").splitlines()[:1] if info.is_file() else []
    return first[0].partition("=")[2].strip() if first else None


def _keywords(path):
    """The keywords of the table that a CASA image is."""
    from casa_formats_io import getdesc  # as above

    if not is_casa_image(path):
        kinds = {"Measurement Set": "a MeasurementSet: make an image of it with tclean first"}
        raise DirtyImageError(f"{path} is {kinds.get(_table_type(path), 'a folder, but not a CASA image')}")
    with _readable(path):
        return getdesc(str(path))["_keywords_"]


def _log(path):
    """The table of messages that CASA keeps with an image, as bytes: each message is there as it was written."""
    log = Path(path) / "logtable" / "table.f0"
    return log.read_bytes() if log.is_file() else b""


def _header(path, keywords, shape, channel):
    from casa_formats_io import coordsys_to_astropy_wcs  # as above

    with ignored(FITSFixedWarning):
        header = coordsys_to_astropy_wcs(keywords["coords"]).to_header()
    # WCS.to_header does not know them.
    header["NAXIS"] = len(shape)
    for axis, length in enumerate(shape[::-1], 1):
        header[f"NAXIS{axis}"] = length
    header["BUNIT"] = keywords.get("units", "")
    for said in re.findall(SAID, _log(path)):
        header["HISTORY"] = said.decode("ascii")
    header["TELESCOP"], header["OBSERVER"] = keywords["coords"]["telescope"], keywords["coords"]["observer"]
    info = keywords.get("imageinfo", {})
    if info.get("objectname"):
        header["OBJECT"] = info["objectname"]
    beam = info.get("restoringbeam") or info.get("perplanebeams", {}).get(f"*{channel}")
    if beam:
        names = {"BMAJ": "major", "BMIN": "minor", "BPA": "positionangle"}
        for key, name in names.items():
            header[key] = u.Quantity(beam[name]["value"], beam[name]["unit"]).to_value("deg")
    return header
