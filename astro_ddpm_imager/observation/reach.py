"""The PSF beyond its image: continued as far as the image can tell, and how far it is to be doubted there.

tclean and WSClean write a PSF as large as the image, while a source at one end
of the field has sidelobes at the other.
"""

from functools import lru_cache, wraps

import numpy as np
from scipy.fft import fftfreq, ifft, irfft, next_fast_len, rfft2, rfftfreq

from .positive_transform import explain_image, positive_transform

__all__ = [
    "continue_psf",
    "continue_psf_as_seen",
    "continued_by_rows",
    "covering",
    "doubt_beyond",
    "end_psf",
    "sidelobe_doubt",
    "work_to_continue",
]

PERIOD = 3  # times the image of the PSF: beyond, the transform is taken to repeat it
COLUMNS = 256  # of a transform at once
SUPPORT = 0.01  # of its peak: where the transform of a PSF ends
MARGIN = 1.05  # beyond that
PASSAGE = 0.1  # of the reach of a PSF, from what is known to what is not
EDGE = 0.1  # of the reach of a PSF: what counts as its edge
REMEMBERED = 2**20  # pixels of a PSF, at most, of which a few are worth their memory


def _once_for_each_psf(function):
    """All images of a folder have one PSF: what is made of it is kept for the next image."""

    @lru_cache(2)
    def of_content(content, dtype, psf_shape, *sizes):
        made = function(np.frombuffer(content, dtype).reshape(psf_shape), *sizes)
        made.flags.writeable = False
        return made

    @wraps(function)
    def remembering(psf, *sizes):
        if psf.size > REMEMBERED:
            return function(psf, *sizes)
        return of_content(psf.tobytes(), psf.dtype.str, psf.shape, *map(tuple, sizes))

    return remembering


def covering(kernel, shape, rows=None):
    """A kernel in the middle of an image twice as large as another, so that it covers it wherever it is centred.

    Parameters
    ----------
    kernel : 2D array
        Centred on pixel ``n // 2`` of each axis.
    shape : tuple of int, (ny, nx)
    rows : slice, optional
        Of the result, only these.

    Returns
    -------
    2D array, shape (2 ny, 2 nx), centred on pixel ``(ny, nx)``; 0 where the kernel has ended
    """
    wanted = [rows or slice(0, 2 * shape[0]), slice(0, 2 * shape[1])]
    image = np.zeros([s.stop - s.start for s in wanted])
    targets, sources = [], []
    for n, k, s in zip(shape, kernel.shape, wanted, strict=True):
        first = n - k // 2
        start = max(first, s.start)
        stop = max(start, min(first + k, s.stop))
        targets.append(slice(start - s.start, stop - s.start))
        sources.append(slice(start - first, stop - first))
    image[tuple(targets)] = kernel[tuple(sources)]
    return image


def continue_psf(psf, shape):
    """A PSF beyond the image that is known of it.

    The transform of a PSF, the gridded weights of the visibilities, is
    positive, and 0 in most of the uv plane. That determines much of what lies
    beyond an image: of all such transforms, one is sought that gives the known
    part, see `~astro_ddpm_imager.observation.positive_transform.positive_transform`.

    Parameters
    ----------
    psf : 2D array
        Peak in the middle, pixel ``n // 2``.
    shape : tuple of int, (ny, nx)
        Of the image that it belongs to.

    Returns
    -------
    2D array, shape (2 ny, 2 nx)
        Peak at pixel ``(ny, nx)``. Where ``psf`` is known it is that, but for
        a smooth passage at its edge.
    """
    return continued_by_rows(psf, shape)(slice(0, 2 * shape[0]))


_remembered_transform = _once_for_each_psf(positive_transform)


def continue_psf_as_seen(psf, shape, seen):
    """The same, that explains what an image shows of the PSF, too.

    Parameters
    ----------
    psf : 2D array
    shape : tuple of int, (ny, nx)
        Both as for `continue_psf`.
    seen : `~astro_ddpm_imager.observation.positive_transform.Seen`

    Returns
    -------
    continued : 2D array, shape (2 ny, 2 nx)
    taken : float
        Share of noise that its sidelobes take for their own, see
        `~astro_ddpm_imager.observation.positive_transform.explain_image`.
    """
    psf = _odd_sided(psf)
    period, sides = _periods(psf.shape, _bandwidths(psf), shape)
    weights, taken = explain_image(_remembered_transform(psf, period, sides), psf, period, sides, seen)
    return _rows_beyond(psf, shape, period, sides, weights)(slice(0, 2 * shape[0])), taken


def continued_by_rows(psf, shape):
    """The same as `continue_psf`, of which some rows are made at a time: thousands of pixels need not be in memory.

    Parameters
    ----------
    psf : 2D array
    shape : tuple of int, (ny, nx)
        Both as for `continue_psf`.

    Returns
    -------
    function
        Of a slice of rows; returns these rows of what `continue_psf` returns.
    """
    psf = _odd_sided(psf)
    period, sides = _periods(psf.shape, _bandwidths(psf), shape)
    return _rows_beyond(psf, shape, period, sides, _remembered_transform(psf, period, sides))


def _rows_beyond(psf, shape, period, sides, weights):
    """A function of a slice of rows: of the PSF where it is known, and that of its transform beyond."""
    y, x = ((np.arange(2 * n) - n) % p for n, p in zip(shape, period, strict=True))
    half = sides[0] // 2
    along = np.empty((len(y), sides[1] // 2), np.complex64)  # higher frequencies there are none
    for start in range(0, along.shape[1], COLUMNS):
        columns = slice(start, min(start + COLUMNS, along.shape[1]))
        fine = np.zeros((period[0], columns.stop - start), np.float32)
        fine[:half], fine[period[0] - half + 1 :] = weights[:half, columns], weights[sides[0] - half + 1 :, columns]
        along[:, columns] = ifft(fine, axis=0)[y]
    along *= np.float32(np.prod(period) / np.prod(sides))

    def rows_of(rows):
        whole = irfft(along[rows], period[1], axis=1)[:, x]
        known = _knowledge(psf, shape, rows)
        return known * covering(psf, shape, rows) + (1 - known) * whole

    return rows_of


def work_to_continue(psf_shape, middle, shape):
    """How much it is to continue a PSF.

    Parameters
    ----------
    psf_shape : tuple of int, (ny, nx)
        Of the PSF.
    middle : 2D array
        As much of its middle as shows how much of the uv plane it fills.
    shape : tuple of int, (ny, nx)
        As for `continue_psf`.

    Returns
    -------
    int
        Pixels of the transforms, of which there are some hundred; each takes 24 bytes.
    """
    return int(np.prod(_periods(psf_shape, _bandwidths(_odd_sided(middle)), shape)[1]))


def _periods(psf_shape, bandwidths, shape):
    """Of the transform of a PSF, on its own pixels and on coarser ones that hold all that is in it."""
    period = [2 * next_fast_len(-(-max(PERIOD * n, 2 * m) // 2)) for n, m in zip(psf_shape, shape, strict=True)]
    return period, [
        2 * min(next_fast_len(int(np.ceil(width * p))), p // 2) for width, p in zip(bandwidths, period, strict=True)
    ]


def end_psf(psf, shape):
    """A PSF that falls to 0 at the end of its image, and what may be beyond: as much as there is at its edge.

    Parameters
    ----------
    psf : 2D array
        As for `continue_psf`.
    shape : tuple of int, (ny, nx)

    Returns
    -------
    ended : 2D array, shape (2 ny, 2 nx)
        As of `continue_psf`, but at no cost.
    doubt : 2D array, shape (2 ny, 2 nx)
        As of `sidelobe_doubt`.
    """
    psf = _odd_sided(psf)
    known = _knowledge(psf, shape)
    edge = _distance(psf.shape, [n // 2 for n in psf.shape]) > 1 - EDGE
    return known * covering(psf, shape), (1 - known) * _rms(psf[edge])


@_once_for_each_psf
def sidelobe_doubt(psf, shape):
    """How well the sidelobes that `continue_psf` gives are known.

    The inner half of the image is continued to all of it. What is wrong there
    tells, at each distance in units of the known reach, what is wrong beyond
    the image, where sidelobes are lower by as much as they fall from the edge
    of the half to that of the whole.

    Parameters
    ----------
    psf : 2D array
        As for `continue_psf`.
    shape : tuple of int, (ny, nx)

    Returns
    -------
    2D array, shape (2 ny, 2 nx)
        Standard deviation; 0 well inside the image of the PSF.
    """
    psf = _odd_sided(psf)
    middles, doubts = _doubts(psf)
    beyond = _distance([2 * n for n in shape], [n // 2 for n in psf.shape])
    return (1 - _knowledge(psf, shape)) * np.interp(beyond, middles, doubts)


def doubt_beyond(psf):
    """The same, at most.

    Parameters
    ----------
    psf : 2D array
        As for `continue_psf`.

    Returns
    -------
    float
    """
    return float(max(_doubts(_odd_sided(psf))[1]))


def _doubts(psf):
    """Standard deviations of a PSF that is continued, and the distances at which they are."""
    half = [n // 2 for n in psf.shape]
    inner = psf[tuple(slice(h - h // 2, h + h // 2 + 1) for h in half)]
    reached = _distance(psf.shape, [h // 2 for h in half])  # 1 at the edge of the inner half
    error = continued_by_rows(inner, half)(slice(0, 2 * half[0])) - psf[: 2 * half[0], : 2 * half[1]]
    reached, known = (image[: 2 * half[0], : 2 * half[1]] for image in (reached, psf))
    falls = _rms(known[(reached > 2 - EDGE) & (reached <= 2)]) / _rms(known[(reached > 1 - EDGE) & (reached <= 1)])
    middles = np.arange(1, 2, EDGE) + EDGE / 2
    # A small PSF has no pixel at some distances, so that those around them count.
    near = max(EDGE, 1.001 / max(h // 2 for h in half)) / 2
    return middles, [_rms(error[np.abs(reached - middle) <= near]) * falls for middle in middles]


def _knowledge(psf, shape, rows=slice(None)):
    """1 where a PSF is known, 0 beyond its image, smoothly from one to the other; shape (2 ny, 2 nx), or some rows."""
    # It falls with the distance, which is the larger one on both axes: cosines of the axes will do.
    beyond = _distances([2 * n for n in shape], [n // 2 for n in psf.shape])
    y, x = (0.5 + 0.5 * np.cos(np.pi * ((far - 1 + PASSAGE) / PASSAGE).clip(0, 1)) for far in beyond)
    return np.minimum(y[rows, None], x)


def _odd_sided(psf):
    """An odd number of pixels on each axis: a PSF is symmetric, so what is known on one side is on the other."""
    for axis, n in enumerate(psf.shape):
        if n % 2 == 0:
            last = np.flip(np.roll(np.take(psf, [0], axis), 1 - psf.shape[1 - axis] % 2, 1 - axis), 1 - axis)
            psf = np.concatenate([psf, last], axis)
    return psf


def _distance(shape, reach):
    """Distance from the middle of an image, the larger one on both axes, in units of a reach on each."""
    y, x = _distances(shape, reach)
    return np.maximum(y[:, None], x)


def _distances(shape, reach):
    """The same, on each axis."""
    return [np.abs(np.arange(n) - n // 2) / r for n, r in zip(shape, reach, strict=True)]


def _rms(values):
    return np.sqrt(np.mean(values**2))


def _bandwidths(psf):
    """Highest frequency of a PSF on each axis, cycles a pixel, with a margin."""
    window = np.outer(*(np.hanning(n) for n in psf.shape))
    power = np.abs(rfft2(psf * window))
    rows, columns = np.nonzero(power > SUPPORT * power.max())
    highest = np.abs(fftfreq(psf.shape[0]))[rows].max(), rfftfreq(psf.shape[1])[columns].max()
    return [MARGIN * frequency + 2 / n for frequency, n in zip(highest, psf.shape, strict=True)]
