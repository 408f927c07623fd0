"""Extensions of FITS files, as they are named behind a path: ``image.fits[1]``, ``image.fits[SCI]``."""

import os
import re
from pathlib import Path

from ..errors import DirtyImageError
from ..home import expanded

__all__ = ["file_of", "hdu_number", "is_meant", "split_extension"]

BRACKETS = re.compile(r"(.+)\[([^\[\]]*)\]", re.DOTALL)


def split_extension(path):
    """A path, and the extension that stands in brackets behind it, as CFITSIO and DS9 have it.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    file : `~pathlib.Path`
    extension : str or None
        A number, a name, or both as ``NAME,VERSION``; None if there is a file of the whole name, or none without
        the brackets.
    """
    path = Path(path)
    match = BRACKETS.fullmatch(path.name)
    if match is None or os.path.lexists(expanded(path, DirtyImageError)):
        return path, None
    file = path.with_name(match[1])
    return (file, match[2].strip()) if expanded(file, DirtyImageError).is_file() else (path, None)


def file_of(path):
    """The file, or folder, of an image.

    Parameters
    ----------
    path : path-like
        With an extension in brackets, or without.

    Returns
    -------
    `~pathlib.Path`
    """
    return split_extension(path)[0]


def hdu_number(hdus, extension, name):
    """Number of the HDU that is meant by an extension.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
    extension : str
        As of `split_extension`.
    name : str or path-like
        What the file is called in errors.

    Returns
    -------
    int

    Raises
    ------
    DirtyImageError
        There is none, or it holds no image.
    """
    number = next((number for number, hdu in enumerate(hdus) if is_meant(number, hdu.header, extension)), None)
    if number is None or not hdus[number].is_image or hdus[number].header.get("NAXIS", 0) < 2:
        said = "there is no such HDU" if number is None else "holds no image of two or more axes"
        there = ", ".join(f"[{number}] {hdu.name!r}" for number, hdu in enumerate(hdus))
        raise DirtyImageError(f"{name}: {said}; the file has {there}")
    return number


def is_meant(number, header, extension):
    """Whether an HDU is meant by an extension.

    Parameters
    ----------
    number : int
        Of the HDU.
    header : `~astropy.io.fits.Header`
    extension : str
        As of `split_extension`.

    Returns
    -------
    bool
    """
    if extension.isdecimal():
        return int(extension) == number
    name, _, version = (part.strip() for part in extension.partition(","))
    called = str(header.get("EXTNAME", "" if number else "PRIMARY")).strip()
    return called.upper() == name.upper() != "" and version in ("", str(header.get("EXTVER", 1)))
