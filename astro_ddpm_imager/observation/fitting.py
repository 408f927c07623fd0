"""Gaussians fitted to an image through its PSF, by the likelihood of natural weighting."""

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.fft import fftfreq, irfft2, rfftfreq

from .components import Components
from .ellipses import positive

__all__ = ["improve", "slopes"]

REACH_BEAMS = 5.5  # half the side of the patch in which a component is looked at
FLUX_DOUBT, POSITION_DOUBT, MOMENT_DOUBT = 0.5, 0.5, 1.0  # a standard deviation: relative, beams, beam variances


def improve(components, residual, psf, pixels_per_beam, fixed):
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
    fixed : 1D array of bool, shape (n,)
        Components of which only the flux may change, near the edge of what is known.

    Returns
    -------
    `~astro_ddpm_imager.observation.components.Components`
    """
    ny, nx = residual.shape
    reach = min(round(REACH_BEAMS * pixels_per_beam), (min(ny, nx) - 1) // 2)
    nearest = np.round([components.y, components.x]).astype(int)
    rows, columns = (middle[:, None] + np.arange(2 * reach + 1) for middle in nearest)  # of the padded image
    left = np.pad(residual, reach)[rows[:, :, None], columns[:, None, :]].reshape(len(components), -1, 1)
    dy, dx = (axis.ravel() for axis in np.mgrid[: 2 * reach + 1, : 2 * reach + 1])
    between = psf[ny + dy[:, None] - dy, nx + dx[:, None] - dx]

    variance = (gaussian_fwhm_to_sigma * pixels_per_beam) ** 2
    free = np.where(fixed, 0, 1)
    position = POSITION_DOUBT * pixels_per_beam * free
    doubt = np.stack([FLUX_DOUBT * components.flux, position, position, *[MOMENT_DOUBT * variance * free] * 3], axis=1)
    by = slopes(components, nearest, reach) * doubt[:, :, None]
    informed = (by.reshape(-1, len(between)) @ between).reshape(by.shape)
    change = np.linalg.solve(informed @ by.transpose(0, 2, 1) + np.eye(6), by @ left)[:, :, 0].clip(-1, 1) * doubt
    flux, x, y, xx, xy, yy = change.T
    covariance = positive(components.covariance + np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2))
    return Components(components.x + x, components.y + y, components.flux + flux, covariance)


def slopes(components, nearest, reach):
    """How the pixels of a patch around each component change with its parameters.

    The patches hold what the data can see of a Gaussian, the frequencies that
    pixels can hold: so it may lie anywhere between pixels and be as narrow as
    a point.

    Parameters
    ----------
    components : `~astro_ddpm_imager.observation.components.Components`
    nearest : 2D array of int, shape (2, n)
        Pixels y, x in the middle of the patches.
    reach : int
        Half the side of a patch.

    Returns
    -------
    3D array, shape (n, 6, pixels)
        By flux, x, y and the moments xx, xy, yy.
    """
    side = 2 * reach + 1
    v, u = fftfreq(side)[:, None], rfftfreq(side)
    top, left = nearest - reach
    x, y = components.x - left, components.y - top
    xx, xy, yy = (components.covariance[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    exponent = -2 * np.pi**2 * (xx * u**2 + 2 * xy * u * v + yy * v**2)
    spectrum = np.exp(exponent - 2j * np.pi * (u * x[:, None, None] + v * y[:, None, None]))
    by_moments = [-2 * (np.pi * u) ** 2, -4 * np.pi**2 * u * v, -2 * (np.pi * v) ** 2]
    others = [-2j * np.pi * u, -2j * np.pi * v, *by_moments]
    flux = components.flux[:, None, None]
    patches = [irfft2(spectrum, s=(side, side)), *(irfft2(flux * spectrum * by, s=(side, side)) for by in others)]
    return np.stack(patches, axis=1).reshape(len(components), 6, -1)
