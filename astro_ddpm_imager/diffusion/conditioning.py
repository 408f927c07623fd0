"""What the network is told of an observation: the dirty image, and what its own PSF says about it."""

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

from ..observation.clean import clean

__all__ = ["CONDITIONS", "condition", "feedback"]

CONDITIONS = ("dirty", "residual", "components", "pb")
MAX_COMPONENTS_PER_BEAM = 5


def condition(dirty, psf, pb, pixels_per_beam, threshold, gain):
    """The images that the network is given beside the noisy sky.

    The residual and the components of a shallow CLEAN tell it which peaks of
    the dirty image are sidelobes of others, whatever the array.

    Parameters
    ----------
    dirty : 2D array, shape (ny, nx)
        On the model's pixels, in units of its noise; 0 where blank.
    psf : 2D array, shape (2 ny, 2 nx)
        As for `~astro_ddpm_imager.observation.clean.clean`.
    pb : 2D array, shape (ny, nx)
        Primary beam; 0 where the image is blank.
    pixels_per_beam : float
    threshold, gain : float
        Of CLEAN.

    Returns
    -------
    3D array of float32, shape (4, ny, nx)
        In the order of ``CONDITIONS``; the components are convolved with a round
        Gaussian of a beam's width and a peak of 1.
    """
    max_iterations = int(MAX_COMPONENTS_PER_BEAM * dirty.size / pixels_per_beam**2)
    components, residual = clean(dirty, psf, threshold, gain, pb > 0, max_iterations)
    sigma = gaussian_fwhm_to_sigma * pixels_per_beam
    smooth = gaussian_filter(components, sigma) * (2 * np.pi * sigma**2) if components.any() else components
    return np.stack([dirty, np.where(pb > 0, residual, 0), np.where(pb > 0, smooth, 0), pb]).astype(np.float32)


def feedback(dirty, seen, stretched):
    """The images that the network is given of its own last estimate of the sky.

    Convolutions see a part of the field, sidelobes fill it: the misfit, made
    with the whole PSF, shows whether the estimate explains the data.

    Parameters
    ----------
    dirty : 2D array, shape (ny, nx)
        As for `condition`.
    seen : 2D array, shape (ny, nx), or 0
        The dirty image that the estimate would have without noise, in the same units; 0 where blank.
    stretched : 2D array, shape (ny, nx)
        The estimate, as `~astro_ddpm_imager.diffusion.stretch.PowerStretch` makes it; -1 is an empty sky.

    Returns
    -------
    3D array of float32, shape (2, ny, nx)
    """
    return np.stack([dirty - seen, stretched]).astype(np.float32)
