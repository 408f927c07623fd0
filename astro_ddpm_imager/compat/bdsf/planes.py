"""Planes of images as PyBDSF reads them: in Jy/beam, the channels of a cube averaged."""

import logging

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.stats import mad_std
from radio_beam import Beam

from ...errors import DirtyImageError
from ...observation.brightness import as_jy_per_beam
from ...observation.cubes import count_channels
from ...observation.reading import opened_image, read_image
from ...observation.units import JY_PER_BEAM, in_jy_per_beam

__all__ = ["ALL_BLANK", "collapse", "read_planes"]

log = logging.getLogger(__name__)

ALL_BLANK = "All pixels in the image are blanked."  # to the letter: scripts go on without sources where PyBDSF says it


def read_planes(path, channels, beam=None):
    """Planes of an image in Jy/beam; without a unit in the header, that is taken for it.

    Parameters
    ----------
    path : path-like
    channels : sequence of int
    beam : tuple of float, optional
        FWHM of the axes and position angle, degrees, of the restoring beam, instead of the header's.

    Returns
    -------
    list of `~astropy.nddata.CCDData`
        NaN where not finite.

    Raises
    ------
    DirtyImageError
        The unit is one that cannot be converted.
    """
    with opened_image(path, None, str(path), sha256="") as (_, _, header):
        unit = None if str(header.get("BUNIT") or "").strip() else JY_PER_BEAM
    if unit:
        log.warning("%s: no BUNIT in the header; the pixels are taken for Jy/beam", path)
    planes = []
    for channel in channels:
        image = read_image(path, channel=channel, stokes=0, unit=unit)
        data = in_jy_per_beam(as_jy_per_beam(image, path, beam if beam is None else Beam(*(beam * u.deg))), path)
        data[~np.isfinite(data)] = np.nan
        planes.append(CCDData(data, unit=JY_PER_BEAM, wcs=image.wcs, meta=image.meta))
    return planes


def collapse(path, options):
    """One plane of a cube.

    Parameters
    ----------
    path : path-like
    options : `~astro_ddpm_imager.compat.bdsf.parameters.Options`

    Returns
    -------
    `~astropy.nddata.CCDData`
        Jy/beam; each pixel the mean of the channels that have it, with their mean frequency in the header; both are
        weighted alike.

    Raises
    ------
    RuntimeError
        The file cannot be read; the channels do not exist, or are blank.
    """
    try:
        number = count_channels(path)
    except (DirtyImageError, OSError) as error:
        raise RuntimeError(f"Cannot open file '{path}': {error}") from error
    channels = list(range(number))
    if options.collapse_mode == "single":
        channels = [options.collapse_ch0]
    elif options.collapse_av:
        channels = [int(channel) for channel in options.collapse_av]
    wrong = [channel for channel in channels if not 0 <= channel < number]
    if wrong:
        name = "collapse_ch0" if options.collapse_mode == "single" else "collapse_av"
        raise RuntimeError(f"{name}: the image has no channel {wrong[0]}; there are 0 to {number - 1}")
    planes = read_planes(path, channels, options.beam)
    if len(planes) == 1:
        return planes[0]
    cube = np.array([plane.data for plane in planes])
    noise = np.array([mad_std(plane, ignore_nan=True) if np.isfinite(plane).any() else 0.0 for plane in cube])
    if not noise.any():
        raise RuntimeError(ALL_BLANK)
    if not noise.all():
        left_out = ", ".join(str(channel) for channel, rms in zip(channels, noise, strict=True) if not rms)
        log.warning("%s: channel(s) %s without data or noise are left out", path, left_out)
    good = noise > 0
    of_channels = np.ones(good.sum()) if options.collapse_wt == "unity" else noise[good] ** -2
    weights = of_channels[:, None, None] * np.isfinite(cube[good])
    total = weights.sum(0)
    data = np.divide((weights * np.nan_to_num(cube[good])).sum(0), total, np.full(total.shape, np.nan), where=total > 0)
    used = np.array(channels)[good]
    first = planes[np.argmax(good)]  # the beam of a channel without data is none, or another
    meta = _in_the_middle(first.meta, np.average(used, weights=of_channels) - used[0])
    return CCDData(data, unit=JY_PER_BEAM, wcs=first.wcs, meta=meta)


def _in_the_middle(header, steps):
    """A header of a plane, with the frequency some channels farther on."""
    header = header.copy()
    for axis in range(3, 6):
        value, step = (header.get(f"{key}{axis}") for key in ("CRVAL", "CDELT"))
        if not _is_stokes(header, axis) and all(isinstance(number, int | float) for number in (value, step)):
            header[f"CRVAL{axis}"] = value + steps * step
    return header


def _is_stokes(header, axis):
    return str(header.get(f"CTYPE{axis}", "")).startswith("STOKES")
