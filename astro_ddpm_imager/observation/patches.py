"""Patches around Gaussians: what an image has there, what data know of it, and how the Gaussians' pixels change."""

import numpy as np
from scipy.fft import fftfreq, irfft2, rfftfreq
from scipy.ndimage import distance_transform_edt

from .components import nearest_pixels

__all__ = [
    "between_pixels", "cut_out", "distance_inside", "information", "patch_reach", "patches_around", "slopes",
    "transforms",
]  # fmt: skip

REACH_BEAMS = 5.5  # half the side of a patch


def patches_around(gaussians, shape, pixels_per_beam):
    """Where the patches are that hold what there is to see of each Gaussian.

    Parameters
    ----------
    gaussians : `~astro_ddpm_imager.observation.components.Components`
        Or others with ``x`` and ``y``, 0-based pixels.
    shape : tuple of int, (ny, nx)
        Of the image.
    pixels_per_beam : float

    Returns
    -------
    nearest : 2D array of int, shape (2, n)
        Pixels (y, x) in their middle.
    reach : int
        Half of their side.
    """
    return np.array(nearest_pixels(gaussians.x, gaussians.y, shape)), patch_reach(shape, pixels_per_beam)


def patch_reach(shape, pixels_per_beam):
    """Half the side of the patches of an image.

    Parameters
    ----------
    shape : tuple of int, (ny, nx)
    pixels_per_beam : float

    Returns
    -------
    int
    """
    return min(round(REACH_BEAMS * pixels_per_beam), (min(shape) - 1) // 2)


def distance_inside(known):
    """How far pixels of an image are from what is not known of it, which all is beyond its edges.

    Parameters
    ----------
    known : 2D array of bool, shape (ny, nx)

    Returns
    -------
    2D array, shape (ny, nx)
        Pixels; 0 where it is not known.
    """
    return distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1]


def cut_out(image, nearest, reach):
    """The patches of an image, 0 beyond its edges.

    Parameters
    ----------
    image : 2D array
    nearest : 2D array of int, shape (2, n)
    reach : int
        Both as `patches_around` returns them.

    Returns
    -------
    3D array, shape (n, pixels, 1)
        Columns, as products of matrices need them.
    """
    rows, columns = (middle[:, None] + np.arange(2 * reach + 1) for middle in nearest)  # of the padded image
    return np.pad(image, reach)[rows[:, :, None], columns[:, None, :]].reshape(nearest.shape[1], -1, 1)


def between_pixels(image, reach, beyond=0):
    """What an image of offsets has for each two pixels of a patch.

    Parameters
    ----------
    image : 2D array, shape (2 ny, 2 nx)
        Offset 0 at pixel ``(ny, nx)``.
    reach : int
        Of the patch, whose side is ``2 reach + 1``.
    beyond : int, optional
        By how much the patch of the second pixels reaches further.

    Returns
    -------
    2D array, shape (pixels, pixels of the second)
    """
    ny, nx = (n // 2 for n in image.shape)
    y, x = (axis.ravel() for axis in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    far = reach + beyond
    other_y, other_x = (axis.ravel() for axis in np.mgrid[-far : far + 1, -far : far + 1])
    return image[ny + y[:, None] - other_y, nx + x[:, None] - other_x]


def information(by, between):
    """What data know of the parameters of each Gaussian.

    Parameters
    ----------
    by : 3D array, shape (n, 6, pixels)
        How the patches change with the parameters, as of `slopes`.
    between : 2D array, shape (pixels, pixels)
        What the data know of the pixels, as of `between_pixels`.

    Returns
    -------
    3D array, shape (n, 6, 6)
    """
    # One product for all of them is twice as fast as one for each.
    informed = (by.reshape(-1, len(between)) @ between).reshape(by.shape)
    return informed @ by.transpose(0, 2, 1)


def transforms(gaussians, nearest, reach):
    """Fourier transforms of patches with Gaussians of a flux of 1.

    The patches hold what the data can see of a Gaussian, the frequencies that
    pixels can hold: so it may lie anywhere between pixels and be as narrow as
    a point.

    Parameters
    ----------
    gaussians : `~astro_ddpm_imager.observation.components.Components`
        Or others with ``x``, ``y`` and ``covariance``.
    nearest : 2D array of int, shape (2, n)
    reach : int
        Both as `patches_around` returns them.

    Returns
    -------
    spectra : 3D complex array, shape (n, v, u)
    v, u : 2D arrays, shapes (v, 1) and (u,)
        Frequencies, cycles a pixel.
    """
    v, u = _frequencies(reach)
    top, left = nearest - reach
    x, y = gaussians.x - left, gaussians.y - top
    xx, xy, yy = (gaussians.covariance[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    exponent = -2 * np.pi**2 * (xx * u**2 + 2 * xy * u * v + yy * v**2)
    return np.exp(exponent - 2j * np.pi * (u * x[:, None, None] + v * y[:, None, None])), v, u


def slopes(by_flux, spectra, reach):
    """How the pixels of a patch around each Gaussian change with its parameters.

    Parameters
    ----------
    by_flux : 3D complex array, shape (n, v, u)
        Fourier transforms of the changes with flux, in whichever unit the caller changes that.
    spectra : 3D complex array, shape (n, v, u)
        Those of the Gaussians, as of `transforms`, with their fluxes.
    reach : int
        Half the side of a patch.

    Returns
    -------
    3D array, shape (n, 6, pixels)
        By flux, x, y and the moments xx, xy, yy.
    """
    v, u = _frequencies(reach)
    side = 2 * reach + 1
    by_moments = [-2 * (np.pi * u) ** 2, -4 * np.pi**2 * u * v, -2 * (np.pi * v) ** 2]
    others = (spectra * factor for factor in (-2j * np.pi * u, -2j * np.pi * v, *by_moments))
    patches = [irfft2(change, s=(side, side)) for change in (by_flux, *others)]
    return np.stack(patches, axis=1).reshape(len(spectra), 6, -1)


def _frequencies(reach):
    side = 2 * reach + 1
    return fftfreq(side)[:, None], rfftfreq(side)
