"""Convolution of a large image with a PSF as large, by rows and then by columns, with what is between on disk."""

import numpy as np
from scipy.fft import fft, ifft, irfft, next_fast_len, rfft

__all__ = ["DiskConvolution"]

ROWS = 256  # of an image at once
COLUMNS = 256  # of its transform at once


class DiskConvolution:
    """What a PSF makes of sparse images; the transform of the PSF is kept on disk.

    Parameters
    ----------
    psf : `~astro_ddpm_imager.observation.planes.Plane`
        0 where it is not known.
    peak : tuple of int, (y, x)
    shape : tuple of int, (ny, nx)
        Of the images.
    path : `~pathlib.Path`
        Start of the names of the files.
    workers : int
        Threads.
    """

    def __init__(self, psf, peak, shape, path, workers):
        self.shape, self.path, self.workers = shape, path, workers
        pixels = psf.opened().shape
        reach = [max(p, n - p) for p, n in zip(peak, pixels, strict=True)]
        # Long enough that nothing comes round from the other side.
        self.period = [next_fast_len(n + min(r, n), real=True) for n, r in zip(shape, reach, strict=True)]
        self.band = self.period[1] // 2 + 1
        self.first, self.height = peak[0], pixels[0]
        kept = [min(p, n - 1) for p, n in zip(peak, shape, strict=True)]  # beyond, no pixel of an image sees it
        columns = slice(peak[1] - kept[1], min(peak[1] + shape[1], pixels[1]))
        self.transform = _Transform(path.with_name(f"{path.name}-psf.raw"), (pixels[0], self.band))
        for rows in _chunks(pixels[0], ROWS):
            lines = np.zeros((rows.stop - rows.start, self.period[1]), np.float32)
            part = psf.read((rows, columns))
            lines[:, : part.shape[1]] = part
            self.transform.write(rows, self._along_x(np.roll(lines, -kept[1], 1)))

    def __call__(self, rows_of, use):
        """Convolve an image.

        Parameters
        ----------
        rows_of : function
            Pixels of a slice of rows, or None where they are all 0.
        use : function
            Called with each slice of rows and the pixels of the image that the PSF makes of it.
        """
        ny, nx = self.shape
        sky = _Transform(self.path.with_name(f"{self.path.name}-sky.raw"), (ny, self.band))
        for rows in _chunks(ny, ROWS):
            lines = rows_of(rows)
            sky.write(rows, 0 if lines is None else self._along_x(lines))
        places = (np.arange(self.height) - self.first) % self.period[0]
        seen = np.abs(np.arange(self.height) - self.first) < ny
        for columns in _chunks(self.band, COLUMNS):
            psf = np.zeros((self.period[0], columns.stop - columns.start), np.complex64)
            psf[places[seen]] = self.transform.read_columns(columns)[seen]
            spectrum = fft(sky.read_columns(columns), self.period[0], 0, workers=self.workers)
            spectrum *= fft(psf, axis=0, workers=self.workers)
            sky.write_columns(columns, ifft(spectrum, axis=0, workers=self.workers)[:ny])
        for rows in _chunks(ny, ROWS):
            use(rows, irfft(sky.read(rows), self.period[1], 1, workers=self.workers)[:, :nx])
        sky.path.unlink()

    def _along_x(self, lines):
        return rfft(lines, self.period[1], 1, workers=self.workers)


class _Transform:
    """An array of complex64 on disk."""

    def __init__(self, path, shape):
        self.path, self.shape = path, shape
        with path.open("wb") as stream:  # all of it, so that a full disk is known of now
            line = bytes(shape[1] * 8)
            for _ in range(shape[0]):
                stream.write(line)

    def _opened(self, mode):
        return np.memmap(self.path, np.complex64, mode, shape=self.shape)

    def read(self, rows):
        return np.array(self._opened("r")[rows])

    def read_columns(self, columns):
        return np.array(self._opened("r")[:, columns])

    def write(self, rows, values):
        self._opened("r+")[rows] = values

    def write_columns(self, columns, values):
        self._opened("r+")[:, columns] = values


def _chunks(n, size):
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
