"""Images in memory, and slices of them, brought back to a FITS WCS and a header of their own pixels."""

from contextlib import suppress
from numbers import Integral

import numpy as np
from astropy.nddata import NDData
from astropy.wcs import WCS
from astropy.wcs.wcsapi import SlicedLowLevelWCS

from ..errors import DirtyImageError

__all__ = ["with_fits_wcs"]

AXIS = ("CTYPE", "CUNIT", "CRVAL", "CRPIX", "CDELT")


def with_fits_wcs(image, name):
    """An image whose WCS is a FITS WCS, also where it is a slice of one that has such a WCS.

    Parameters
    ----------
    image : `~astropy.nddata.NDData`
        Its WCS may be None.
    name : str
        What it is called in errors.

    Returns
    -------
    `~astropy.nddata.NDData`
        Of the same pixels. An axis of which one pixel was taken is there with length 1, reference pixels of the
        header are those of the WCS, and axes beyond the sky that only this has are in the header, too.

    Raises
    ------
    DirtyImageError
        Its WCS is another one.
    """
    wcs, data, mask = image.wcs, image.data, image.mask
    if wcs is None:
        return image
    if not isinstance(wcs, WCS):
        whole, slices = _whole(wcs)
        firsts = [each if isinstance(each, Integral) else each.start or 0 for each in slices]
        if whole is None or min(firsts) < 0:  # older versions of astropy leave those from the end as they are
            raise DirtyImageError(
                f"{name}: its WCS is a {type(wcs).__name__}, not an astropy.wcs.WCS; slice the WCS before the image"
            )
        dropped = tuple(axis for axis, each in enumerate(slices) if isinstance(each, Integral))
        mask = None if mask is None else np.expand_dims(np.broadcast_to(mask, data.shape), dropped)
        data = np.expand_dims(data, dropped)
        wcs = whole.slice([slice(first, first + n) for first, n in zip(firsts, data.shape, strict=True)])
    cards = _moved(image.meta, wcs) | _unsaid(image.meta, wcs)
    if wcs is image.wcs and not cards:
        return image
    meta = image.meta.copy()
    meta.update(cards)
    return NDData(data, unit=image.unit, wcs=wcs, mask=mask, meta=meta)


def _whole(wcs):
    """The FITS WCS of which one is a slice, and what was taken of each axis of the data; None if there is none."""
    sliced = wcs.low_level_wcs
    if isinstance(sliced, SlicedLowLevelWCS) and isinstance(sliced._wcs, WCS):  # astropy has them nowhere else
        return sliced._wcs, sliced._slices_array
    return None, []


def _moved(meta, wcs):
    """Reference pixels of a WCS that are others in the header: slices move them in the former only."""
    pixels = zip(wcs.wcs.ctype, wcs.wcs.crpix.tolist(), strict=True)
    return {
        f"CRPIX{axis}": pixel
        for axis, (kind, pixel) in enumerate(pixels, 1)
        if meta.get(f"CTYPE{axis}") == kind and meta.get(f"CRPIX{axis}", pixel) != pixel
    }


def _unsaid(meta, wcs):
    """Cards of the axes beyond the sky that a header lacks, as `~astropy.nddata.CCDData.read` moves them to the WCS."""
    beyond = [axis for axis, kind in enumerate(wcs.wcs.ctype, 1) if axis > 2 and kind and f"CTYPE{axis}" not in meta]
    cards = {}
    with suppress(ValueError):  # of a WCS that cannot be used, which is said later
        steps = wcs.pixel_scale_matrix.diagonal() if beyond else []
        for axis in beyond:
            unit = wcs.wcs.cunit[axis - 1].to_string("fits")
            numbers = (float(each[axis - 1]) for each in (wcs.wcs.crval, wcs.wcs.crpix, steps))
            values = zip(AXIS, (wcs.wcs.ctype[axis - 1], unit, *numbers), strict=True)
            cards |= {f"{key}{axis}": value for key, value in values if isinstance(value, str) or np.isfinite(value)}
    rest = {"RESTFRQ": wcs.wcs.restfrq, "RESTWAV": wcs.wcs.restwav} if cards else {}
    return cards | {key: value for key, value in rest.items() if 0 < value < np.inf and key not in meta}
