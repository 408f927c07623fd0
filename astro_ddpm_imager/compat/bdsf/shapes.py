"""Sizes and position angles of Gaussians, as axes and as second moments."""

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm

from ...sources.catalog import on_sky

__all__ = ["condon_errors", "from_axes", "north_angle", "to_axes"]


def from_axes(major, minor, pa):
    """Second moments, order (east, north), from FWHM and position angle.

    Parameters
    ----------
    major, minor : float
        FWHM, any unit.
    pa : float
        Position angle, degrees east of north.

    Returns
    -------
    2D array, shape (2, 2), that unit squared
    """
    angle = np.deg2rad(pa)
    axes = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
    return axes.T @ np.diag(np.square([major, minor]) / gaussian_sigma_to_fwhm**2) @ axes


def to_axes(covariance):
    """FWHM and position angle from second moments; the inverse of `from_axes`.

    Parameters
    ----------
    covariance : 2D array, shape (2, 2)

    Returns
    -------
    tuple of float
        Major and minor axis, and position angle from 0 to 180 degrees; sizes
        below 0 are 0.
    """
    values, vectors = np.linalg.eigh(covariance)
    minor, major = gaussian_sigma_to_fwhm * np.sqrt(values.clip(0))
    pa = np.rad2deg(np.arctan2(*vectors[:, 1])) % 180
    return float(major), float(minor), float(pa)


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
