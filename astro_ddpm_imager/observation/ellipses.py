"""Gaussians as axes and as second moments: FWHM and position angle to covariances, and back."""

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm

__all__ = ["area", "from_axes", "fwhm", "positive", "to_axes"]


def from_axes(major, minor, pa):
    """Second moments from FWHM and position angle.

    Parameters
    ----------
    major, minor : float or array, shape (...)
        FWHM, any unit.
    pa : float or array, shape (...)
        Position angle, degrees from the second axis to the first: on the sky
        from north to east, and of pixels from y to x.

    Returns
    -------
    array, shape (..., 2, 2), that unit squared, order (east, north) or (x, y)
    """
    angle = np.deg2rad(pa)
    along, across = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    variances = np.square([major, minor]) / gaussian_sigma_to_fwhm**2
    moments = sum(v * axis[:, None] * axis for v, axis in zip(variances, (along, across), strict=True))
    return np.moveaxis(moments, (0, 1), (-2, -1))


def to_axes(covariance):
    """FWHM and position angle from second moments; the inverse of `from_axes`.

    Parameters
    ----------
    covariance : array, shape (..., 2, 2)

    Returns
    -------
    tuple of arrays, shape (...)
        Major and minor axis, and position angle from 0 to 180 degrees; an
        axis narrower than a point is 0.
    """
    variances, axes = np.linalg.eigh(covariance)
    minor, major = np.moveaxis(gaussian_sigma_to_fwhm * np.sqrt(variances.clip(0)), -1, 0)
    return major, minor, np.rad2deg(np.arctan2(axes[..., 0, 1], axes[..., 1, 1])) % 180


def area(covariance):
    """Solid angle of a Gaussian with a peak of 1.

    Parameters
    ----------
    covariance : 2D array, shape (2, 2)

    Returns
    -------
    float
        In the unit of the moments.
    """
    return float(2 * np.pi * np.sqrt(np.linalg.det(covariance)))


def fwhm(covariance):
    """Geometric mean of the axes.

    Parameters
    ----------
    covariance : array, shape (..., 2, 2)

    Returns
    -------
    float or array, shape (...)
        0 of what is no ellipse.
    """
    return gaussian_sigma_to_fwhm * np.linalg.det(covariance).clip(0) ** 0.25


def positive(covariance):
    """Covariances with no axis narrower than a point.

    Parameters
    ----------
    covariance : array, shape (..., 2, 2)

    Returns
    -------
    array, same shape
    """
    variances, axes = np.linalg.eigh(covariance)
    return (axes * variances.clip(0)[..., None, :]) @ np.swapaxes(axes, -1, -2)
