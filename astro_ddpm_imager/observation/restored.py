"""Images that CLEAN has restored, or that were smoothed: named where a PSF is given; and sources as the beam says."""

import logging

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm
from scipy.ndimage import maximum_filter

from .beam import as_beam, beam_text
from .headers import is_number
from .history import cleaned_by
from .inputs import origin

__all__ = ["fitting_beam", "is_smoothed", "narrow_peaks", "warn_restored"]

log = logging.getLogger(__name__)

CERTAIN = 30.0  # times the noise: peaks whose shape is looked at
FOOT = 0.35  # of a peak: where its shape ends
REACH = 0.8  # FWHM of the beam: likewise
NARROWER = 0.04  # of a variance: what is not measured, such as the pixels'
SMOOTHED = 1.02  # areas of the beams of an image and of its PSF: from here on they are two
ERRORS = 8.0  # relative error of a variance, times S/N, that happens rarely


def warn_restored(image):
    """Say if the header of an image, with which a PSF is given, says that CLEAN has taken the sidelobes out of it.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    """
    name, iterations = origin(image)[0], cleaned_by(image.meta)
    if iterations and "residual" not in name:
        log.warning(
            "dirty: the header of %s says that CLEAN has restored it (%s): its sources have no sidelobes, but psf says "
            "that they have; give the dirty image, or leave psf out", name, iterations,
        )  # fmt: skip


def is_smoothed(image, psf):
    """Whether the headers say that an image has a larger beam than its PSF, as after smoothing; any other beam is said.

    With restoringbeam="common", or a beam, tclean smooths the ``.image``, also with niter=0, and not the ``.psf``. The
    PSF of an image twice as wide has the larger beam: Briggs and uniform weights are those of cells of the uv plane as
    large as the reciprocal of the field.

    Parameters
    ----------
    image, psf : `~astropy.nddata.CCDData`

    Returns
    -------
    bool
    """
    beams = [[each.meta.get(key) for key in ("BMAJ", "BMIN")] for each in (image, psf)]
    if not all(is_number(axis) and axis > 0 for beam in beams for axis in beam):
        return False
    ratio = np.prod(beams[0]) / np.prod(beams[1])
    if ratio < 1 / SMOOTHED:
        log.warning(
            "psf: the beam in its header, %.4g x %.4g arcsec, is larger than that of dirty, %.4g x %.4g: it is of "
            "other weights (Briggs and uniform ones also depend on the size of the image, imsize), or of another time "
            "or plane, and fluxes will be some %.0f%% too low, or more: make both in one run, and cut dirty out if "
            "psf is to be wider", *(3600 * axis for beam in beams[::-1] for axis in beam), 100 * (1 - ratio),
        )  # fmt: skip
    if ratio < SMOOTHED:
        return False
    log.warning(
        "dirty: the beam in its header, %.4g x %.4g arcsec, is larger than that of psf, %.4g x %.4g: if the image was "
        "smoothed to it (restoringbeam of tclean, also with niter=0), psf is not its PSF, and fluxes will be some "
        "%.0f%% too high: make it without restoringbeam; or give the PSF of this very image",
        *(3600 * axis for beam in beams for axis in beam), 100 * (ratio - 1),
    )  # fmt: skip
    return True


def narrow_peaks(data, rms, covariance, own):
    """Certain sources that are narrower than the restoring beam, as nothing is that was restored with it.

    Parameters
    ----------
    data : 2D array, shape (ny, nx)
        A CLEANed image, or a part of it, Jy/beam; NaN where blank.
    rms : float
        Noise, Jy/beam.
    covariance : 2D array, shape (2, 2)
        Second moments of the beam, pixels squared, order x, y.
    own : tuple of slice
        Where the peaks may lie.

    Returns
    -------
    list of tuple
        Of each the second moments, and a weight.
    """
    found, known = [], np.nan_to_num(data)
    reach = int(np.ceil(REACH * gaussian_sigma_to_fwhm * np.sqrt(np.diag(covariance).max())))
    certain = np.zeros(data.shape, dtype=bool)
    certain[own] = (known > CERTAIN * rms)[own]
    if not certain.any():
        return found
    for y, x in np.argwhere(certain & (known == maximum_filter(known, 2 * reach + 1))):
        if min(y, x) < reach or y + reach >= data.shape[0] or x + reach >= data.shape[1]:
            continue
        shape = _shape(data[y - reach : y + reach + 1, x - reach : x + reach + 1], covariance)
        snr = data[y, x] / rms
        if shape is not None and _ratios(shape, covariance).min() < 1 - max(NARROWER, ERRORS / snr):
            found.append((shape, snr**2))
    return found


def fitting_beam(peaks, beam, covariance, wcs, shape):
    """The restoring beam, or a narrower one if there are sources that are narrower.

    Parameters
    ----------
    peaks : list of tuple
        As of `narrow_peaks`.
    beam : `~radio_beam.Beam`
        Of the header.
    covariance : 2D array, shape (2, 2)
        Its second moments, pixels squared, order x, y.
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes.
    shape : tuple of int, (ny, nx)

    Returns
    -------
    beam : `~radio_beam.Beam`
    ratio : float
        Its area in units of that of the header's.
    """
    if not peaks:
        return beam, 1.0
    shapes, weights = zip(*peaks, strict=True)
    narrow = np.average(shapes, axis=0, weights=weights)
    ratio = float(np.sqrt(np.linalg.det(narrow) / np.linalg.det(covariance)))
    found = as_beam(narrow, wcs, shape)
    log.warning(
        "dirty: %d sources above %.0f times the noise are narrower than the restoring beam, %s, as nothing can be; "
        "they are taken for points of a beam of %s, but Jy/beam for that of the restoring beam, so that fluxes are "
        "multiplied by %.3g, the ratio of the areas; give the right beam with beam=, and they are not; or the PSF",
        len(peaks), CERTAIN, beam_text(beam), beam_text(found), ratio,
    )  # fmt: skip
    return found, ratio


def _shape(patch, covariance):
    """Second moments of a peak in the middle of a patch: a parabola through the logarithms; None if there is none."""
    n = len(patch) // 2
    y, x = (axis.ravel() for axis in np.mgrid[-n : n + 1, -n : n + 1])
    values = patch.ravel()
    distance = np.einsum("in,ij,jn->n", [x, y], np.linalg.inv(covariance), [x, y])
    near = (values > FOOT * patch[n, n]) & (distance < (REACH * gaussian_sigma_to_fwhm) ** 2)
    if near.sum() < 8:
        return None
    x, y, values = x[near], y[near], values[near]
    terms = np.stack([np.ones(len(x)), x, y, x * x, x * y, y * y], axis=1)
    # An error of the image is one of its logarithm in proportion to 1 / value.
    a = np.linalg.lstsq(terms * values[:, None], np.log(values) * values, rcond=None)[0]
    curvature = -np.array([[2 * a[3], a[4]], [a[4], 2 * a[5]]])
    return np.linalg.inv(curvature) if np.linalg.eigvalsh(curvature)[0] > 0 else None


def _ratios(shape, covariance):
    """Variances along the axes of both, in units of the beam's."""
    return np.linalg.eigvals(np.linalg.solve(covariance, shape)).real
