"""Files that appear whole or not at all."""

from contextlib import contextmanager

__all__ = ["written_whole"]


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
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
