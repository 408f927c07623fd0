"""Files that appear whole or not at all, and folders that one process has for itself."""

import errno
import os
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows: there are no locks, and what killed runs leave stays
    fcntl = None

__all__ = ["claimed", "lock_of", "saying_where", "written_whole"]


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
