"""Detections, sharpened by what the data say about them."""

from dataclasses import replace

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.fft import fftfreq, irfft2, rfftfreq

__all__ = ["patches_around", "profiles", "refine"]

POSITION_DOUBT = 0.3  # beams: how far the network may be off, a standard deviation
FLUX_DOUBT = 0.03  # relative, for each unit of S/N: of faint sources the network knows more than the data
MOST_DOUBT = 0.15  # relative, of the flux; twice that, of the elongation as the beam shows it
GROWTH_DOUBT = 0.012  # relative, of flux and size at the same peak, for the square of the S/N
MOST_GROWTH = 0.6  # likewise, at most
FURTHEST = np.array([2, 1, 1, 1.1, 3, 3])  # standard deviations: largest change, as `_doubt` has them; flux stays > 0
REACH_BEAMS = 5.5  # half the side of the patch that a detection is compared with
ITERATIONS = 2  # of Gauss and Newton


def refine(detections, sky, gridded, pixels_per_beam):
    """Change detections in one sky to what the data want of them.

    A network draws positions, and the fluxes and shapes of bright sources,
    less sharply than the data have them, while the likelihood of a source is
    known (`~astro_ddpm_imager.observation.gridded.GriddedObservation`). The network's
    flux, position and second moments of a source, each with the doubt that it
    deserves, are the prior; the rest of the sky stays as it is. The mean of the
    posterior takes their place, where it is Gaussian, which it is nearly (a
    Gibbs step, of which the mean is taken instead of a draw).

    The doubt about a flux is small where the S/N is: the network knows that
    faint sources are found where the noise is positive, and the likelihood
    alone does not. It is largest for a growth in which flux and area, as the
    beam shows them, go together and the peak stays (Condon 1997, PASP 109, 166,
    has the correlation in Gaussian fits): a network draws a faint point with
    the size that most of its training sources had.

    Parameters
    ----------
    detections : `~astro_ddpm_imager.sources.aggregation.Detections`
        Of one sky; sources are taken for Gaussians with their moments.
    sky : 2D array, shape (ny, nx)
        The sky they were found in, as for `~astro_ddpm_imager.sources.finding.find_sources`.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
    pixels_per_beam : float

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.Detections`
        With the ``variance`` of the posterior.
    """
    if not len(detections):
        return detections
    nearest, reach = patches_around(detections, sky.shape, pixels_per_beam)
    rows, columns = (middle[:, None] + np.arange(2 * reach + 1) for middle in nearest)  # of the padded image
    left = np.pad(gridded.gradient(sky), reach)[rows[:, :, None], columns[:, None, :]].reshape(len(detections), -1, 1)

    between = gridded.information_between(reach)
    noise = np.broadcast_to(gridded.noise, sky.shape)[tuple(nearest)][:, None, None]
    change = np.zeros((len(detections), 6))  # in units of the doubt
    slopes = _slopes(detections, change, nearest, reach)
    first, doubt = slopes[:, 0], _doubt(detections, _precision(slopes / noise, between), pixels_per_beam)
    for _ in range(ITERATIONS):
        moved = (doubt @ change[:, :, None])[:, :, 0]
        slopes = _slopes(detections, moved, nearest, reach)
        profile = slopes[:, 0] * (1 + moved)[:, :1]
        slopes = doubt.transpose(0, 2, 1) @ slopes / noise
        covariance = np.linalg.inv(_precision(slopes, between) + np.eye(6))
        gradient = slopes @ (left - between @ (profile - first)[:, :, None]) / noise
        change = change + (covariance @ (gradient - change[:, :, None]))[:, :, 0]
        change = np.clip(change, -FURTHEST, FURTHEST)
    changed = _changed(detections, (doubt @ change[:, :, None])[:, :, 0])
    variance = np.diagonal(doubt @ covariance @ doubt.transpose(0, 2, 1), axis1=1, axis2=2)
    variance = [variance[:, 1], variance[:, 2], detections.flux**2 * variance[:, 0]]
    return replace(changed, variance=np.stack(variance, axis=1))


def patches_around(detections, shape, pixels_per_beam):
    """Where the patches are that hold what there is to see of each detection.

    Parameters
    ----------
    detections : `~astro_ddpm_imager.sources.aggregation.Detections`
    shape : tuple of int, (ny, nx)
        Of the sky.
    pixels_per_beam : float

    Returns
    -------
    nearest : 2D array of int, shape (2, n)
        Pixels (y, x) in their middle.
    reach : int
        Half of their side.
    """
    reach = min(round(REACH_BEAMS * pixels_per_beam), (min(shape) - 1) // 2)
    return np.round([detections.y, detections.x]).astype(int), reach


def _precision(slopes, information):
    """What the data know of changes, shape (n, 6, 6)."""
    # One product for all detections is twice as fast as one for each.
    informed = (slopes.reshape(-1, len(information)) @ information).reshape(slopes.shape)
    return informed @ slopes.transpose(0, 2, 1)


def _changed(detections, change):
    """Detections after a change, shape (n, 6): relative of the flux, then of x, y and the moments xx, xy, yy."""
    flux, x, y, xx, xy, yy = change.T
    return replace(
        detections,
        flux=detections.flux * (1 + flux),
        x=detections.x + x,
        y=detections.y + y,
        covariance=detections.covariance + np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2),
    )


def _doubt(detections, precision, pixels_per_beam):
    """What the network may have wrong, shape (n, 6, 6): columns of one standard deviation each.

    They are independent: flux alone, x, y, growth at the same peak, and the
    two elongations. A source drawn too large has too much flux, for the peak is
    what the network sees best.
    """
    snr = np.sqrt(precision[:, 0, 0])
    flux = np.minimum(FLUX_DOUBT * snr, MOST_DOUBT)
    growth = np.minimum(GROWTH_DOUBT * snr**2, MOST_GROWTH)
    seen = detections.covariance + np.eye(2) * (gaussian_fwhm_to_sigma * pixels_per_beam) ** 2
    moment = flux * np.trace(seen, axis1=1, axis2=2) / np.sqrt(2)
    doubt = np.zeros((len(flux), 6, 6))
    doubt[:, 0, 0] = flux
    doubt[:, 1, 1] = doubt[:, 2, 2] = POSITION_DOUBT * pixels_per_beam
    doubt[:, 0, 3] = growth
    doubt[:, 3:, 3] = growth[:, None] * seen[:, [0, 0, 1], [0, 1, 1]]
    doubt[:, [3, 5], 4] = np.stack([moment, -moment], axis=1)
    doubt[:, 4, 5] = moment
    return doubt


def _slopes(detections, change, nearest, reach):
    """How the pixels of a patch around each detection, once changed, go with the change, shape (n, 6, pixels).

    The patches hold what the data can see of a Gaussian, the frequencies that
    pixels can hold: so it may lie anywhere between pixels and be as narrow as
    a point.
    """
    changed = _changed(detections, change)
    spectrum, (v, u) = _spectra(changed, nearest, reach)
    by_moments = [-2 * (np.pi * u) ** 2, -4 * np.pi**2 * u * v, -2 * (np.pi * v) ** 2]
    by = [1 / (1 + change[:, :1, None]), -2j * np.pi * u, -2j * np.pi * v, *by_moments]
    side = 2 * reach + 1
    patches = np.stack([irfft2(spectrum * factor, s=(side, side)) for factor in by], axis=1)
    return patches.reshape(len(detections), 6, -1)


def profiles(detections, nearest, reach):
    """The Gaussians that detections are taken for, on the model's pixels.

    Parameters
    ----------
    detections : `~astro_ddpm_imager.sources.aggregation.Detections`
    nearest : 2D array of int, shape (2, n)
        Pixels (y, x) in the middle of the patches.
    reach : int
        Half of their side.

    Returns
    -------
    3D array, shape (n, 2 reach + 1, 2 reach + 1), flux per pixel
    """
    side = 2 * reach + 1
    return irfft2(_spectra(detections, nearest, reach)[0], s=(side, side))


def _spectra(detections, nearest, reach):
    """Fourier transforms of patches around detections, shape (n, v, u), and the frequencies v and u."""
    side = 2 * reach + 1
    v, u = fftfreq(side)[:, None], rfftfreq(side)
    middle_y, middle_x = nearest - reach
    x, y = detections.x - middle_x, detections.y - middle_y
    moments = detections.covariance - np.eye(2) / 12
    xx, xy, yy = (moments[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    exponent = -2 * np.pi**2 * (xx * u**2 + 2 * xy * u * v + yy * v**2)
    spectrum = detections.flux[:, None, None] * np.sinc(u) * np.sinc(v)
    return spectrum * np.exp(exponent - 2j * np.pi * (u * x[:, None, None] + v * y[:, None, None])), (v, u)
