"""The home folder: paths that begin with ``~``, and users who have none."""

import logging
import os
import tempfile
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from .errors import SettingError

__all__ = ["check_path", "expanded", "settings_folder"]

log = logging.getLogger(__name__)

OF_SETTINGS = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME")  # where astropy and matplotlib look, before the home folder


def check_path(path, name):
    """Fail if something that should be a path is none.

    Parameters
    ----------
    path : str or path-like
    name : str
        What the parameter is called.

    Raises
    ------
    TypeError
    """
    if not isinstance(path, str | PathLike):
        raise TypeError(f"{name}: expected a path, str or path-like, got {type(path).__name__}")


def expanded(path, error=SettingError, name="path"):
    """A path, with the home folder in place of ``~``.

    Parameters
    ----------
    path : str or path-like
    error : type of exception, optional
    name : str, optional
        What the parameter is called.

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    SettingError
        Or ``error``: the user whose home folder it is, as in ``~user``, is unknown.
    TypeError
        It is no path.
    """
    check_path(path, name)
    try:
        return Path(path).expanduser()
    except RuntimeError as unknown:
        raise error(f"{path}: there is no such home folder; give the whole path") from unknown


@contextmanager
def settings_folder():
    """Let other packages have a folder for their settings, where the user has no home, as in containers.

    astropy, from 8 on, cannot be imported else.

    Yields
    ------
    None
        As long as the folder exists, in the variables of the environment that say where settings are.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = ""
    lacking = [name for name in OF_SETTINGS if not _is_readable(os.environ.get(name, ""))]
    if not lacking or _is_readable(home):
        yield
        return
    before = {name: os.environ.get(name) for name in lacking}
    with tempfile.TemporaryDirectory(prefix="astro_ddpm_imager-") as folder:
        log.info("this user has no home folder that can be read (HOME): settings of other packages are not looked for")
        for package in ("astropy", "matplotlib"):  # which some versions want to be there
            (Path(folder) / package).mkdir()
        os.environ.update(dict.fromkeys(lacking, folder))
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _is_readable(folder):
    return os.access(folder, os.R_OK | os.X_OK)
