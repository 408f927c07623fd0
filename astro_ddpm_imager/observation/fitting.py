"""Gaussians fitted to an image through its PSF, by the likelihood of natural weighting."""

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import distance_transform_edt

from .components import Components
from .ellipses import positive
from .patches import between_pixels, cut_out, information, patches_around, slopes, transforms

__all__ = ["improve"]

FLUX_DOUBT, POSITION_DOUBT, MOMENT_DOUBT = 0.5, 0.5, 1.0  # a standard deviation: relative, beams, beam variances


def improve(components, residual, psf, pixels_per_beam, known):
    """Components that explain more of an image: one step of Gauss and Newton, each component for itself.

    In units of the noise, and with the PSF P for its covariance, a sky s has
    the log-likelihood s.d - s.P s / 2 for a dirty image d (Briggs 1995, PhD
    thesis, section 3.2); so the gradient by a parameter is the residual seen
    through the change of the component, and the information P between two
    such changes.

    Parameters
    ----------
    components : `~astro_ddpm_imager.observation.components.Components`
        On the pixels of the residual, fluxes in units of the noise.
    residual : 2D array, shape (ny, nx)
        Dirty image minus what it sees of them, in units of the noise.
    psf : 2D array, shape (2 ny, 2 nx)
        Peak, 1, at pixel ``(ny, nx)``.
    pixels_per_beam : float
    known : 2D array of bool, shape (ny, nx)
        Where the residual is. Of components within a beam of what is not known, or there, only flux and place change,
        and what is known is all that counts.

    Returns
    -------
    `~astro_ddpm_imager.observation.components.Components`
    """
    nearest, reach = patches_around(components, residual.shape, pixels_per_beam)
    left, between = cut_out(residual, nearest, reach), between_pixels(psf, reach)
    spectra, *_ = transforms(components, nearest, reach)

    at_edge = distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1][tuple(nearest)] < pixels_per_beam
    variance = (gaussian_fwhm_to_sigma * pixels_per_beam) ** 2
    position, moment = np.full(len(components), POSITION_DOUBT * pixels_per_beam), MOMENT_DOUBT * variance * ~at_edge
    doubt = np.stack([FLUX_DOUBT * components.flux, position, position, *[moment] * 3], axis=1)
    by = slopes(spectra, components.flux[:, None, None] * spectra, reach) * doubt[:, :, None]
    informed, explained = information(by, between), by @ left
    if at_edge.any():
        seen = by[at_edge] @ between * cut_out(known, nearest[:, at_edge], reach).transpose(0, 2, 1)
        # Least squares of what is known, each value of which tells as much as its noise is not that of others.
        alike = np.sum(psf**2)
        informed[at_edge] = seen @ seen.transpose(0, 2, 1) / alike
        explained[at_edge] = seen @ left[at_edge] / alike
    change = np.linalg.solve(informed + np.eye(6), explained)[:, :, 0].clip(-1, 1) * doubt
    flux, x, y, xx, xy, yy = change.T
    covariance = positive(components.covariance + np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2))
    return Components(components.x + x, components.y + y, components.flux + flux, covariance)
