"""The Gaussian that imagers fit to the main lobe of a PSF: the restoring beam."""

import numpy as np
from astropy.modeling.fitting import TRFLSQFitter
from astropy.modeling.models import Gaussian2D
from astropy.stats import gaussian_sigma_to_fwhm
from scipy.ndimage import label, zoom

from .beam import as_beam
from .ellipses import from_axes

__all__ = ["main_lobe", "psf_beam"]

MAIN_LOBE = 0.35  # of the peak: the part of the PSF that CASA fits
FARTHEST = 512  # pixels from the peak, in which a main lobe is looked for


def main_lobe(psf):
    """A Gaussian fitted to the main lobe of a PSF, above 0.35 of the peak, as CASA does.

    Parameters
    ----------
    psf : 2D array, shape (ny, nx)
        Peak, 1, at pixel ``(ny // 2, nx // 2)``.

    Returns
    -------
    tuple of float, or None
        Major and minor FWHM, pixels, and angle of the major axis, radians from
        x to y; None if the main lobe reaches the edge of the image.
    """
    y0, x0 = (n // 2 for n in psf.shape)
    lobes, _ = label(psf > MAIN_LOBE)
    extent = np.abs(np.argwhere(lobes == lobes[y0, x0]) - (y0, x0)).max()
    if extent >= min(y0, x0) - 1:
        return None
    reach = 2
    while reach < min(y0, x0) - 1 and psf[y0, x0 - reach : x0 + reach + 1].min() > MAIN_LOBE / 2:
        reach += 1
    reach = min(max(4 * reach, extent + 2), y0 - 1, x0 - 1)
    around = psf[y0 - reach : y0 + reach + 1, x0 - reach : x0 + reach + 1]
    finer = max(1, round(60 / reach))
    side = (len(around) - 1) * finer + 1
    around = zoom(around, side / len(around), order=3, grid_mode=False)
    regions, _ = label(around > MAIN_LOBE)
    middle = side // 2
    y, x = np.nonzero(regions == regions[middle, middle])
    start = np.sqrt(len(x)) / 2.5
    model = Gaussian2D(1, 0, 0, start, start, fixed={"amplitude": True, "x_mean": True, "y_mean": True})
    fitted = TRFLSQFitter()(model, x - middle, y - middle, around[y, x])
    (a, b), angle = np.abs([fitted.x_stddev.value, fitted.y_stddev.value]), fitted.theta.value
    if a < b:
        a, b, angle = b, a, angle + np.pi / 2
    scale = gaussian_sigma_to_fwhm / finer
    return a * scale, b * scale, angle


def psf_beam(psf, wcs, shape):
    """The restoring beam of an image whose PSF is known.

    Parameters
    ----------
    psf : 2D array
        With its peak anywhere, and of any height; NaN where blank.
    wcs : `~astropy.wcs.WCS`
        Of the image; celestial, two axes.
    shape : tuple of int, (ny, nx)
        Of the image.

    Returns
    -------
    `~radio_beam.Beam` or None
        None if the PSF has no main lobe that is all on its image.
    """
    psf = np.where(np.isfinite(psf), psf, 0)
    y, x = np.unravel_index(psf.argmax(), psf.shape)
    reach = min(y, x, psf.shape[0] - 1 - y, psf.shape[1] - 1 - x, FARTHEST)
    around = psf[y - reach : y + reach + 1, x - reach : x + reach + 1]
    lobe = main_lobe(around / psf[y, x]) if psf[y, x] > 0 else None
    if lobe is None:
        return None
    major, minor, angle = lobe
    return as_beam(from_axes(major, minor, 90 - np.rad2deg(angle)), wcs, shape)
