"""Planes on disk, for images that are too large to work on at once."""

import shutil
import tempfile
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..whole_files import claimed, saying_where, written_whole

__all__ = ["Plane", "PlaneFolder"]

ROWS = 256  # at once


@dataclass(frozen=True)
class Plane:
    """A plane in a file of its own, pixels of float32; it is opened for each window, so that no memory is held.

    Parameters
    ----------
    path : `~pathlib.Path`
        In NumPy's format.
    """

    path: Path

    @classmethod
    def blank(cls, path, shape):
        """One of NaN.

        Parameters
        ----------
        path : `~pathlib.Path`
            Replaced if there is one.
        shape : tuple of int, (ny, nx)
        """
        return cls.of(path, shape, lambda rows: np.float32(np.nan))

    @classmethod
    def of(cls, path, shape, values):
        """One that is computed by rows.

        Parameters
        ----------
        path : `~pathlib.Path`
            Replaced if there is one.
        shape : tuple of int, (ny, nx)
        values : function
            Of a slice of rows, with start and stop.
        """
        with written_whole(path) as part:
            np.lib.format.open_memmap(part, "w+", np.float32, shape)  # not written to: the file has its length
            plane = cls(part)
            for start in range(0, shape[0], ROWS):
                rows = slice(start, min(start + ROWS, shape[0]))
                plane.write((rows, slice(None)), values(rows))
        return cls(path)

    def opened(self):
        """The pixels, a memory map that cannot be written to."""
        return np.load(self.path, mmap_mode="r")

    def read(self, window):
        """The pixels of a window.

        Parameters
        ----------
        window : tuple of slice

        Returns
        -------
        2D array of float32
        """
        return np.array(self.opened()[window])

    def write(self, window, values):
        """Change the pixels of a window.

        Parameters
        ----------
        window : tuple of slice
        values : 2D array or float

        Raises
        ------
        OSError
            There is no room.
        """
        pixels = self.opened()
        (top, bottom, _), (start, stop, _) = (s.indices(n) for s, n in zip(window, pixels.shape, strict=True))
        values = np.broadcast_to(np.asarray(values, np.float32), (bottom - top, stop - start))
        # Not through a memory map, which a full disk would end the process with.
        with saying_where(self.path), self.path.open("r+b") as stream:
            for row, line in zip(range(top, bottom), values, strict=True):
                stream.seek(pixels.offset + (row * pixels.shape[1] + start) * values.itemsize)
                stream.write(line.tobytes())


class PlaneFolder:
    """A folder of planes, which all copies of what is made of it share; a pickle has the planes themselves.

    Parameters
    ----------
    names : iterable of str
        Of the planes that a pickle has, where there are such.
    path : `~pathlib.Path`, optional
        Made if needed, and of this process alone until it is let go. By default a temporary folder, which goes with
        the last that has it.

    Attributes
    ----------
    let_go : callable
        Remove a temporary folder, or let other processes have the one that was given.

    Raises
    ------
    FileExistsError
        Another process has the folder.
    """

    def __init__(self, names, path=None):
        self.names = tuple(names)
        if path is None:
            self.path = Path(tempfile.mkdtemp(prefix="tiles-"))
            self.let_go = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
            return
        self.path, claim = path, ExitStack()
        path.mkdir(parents=True, exist_ok=True)
        claim.enter_context(claimed(path))
        self.let_go = weakref.finalize(self, claim.close)

    def remove(self):
        """Remove the folder, and let it go."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.let_go()

    def empty(self):
        """Remove what is in the folder."""
        for path in self.path.iterdir():
            path.unlink()

    def __getitem__(self, name):
        return Plane(self.path / f"{name}.npy")

    def __getstate__(self):
        return {name: np.asarray(self[name].opened()) for name in self.names if self[name].path.exists()}

    def __setstate__(self, planes):
        self.__init__(planes)
        for name, pixels in planes.items():
            Plane.of(self[name].path, pixels.shape, pixels.__getitem__)
