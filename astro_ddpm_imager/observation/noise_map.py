"""Noise that varies over an image: measured in boxes, or given as a map; an image with the same noise everywhere."""

import logging
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.stats import mad_std
from scipy.ndimage import map_coordinates, median_filter

from ..errors import DirtyImageError
from .holes import like_nearest
from .units import is_brightness, is_variance

__all__ = [
    "NoiseMap", "flatten", "measure_noise", "noise_of", "uneven_noise", "unflatten", "warn_contradicted",
    "warn_inverted",
]  # fmt: skip

log = logging.getLogger(__name__)

BOX_BEAMS = 400  # in a box, for its noise to be known to 6%
MOST_BOXES = 16  # on a side, so that chance makes no extremes
FILLED = 0.4  # of a box, for it to count
FEWEST_BOXES = 6
FEW_BOXES = 36  # with fewer, a smooth course says more even if it is not all there is
SMALL_BOX_BEAMS = 50  # in a box, for a smooth course
ERROR = 1.2  # of the logarithm of the noise of a box of one beam
SMOOTH = 30.0  # by how much chi-squared has to fall for five parameters more
MOST_SCATTER = 1.5  # of boxes about a smooth course, in their errors
PLACES = 16  # on a side, at which a smooth course is kept
EXTREMES = 5, 95  # percentiles of the boxes that are compared
VARIATION = 1.5  # ratio of these from which the noise varies
LOUDER = 1.2  # sidelobes and noise in units of the noise: more is no noise that varies
MOST_QUIET = 0.5  # of an image without these, for its noise to be looked at
INVERTED = -0.7  # correlation of the logarithms of a map and of what is measured in the image
TENTHS = 10, 90  # percentiles of a map: what is below and above is compared
CONTRADICTED = 2.0  # ratio of the noise there, in units of the map, that sources do not make
CHANCE = 3.0  # standard deviations of that ratio
TAKEN_FOR = {1: "the noise", 2: "its variance", -2: "a weight, the inverse of a variance"}  # by power of the noise
HALF = 0.6745  # standard deviations: the median of one side of Gaussian noise


@dataclass(frozen=True)
class NoiseMap:
    """Noise in boxes of an image.

    Parameters
    ----------
    levels : 2D array, shape (by, bx)
        Jy/beam.
    rows, columns : 1D arrays, shapes (by,) and (bx,)
        Middles of the boxes, 0-based pixels.
    """

    levels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @property
    def varies(self):
        """Whether the noise of boxes differs by more than chance, or sources, make it differ."""
        return _varies(self.levels[np.isfinite(self.levels)])

    @property
    def lowest(self):
        """Noise of the quietest boxes, Jy/beam."""
        return float(np.nanpercentile(self.levels, EXTREMES[0]))

    def at(self, rows, columns):
        """The map, interpolated linearly between boxes, on a window of the image.

        Parameters
        ----------
        rows, columns : slice
            Both with start and stop.

        Returns
        -------
        2D array of float32
        """
        # One box that a bright source fills should not decide.
        levels = median_filter(like_nearest(self.levels), 3, mode="nearest")
        axes = [
            np.interp(np.arange(window.start, window.stop), middles, np.arange(len(middles)))
            for window, middles in ((rows, self.rows), (columns, self.columns))
        ]
        return map_coordinates(levels.astype(np.float32), np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")


def _varies(levels):
    """Whether levels, enough of them, differ by more than those of boxes do by chance."""
    if len(levels) < FEWEST_BOXES:
        return False
    low, high = np.percentile(levels, EXTREMES)
    return bool(high > VARIATION * low)


def measure_noise(read, shape, beam_area):
    """Measure the noise of an image in boxes, by what is below the median of each, which no source raises.

    Parameters
    ----------
    read : function
        Pixels of a window, a tuple of slices; NaN where blank.
    shape : tuple of int, (ny, nx)
    beam_area : float
        Pixels.

    Returns
    -------
    `NoiseMap`
        NaN where a box is all but empty.
    """
    boxes = _in_boxes(read, shape, BOX_BEAMS * beam_area)
    # Of a large image they are the same, and all of it would be read again.
    small = boxes if min(boxes.levels.shape) == MOST_BOXES else _in_boxes(read, shape, SMALL_BOX_BEAMS * beam_area)
    scatter = np.inf if boxes.levels.size < FEW_BOXES else MOST_SCATTER
    return _smooth_course(small, read, shape, beam_area, scatter) or boxes


def _in_boxes(read, shape, area):
    """The noise in boxes of some area, pixels, or larger ones."""
    edges = [np.linspace(0, n, 1 + int(np.clip(n / np.sqrt(area), 1, MOST_BOXES))).round().astype(int) for n in shape]
    levels = np.full([len(edge) - 1 for edge in edges], np.nan)
    for i, j in np.ndindex(levels.shape):
        box = read(tuple(slice(edge[k], edge[k + 1]) for edge, k in zip(edges, (i, j), strict=True)))
        values = box[np.isfinite(box)]
        if len(values) > FILLED * box.size:
            below = np.median(values) - values
            levels[i, j] = np.median(below[below > 0]) / HALF if (below > 0).any() else np.nan
    return NoiseMap(levels, *((edge[1:] + edge[:-1] - 1) / 2 for edge in edges))


def _smooth_course(boxes, read, shape, beam_area, most_scatter):
    """Noise whose logarithm is a polynomial of second order, or None if it is not.

    That of an image corrected for its primary beam is one, if that is a
    Gaussian, and so is known between boxes and at the edges.
    """
    known = np.isfinite(boxes.levels)
    terms = _second_order(boxes.rows, boxes.columns, shape)[known]
    if len(terms) < 2 * terms.shape[1]:
        return None
    levels = np.log(boxes.levels[known])
    course = np.linalg.lstsq(terms, levels)[0]
    left = levels - terms @ course
    scatter = np.sqrt(np.sum(left**2) / (len(terms) - terms.shape[1]))
    expected = ERROR / np.sqrt(np.prod(shape) / boxes.levels.size / beam_area)
    gained = np.sum((levels - levels.mean()) ** 2) - np.sum(left**2)
    if scatter > most_scatter * expected or gained < SMOOTH * max(scatter, expected) ** 2:
        return None
    rows, columns = (np.linspace(0, n - 1, PLACES) for n in shape)
    course = np.exp(_second_order(rows, columns, shape) @ course)
    for i, j in np.ndindex(course.shape):
        around = (
            slice(int(max(place - n / PLACES / 2, 0)), int(place + n / PLACES / 2) + 1)
            for place, n in zip((rows[i], columns[j]), shape, strict=True)
        )
        if not np.isfinite(read(tuple(around))).any():
            course[i, j] = np.nan
    return NoiseMap(course, rows, columns)


def _second_order(rows, columns, shape):
    """Terms of a polynomial of second order at places of an image, shape (rows, columns, 6)."""
    y, x = np.meshgrid(rows / shape[0] - 0.5, columns / shape[1] - 0.5, indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)


def uneven_noise(observation, left, grid):
    """The noise of an image, if what a reconstruction leaves of it is not the same everywhere, which is said.

    It is measured there because the sidelobes of many faint sources make an
    image uneven, too. Errors that bright sources leave are no noise, nor is
    what is not known of their sidelobes.

    Parameters
    ----------
    observation : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    left : 2D array, shape ``grid.shape``
        What is left, in units of the noise; NaN where blank.
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`

    Returns
    -------
    2D array of float32, shape (ny, nx), Jy/beam; or None
    """
    if np.ndim(observation.relative_noise):  # it is flat already
        return None
    ratio, loudness = grid.ratio, grid.sample(np.broadcast_to(observation.noise_ratio, observation.shape))
    left, seen = np.where(loudness > LOUDER, np.nan, left), np.isfinite(left).sum()
    if np.isfinite(left).sum() < MOST_QUIET * seen:
        return None
    noise = measure_noise(lambda window: left[window], left.shape, observation.beam_area / np.prod(ratio))
    if not noise.varies:
        return None
    noise = replace(
        noise, levels=observation.rms * noise.levels, rows=noise.rows * ratio[0], columns=noise.columns * ratio[1]
    )
    log.warning(
        "the noise varies over the image, from %.3g to %.3g Jy/beam in its quietest and loudest parts: it is measured "
        "in boxes, and all is done again with S/N that are those of each place; give a map of it with noise= to have "
        "it exactly", *np.nanpercentile(noise.levels, EXTREMES),
    )  # fmt: skip
    return noise.at(*(slice(0, n) for n in observation.shape))


def noise_of(image):
    """The noise that a map or a weight image says.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The noise, if its unit, or BUNIT, is Jy/beam or a multiple, or its variance, if that is the square of these;
        otherwise a weight, such as of a mosaic: the inverse of a variance.

    Returns
    -------
    2D array
        In proportion to the noise; NaN where nothing is measured.

    Raises
    ------
    DirtyImageError
        It is nowhere positive.
    """
    unit, power = _unit_of(image)
    positive = np.isfinite(image.data) & (image.data > 0)
    if not positive.any():
        raise DirtyImageError("noise: is nowhere positive; give a map of the noise in Jy/beam, or of its weight")
    values = np.where(positive, image.data, np.nan)
    log.info("noise: its unit is %r: it is taken for %s", unit, TAKEN_FOR[power])
    return values if power == 1 else np.sqrt(values) if power == 2 else 1 / np.sqrt(values)


def _unit_of(image):
    """The unit of a map, as text, and which power of the noise a map in it is."""
    unit = str(image.meta.get("BUNIT", "") if image.unit in (None, u.one) else image.unit)
    return unit, 1 if is_brightness(unit) else 2 if is_variance(unit) else -2


def warn_inverted(image, noise, dirty, beam_area):
    """Say if the noise of an image is low where a map of it says that it is high.

    Then the map is a weight that was taken for the noise, or the other way
    round, as its unit is missing or wrong.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The map.
    noise : 2D array, shape (ny, nx)
        What `noise_of` makes of it.
    dirty : `~astropy.nddata.CCDData`
        Of the same pixels.
    beam_area : float
        Pixels.
    """
    blank = np.broadcast_to(False if dirty.mask is None else dirty.mask, dirty.shape)
    measured = measure_noise(lambda window: np.where(blank[window], np.nan, dirty.data[window]), dirty.shape, beam_area)
    given = noise[np.ix_(*(np.round(places).astype(int) for places in (measured.rows, measured.columns)))]
    known = np.isfinite(measured.levels) & np.isfinite(given)
    levels, given = measured.levels[known], given[known]
    if not (_varies(levels) and _varies(given)):
        return
    correlation = np.corrcoef(np.log(levels), np.log(given))[0, 1]
    if correlation > INVERTED:
        return
    unit, power = _unit_of(image)
    other, right = ("the noise", "Jy/beam") if power == -2 else ("a weight", "")
    log.warning(
        "noise: its unit is %r, so that it is taken for %s, but the noise of the image is lowest where that says it is "
        "highest (correlation %.2f): if it is %s, set BUNIT in its header to %r, or give CCDData(..., unit=%r)",
        unit, TAKEN_FOR[power], correlation, other, right, right,
    )  # fmt: skip


def warn_contradicted(observation, residual):
    """Say if a map of the noise that was given is not that of its image.

    The weight image of a mosaic whose noise is the same everywhere is such a
    map: it says where sources are faint, which the primary beam says already.
    Sidelobes that are not known are no noise.

    Parameters
    ----------
    observation : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        Divided by the map, as `flatten` does it.
    residual : 2D array, shape (ny, nx)
        What is left, Jy/beam, as the image was given; NaN where blank.
    """
    given = observation.relative_noise
    seen = np.isfinite(residual) & (np.broadcast_to(observation.noise_ratio, observation.shape) <= LOUDER)
    if seen.sum() < MOST_QUIET * np.isfinite(residual).sum():
        return
    low, high = np.percentile(given[seen], TENTHS)
    if high < VARIATION * low:
        return
    parts = [seen & part for part in (given <= low, given >= high)]
    beams = seen.sum() / observation.beam_area * TENTHS[0] / 100
    chance = np.exp(CHANCE * ERROR * np.sqrt(2 / beams))
    # Emission in the middle makes the image uneven, but not what is left of it, and a wrong map both.
    left, image = (_rise(each, parts, mad_std) for each in (residual / given, observation.data))
    if abs(np.log(left)) < np.log(VARIATION) or abs(np.log(image)) < np.log(CONTRADICTED * chance):
        return
    rise = _rise(given, parts, np.median)
    log.warning(
        "noise: the map does not fit the image: by it the noise rises from its quietest tenth to its loudest one by a "
        "factor of %.2g, in the image by %.2g, so that S/N and reliabilities are wrong; give no noise if that of the "
        "image is the same everywhere, as of tclean's normtype='flatnoise', whose .pb says what its .weight says, and "
        "else a map of the noise of this very image",
        rise, rise * image,
    )  # fmt: skip


def _rise(image, parts, measure):
    """What is measured in the second part of an image over that in the first."""
    quiet, loud = (measure(image[part]) for part in parts)
    return loud / quiet


def unflatten(dirty):
    """An image whose noise varies as it was given: what `flatten` has divided it by is undone.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
        In Jy/beam, with the primary beam that was given; ``rms`` is that where the noise is lowest, and the rest is in
        ``noise_ratio``.
    """
    noise = dirty.relative_noise
    if not np.ndim(noise):
        return dirty
    return replace(
        dirty,
        data=dirty.data * noise,
        pb=dirty.pb * noise,
        bright=None if dirty.bright is None else dirty.bright.scaled(noise),
        noise_ratio=dirty.noise_ratio * noise,
        unknown=dirty.unknown * noise,
        relative_noise=1.0,
    )


def flatten(dirty, noise):
    """Divide an image, and its primary beam, by the shape of its noise, so that the noise is the same everywhere.

    To all that is done with it a map of the noise is what a primary beam is:
    where the noise is higher, the sky in units of the noise is fainter. Fluxes
    are divided by the quotient, and so are right. An image that was corrected
    for its primary beam, which is why noise varies most often, is made as the
    interferometer has seen it: then sidelobes are those of the PSF again.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        Without ``bright``.
    noise : 2D array, shape (ny, nx)
        In any unit: only its shape counts, and the level is measured in the image.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`
        With ``relative_noise``, 1 where the noise is lowest.
    """
    inside = np.isfinite(dirty.data)
    ratio = np.where(inside & np.isfinite(noise), noise / np.nanmin(np.where(inside, noise, np.nan)), 1.0)
    data = dirty.data / ratio
    return replace(
        dirty,
        data=data,
        pb=dirty.pb / ratio,
        rms=float(mad_std(data[inside])),
        unknown=dirty.unknown / ratio,
        relative_noise=ratio,
    )
