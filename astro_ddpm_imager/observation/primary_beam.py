"""Whether a primary beam, or the weight of a mosaic, is one, and belongs to an image that is not corrected for it."""

import logging
import re

import numpy as np
from astropy.stats import mad_std

from ..errors import DirtyImageError

__all__ = ["check_pb", "check_uncorrected", "warn_corrected", "within_limit"]

log = logging.getLogger(__name__)

MOST_UNEVEN = 1.7  # noise where the primary beam is low, in units of that where it is high
LOW, HIGH = 0.4, 0.8  # primary beam, below and above which that is
FEWEST_BEAMS = 30  # that it can be measured in
PEAK = 0.95  # of a primary beam
ROUGH = 0.05  # of that: from a pixel to the next, in a field of ten pixels still
CORRECTED = re.compile(r"\.pbcor\b|-image-pb\b|\.int\.restored\b")  # files of CASA, WSClean and DDFacet


def check_uncorrected(name, given):
    """Fail, or say so, if the name of a file says that it is corrected for the primary beam, and that does not fit.

    With a primary beam it would be corrected once more. With a PSF, but not
    how the noise varies, sidelobes are not those of the PSF.

    Parameters
    ----------
    name : str
        As of `~astro_ddpm_imager.observation.inputs.origin`.
    given : collection of str
        ``"psf"``, ``"pb"`` and ``"noise"``, as far as they are given with it.

    Raises
    ------
    DirtyImageError
        ``"pb"`` is.
    """
    if not CORRECTED.search(name):
        return
    if "pb" in given:
        raise DirtyImageError(
            f"dirty: {name} is corrected for the primary beam, as its name says, and would be once more: give the "
            "image that is not, or leave pb out (and give noise=, the noise or weight, if there is a map of it)"
        )
    if "psf" in given and "noise" not in given:
        log.warning(
            "dirty: %s is corrected for the primary beam, as its name says, so that its sidelobes are not those of "
            "psf, and fluxes will be wrong: give the image that is not, with psf and pb, or with this one the weight, "
            "the square of the primary beam, as noise; or leave psf out, if CLEAN has restored it", name,
        )  # fmt: skip


def warn_corrected(data, pb, beam_area):
    """Say if the noise grows where the primary beam falls, as in an image that is corrected for it.

    Parameters
    ----------
    data, pb : 2D arrays, same shape
        NaN where blank.
    beam_area : float
        Pixels.
    """
    low, high = (data[chosen] for chosen in (pb < LOW, pb > HIGH))
    if min(low.size, high.size) < FEWEST_BEAMS * beam_area:
        return
    ratio = mad_std(low) / mad_std(high)
    if ratio > MOST_UNEVEN:
        log.warning(
            "dirty: the noise where the primary beam is below %g is %.2g times that where it is above %g; if the "
            "image is corrected for the primary beam (.pbcor), give the one that is not; fluxes are corrected later",
            LOW, ratio, HIGH,
        )  # fmt: skip


def check_pb(pb):
    """Fail if an image is no primary beam, and say what is odd about it.

    Parameters
    ----------
    pb : 2D array
        NaN where blank.

    Raises
    ------
    DirtyImageError
        It is nowhere positive, or higher than 1.
    """
    peak = np.nanmax(pb) if np.isfinite(pb).any() else np.nan
    if not 0 < peak <= 1.01:
        raise DirtyImageError(f"pb: its largest value is {peak:g}; a primary beam is 1 at its centre and positive")
    steps = np.concatenate([np.abs(np.diff(pb, axis=axis)).ravel() for axis in (0, 1)])
    rough = np.nanmean(np.minimum(steps, peak)) / peak if np.isfinite(steps).any() else 0.0
    if rough > ROUGH:
        log.warning(
            "pb: changes by %.2g from a pixel to the next, and a primary beam is smooth: is it another image?", rough
        )
    y, x = np.unravel_index(np.nanargmax(pb), pb.shape)
    if peak < PEAK and np.isfinite(pb[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]).sum() == 9:
        log.warning(
            "pb: peaks at %.3g, at pixel (x, y) = (%d, %d), and not at 1; fluxes are divided by it as it is: if it is "
            "not normalised, they will be too high by as much", peak, x, y,
        )  # fmt: skip


def within_limit(pb, pblimit):
    """Where a primary beam lets an image be used.

    Parameters
    ----------
    pb : array
        NaN where blank.
    pblimit : float
        The least that it may be; where it is 0, nothing is seen, whatever the limit.

    Returns
    -------
    array of bool
    """
    with np.errstate(invalid="ignore"):
        return (pb >= pblimit) & (pb > 0)
