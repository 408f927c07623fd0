"""Errors of the shapes of Gaussians, and where north is."""

import numpy as np

from ...sources.catalog import on_sky

__all__ = ["condon_errors", "north_angle"]


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
