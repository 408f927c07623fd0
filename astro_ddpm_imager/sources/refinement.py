"""Detections, sharpened by what the data say about them."""

from dataclasses import replace

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.fft import irfft2

from ..observation.ellipses import positive
from ..observation.patches import cut_out, information, patches_around, slopes, transforms

__all__ = ["profiles", "refine"]

POSITION_DOUBT = 0.3  # beams: how far the network may be off, a standard deviation
FLUX_DOUBT = 0.03  # relative, for each unit of S/N: of faint sources the network knows more than the data
MOST_DOUBT = 0.15  # relative, of the flux; twice that, of the elongation as the beam shows it
GROWTH_DOUBT = 0.012  # relative, of flux and size at the same peak, for the square of the S/N
MOST_GROWTH = 0.6  # likewise, at most
FURTHEST = np.array([2, 1, 1, 1.1, 3, 3])  # standard deviations: largest change, as `_doubt` has them; flux stays > 0
NARROWEST = 2.0  # beam variances below 0: moments no point comes to, and wide sources by their largest change
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
    the size that most of its training sources had. Pieces that touch do not
    grow, for each would make up for what the whole extended source lacks.

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
    left = cut_out(gridded.gradient(sky), nearest, reach)

    between = gridded.information_between(reach)
    noise = np.broadcast_to(gridded.noise, sky.shape)[tuple(nearest)][:, None, None]
    change = np.zeros((len(detections), 6))  # in units of the doubt
    narrowest = NARROWEST * (gaussian_fwhm_to_sigma * pixels_per_beam) ** 2
    by = _slopes(detections, detections, nearest, reach)
    first, doubt = by[:, 0], _doubt(detections, information(by / noise, between), pixels_per_beam)
    for _ in range(ITERATIONS):
        moved = (doubt @ change[:, :, None])[:, :, 0]
        by = _slopes(detections, _changed(detections, moved, narrowest), nearest, reach)
        profile = by[:, 0] * (1 + moved)[:, :1]
        by = doubt.transpose(0, 2, 1) @ by / noise
        covariance = np.linalg.inv(information(by, between) + np.eye(6))
        gradient = by @ (left - between @ (profile - first)[:, :, None]) / noise
        change = change + (covariance @ (gradient - change[:, :, None]))[:, :, 0]
        change = np.clip(change, -FURTHEST, FURTHEST)
    changed = _changed(detections, (doubt @ change[:, :, None])[:, :, 0], narrowest)
    variance = np.diagonal(doubt @ covariance @ doubt.transpose(0, 2, 1), axis1=1, axis2=2)
    variance = [variance[:, 1], variance[:, 2], detections.flux**2 * variance[:, 0]]
    return replace(changed, variance=np.stack(variance, axis=1))


def _changed(detections, change, narrowest):
    """Detections after a change, shape (n, 6): relative of the flux, then of x, y and the moments xx, xy, yy."""
    flux, x, y, xx, xy, yy = change.T
    least = narrowest * np.eye(2)
    moments = detections.covariance + np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2)
    return replace(
        detections,
        flux=detections.flux * (1 + flux),
        x=detections.x + x,
        y=detections.y + y,
        covariance=positive(moments + least) - least,
    )


def _doubt(detections, precision, pixels_per_beam):
    """What the network may have wrong, shape (n, 6, 6): columns of one standard deviation each.

    They are independent: flux alone, x, y, growth at the same peak, and the
    two elongations. A source drawn too large has too much flux, for the peak is
    what the network sees best.
    """
    snr = np.sqrt(precision[:, 0, 0])
    flux = np.minimum(FLUX_DOUBT * snr, MOST_DOUBT)
    _, island, pieces = np.unique(detections.island, return_inverse=True, return_counts=True)
    growth = np.minimum(GROWTH_DOUBT * snr**2, MOST_GROWTH) * (pieces[island] == 1)
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


def _slopes(detections, changed, nearest, reach):
    """How the pixels of a patch around each detection, once changed, go with the change, shape (n, 6, pixels)."""
    spectra = _spectra(changed, nearest, reach)
    return slopes(spectra * (detections.flux / changed.flux)[:, None, None], spectra, reach)


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
    return irfft2(_spectra(detections, nearest, reach), s=(side, side))


def _spectra(detections, nearest, reach):
    """Fourier transforms of patches around detections, shape (n, v, u), as pixels share them."""
    # The moments of a detection are those of its pixels, which are squares.
    without_pixels = replace(detections, covariance=detections.covariance - np.eye(2) / 12)
    spectra, v, u = transforms(without_pixels, nearest, reach)
    return detections.flux[:, None, None] * np.sinc(u) * np.sinc(v) * spectra
