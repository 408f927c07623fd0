"""Folders that several processes write to: work in progress, locks, and moves that replace nothing."""

import logging
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import SettingError

try:
    import fcntl
except ImportError:  # Windows: there are no locks, and what killed runs leave stays
    fcntl = None

__all__ = ["check_made_of", "claimed", "locked", "move_without_replacing", "scratch_folder"]

log = logging.getLogger(__name__)

START = ".writing-"
SHA256 = 64  # letters


@contextmanager
def scratch_folder(folder):
    """A folder in another one for work in progress, which is removed at the end.

    Those of processes that were killed are removed as well: the lock that a
    process holds on its own ends with it.

    Parameters
    ----------
    folder : `~pathlib.Path`

    Yields
    ------
    `~pathlib.Path`
    """
    for left in folder.glob(f"{START}*"):
        if left.is_dir() and not left.is_symlink():
            with _lock(left, wait=False) as alone:
                if alone:
                    log.info("%s was left by a run that was killed; it is removed", left)
                    shutil.rmtree(left, ignore_errors=True)
    while True:
        scratch = Path(tempfile.mkdtemp(dir=folder, prefix=START))
        with _lock(scratch, wait=False) as alone:
            # Before it was locked, another process may have taken it for one of these.
            if alone is False or not scratch.exists():
                continue
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            return


def check_made_of(folder, before, now, again):
    """Check that work goes on with what it was begun with.

    Parameters
    ----------
    folder : `~pathlib.Path`
        Of the work in progress.
    before, now : dict
        Names of settings and inputs, and their values, of inputs a checksum.
    again : str
        How to begin again.

    Raises
    ------
    SettingError
        One is another.
    """
    for name in now | before:
        was, wanted = before.get(name), now.get(name)
        if was != wanted:
            sums = [value for value in (was, wanted) if isinstance(value, str) and len(value) == SHA256]
            another, other = f"another {name.removesuffix('_sha256')}", f"{name}={_said(was)}, not {_said(wanted)}"
            said = another if len(sums) == 2 else other
            raise SettingError(f"{folder} was made with {said}; give the same, or {again} to start again")


def _said(value):
    return "one that was given" if isinstance(value, str) and len(value) == SHA256 else repr(value)


@contextmanager
def locked(folder):
    """Keep other processes out of this context, for the same folder.

    Parameters
    ----------
    folder : `~pathlib.Path`

    Yields
    ------
    None
    """
    with _lock(folder, wait=True):
        yield


@contextmanager
def claimed(folder):
    """Have a folder for this process alone, which other processes are told.

    Parameters
    ----------
    folder : `~pathlib.Path`

    Yields
    ------
    None

    Raises
    ------
    FileExistsError
        Another process has it.
    """
    with _lock(folder, wait=False) as alone:
        if alone is False:
            raise FileExistsError(f"{folder} is written to by another process; let it finish, or choose another name")
        yield


def move_without_replacing(path, target):
    """Move a file within a file system; a file that is there already stays.

    Parameters
    ----------
    path, target : `~pathlib.Path`

    Raises
    ------
    FileExistsError
        There is one.
    """
    try:
        os.link(path, target)
    except FileExistsError:
        raise FileExistsError(f"{target} exists: another process has just written it; choose another name") from None
    except OSError:  # no hard links, as on FAT
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        path.replace(target)
    else:
        path.unlink()


@contextmanager
def _lock(folder, wait):
    """Lock a folder; yields True if it is this process's, False if another has it, None if there are no locks."""
    if fcntl is None:
        yield None
        return
    alone, descriptor = None, None
    try:
        with suppress(OSError):  # network file systems may have no locks of folders
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                alone = True
            except BlockingIOError:
                alone = False
        yield alone
    finally:
        if descriptor is not None:
            os.close(descriptor)
