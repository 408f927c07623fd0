"""Pixels that are missing but not unknown, because a band-limited image has few degrees of freedom a beam."""

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm
from scipy.ndimage import distance_transform_edt, find_objects, label

__all__ = ["continue_edges", "interpolate", "like_nearest", "small_holes"]

LARGEST_HOLE = 0.75  # beams from its middle to the nearest pixel that is known
REACH = 1.5  # beams: farthest pixel that says something of a missing one
FADED = 2.0  # beams: beyond an edge nothing is left of a source at it, at whose end it would ring all along the image
NEIGHBOURS = 80
CHUNK = 4096  # pixels at once, to bound memory
ROUNDING = 1e-6  # relative variance of pixels that no sky explains: keeps the equations solvable
UNLIKE = 0.5  # of the variance of the noise: what of it is not as the beam has it, and would grow beyond an edge


def small_holes(known, beam_pixels, whole=True):
    """Blank pixels in pieces so small that what is around them says what is in them.

    Parameters
    ----------
    known : 2D array of bool
        Pixels that are not blank.
    beam_pixels : float
        FWHM of the beam.
    whole : bool, optional
        Whether it is all of the image. In a tile what touches the border may be the corner of something large.

    Returns
    -------
    2D array of bool, same shape
        No piece is more than about a beam wide, though it may be longer, nor
        along the border of the image, beyond which nothing is known.
    """
    along_at_most = 2 * LARGEST_HOLE * beam_pixels if whole else 0
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
        if small and along_border[number] <= along_at_most:
            holes[window] |= own
    return holes


def interpolate(image, missing, beam_covariance):
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

    Returns
    -------
    2D array
        The image with new values where they were missing.
    """
    known = np.isfinite(image) & ~missing
    if not missing.any():
        return image
    reach, steps = _neighbourhood(beam_covariance)
    known, values = (np.pad(array, reach) for array in (known, np.where(known, image, 0)))
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
                    from_near = steps[near]
                    to_each_other = _squares(from_near[:, None] - from_near, beam_covariance)
                    weights[key] = _weights(to_each_other, _squares(from_near, beam_covariance), power)
                filled[tuple(pixels[own[alike]].T)] = around[alike] @ weights[key]
    return filled


def continue_edges(image, shape, beam_covariance):
    """Continue an image beyond its edges by two beams, line by line, where it does not end in blank pixels.

    The same interpolation, of a line that wraps around: what is on both sides
    of the padding tells what is in it.

    Parameters
    ----------
    image : 2D array, shape (py, px)
        In units of its noise, with an image of ``shape`` in the corner of pixel (0, 0), and padding; NaN where blank.
    shape : tuple of int, (ny, nx)
    beam_covariance : 2D array, shape (2, 2)
        As for `interpolate`.

    Returns
    -------
    2D array, shape (py, px)
        NaN is where it was.
    """
    image = image.copy()
    for axis, deviation in zip((0, 1), 1 / np.sqrt(np.diag(np.linalg.inv(beam_covariance)))[::-1], strict=True):
        lines, (n, period) = np.moveaxis(image, axis, -1), (shape[axis], image.shape[axis])
        fwhm = gaussian_sigma_to_fwhm * deviation
        beyond, used = (min(int(np.ceil(beams * fwhm)), n // 2) for beams in (FADED, REACH))
        missing = np.arange(n, period)
        missing = missing[np.minimum(missing - n + 1, period - missing) <= beyond]
        near = np.concatenate([np.arange(n - used, n), np.arange(period, period + used)])
        known = lines[:, near % period]
        continued = np.flatnonzero(np.isfinite(known).all(1) & known.any(1))
        powers = 4.0 ** np.ceil(np.log2(np.abs(known[continued]).max(1, initial=1)))
        to_each_other, to_missing = (((near[:, None] - other) / deviation) ** 2 for other in (near, missing))
        for power in np.unique(powers):
            alike = continued[powers == power]
            weights = _weights(to_each_other, to_missing, power, UNLIKE)
            lines[np.ix_(alike, missing)] = known[alike] @ weights
    return image


def like_nearest(image):
    """Each pixel that is blank as the nearest one that is not, for what hardly changes on the way.

    Parameters
    ----------
    image : 2D array
        NaN where blank, but not everywhere.

    Returns
    -------
    2D array, same shape
    """
    return image[tuple(distance_transform_edt(~np.isfinite(image), return_distances=False, return_indices=True))]


def _neighbourhood(beam_covariance):
    """Steps (y, x) to pixels within reach, nearest in beams first, and the largest of them."""
    reach = int(np.ceil(REACH * gaussian_sigma_to_fwhm * np.sqrt(np.diag(beam_covariance).max())))
    steps = np.argwhere(np.ones((2 * reach + 1, 2 * reach + 1))) - reach
    beams = np.sqrt(_squares(steps, beam_covariance)) / gaussian_sigma_to_fwhm
    order = np.argsort(beams, kind="stable")
    return reach, steps[order[(beams[order] > 0) & (beams[order] <= REACH)]]


def _squares(steps, covariance):
    """Squares of steps (y, x) in units of the standard deviation of a Gaussian."""
    return np.einsum("...i,ij,...j->...", steps[..., ::-1], np.linalg.inv(covariance), steps[..., ::-1])


def _weights(to_each_other, to_missing, power, unlike=0.0):
    """Weights of known pixels for missing ones, by the squares of the steps between them, for sources of some power."""

    def covariance(squares):
        # Of a sky seen through the beam: the beam convolved with itself.
        return np.exp(-squares / 2) + power * np.exp(-squares / 4)

    between = covariance(to_each_other) + (ROUNDING * power + unlike) * np.eye(len(to_each_other))
    return np.linalg.solve(between, covariance(to_missing))
