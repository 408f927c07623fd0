"""A constant or a gradient beneath an image, which an interferometer cannot measure."""

import logging

import numpy as np
from astropy.stats import mad_std
from scipy.optimize import least_squares

__all__ = ["fit_pedestal", "share_beside", "subtract_pedestal"]

log = logging.getLogger(__name__)

LARGEST = 1.0  # times the noise: what may lie beneath an image
BLOCKS = 4  # on a side
FEWEST_BEAMS = 8  # in each
FEWEST_BLOCKS = 8  # four always lie on a plane, nearly, for instance in the bowl around a bright source
ROUGHEST = 0.8  # times the noise: scatter of the levels that is no more the noise of medians
FULLEST = 0.25  # of a block: what is finite, at least, for its level to count
UNEVEN = 0.3  # of the plane: how far the levels may scatter about it (root mean squares)
EXPLAINED = 0.5  # of the plane: what sources make of it with their sidelobes, when it is no pedestal


def share_beside(psf, shape, beam_area):
    """What sources all over an image have in it beside their main lobes, over what they have in these.

    It is -1 where nothing is measured of the mean, which main lobes have and sidelobes take away, and positive where
    many short baselines put a wide foot under the main lobe.

    Parameters
    ----------
    psf : 2D array
        Peak, 1, at pixel ``n // 2`` of each axis.
    shape : tuple of int, (ny, nx)
        Of the image.
    beam_area : float
        Pixels.

    Returns
    -------
    float
    """
    # Of the pairs of pixels of an image, fewer are far from each other.
    rows, columns = ((1 - np.abs(np.arange(k) - k // 2) / n).clip(0) for k, n in zip(psf.shape, shape, strict=True))
    return float(rows @ psf @ columns / beam_area - 1)


def fit_pedestal(data, beam_area, beside=0.0):
    """The plane beneath an image, if there is one.

    Without the shortest baselines a dirty image has no mean, and it has no
    gradient from edge to edge. So where the levels (medians) of blocks of the
    image all lie on one plane that differs from 0 by more than the noise, that
    is no sky. Emission does not make such planes: it fills some blocks and
    not others, which decides here, or is not seen at all. The sidelobes of many
    sources all over a field may be one, a bowl or the foot of a PSF that many
    short baselines make: by how much the mean is above the level says so.

    Parameters
    ----------
    data : 2D array
        NaN where blank.
    beam_area : float
        Pixels.
    beside : float, optional
        `share_beside` of the PSF, if it is given, so that sidelobes are known.

    Returns
    -------
    plane : 2D array, same shape, or None
    noise : float
        Median of the noise in the blocks.
    """
    levels, means, noise, y, x = _block_levels(data, beam_area)
    if len(levels) < FEWEST_BLOCKS or noise == 0:
        return None, noise
    # Positions from -0.5 to 0.5, so that all coefficients are levels; in units of the noise, a few blocks may be off.
    along = [axis / max(n - 1, 1) - 0.5 for axis, n in zip((y, x), data.shape, strict=True)]
    design = np.column_stack([np.ones(len(levels)), *along])
    fitted = least_squares(lambda c: design @ c - levels / noise, np.zeros(3), loss="soft_l1", f_scale=0.3)
    model = design @ fitted.x
    scatter = np.sqrt(np.mean((levels / noise - model) ** 2))
    if np.abs(model).max() < LARGEST or scatter > min(UNEVEN * np.sqrt(np.mean(model**2)), ROUGHEST):
        return None, noise
    level = noise * model.mean()
    if beside * (means.mean() - level) / level > EXPLAINED:
        return None, noise
    rows, columns = (np.arange(n) / max(n - 1, 1) - 0.5 for n in data.shape)
    constant, slope_y, slope_x = noise * fitted.x
    return constant + slope_y * rows[:, None] + slope_x * columns, noise


def _block_levels(data, beam_area):
    """Medians and means of the blocks of an image, the median of their noise, and where they lie (pixels)."""
    blocks = int(np.clip(np.sqrt(data.size / (FEWEST_BEAMS * beam_area)), 2, BLOCKS))
    rows, columns = (np.array_split(np.arange(n), blocks) for n in data.shape)
    found = []
    for row in rows:
        for column in columns:
            block = data[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
            finite = np.isfinite(block)
            if finite.mean() > FULLEST:
                y, x = np.argwhere(finite).mean(0)
                level, mean, scatter = (measure(block[finite]) for measure in (np.median, np.mean, mad_std))
                found.append((level, mean, scatter, row[0] + y, column[0] + x))
    levels, means, noises, y, x = np.reshape(found, (-1, 5)).T
    return levels, means, float(np.median(noises)) if len(noises) else 0.0, y, x


def subtract_pedestal(data, beam_area, beside=0.0):
    """Take such a plane away, and say so.

    It is subtracted, not refused: it holds nothing that the interferometer has
    measured, and what is above it is an image like any other.

    Parameters
    ----------
    data : 2D array
        NaN where blank.
    beam_area : float
        Pixels.
    beside : float, optional
        As of `fit_pedestal`.

    Returns
    -------
    2D array
    """
    plane, noise = fit_pedestal(data, beam_area, beside)
    if plane is None:
        return data
    inside = np.isfinite(data)
    log.warning(
        "dirty: lies on a pedestal of %.3g to %.3g Jy/beam, %.2g times the noise in the middle of them, which no "
        "interferometer measures; it is subtracted (was something added to the image, or not subtracted?)",
        plane[inside].min(), plane[inside].max(), np.abs(np.median(plane[inside])) / noise,
    )  # fmt: skip
    return data - plane
