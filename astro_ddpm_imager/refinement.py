"""Detections, sharpened by what the data say about them."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from .detection import SMOOTHING_BEAMS, detect

__all__ = ["find_sources", "refine"]

POSITION_DOUBT = 0.3  # beams: how far the network may be off, a standard deviation
FLUX_DOUBT = 0.01  # relative, for each unit of S/N: of faint sources the network knows more than the data
MOST_DOUBT = 0.15  # relative, of the flux; twice that, of the second moments
FURTHEST = np.array([3, 1, 1, 3, 3, 3])  # standard deviations: largest change of flux, position and moments
CLEAN_DOUBT = 0.005  # relative, of the flux that CLEAN has subtracted
REACH_BEAMS = 5.5  # half the side of the patch that a detection is compared with
NARROWEST = 0.02  # variance of a source, square pixels, that its profile has slopes


def find_sources(sky, gridded, threshold, pixels_per_beam, sample=0):
    """Detect the sources of one sky, and refine them.

    Parameters
    ----------
    sky : 2D array, shape (my, mx)
        Flux per model pixel, in units of the noise, without what the model is
        not shown of bright sources.
    gridded : `~astro_ddpm_imager.gridded.GriddedObservation`
    threshold, pixels_per_beam : float
    sample : int, optional
        As for `~astro_ddpm_imager.detection.detect`.

    Returns
    -------
    `~astro_ddpm_imager.aggregation.Detections`
    """
    whole_sky = sky + gridded.bright
    detections = detect(whole_sky, threshold, pixels_per_beam, sample)
    drawn = 1.0
    if np.any(gridded.bright):
        at, sigma = [detections.y, detections.x], SMOOTHING_BEAMS * pixels_per_beam
        part, whole = (map_coordinates(gaussian_filter(image, sigma), at, order=1) for image in (sky, whole_sky))
        drawn = np.divide(part, whole, out=np.ones_like(whole), where=whole > 0)
    return refine(detections, sky, gridded, pixels_per_beam, drawn)


def refine(detections, sky, gridded, pixels_per_beam, drawn=1.0):
    """Change detections in one sky to what the data want of them.

    A network draws positions, and the fluxes and shapes of bright sources,
    less sharply than the data have them, while the likelihood of a source is
    known (`~astro_ddpm_imager.gridded.GriddedObservation`). The network's
    flux, position and second moments of a source, each with the doubt that it
    deserves, are the prior; the rest of the sky stays as it is. To first order
    the posterior is Gaussian, and its mean takes their place (a Gibbs step, of
    which the mean is taken instead of a draw).

    The doubt about a flux is small where the S/N is: the network knows that
    faint sources are found where the noise is positive, and the likelihood
    alone does not.

    Parameters
    ----------
    detections : `~astro_ddpm_imager.aggregation.Detections`
        Of one sky; sources are taken for Gaussians with their moments.
    sky : 2D array, shape (ny, nx)
        The sky they were found in, as for `find_sources`.
    gridded : `~astro_ddpm_imager.gridded.GriddedObservation`
    pixels_per_beam : float
    drawn : float or 1D array, shape (n,), optional
        Fraction of each source that the network drew; CLEAN has subtracted the
        rest, which stays.

    Returns
    -------
    `~astro_ddpm_imager.aggregation.Detections`
        With the ``variance`` of the posterior.
    """
    if not len(detections):
        return detections
    ny, nx = sky.shape
    reach = min(round(REACH_BEAMS * pixels_per_beam), (min(ny, nx) - 1) // 2)
    nearest = np.round([detections.y, detections.x]).astype(int)
    rows, columns = (middle[:, None] + np.arange(2 * reach + 1) for middle in nearest)  # of the padded image
    left = np.pad(gridded.gradient(sky), reach)[rows[:, :, None], columns[:, None, :]].reshape(len(detections), -1, 1)

    slopes, size = _slopes(detections, nearest, reach)
    dy, dx = (axis.ravel() for axis in np.mgrid[: 2 * reach + 1, : 2 * reach + 1])
    between = gridded.information[ny + dy[:, None] - dy, nx + dx[:, None] - dx]
    precision = slopes @ (between @ slopes.transpose(0, 2, 1))
    flux_doubt = np.minimum(FLUX_DOUBT * np.sqrt(precision[:, 0, 0]), MOST_DOUBT)
    position_doubt = np.full_like(flux_doubt, POSITION_DOUBT * pixels_per_beam)
    moment_doubt = 2 * flux_doubt * size
    doubt = np.stack(
        [flux_doubt, position_doubt, position_doubt, moment_doubt, moment_doubt / np.sqrt(2), moment_doubt], axis=1
    )
    doubt *= np.reshape(drawn, (-1, 1))
    covariance = np.linalg.inv(precision + np.eye(6) / doubt[:, None, :] ** 2)
    change = (covariance @ (slopes @ left))[:, :, 0]
    flux_variance = covariance[:, 0, 0] + (CLEAN_DOUBT * (1 - np.reshape(drawn, -1))) ** 2
    flux, x, y, xx, xy, yy = np.clip(change, -FURTHEST * doubt, FURTHEST * doubt).T
    return replace(
        detections,
        flux=detections.flux * (1 + flux),
        x=detections.x + x,
        y=detections.y + y,
        covariance=detections.covariance + np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2),
        variance=np.stack([covariance[:, 1, 1], covariance[:, 2, 2], detections.flux**2 * flux_variance], axis=1),
    )


def _slopes(detections, nearest, reach):
    """How the pixels of a patch around each detection change with its parameters, and its size.

    Parameters are the logarithm of the flux, x, y, and the second moments xx, xy, yy.

    Returns
    -------
    slopes : 3D array, shape (n, 6, pixels)
    size : 1D array, shape (n,)
        Mean variance of the two axes, square pixels.
    """
    variances, axes = np.linalg.eigh(detections.covariance - np.eye(2) / 12)
    variances = variances.clip(NARROWEST) + 1 / 12  # of the pixels again
    inverse = (axes / variances[:, None, :]) @ axes.transpose(0, 2, 1)
    offset = np.arange(-reach, reach + 1)
    x = offset + (nearest[1] - detections.x)[:, None]
    y = offset + (nearest[0] - detections.y)[:, None]
    n, side = x.shape
    x, y = np.broadcast_to(x[:, None, :], (n, side, side)), np.broadcast_to(y[:, :, None], (n, side, side))
    away = np.stack([x, y], axis=1).reshape(n, 2, -1)
    gx, gy = np.moveaxis(inverse @ away, 1, 0)
    profile = np.exp(-0.5 * (away[:, 0] * gx + away[:, 1] * gy))
    profile *= (detections.flux / profile.sum(1))[:, None]
    ixx, ixy, iyy = inverse[:, 0, 0, None], inverse[:, 0, 1, None], inverse[:, 1, 1, None]
    moments = (gx**2 - ixx) / 2, gx * gy - ixy, (gy**2 - iyy) / 2
    slopes = np.stack([np.ones_like(gx), gx, gy, *moments], axis=1) * profile[:, None, :]
    return slopes, variances.mean(1)
