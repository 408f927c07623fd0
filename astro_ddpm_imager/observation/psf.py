"""A checked PSF (dirty beam): normalised, in the middle, and no larger than it is known."""

import logging

import numpy as np

from ..errors import DirtyImageError
from .blank import filled_with_zeros

__all__ = ["checked_psf"]

log = logging.getLogger(__name__)

MOST_ODD = 0.5  # the standard deviation of what is not symmetric, in units of that of all
LOBE = (1.5, 2.5)  # beams from the peak, where a PSF is no longer near it
HIGHEST = 0.5  # mean there
CUT = 1e-3  # standard deviation next to pixels of exactly 0, from which these are not the end of a Gaussian


def checked_psf(psf, beam_pixels):
    """The PSF with a peak of 1 in the middle; logs what it had to change.

    Parameters
    ----------
    psf : 2D array
        NaN where blank.
    beam_pixels : float
        FWHM of the restoring beam.

    Returns
    -------
    2D array
        With its peak at pixel ``n // 2`` of each axis. Where it was blank, or
        padded with zeros, on both sides of the peak, it is cut.

    Raises
    ------
    DirtyImageError
        It is no PSF: nowhere positive, as negative as positive, not symmetric,
        or far wider than the beam.
    """
    psf = np.where(np.isfinite(psf), psf, np.nan)
    peak, centre = np.nanmax(psf, initial=0), tuple(n // 2 for n in psf.shape)
    if peak <= 0:
        highest = np.nanmax(psf) if np.isfinite(psf).any() else np.nan
        raise DirtyImageError(f"psf: its largest value is {highest:g}; a PSF is 1 at its centre")
    if abs(peak - 1) > 0.01:
        log.warning("psf: peaks at %.4g instead of 1; normalised", peak)
    found = np.unravel_index(np.nanargmax(psf), psf.shape)
    if tuple(found) != centre:
        log.warning("psf: peaks at pixel (x, y) = %s instead of %s; moved", tuple(map(int, found[::-1])), centre[::-1])
        psf = _moved(psf, np.subtract(centre, found))
    psf = psf / peak
    if np.nanmin(psf) < -1:
        raise DirtyImageError(
            f"psf: its lowest value is {np.nanmin(psf):.3g} times its highest; a PSF is 1 at its centre and nothing "
            "like -1 elsewhere: is it the right file, with the right sign?"
        )
    _check_symmetry(psf, centre)
    offsets = np.ogrid[tuple(slice(-c, n - c) for c, n in zip(centre, psf.shape, strict=True))]
    beams = np.hypot(*offsets) / beam_pixels
    around = np.nan_to_num(psf)[(beams > LOBE[0]) & (beams < LOBE[1])].mean()
    if around > HIGHEST:
        raise DirtyImageError(
            f"psf: is {around:.2g} two beams from its peak, far wider than the restoring beam of {beam_pixels:.3g} "
            "pixels; is it another image, perhaps the primary beam?"
        )
    return _known_part(psf, centre, beam_pixels)


def _moved(psf, step):
    """An image moved by whole pixels; NaN where nothing comes from."""
    moved = np.full_like(psf, np.nan)
    target, source = (
        tuple(slice(max(sign * d, 0), n + min(sign * d, 0)) for d, n in zip(step, psf.shape, strict=True))
        for sign in (1, -1)
    )
    moved[target] = psf[source]
    return moved


def _check_symmetry(psf, centre):
    """Fail if an image is not nearly symmetric, as it is whose transform is real."""
    # Near the middle: far from there, it may be cut off or wrapped on one side.
    inner = np.nan_to_num(psf[tuple(slice(c - c // 2, c + c // 2 + 1) for c in centre)])
    odd, all_of_it = (inner - inner[::-1, ::-1]).std(), inner.std()
    if odd > MOST_ODD * all_of_it:
        raise DirtyImageError(
            f"psf: is not symmetric about its peak, by {odd / all_of_it:.2g} of its standard deviation, as a dirty "
            "beam (PSF) would be; is it another image, or one whose peak was cut off?"
        )


def _known_part(psf, centre, beam_pixels):
    """What is not blank or padded; what is known on one side of the peak only is mirrored."""
    psf = np.where(filled_with_zeros(psf, beam_pixels**2), np.nan, psf)
    y, x = (2 * c - np.arange(n) for c, n in zip(centre, psf.shape, strict=True))
    other_side = np.pad(psf, [(0, 1), (0, 1)], constant_values=np.nan)[y[:, None], x]  # of even n, row 0 has none
    psf = np.where(np.isnan(psf), other_side, psf)
    unknown = np.argwhere(np.isnan(psf))
    if not len(unknown):
        return psf
    # The largest box around the peak, of the shape of the known part, that holds none of them.
    beyond = np.abs(np.argwhere(np.isfinite(psf)) - centre).max(0) + 1
    nearest = np.max(np.abs(unknown - centre) / beyond, axis=1).min()
    reach = [max(int(np.ceil(nearest * b - 1e-9)) - 1, 0) for b in beyond]
    known = psf[tuple(slice(c - r, c + r + 1) for c, r in zip(centre, reach, strict=True))]
    edge = np.concatenate([known[[0, -1]].ravel(), known[:, [0, -1]].ravel()])
    if min(reach) < beam_pixels or edge.std() < CUT:
        return np.nan_to_num(psf)
    log.warning(
        "psf: is blank or 0 beyond %d x %d pixels around its peak; sidelobes beyond are not known", *known.shape[::-1]
    )
    return known
