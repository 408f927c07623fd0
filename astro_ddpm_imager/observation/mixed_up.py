"""Images that were given in each other's place."""

import numpy as np

from ..errors import DirtyImageError
from .inputs import check_real

__all__ = ["check_mixed_up"]

EVEN = 1e-4  # the standard deviation of what is not symmetric, in units of that of all: less has no noise
ONE = 1e-3  # how far from 1 a PSF, or a primary beam, may be in its middle
FEW_BEAMS = 3  # above half of its peak: a PSF has 0.69 of them, the primary beam of the ACA some 28
PEAK = 0.5  # of what is normalised to 1
NEGATIVE = 0.1  # of the peak, or of the pixels: less may be the error of a measurement


def check_mixed_up(dirty, companions, beam_area):
    """Fail if an image is another one than what it was given for.

    Parameters
    ----------
    dirty : 2D array
        NaN where blank.
    companions : dict of 2D arrays
        ``"psf"``, ``"pb"``, ``"mask"`` and ``"noise"``, as far as they are given.
    beam_area : float
        Pixels.

    Raises
    ------
    DirtyImageError
    """
    check_real(dirty, "dirty")
    psf, pb, mask, noise = (companions.get(name) for name in ("psf", "pb", "mask", "noise"))
    for name, image in companions.items():
        others = {"the dirty image": dirty, "psf": None if name == "psf" else psf}
        for other, pixels in others.items():
            if pixels is not None and _is_same(pixels, image):
                raise DirtyImageError(
                    f"{name}: has the very pixels of {other}; give its own image, or leave {name} out"
                )
    if _is_psf_or_pb(dirty):
        raise DirtyImageError(
            "dirty: is 1 in its middle, symmetric about it and without noise, as a PSF or a primary beam is; give the "
            "dirty image first, and these as psf and pb (of the image of a simulated point, add its noise)"
        )
    if mask is not None and np.nanmin(mask, initial=0) < 0:
        raise DirtyImageError(
            f"mask: its lowest value is {np.nanmin(mask):g}, and all but 0 is inside; give one of 0 and 1, such as "
            "mask > 0, or the right file, if it is another image"
        )
    if noise is not None and np.mean(noise < 0) > NEGATIVE:
        raise DirtyImageError(
            f"noise: is negative in {np.mean(noise < 0):.0%} of its pixels, as no noise and no weight is: is it the "
            "PSF, the dirty image, or another one?"
        )
    if pb is None or not np.isfinite(pb).any():
        return
    peak = np.nanmax(pb)
    beams = np.count_nonzero(pb > peak / 2) / beam_area
    if peak > PEAK and beams < FEW_BEAMS:
        raise DirtyImageError(
            f"pb: is above half of its peak in {beams:.2g} beams only; a primary beam is far wider: is it the PSF, or "
            "another image?"
        )
    if np.nanmin(pb) < -NEGATIVE * peak:
        raise DirtyImageError(
            f"pb: falls to {np.nanmin(pb):.3g}, with a peak of {peak:.3g}; a primary beam is not negative: is it the "
            "dirty image, or another one?"
        )


def _is_same(one, other):
    """Whether two images have the same pixels; of most, the rows in their middle tell, and no more is read."""
    if one.shape != other.shape:
        return False
    rows = len(one) // 2, slice(None)
    return all(np.array_equal(one[row].astype(other.dtype), other[row], equal_nan=True) for row in rows)


def _is_psf_or_pb(image):
    """Whether an image is 1 in its middle, and symmetric about it but for the rounding."""
    middle = tuple(n // 2 for n in image.shape)
    if not abs(float(image[middle]) - 1) < ONE:
        return False
    reach = min(middle) // 2
    inner = np.nan_to_num(image[tuple(slice(m - reach, m + reach + 1) for m in middle)]).astype(float)
    return (inner - inner[::-1, ::-1]).std() < EVEN * inner.std()
