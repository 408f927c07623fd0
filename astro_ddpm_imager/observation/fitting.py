"""Gaussians fitted to an image through its PSF, by the likelihood of natural weighting."""

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array, eye_array
from scipy.sparse.linalg import spsolve
from scipy.spatial import KDTree

from .components import Components
from .ellipses import positive
from .patches import between_pixels, cut_out, patches_around, slopes, transforms

__all__ = ["improve"]

TOGETHER = 2.0  # beams: components as near as that to each other explain the same
# Standard deviations of a change: relative, of the size (at least a beam), and of the square of that.
FLUX_DOUBT, POSITION_DOUBT, MOMENT_DOUBT = 0.5, 0.5, 1.0
SOLUTIONS = 4  # at most, for changes that are all possible
EXACT = 1e-6  # of a doubt


def improve(components, residual, psf, pixels_per_beam, known, damping=1.0):
    """Components that explain more of an image: one step of Levenberg and Marquardt.

    In units of the noise, and with the PSF P for its covariance, a sky s has
    the log-likelihood s.d - s.P s / 2 for a dirty image d (Briggs 1995, PhD
    thesis, section 3.2); so the gradient by a parameter is the residual seen
    through the change of the component, and the information P between two
    such changes, of one component or of two that are close. How steps are
    damped is in Marquardt 1963, J. SIAM 11, 431.

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
    damping : float, optional
        How much more is doubted that a component changes: steps are shorter, and nearer to the steepest.

    Returns
    -------
    `~astro_ddpm_imager.observation.components.Components`
    """
    if not len(components):
        return components
    nearest, reach = patches_around(components, residual.shape, pixels_per_beam)
    beyond = round(TOGETHER * pixels_per_beam)
    reach = min(reach, (min(residual.shape) - 1 - beyond) // 2)  # between pixels further apart no PSF is known
    left, between = cut_out(residual, nearest, reach), between_pixels(psf, reach, beyond)
    spectra, *_ = transforms(components, nearest, reach)

    at_edge = distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1][tuple(nearest)] < pixels_per_beam
    variance = (gaussian_fwhm_to_sigma * pixels_per_beam) ** 2
    size = (np.trace(components.covariance, axis1=1, axis2=2) / (2 * variance)).clip(1)
    position, moment = POSITION_DOUBT * pixels_per_beam * np.sqrt(size), MOMENT_DOUBT * variance * size * ~at_edge
    doubt = np.stack([FLUX_DOUBT * components.flux, position, position, *[moment] * 3], axis=1)
    by = slopes(spectra, components.flux[:, None, None] * spectra, reach) * doubt[:, :, None]
    seen = (by.reshape(-1, by.shape[2]) @ between).reshape(*by.shape[:2], *[2 * (reach + beyond) + 1] * 2)

    def seen_around(one, other):
        """What the data see of the changes of one component, around another, 2D array, shape (6, pixels)."""
        rows, columns = (slice(start, start + 2 * reach + 1) for start in beyond + nearest[:, other] - nearest[:, one])
        return seen[one, :, rows, columns].reshape(6, -1)

    close = KDTree(nearest.T).query_pairs(beyond, output_type="ndarray")
    close = close[~at_edge[close].any(1)]
    alone = np.arange(len(components))[:, None]
    pairs = np.concatenate([np.hstack([alone, alone]), close, close[:, ::-1]])
    informed = np.array([seen_around(*pair) @ by[pair[1]].T for pair in pairs])
    explained = (by @ left)[:, :, 0]
    for i in np.flatnonzero(at_edge):
        # Least squares of what is known, each value of which tells as much as its noise is not that of others.
        inside = seen_around(i, i) * cut_out(known, nearest[:, [i]], reach)[0, :, 0]
        informed[i], explained[i] = inside @ inside.T / np.sum(psf**2), inside @ left[i, :, 0] / np.sum(psf**2)

    def possible(change):
        """The nearest changes that go no further than the doubts, and leave no component narrower than a point."""
        change = change.clip(-1, 1)
        moments = (change * doubt)[:, [3, 4, 4, 5]].reshape(-1, 2, 2)
        moments = (positive(components.covariance + moments) - components.covariance).reshape(-1, 4)[:, [0, 1, 3]]
        np.divide(moments, doubt[:, 3:], out=change[:, 3:], where=doubt[:, 3:] > 0)
        return change

    flux, x, y, xx, xy, yy = (_solved(pairs, informed, explained, possible, damping) * doubt).T
    covariance = positive(components.covariance + np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2))
    return Components(components.x + x, components.y + y, components.flux + flux, covariance)


def _solved(pairs, informed, explained, possible, damping):
    """The changes that explain most, in units of their doubts; what can change no further is kept, and the rest solved.

    ``informed`` has for each of the pairs what the data know of the changes of
    one with those of the other, ``explained`` what each change explains.
    """
    indices = np.arange(explained.size).reshape(explained.shape)
    rows, columns = np.broadcast_arrays(indices[pairs[:, 0], :, None], indices[pairs[:, 1], None])
    matrix = coo_array((informed.ravel(), (rows.ravel(), columns.ravel())), shape=[explained.size] * 2).tocsr()
    matrix = matrix + damping * eye_array(explained.size, format="csr")
    kept, change = np.zeros(explained.shape, bool), np.zeros(explained.shape)
    for _ in range(SOLUTIONS):
        free, wanted = indices[~kept], change.copy()
        equations = matrix[free]
        wanted[~kept] = spsolve(
            equations[:, free].tocsc(), explained[~kept] - equations @ np.where(kept, change, 0).ravel()
        )
        change = possible(wanted)
        too_far = np.abs(change - wanted) > EXACT
        too_far[:, 3:] = too_far[:, 3:].any(1, keepdims=True)
        settled = not np.any(too_far & ~kept)
        kept |= too_far
        if settled or kept.all():
            break
    return change
