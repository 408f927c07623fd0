"""Noise and mean of an image: constants or maps."""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from astropy.stats import sigma_clipped_stats
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.stats import norm

from ...errors import shown
from ...observation.extensions import file_of
from ...observation.holes import small_holes
from .planes import ALL_BLANK, read_planes

__all__ = ["Background", "map_paths", "measure_background"]

BOX_BEAMS = 20
VARIATION = 1.5  # ratio of the largest to the smallest noise from which a map is used
LEAST_FILLED = 0.3  # of a box
LEAST_KAPPA = 2.0  # below 1.73, nothing is left of a Gaussian that is clipped until nothing changes
CLIPPINGS = 100  # more than it takes


@dataclass(frozen=True)
class Background:
    """Background of an image; arrays have its shape (ny, nx), in Jy/beam.

    Parameters
    ----------
    rms, mean : 2D arrays
    clipped_rms, clipped_mean : float
        Of all pixels.
    varies : bool
        Whether ``rms`` is a map.
    rms_box : tuple of int
        Box and step of the maps, pixels.
    exaggeration : float
        How many times the noise of the image ``rms`` is; 1 where it is measured, not given.
    """

    rms: np.ndarray
    mean: np.ndarray
    clipped_rms: float
    clipped_mean: float
    varies: bool
    rms_box: tuple
    exaggeration: float = 1.0


def measure_background(field, options):
    """Measure noise and mean as the options ask for.

    Parameters
    ----------
    field : `~astro_ddpm_imager.compat.bdsf.field.Field`
    options : `~astro_ddpm_imager.compat.bdsf.parameters.Options`

    Returns
    -------
    `Background`

    Raises
    ------
    RuntimeError
        A map or a box cannot be used.
    """
    kappa, data = max(options.kappa_clip or 3.0, LEAST_KAPPA), field.data
    values = data[np.isfinite(data)]
    if not values.size:
        raise RuntimeError(ALL_BLANK)
    mean, rms = _clipped(values, kappa)
    box = options.rms_box
    if box is None:
        side = int(min(max(min(data.shape) / 10, BOX_BEAMS * field.beam_pixels), min(data.shape)))
        box = (side, max(side // 3, 1))
    box = tuple(int(length) for length in box)
    if min(box) < 1:
        raise RuntimeError(f"rms_box={shown(options.rms_box)}: box and step must be at least 1 pixel")
    if options.rmsmean_map_filename:
        mean_map, rms_map = _given_maps(options, field)
        with np.errstate(divide="ignore", invalid="ignore"):
            in_sigma = (data - mean_map) / rms_map
        level = _clipped(in_sigma[np.isfinite(in_sigma)], kappa)[1]
        return Background(rms_map, mean_map, rms, mean, True, box, 1 / level if level > 0 else 1.0)
    varies, rms_map = options.rms_map is True, None
    if options.rms_map is not False or options.mean_map == "map":
        mean_map, rms_map = _maps(data, *box, kappa)
        if options.rms_map is None:
            varies = bool(np.nanmax(rms_map) > VARIATION * np.nanmin(rms_map))
    constant = rms if options.rms_value is None else options.rms_value
    known = np.isfinite(data)
    # In a small hole there may be a source, whose errors need the noise.
    blank = np.where(known | small_holes(known, field.beam_pixels), 0.0, np.nan)
    means = {"zero": lambda: 0.0, "map": lambda: mean_map}
    return Background(
        (rms_map if varies else constant) + blank,
        means.get(options.mean_map, lambda: mean)() + blank,
        rms,
        mean,
        varies,
        box,
        1.0 if varies or not rms > 0 else constant / rms,
    )


def _clipped(values, kappa):
    """Mean and standard deviation of what is left when outliers are clipped until there are none.

    Five times, astropy's default, leave those of many bright sources. The
    standard deviation is that of the whole of a Gaussian.
    """
    mean, _, rms = sigma_clipped_stats(values, sigma=kappa, maxiters=None)
    return float(mean), float(rms) / _left_by_clipping(kappa)


@cache
def _left_by_clipping(kappa):
    """Standard deviation of a Gaussian of 1 when it is clipped until nothing changes."""
    left = 1.0
    for _ in range(CLIPPINGS):
        edge = kappa * left
        left = math.sqrt(1 - 2 * edge * norm.pdf(edge) / (2 * norm.cdf(edge) - 1))
    return left


def map_paths(names, options):
    """Where the images of ``rmsmean_map_filename`` are: beside the image, as PyBDSF has it, or where they are named.

    Parameters
    ----------
    names : sequence of path-like
    options : `~astro_ddpm_imager.compat.bdsf.parameters.Options`

    Returns
    -------
    list of `~pathlib.Path`
    """
    folder = Path(options.indir or Path(options.filename).parent)
    return [folder / str(name) if file_of(folder / str(name)).exists() else Path(str(name)) for name in names]


def _given_maps(options, field):
    names = options.rmsmean_map_filename
    if len(names) != 2:
        raise RuntimeError(f"rmsmean_map_filename={names!r}: must be two images, [mean map, rms map]")
    maps = [read_planes(path, [0])[0].data for path in map_paths(names, options)]
    for name, image in zip(names, maps, strict=True):
        if image.shape != field.full_shape:
            raise RuntimeError(f"rmsmean_map_filename: {name} has shape {image.shape}, the image {field.full_shape}")
    return [field.cut(image) for image in maps]


def _maps(data, box, step, kappa):
    """Clipped mean and rms in boxes, interpolated linearly."""
    starts = [np.arange(0, max(n - box, 0) + step, step) for n in data.shape]
    starts = [np.unique(np.minimum(first, max(n - box, 0))) for first, n in zip(starts, data.shape, strict=True)]
    coarse = np.full((2, len(starts[0]), len(starts[1])), np.nan)
    for i, y in enumerate(starts[0]):
        for j, x in enumerate(starts[1]):
            patch = data[y : y + box, x : x + box]
            values = patch[np.isfinite(patch)]
            if values.size > LEAST_FILLED * patch.size:
                coarse[:, i, j] = _clipped(values, kappa)
    empty = ~np.isfinite(coarse[0])
    if empty.all():
        raise RuntimeError(f"rms_box={(box, step)}: no box holds enough pixels that are not blank; make it larger")
    nearest = distance_transform_edt(empty, return_distances=False, return_indices=True)
    coarse = coarse[:, *nearest]
    axes = [
        np.interp(np.arange(n), first + (box - 1) / 2, np.arange(len(first)))
        for first, n in zip(starts, data.shape, strict=True)
    ]
    grid = np.meshgrid(*axes, indexing="ij")
    return [map_coordinates(image, grid, order=1, mode="nearest") for image in coarse]
