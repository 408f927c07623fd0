"""Files of the commands that image: what is read, and what products are called."""

import os
from argparse import Namespace
from pathlib import Path

from ..errors import SettingError
from ..observation.extensions import file_of

__all__ = [
    "absolute", "check_companions", "companion_paths", "given_companions", "located", "product_name", "read_paths",
    "tiles_folder",
]  # fmt: skip

FITS_ENDINGS = (".gz", ".bz2", ".xz", ".z", ".fz", ".fits", ".fit", ".fts", ".dirty")


def given_companions(args):
    """What is given with the images.

    Parameters
    ----------
    args : `argparse.Namespace`
        Of the command.

    Returns
    -------
    dict
        By name paths, or lists of them.
    """
    given = {name: getattr(args, name) for name in ("psf", "pb", "mask", "noise")}
    return {name: path for name, path in given.items() if path is not None}


def companion_paths(args):
    """The same, one by one.

    Parameters
    ----------
    args : `argparse.Namespace`

    Returns
    -------
    list of tuple of str and `~pathlib.Path`
    """
    return [
        (name, path)
        for name, given in given_companions(args).items()
        for path in (given if isinstance(given, list) else [given])
    ]


def check_companions(args):
    """Fail before any work if one of them cannot be read.

    Parameters
    ----------
    args : `argparse.Namespace`

    Raises
    ------
    FileNotFoundError, PermissionError
        With the option that it was given with.
    """
    for name, path in companion_paths(args):
        file = file_of(path)
        if os.access(file, os.R_OK):
            continue
        try:
            file.stat()
        except FileNotFoundError:
            raise FileNotFoundError(f"--{name} {path}: there is no such file") from None
        except OSError:  # as of a folder above it that may not be entered
            pass
        raise PermissionError(f"--{name} {path}: this user may not read it; give another file, or change its mode")


def read_paths(args):
    """All that is read, so that no product replaces it.

    Parameters
    ----------
    args : `argparse.Namespace`

    Returns
    -------
    list of `~pathlib.Path`
    """
    return [*args.files, *(path for _, path in companion_paths(args))]


def located(args):
    """The same arguments, with paths that do not depend on the working folder.

    Parameters
    ----------
    args : `argparse.Namespace`

    Returns
    -------
    `argparse.Namespace`
    """
    paths = {name: absolute([value])[0] for name, value in vars(args).items() if isinstance(value, Path)}
    several = {"psf": absolute(args.psf)} if isinstance(args.psf, list) else {}
    return Namespace(**vars(args) | paths | several | {"files": absolute(args.files)})


def absolute(paths):
    """Paths that do not depend on the working folder.

    Parameters
    ----------
    paths : iterable of `~pathlib.Path`

    Returns
    -------
    list of `~pathlib.Path`
    """
    return [path.absolute() for path in paths]


def product_name(path):
    """Name of the products of a file: its own without an extension in brackets and the endings of a dirty image.

    Parameters
    ----------
    path : `~pathlib.Path`

    Returns
    -------
    str

    Raises
    ------
    SettingError
        Nothing is left of it.
    """
    name = path.name.removesuffix(".image") if path.is_dir() else file_of(path).name
    while Path(name).suffix.lower() in FITS_ENDINGS:
        name = Path(name).stem
    name = name.rstrip(".")
    if not name:
        raise SettingError(f"{path}: leaves no name for the products; give the file another one")
    return name


def tiles_folder(prefix):
    """Where the tiles of a large image are until its products are written.

    Parameters
    ----------
    prefix : `~pathlib.Path`

    Returns
    -------
    `~pathlib.Path`
    """
    return prefix.with_name(f".{prefix.name}.tiles")
