"""Sources just outside an image: found by what they do to it, and taken out of it."""

import logging
from dataclasses import replace

import numpy as np
from scipy.fft import irfft2, rfft2
from scipy.ndimage import distance_transform_edt

from .components import Components

__all__ = ["likely_outside", "unseen_sidelobes", "without_outside"]

log = logging.getLogger(__name__)

REACH_BEAMS = 2.5  # how far beyond an edge they are looked for
LEAST_SEEN = 1e-3  # of what a source does to the image where it is all known: with less, nothing is known of it
CERTAIN = 10.0  # times what is left
HALF_PIXEL = 0.49
ENDS = 10  # as many parts of an image are as wide as the ends of a PSF that are like what is beyond


def likely_outside(residual, psf, known, pixels_per_beam):
    """The point whose PSF explains most of a residual, if it lies outside the image.

    A bright source beyond the edge shows its sidelobes all over the image, and hardly a peak, which is at the edge. Of
    a point of flux f at x, whose PSF is P, the sum of squares falls by f^2 <P, P>, with f = <r, P> / <P, P>, both
    summed over what is known.

    Parameters
    ----------
    residual : 2D array, shape (ny, nx)
        0 where nothing is known.
    psf : 2D array, shape (2 ny, 2 nx)
        Peak, 1, at pixel ``(ny, nx)``.
    known : 2D array of bool, shape (ny, nx)
        Where the image is not blank.
    pixels_per_beam : float

    Returns
    -------
    `~astro_ddpm_imager.observation.components.Components`
        One, or none.
    """
    margin, whole = int(np.ceil(REACH_BEAMS * pixels_per_beam)), psf.shape
    # What is a little before the near edges comes round from the far ones.
    rows, columns = (np.arange(-margin, n + margin) % (2 * n) for n in residual.shape)
    of_residual, of_known = (
        irfft2(rfft2(image, s=whole) * rfft2(np.roll(kernel, residual.shape, (0, 1))).conj(), s=whole)
        for image, kernel in ((np.where(known, residual, 0), psf), (known.astype(float), psf**2))
    )
    of_residual, of_known = (image[np.ix_(rows, columns)] for image in (of_residual, of_known))
    alone = np.sum(psf**2)
    flux = of_residual / np.maximum(of_known, LEAST_SEEN * alone)
    y, x = np.unravel_index(np.argmax(np.where(flux > 0, flux * of_residual, 0)), flux.shape)
    explained = (flux * of_residual)[y, x].clip(0)
    left = np.sum(residual[known] ** 2) - explained
    # The noise of as many pixels as ``alone`` is one value.
    certain = explained / alone > CERTAIN**2 * left / known.sum()
    if not certain or np.pad(known, margin)[y, x]:
        return Components.points([], [], [])
    return Components.points([x - margin], [y - margin], flux[[y], [x]])


def without_outside(found):
    """Take out of an image what was fitted outside of it.

    Parameters
    ----------
    found : `~astro_ddpm_imager.observation.bright_fit.Fitted`

    Returns
    -------
    `~astro_ddpm_imager.observation.bright_fit.Fitted`
        With what lies inside, and a dirty image of that.
    """
    dirty, gaussians = found.dirty, found.gaussians
    beyond = _distance_outside(gaussians, np.isfinite(dirty.data))
    # By less than its error, a source is at the edge.
    outside = beyond > dirty.beam_pixels * found.rms / np.maximum(gaussians.flux, found.rms)
    at_edge = {
        name: getattr(gaussians, name)[~outside].clip(-HALF_PIXEL, n - 1 + HALF_PIXEL)
        for name, n in zip("yx", dirty.shape, strict=True)
    }
    inner = replace(gaussians.select(~outside), **at_edge)
    if not outside.any():
        return replace(found, gaussians=inner)
    taken = gaussians.select(outside)
    brightest = np.argmax(taken.flux)
    log.log(
        logging.INFO if np.ndim(dirty.unknown) else logging.WARNING,  # a tile: they lie in others
        "%d bright sources lie outside the image or where it is blank, the brightest of %.3g Jy/beam at pixel (x, y) = "
        "(%.0f, %.0f): what they do to the image is taken out of it; to have them, make a larger image",
        len(taken), taken.flux[brightest], taken.x[brightest], taken.y[brightest],
    )  # fmt: skip
    return replace(found, dirty=replace(dirty, data=dirty.data - dirty.see(taken)), gaussians=inner)


def unseen_sidelobes(dirty, gaussians):
    """Sidelobes, on the far side of an image, that no PSF of twice its width shows of components beyond its edge.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    gaussians : `~astro_ddpm_imager.observation.components.Components`

    Returns
    -------
    2D array, shape (ny, nx)
        A standard deviation, in the unit of their fluxes.
    """
    variances = []
    for axis, (n, places) in enumerate(zip(dirty.shape, (gaussians.y, gaussians.x), strict=True)):
        far = np.abs(np.arange(n) - places[:, None]) > n - 0.5
        variances.append(np.zeros(n))
        if far.any():
            ends = np.take(dirty.covering_psf, [*range(n // ENDS), *range(2 * n - n // ENDS, 2 * n)], axis)
            variances[axis] = gaussians.flux**2 @ far * np.mean(ends**2)
    return np.sqrt(np.add.outer(*variances))


def _distance_outside(gaussians, inside):
    """How far components are from the pixels that are known; half a pixel less; not positive of those on one."""
    at = np.round([gaussians.y, gaussians.x]).astype(int)
    before = [int(max(0, -p.min(initial=0))) for p in at]
    after = [int(max(0, p.max(initial=0) - n + 1)) for p, n in zip(at, inside.shape, strict=True)]
    known = np.pad(inside, list(zip(before, after, strict=True)))
    away = np.full(len(gaussians), -0.5)
    at = at + np.reshape(before, (2, 1))
    off = ~known[tuple(at)]
    if off.any():
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)[:, *at[:, off]]
        places = np.array([gaussians.y[off], gaussians.x[off]]) + np.reshape(before, (2, 1))
        away[off] += np.abs(places - nearest).max(0)
    return away
