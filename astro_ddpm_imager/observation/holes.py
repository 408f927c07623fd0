"""Pixels that are missing but not unknown, because a band-limited image has few degrees of freedom a beam."""

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects, label

__all__ = ["interpolate", "small_holes"]

LARGEST_HOLE = 0.75  # beams from its middle to the nearest pixel that is known
REACH = 1.5  # beams: farthest pixel that says something of a missing one
NEIGHBOURS = 80
CHUNK = 4096  # pixels at once, to bound memory
ROUNDING = 1e-6  # relative variance of pixels that no sky explains: keeps the equations solvable


def small_holes(known, beam_pixels):
    """Blank pixels in pieces so small that what is around them says what is in them.

    Parameters
    ----------
    known : 2D array of bool
        Pixels that are not blank.
    beam_pixels : float
        FWHM of the beam.

    Returns
    -------
    2D array of bool, same shape
        No piece is more than about a beam wide, though it may be longer, nor
        along the border of the image, beyond which nothing is known.
    """
    holes = np.zeros(known.shape, dtype=bool)
    if known.all() or not known.any():
        return holes
    depth = distance_transform_edt(~known)
    pieces, _ = label(~known)
    border = np.concatenate([pieces[[0, -1]].ravel(), pieces[:, [0, -1]].ravel()])
    along_border = np.bincount(border, minlength=pieces.max() + 1)
    for number, window in enumerate(find_objects(pieces), 1):
        own = pieces[window] == number
        small = depth[window][own].max() <= LARGEST_HOLE * beam_pixels + 0.5
        if small and along_border[number] <= 2 * LARGEST_HOLE * beam_pixels:
            holes[window] |= own
    return holes


def interpolate(image, missing, beam_covariance, wrap=False):
    """Values of missing pixels from their neighbours.

    The best linear interpolation (kriging, a Gaussian process) of an image
    that is noise with the covariance of the beam, as natural weighting has it,
    and the beam's image of a sky of many sources, as bright as the brightest
    neighbour.

    Parameters
    ----------
    image : 2D array
        In units of its noise; NaN where blank.
    missing : 2D array of bool
        Pixels to find. Those with no neighbour within reach become 0.
    beam_covariance : 2D array, shape (2, 2)
        Second moments of the beam, pixels squared, order x, y.
    wrap : bool, optional
        The image is periodic.

    Returns
    -------
    2D array
        The image with new values where they were missing.
    """
    known = np.isfinite(image) & ~missing
    if not missing.any():
        return image
    reach, steps = _neighbourhood(beam_covariance)
    mode = "wrap" if wrap else "constant"
    known, values = (np.pad(array, reach, mode) for array in (known, np.where(known, image, 0)))
    filled, weights = image.copy(), {}
    for pixels in np.array_split(np.argwhere(missing), np.ceil(missing.sum() / CHUNK)):
        rows, columns = (axis[:, None] + reach + step for axis, step in zip(pixels.T, steps.T, strict=True))
        # Pixels beside a straight edge have neighbours at the same steps, and share their weights.
        patterns, pattern_of = np.unique(known[rows, columns], axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            own, near = np.flatnonzero(pattern_of.ravel() == number), np.flatnonzero(pattern)[:NEIGHBOURS]
            around = values[rows[own][:, near], columns[own][:, near]]
            powers = 4.0 ** np.ceil(np.log2(np.abs(around).max(1, initial=1)))
            for power in np.unique(powers):
                key, alike = (power, near.tobytes()), powers == power
                if key not in weights:
                    weights[key] = _weights(steps[near], power, beam_covariance)
                filled[tuple(pixels[own[alike]].T)] = around[alike] @ weights[key]
    return filled


def _neighbourhood(beam_covariance):
    """Steps (y, x) to pixels within reach, nearest in beams first, and the largest of them."""
    fwhm = np.sqrt(8 * np.log(2))
    reach = int(np.ceil(REACH * fwhm * np.sqrt(np.diag(beam_covariance).max())))
    steps = np.argwhere(np.ones((2 * reach + 1, 2 * reach + 1))) - reach
    beams = np.sqrt(_squares(steps, beam_covariance)) / fwhm
    order = np.argsort(beams, kind="stable")
    return reach, steps[order[(beams[order] > 0) & (beams[order] <= REACH)]]


def _squares(steps, covariance):
    """Squares of steps (y, x) in units of the standard deviation of a Gaussian."""
    return np.einsum("...i,ij,...j->...", steps[..., ::-1], np.linalg.inv(covariance), steps[..., ::-1])


def _weights(steps, power, beam_covariance):
    """Weights of pixels at some steps from a missing one, for sources of some mean square."""

    def covariance(steps):
        squares = _squares(steps, beam_covariance)
        # Of a sky seen through the beam: the beam convolved with itself.
        return np.exp(-squares / 2) + power * np.exp(-squares / 4)

    between = covariance(steps[:, None] - steps) + ROUNDING * power * np.eye(len(steps))
    return np.linalg.solve(between, covariance(steps))
