"""Shapes of Gaussians: their sizes, errors, and where north is."""

import numpy as np

from ...observation.local_sky import on_sky

__all__ = ["condon_errors", "deconvolved_errors", "north_angle", "size_factor"]

LARGEST = 1.5  # times as large, the second moments
HALVINGS = 7


def condon_errors(major, minor, noise_fwhm, snr):
    """Errors of the shape of a Gaussian in correlated noise.

    Condon 1997, PASP 109, 166, equations 21 and 41.

    Parameters
    ----------
    major, minor : float
        FWHM.
    noise_fwhm : float
        FWHM of the noise's correlation (the beam), same unit.
    snr : float
        Peak over noise.

    Returns
    -------
    tuple of float
        Errors of major and minor axis in that unit, and of the position angle
        in degrees, which is uncertain by 90 at most.
    """

    def rho(alpha_major, alpha_minor):
        correlated = (1 + (noise_fwhm / major) ** 2) ** alpha_major * (1 + (noise_fwhm / minor) ** 2) ** alpha_minor
        return np.sqrt(major * minor / 4 / noise_fwhm**2 * correlated) * snr

    along, across = rho(2.5, 0.5), rho(0.5, 2.5)
    unround = major**2 - minor**2
    pa_err = np.rad2deg(2 / across * major * minor / unround) if unround > 0 else np.inf
    return float(np.sqrt(2) * major / along), float(np.sqrt(2) * minor / across), float(min(pa_err, 90.0))


def deconvolved_errors(shape, deconvolved, errors):
    """Errors of a deconvolved shape.

    Variances are what is subtracted, so that a size D of a source that is seen
    with M has the error M E / D, if E is that of M. One that is smaller than
    its error has the error with which it would be as large.

    Parameters
    ----------
    shape, deconvolved : tuple of float
        FWHM of the axes and position angle, as seen and without the beam.
    errors : tuple of float
        Of the shape as seen.

    Returns
    -------
    tuple of float
        Of major and minor axis and position angle (degrees, at most 90).
    """
    blurred = [seen * error for seen, error in zip(shape[:2], errors[:2], strict=True)]
    axes = [product / max(size, np.sqrt(product)) for product, size in zip(blurred, deconvolved[:2], strict=True)]
    seen, left = (major**2 - minor**2 for major, minor, _ in (shape, deconvolved))
    pa_err = errors[2] * seen / left if left > 0 else np.inf
    return *map(float, axes), float(min(pa_err, 90.0))


def size_factor(image, offset, beam, size, flux):
    """How many times as large a source is whose flux, in an image, is the one that it is known to have.

    At the same peak, flux grows with size. Sizes in a catalogue agree with its
    flux and peak, but at a S/N below 10 the peak of the samples is lower than
    that of the image.

    Parameters
    ----------
    image : 2D array, shape (ny, nx)
        The source alone, Jy/beam; NaN where blank.
    offset : 3D array, shape (2, ny, nx)
        Pixels in x and y from its centre.
    beam, size : 2D arrays, shape (2, 2)
        Second moments of beam and source in pixels.
    flux : float
        Jy.

    Returns
    -------
    float
        Of the second moments, from 0 to ``LARGEST``; 1 if all is blank.
    """
    known = np.isfinite(image)
    if not known.any():
        return 1.0
    image, offset = image[known], offset[:, known]
    low, high = 0.0, LARGEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        seen = beam + middle * size
        profile = np.exp(-0.5 * np.einsum("ik,ij,jk->k", offset, np.linalg.inv(seen), offset))
        peak = image @ profile / (profile @ profile)
        too_much = peak * np.sqrt(np.linalg.det(seen) / np.linalg.det(beam)) > flux
        low, high = (low, middle) if too_much else (middle, high)
    return (low + high) / 2 if low > 0 else 0.0


def north_angle(wcs, x=None, y=None):
    """Where north is in an image.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes.
    x, y : float, optional
        0-based pixel; without, the reference pixel.

    Returns
    -------
    float
        Angle from the second pixel axis to the north of the image, or, at a
        pixel, of catalogues there (which have no Galactic coordinates),
        degrees, turning the way that position angles do: towards east.
    """
    handed = -np.sign(np.linalg.det(wcs.pixel_scale_matrix))  # 1 where east is to the left of north
    if x is None:
        along_x, along_y = np.linalg.inv(wcs.pixel_scale_matrix) @ [0, 1]
    else:
        (scale,) = on_sky(wcs, np.array([x]), np.array([y]))[1]
        along_x, along_y = np.linalg.inv(scale) @ [0, 1]
    return float(handed * np.rad2deg(np.arctan2(-along_x, along_y)))
