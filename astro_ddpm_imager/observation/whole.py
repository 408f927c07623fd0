"""What an image shows only as a whole: corrected for the primary beam, negative, with the wrong beam, or masked out."""

import logging
from dataclasses import dataclass

import numpy as np
from astropy.stats import mad_std

from .beam import beam_covariance
from .ellipses import area
from .primary_beam import warn_corrected
from .restored import fitting_beam, narrow_peaks

__all__ = ["Part", "check_whole"]

log = logging.getLogger(__name__)

NEGATIVE = 10.0  # times the noise


@dataclass(frozen=True)
class Part:
    """A part of an image, or all of it.

    Parameters
    ----------
    data : 2D array
        Jy/beam, NaN where blank or not imaged.
    own : tuple of slice
        What belongs to no other part; the rest is what is beside it.
    pb, mask, noise : 2D arrays or None
        On the same pixels; of the noise only the shape counts.
    """

    data: np.ndarray
    own: tuple
    pb: np.ndarray | None = None
    mask: np.ndarray | None = None
    noise: np.ndarray | None = None


def check_whole(parts, beam, wcs, shape, psf=False, step=1):
    """Look at all parts of an image, one after the other, and say what they show together.

    Parameters
    ----------
    parts : iterable of `Part`
    beam : `~radio_beam.Beam`
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes, of the image.
    shape : tuple of int, (ny, nx)
    psf : bool, optional
        Whether it is given.
    step : int, optional
        The noise is measured in each so many rows and columns of a part, for which there is memory.

    Returns
    -------
    beam : `~radio_beam.Beam`
        A narrower one, if sources are narrower than that of an image without PSF.
    ratio : float
        Its area in units of that of the other: what Jy/beam are to be multiplied by.
    """
    covariance = beam_covariance(beam, wcs, shape)
    lowest, highest, peaks, seen, shown = 0.0, 0.0, [], [], None
    for part in parts:
        data = part.data[part.own]
        inside = np.isfinite(data)
        rms = mad_std(data[inside]) if inside.any() else 0.0
        if part.mask is not None:
            shown = bool(shown) or bool((inside & (np.nan_to_num(part.mask[part.own]) != 0)).any())
        if rms == 0:
            continue
        level = data / (rms if part.noise is None else part.noise[part.own])
        if part.noise is not None:
            level /= mad_std(level[inside])
        lowest, highest = min(lowest, np.nanmin(level)), max(highest, np.nanmax(level))
        if part.pb is not None and part.noise is None:
            seen.append([each[::step, ::step][inside[::step, ::step]] for each in (data, part.pb[part.own])])
        if not psf:
            peaks += narrow_peaks(part.data, rms, covariance, part.own)
    if seen:
        warn_corrected(*np.concatenate(seen, axis=1), area(covariance) / step**2)
    if -lowest > max(NEGATIVE, highest):
        log.warning(
            "dirty: reaches %.3g times the noise, and only %.3g above 0; if sources are negative, as in absorption, "
            "with the wrong sign, or where too much was subtracted, the model does not know them: their sidelobes "
            "count as noise, in which faint sources are lost; change the sign, or subtract less", lowest, highest,
        )  # fmt: skip
    if shown is False:
        log.warning("mask: is 0 or blank wherever the image is not, so that no source will be in the catalogue")
    return fitting_beam(peaks, beam, covariance, wcs, shape)
