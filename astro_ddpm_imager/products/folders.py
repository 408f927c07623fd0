"""Folders that several processes write to: work in progress, and moves that replace nothing."""

import logging
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from ..errors import SettingError
from ..whole_files import lock_of

__all__ = ["check_made_of", "move_without_replacing", "scratch_folder"]

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
            with lock_of(left, wait=False) as alone:
                if alone:
                    log.info("%s was left by a run that was killed; it is removed", left)
                    shutil.rmtree(left, ignore_errors=True)
    while True:
        scratch = Path(tempfile.mkdtemp(dir=folder, prefix=START))
        with lock_of(scratch, wait=False) as alone:
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
