"""A checked PSF (dirty beam): normalised, in the middle, and no larger than it is known."""

import logging

import numpy as np
from scipy.ndimage import binary_dilation, map_coordinates, shift, spline_filter

from ..errors import DirtyImageError
from .blank import filled_with_zeros
from .ellipses import fwhm
from .pixels import blank_sharp_pixels

__all__ = ["checked_psf", "half_power", "middle_of", "peak_on_pixel"]

log = logging.getLogger(__name__)

MOST_ODD = 0.5  # the standard deviation of what is not symmetric, in units of that of all
MIDDLE = 2.0  # beams
LOBE = (1.5, 2.5)  # beams from the peak, where a PSF is no longer near it
HIGHEST = 0.5  # mean there
FITS = (0.465, 0.525)  # mean of a PSF on the half-power ellipse of the beam that was fitted to it
MOST_ELLIPTICAL = 0.05  # amplitude of its second harmonic there
UNLIKE = (0.4, 0.6)  # all of it below the one or above the other: it is no beam of this PSF
ELLIPSE = 72  # points
AROUND = 5  # pixels from the peak, which say where between them it is
ROUND = 0.15  # of the peak, beside it: less is an error of a pixel
STEP, ITERATIONS = 0.1, 4  # of Newton; pixels
BESIDE = 0.02  # pixels: from there on a peak is moved
MORE_EVEN = 0.5  # times what is not symmetric before: else it is a primary beam that falls there, as in a mosaic
SPLINE = 5  # its order
# Median of absolute values next to what is blank or 0, from which that is not the end of a Gaussian; less of the peak
# is no sidelobe that matters.
CUT = 1e-3


def checked_psf(psf, beam_covariance, belongs=False):
    """The PSF with a peak of 1 in the middle; logs what it had to change.

    Parameters
    ----------
    psf : 2D array
        NaN where blank.
    beam_covariance : 2D array, shape (2, 2)
        Of the restoring beam, see `~astro_ddpm_imager.observation.beam.beam_covariance`.
    belongs : bool, optional
        Whether it is known to be that of the image; else it is said if the beam does not fit it.

    Returns
    -------
    2D array
        With its peak at pixel ``n // 2`` of each axis. Where it was blank, or
        padded with zeros, on both sides of the peak, it is cut, unless it has
        come down to 0 there, as a Gaussian does.

    Raises
    ------
    DirtyImageError
        It is no PSF: too small, or known too near its peak only; nowhere
        positive, as negative as positive, not symmetric, or all narrower or
        wider than the beam.
    """
    centre = tuple(n // 2 for n in psf.shape)
    offsets = np.ogrid[tuple(slice(-c, n - c) for c, n in zip(centre, psf.shape, strict=True))]
    beam_pixels = fwhm(beam_covariance)
    beams = np.hypot(*offsets) / beam_pixels
    psf = np.where(np.isfinite(psf), psf, np.nan)
    _check_size(psf.shape, beam_pixels)
    if not (np.nan_to_num(psf) > 0).any():
        highest = np.nanmax(psf) if np.isfinite(psf).any() else np.nan
        raise DirtyImageError(f"psf: its largest value is {highest:g}; a PSF is 1 at its centre")
    # In the middle, where it may peak a little off, what is too sharp is no error of a pixel, nor are faint fringes.
    faint = np.abs(psf) < CUT * np.nanmax(psf)
    psf = blank_sharp_pixels(psf, beam_covariance, "psf", faint | (beams < MIDDLE))
    psf = peak_on_pixel(psf)
    peak = np.nanmax(psf)
    if abs(peak - 1) > 0.01:
        log.warning("psf: peaks at %.4g instead of 1; normalised", peak)
    found = np.unravel_index(np.nanargmax(psf), psf.shape)
    if tuple(found) != centre:
        log.warning("psf: peaks at pixel (x, y) = %s instead of %s; moved", tuple(map(int, found[::-1])), centre[::-1])
        psf = shift(psf, np.subtract(centre, found), order=0, cval=np.nan)
    psf = psf / peak
    if np.nanmin(psf) < -1:
        raise DirtyImageError(
            f"psf: its lowest value is {np.nanmin(psf):.3g} times its highest; a PSF is 1 at its centre and nothing "
            "like -1 elsewhere: is it the right file, with the right sign?"
        )
    _check_symmetry(psf, centre)
    around = np.nan_to_num(psf)[(beams > LOBE[0]) & (beams < LOBE[1])].mean()
    if around > HIGHEST:
        raise DirtyImageError(
            f"psf: is {around:.2g} two beams from its peak, far wider than the restoring beam of {beam_pixels:.3g} "
            "pixels; is it another image, perhaps the primary beam?"
        )
    _check_beam(psf, beam_covariance, belongs)
    return _known_part(psf, centre, beam_pixels)


def peak_on_pixel(psf, middle=None):
    """A PSF moved by a fraction of a pixel, which is said, if its peak lies between pixels.

    There it lies after pixels were averaged, or the PSF was regridded; sources would be found as far from where they
    are, and too faint. That it is symmetric then tells it from one that something makes stronger on one side.

    Parameters
    ----------
    psf : 2D array
        NaN where blank.
    middle : 2D array, optional
        What is around its peak, if all of it is large.

    Returns
    -------
    2D array
    """
    known = _known(psf if middle is None else middle)
    peak = np.unravel_index(known.argmax(), known.shape)
    # Far from there, it may be cut off or wrapped on one side.
    reach = [min(p, n - 1 - p) // 2 for p, n in zip(peak, known.shape, strict=True)]
    if not known[peak] > 0 or min(reach) < AROUND:
        return psf
    near, around = (
        tuple(slice(p - r, p + r + 1) for p, r in zip(peak, reaches, strict=True)) for reaches in (reach, 2 * [AROUND])
    )
    beside = _highest(known[around] / known[peak])
    if beside is None or np.abs(beside).max() < BESIDE:
        return psf
    if _odd(_moved(known, -beside)[near]) > MORE_EVEN * _odd(known[near]):
        return psf
    log.warning(
        "psf: peaks (%.2f, %.2f) pixels in x and y beside the middle of one; moved by as much, so that sources are "
        "where they are", *beside[::-1],
    )  # fmt: skip
    return _moved(psf, -beside)


def _moved(psf, by):
    """A PSF moved by less than a pixel (y, x); what is blank or padded stays so."""
    known = _known(psf)
    return np.where(known == 0, psf, shift(known, by, order=SPLINE, mode="nearest"))


def _known(psf):
    return np.where(np.isfinite(psf), psf, np.zeros((), psf.dtype))


def _odd(image):
    """The standard deviation of what is not symmetric in an image about its middle."""
    return (image - image[::-1, ::-1]).std()


def _highest(around):
    """Where (y, x) a function peaks beside the middle of the pixels around it; None if it does not peak smoothly."""
    near = slice(AROUND - 1, AROUND + 2)
    if min(around[near, AROUND].min(), around[AROUND, near].min()) < ROUND:
        return None
    smooth = spline_filter(around, SPLINE)
    offsets, beside = STEP * np.mgrid[-1:2, -1:2].reshape(2, 9), np.zeros(2)
    terms = np.stack([np.ones(9), *offsets, offsets[0] ** 2 / 2, offsets.prod(0), offsets[1] ** 2 / 2], 1)
    for _ in range(ITERATIONS):
        values = map_coordinates(smooth, AROUND + beside[:, None] + offsets, order=SPLINE, prefilter=False)
        _, y, x, yy, xy, xx = np.linalg.lstsq(terms, values)[0]
        if not (yy < 0 and yy * xx > xy**2):
            return None
        beside = beside - np.linalg.solve([[yy, xy], [xy, xx]], [y, x])
        if np.abs(beside).max() > 1:
            return None
    return beside


def middle_of(psf, shape):
    """The middle of a PSF, its pixel ``n // 2`` there as well.

    Parameters
    ----------
    psf : 2D array
    shape : sequence of int, (ny, nx)

    Returns
    -------
    2D array, a view
        Of that shape, or all of it on an axis where it is smaller.
    """
    window = tuple(
        slice(n // 2 - min(m, n) // 2, n // 2 - min(m, n) // 2 + min(m, n))
        for n, m in zip(psf.shape, shape, strict=True)
    )
    return psf[window]


def half_power(psf, beam_covariance):
    """A PSF on the half-power ellipse of a beam.

    Parameters
    ----------
    psf : 2D array
        With its peak, 1, at pixel ``n // 2`` of each axis.
    beam_covariance : 2D array, shape (2, 2)
        See `~astro_ddpm_imager.observation.beam.beam_covariance`.

    Returns
    -------
    1D array
        Evenly spaced along the ellipse, as it becomes a circle. Of a Gaussian
        and its beam, 0.5.
    """
    angle = np.linspace(0, 2 * np.pi, ELLIPSE, endpoint=False)
    around = np.linalg.cholesky(beam_covariance) @ [np.cos(angle), np.sin(angle)] * np.sqrt(2 * np.log(2))
    middle = np.reshape([n // 2 for n in psf.shape], (2, 1))
    return map_coordinates(np.nan_to_num(psf), middle + around[::-1], order=3, mode="nearest")


def _check_beam(psf, beam_covariance, belongs):
    """Say, or fail, if the restoring beam is not that of the PSF.

    All imagers fit it to the main lobe of the PSF (CASA above 0.35 of the peak),
    so that the two cross at half power. Of 1,356 simulated pairs (ALMA, its
    7 m array, VLA and MeerKAT; natural to uniform weighting, a minute to eight
    hours, declinations from -75 to +70 deg, beams up to 2.4 times as long as
    wide) 0.4% are warned of, 0.5% with beams rounded to two digits, none of
    the 915 of ALMA; none is refused. Of arrays of five to eight antennas
    (ATCA, SMA), whose PSFs are fringes that no Gaussian fits, a quarter is
    warned of. Of PSFs that do not belong to a naturally weighted image, 93%
    (robust -0.5; 48% are refused), 87% (robust 0.5; 30%), 88% (three hours
    later) and 77% (20 deg off) are said.

    Parameters
    ----------
    psf : 2D array
        As `checked_psf` returns it.
    beam_covariance : 2D array, shape (2, 2)
        Of the restoring beam, pixels squared, order x, y.
    belongs : bool
        As for `checked_psf`.

    Raises
    ------
    DirtyImageError
        The PSF is narrower, or wider, than the beam on all sides.
    """
    level = half_power(psf, beam_covariance)
    mean = level.mean()
    if level.max() < UNLIKE[0] or level.min() > UNLIKE[1]:
        size = "narrower" if mean < 0.5 else "wider"
        raise DirtyImageError(
            f"psf: is {mean:.2f} where the restoring beam is at half power, from {level.min():.2f} to "
            f"{level.max():.2f}: much {size} than the beam, which should have been fitted to it; give the PSF of this "
            "image (same data, same weighting), or none if the image has been smoothed; or the right beam with beam="
        )
    harmonic = 2 * np.abs(np.mean(level * np.exp(2j * np.linspace(0, 2 * np.pi, ELLIPSE, endpoint=False))))
    if not belongs and (not FITS[0] < mean < FITS[1] or harmonic > MOST_ELLIPTICAL):
        log.warning(
            "psf: is %.3f on average where the restoring beam is at half power, from %.2f to %.2f; if it is the PSF of "
            "another weighting, time or plane, fluxes will be wrong by %.0f%% or more: give that of this very image",
            mean, level.min(), level.max(), 100 * max(abs(2 * mean - 1), harmonic),
        )  # fmt: skip


def _check_size(shape, beam_pixels, known=""):
    """Fail if a PSF, or what is known of it, is too small."""
    least = 2 * LOBE[1]
    if min(shape) < least * beam_pixels:
        raise DirtyImageError(
            f"psf: has {shape[1]} x {shape[0]} pixels{known}; it needs at least {least:g} beams, "
            f"{int(np.ceil(least * beam_pixels))} pixels, a side, and as many as the image to show its sidelobes"
        )


def _check_symmetry(psf, centre):
    """Fail if an image is not nearly symmetric, as it is whose transform is real."""
    # Near the middle: far from there, it may be cut off or wrapped on one side.
    inner = np.nan_to_num(psf[tuple(slice(c - c // 2, c + c // 2 + 1) for c in centre)])
    odd, all_of_it = _odd(inner), inner.std()
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
    blank = np.isnan(psf)
    if not blank.any() or np.median(np.abs(psf[binary_dilation(blank) & ~blank])) < CUT:
        return np.nan_to_num(psf)
    # The largest box around the peak, of the shape of the known part, that holds none of them.
    beyond = np.abs(np.argwhere(np.isfinite(psf)) - centre).max(0) + 1
    nearest = np.max(np.abs(np.argwhere(blank) - centre) / beyond, axis=1).min()
    reach = [max(int(np.ceil(nearest * b - 1e-9)) - 1, 0) for b in beyond]
    known = psf[tuple(slice(c - r, c + r + 1) for c, r in zip(centre, reach, strict=True))]
    _check_size(known.shape, beam_pixels, " that are neither blank nor 0 around its peak")
    log.warning(
        "psf: is blank or 0 beyond %d x %d pixels around its peak; sidelobes beyond are not known", *known.shape[::-1]
    )
    return known
