"""Paths that begin with ``~``, the home folder."""

from pathlib import Path

from .errors import SettingError

__all__ = ["expanded"]


def expanded(path, error=SettingError):
    """A path, with the home folder in place of ``~``.

    Parameters
    ----------
    path : str or path-like
    error : type of exception, optional

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    SettingError
        Or ``error``: the user whose home folder it is, as in ``~user``, is unknown.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as unknown:
        raise error(f"{path}: there is no such home folder; give the whole path") from unknown
