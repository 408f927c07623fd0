"""Pixels that no interferometer makes: sharper than the beam allows."""

import logging

import numpy as np
from astropy.stats import mad_std

from ..errors import DirtyImageError

__all__ = ["MOST_SHARP", "blank_infinite", "blank_sharp_pixels", "check_range", "places", "sharp_pixels"]

log = logging.getLogger(__name__)

LOWEST = 10.0  # times the noise: what is less may be noise beside noise
TOO_SHARP = 0.4  # of what the beam leaves of a peak in the next pixel
MOST_SHARP = 0.02  # of the pixels: with more of them it is no image
NAMED = 5  # places in a message
NOISE = (1e-15, 1e15)  # Jy/beam; beyond, units are wrong, and squares leave single precision
HIGHEST = 1e8  # times the noise: ten times the dynamic range that anyone has reached


def sharp_pixels(data, beam_covariance):
    """Where an image jumps as the beam does not allow: hot and cold pixels, rows and columns of them.

    A dirty image holds nothing beyond its longest baseline, nor a restored one
    much beyond its beam. The peak of a point lies at most half a pixel from the
    middle of its brightest pixel; then the pixels beside it hold at least
    exp(-(1.5^2 - 0.5^2) / (2 s^2)) of it, s^2 being the variance of a cut
    through the beam. A pixel is too sharp where all that is known beside it
    holds less than 0.4 of this, or, along x or along y, all four within two
    pixels: the crest of a fringe may have zeros beside it, but has the next
    crests or troughs one further.

    Parameters
    ----------
    data : 2D array
        NaN where blank.
    beam_covariance : 2D array, shape (2, 2)
        See `~astro_ddpm_imager.observation.beam.beam_covariance`.

    Returns
    -------
    2D array of bool, same shape
    """
    finite = np.isfinite(data)
    values = data[finite & (data != 0)]  # zeros are padding
    level = np.median(values) if len(values) else 0.0
    height = np.full([n + 4 for n in data.shape], np.nan)
    height[2:-2, 2:-2] = np.abs(np.where(finite, data, np.nan) - level)
    flat, found = height.ravel(), np.zeros(height.size, dtype=bool)
    steps = np.array([-2, -1, 1, 2])
    axes = zip((1, height.shape[1]), TOO_SHARP * np.exp(-np.diag(np.linalg.inv(beam_covariance))), strict=True)
    axes = [(steps * stride, least) for stride, least in axes]
    noise = mad_std(values)
    candidates = np.flatnonzero(flat > LOWEST * noise)
    while len(candidates):
        sharp, neighbours = np.zeros(len(candidates), dtype=bool), []
        for offsets, least in axes:
            beside = flat[candidates[:, None] + offsets] / (least * flat[candidates][:, None])
            # Next to a blank pixel only the skirt of a source may be seen, which falls as steeply as it likes.
            sharp |= np.isfinite(beside[:, 1:3]).all(1) & ~(beside >= 1).any(1)
            neighbours.append(beside[:, 1:3])
        neighbours = np.concatenate(neighbours, axis=1)
        sharp |= (np.isfinite(neighbours).sum(1) > 1) & ~(neighbours >= 1).any(1)
        sharp |= _beyond_edge(flat, candidates, axes, noise, beam_covariance)
        if not sharp.any():
            break
        # Where rows and columns cross, and where they end at blank pixels, it is found when the rest is gone.
        found[candidates[sharp]], flat[candidates[sharp]] = True, 0
        candidates = candidates[~sharp]
    return found.reshape(height.shape)[2:-2, 2:-2]


def _beyond_edge(flat, candidates, axes, noise, beam_covariance):
    """Which pixels, at an edge, fall so steeply from there that the source beyond it would be absurdly bright.

    At a distance d beyond the edge a Gaussian falls by exp(-(2 d + 1) / (2 s^2)) a pixel, and its peak is
    exp(d^2 / (2 s^2)) times as high as its pixel at the edge.
    """
    sharp, height = np.zeros(len(candidates), dtype=bool), flat[candidates]
    if noise == 0:
        return sharp  # which is an error of its own
    for (offsets, _), variance in zip(axes, 1 / np.diag(np.linalg.inv(beam_covariance)), strict=True):
        beside = flat[candidates[:, None] + offsets]
        for inner, outer in (((2, 3), 1), ((1, 0), 2)):
            two = beside[:, inner]
            fall = np.log(height / np.maximum(two.max(1), noise))
            distance = variance * fall - 0.5
            exponent = distance**2 / (2 * variance) + np.log(height / noise)
            with np.errstate(invalid="ignore"):
                steep = (distance > 0) & (exponent > np.log(HIGHEST))
            sharp |= np.isfinite(two).all(1) & ~np.isfinite(beside[:, outer]) & steep
    return sharp


def blank_infinite(data):
    """Make infinite pixels NaN, and say where they are.

    Parameters
    ----------
    data : 2D array

    Returns
    -------
    2D array
    """
    infinite = np.isinf(data)
    if infinite.any():
        log.warning("dirty: %d pixels are infinite (%s); taken for blank, as if NaN", infinite.sum(), places(infinite))
    return np.where(infinite, np.nan, data)


def blank_sharp_pixels(data, beam_covariance, name, spared=None):
    """Make such pixels NaN, and say where they are.

    Parameters
    ----------
    data : 2D array
        NaN where blank.
    beam_covariance : 2D array, shape (2, 2)
    name : str
        What the image is called in the log and in errors.
    spared : 2D array of bool, same shape, optional
        Where they stay.

    Returns
    -------
    2D array

    Raises
    ------
    DirtyImageError
        They are many.
    """
    sharp = sharp_pixels(data, beam_covariance)
    if spared is not None:
        sharp &= ~spared
    if not sharp.any():
        return data
    number = sharp.sum()
    largest = data[sharp][np.argmax(np.abs(data[sharp]))]
    said = (
        f"{number} pixels are sharper than the beam allows, up to {largest:.3g} (at {places(sharp)}): no "
        "interferometer makes them"
    )
    if number > MOST_SHARP * np.isfinite(data).sum():
        raise DirtyImageError(
            f"{name}: {said}; is it an image of an interferometer, with the right beam in its header?"
        )
    log.warning("%s: %s; they are taken for blank, as if NaN", name, said)
    return np.where(sharp, np.nan, data)


def check_range(data, rms):
    """Fail if an image holds numbers that no telescope measures.

    Parameters
    ----------
    data : 2D array
        Jy/beam; NaN where blank.
    rms : float
        Noise.

    Raises
    ------
    DirtyImageError
    """
    if not NOISE[0] < rms < NOISE[1]:
        raise DirtyImageError(
            f"dirty: the noise is {rms:.3g} Jy/beam, and no telescope has less than {NOISE[0]:g} or more than "
            f"{NOISE[1]:g}; is the unit right?"
        )
    absurd = np.abs(data) > HIGHEST * rms
    if absurd.any():
        raise DirtyImageError(
            f"dirty: reaches {data[absurd][np.abs(data[absurd]).argmax()]:.3g} Jy/beam ({places(absurd)}), more than "
            f"{HIGHEST:g} times the noise of {rms:.3g}; blank (NaN) what is no measurement"
        )


def places(chosen):
    """Pixels of a mask in words, a few of them.

    Parameters
    ----------
    chosen : 2D array of bool

    Returns
    -------
    str
    """
    y, x = np.nonzero(chosen)
    some = ", ".join(f"({i}, {j})" for i, j in zip(x[:NAMED], y[:NAMED], strict=True))
    return f"pixel (x, y) = {some}" + (", ..." if len(x) > NAMED else "")
