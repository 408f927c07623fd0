"""Files that appear whole or not at all, and folders that one process has for itself."""

import errno
import os
import tempfile
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows: there are no locks, and what killed runs leave stays
    fcntl = None

__all__ = ["check_folder", "claimed", "lock_of", "made_folder", "saying_where", "written_whole"]


def check_folder(folder):
    """Check that a folder is there and can be written to, or can be made.

    Parameters
    ----------
    folder : `~pathlib.Path`

    Raises
    ------
    OSError
        It is not so, as `NotADirectoryError`, `PermissionError` or another one.
    """
    folder = folder.absolute()
    # A link that leads nowhere is there, too; what is in a folder that may not be entered is not seen.
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is not a folder; choose another folder")
    try:
        # To see it is better than to ask: the administrator may write everywhere, but not to /proc.
        tempfile.TemporaryDirectory(dir=there, prefix=".trying-").cleanup()
    except OSError as error:
        said = "cannot be written to" if there == folder else "cannot be made"
        raise OSError(error.errno, f"{folder}: the folder {said} ({error.strerror}); choose another folder") from error


def made_folder(folder):
    """A folder, which is made, with those above it, where it is not there.

    Parameters
    ----------
    folder : `~pathlib.Path`

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    OSError
        As of `check_folder`.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def written_whole(path):
    """Write a file beside its place, which it takes when it is whole.

    Parameters
    ----------
    path : `~pathlib.Path`
        Replaced if there is one.

    Yields
    ------
    `~pathlib.Path`
        To write to, with the same ending; what is there is removed if that fails.
    """
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        with saying_where(part):
            yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def saying_where(path):
    """Say of an error in writing, such as that of a full disk, where it was: what writes pixels and tables does not.

    Parameters
    ----------
    path : `~pathlib.Path`

    Yields
    ------
    None

    Raises
    ------
    OSError
        With the path, if it had none.
    """
    try:
        yield
    except OSError as error:
        # Others, of links and clusters for instance, say themselves what is wrong.
        if type(error) is not OSError or error.filename is not None or str(path) in str(error):
            raise
        number = error.errno or errno.ENOSPC  # of which astropy and numpy say everything but the number
        raise OSError(number, f"{path}: cannot be written ({error.strerror or error})") from error


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
    with lock_of(folder, wait=False) as alone:
        if alone is False:
            raise FileExistsError(f"{folder} is written to by another process; let it finish, or choose another name")
        yield


@contextmanager
def lock_of(folder, wait):
    """Lock a folder.

    Parameters
    ----------
    folder : `~pathlib.Path`
    wait : bool
        Until it is free.

    Yields
    ------
    bool or None
        True if it is this process's, False if another has it, None if there are no locks.
    """
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
