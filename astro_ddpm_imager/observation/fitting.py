"""Gaussians fitted to an image through its PSF, by the likelihood of natural weighting."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.sparse import coo_array, eye_array
from scipy.sparse.linalg import spsolve
from scipy.spatial import KDTree

from .components import Components
from .ellipses import positive
from .patches import between_pixels, cut_out, distance_inside, patch_reach, slopes, transforms

__all__ = ["Expansion", "Likelihood"]

TOGETHER = 2.0  # beams: components as near as that to each other explain the same
# Standard deviations of a change: relative, of the size (at least a beam), and of the square of that.
FLUX_DOUBT, POSITION_DOUBT, MOMENT_DOUBT = 0.5, 0.5, 1.0
SOLUTIONS = 4  # at most, for changes that are all possible
EXACT = 1e-6  # of a doubt


@dataclass(frozen=True)
class Likelihood:
    """Of Gaussians in an image, in units of its noise, that has the PSF P for its covariance.

    A sky s has the log-likelihood s.d - s.P s / 2 for a dirty image d (Briggs
    1995, PhD thesis, section 3.2); so the gradient by a parameter is the
    residual seen through the change of the component, and the information P
    between two such changes, of one component or of two that are close.

    Parameters
    ----------
    psf : 2D array, shape (2 ny, 2 nx)
        Peak, 1, at pixel ``(ny, nx)``.
    pixels_per_beam : float
    known : 2D array of bool, shape (ny, nx)
        Where the image is. Of components within a beam of what is not known, or there, only flux and place change,
        and what is known is all that counts.
    """

    psf: np.ndarray
    pixels_per_beam: float
    known: np.ndarray

    @cached_property
    def _beyond(self):
        """Pixels by which components may be apart that are fitted together."""
        return round(TOGETHER * self.pixels_per_beam)

    @cached_property
    def _reach(self):
        """Half the side of a patch around a component."""
        shape = self.known.shape
        # Between pixels further apart no PSF is known.
        return min(patch_reach(shape, self.pixels_per_beam), (min(shape) - 1 - self._beyond) // 2)

    @cached_property
    def _between(self):
        return between_pixels(self.psf, self._reach, self._beyond)

    @cached_property
    def _distance(self):
        return distance_inside(self.known)

    def expand(self, components, residual):
        """The same to second order around some components.

        Parameters
        ----------
        components : `~astro_ddpm_imager.observation.components.Components`
            At least one, on the pixels of the image, fluxes in units of the noise.
        residual : 2D array, shape (ny, nx)
            Dirty image minus what it sees of them, in units of the noise.

        Returns
        -------
        `Expansion`
        """
        nearest = np.array(components.nearest(self.known.shape))
        at_edge = self._distance[tuple(nearest)] < self.pixels_per_beam
        doubt = self._doubt(components, at_edge)
        spectra, *_ = transforms(components, nearest, self._reach)
        by = slopes(spectra, components.flux[:, None, None] * spectra, self._reach) * doubt[:, :, None]
        by[:, 3:] = _moments_along(_axes(components)[1]).transpose(0, 2, 1) @ by[:, 3:]
        seen = self._seen(by)

        pairs, left = self._pairs(nearest, at_edge), cut_out(residual, nearest, self._reach)
        around = (self._cut(seen[one], nearest[:, other] - nearest[:, one]) for one, other in pairs)
        informed = np.array([change @ by[other].T for change, (_, other) in zip(around, pairs, strict=True)])
        explained = (by @ left)[:, :, 0]
        if at_edge.any():
            # Least squares of what is known, each value of which tells as much as its noise is not that of others.
            known = cut_out(self.known, nearest[:, at_edge], self._reach).transpose(0, 2, 1)
            inside = self._cut(seen[at_edge], (0, 0)) * known
            alone = np.sum(self.psf**2)
            informed[: len(components)][at_edge] = inside @ inside.transpose(0, 2, 1) / alone
            explained[at_edge] = (inside @ left[at_edge])[:, :, 0] / alone
        return Expansion(components, doubt, pairs, informed, explained)

    def _doubt(self, components, at_edge):
        """Standard deviations of the changes of components, shape (n, 6)."""
        variance = (gaussian_fwhm_to_sigma * self.pixels_per_beam) ** 2
        size = (np.trace(components.covariance, axis1=1, axis2=2) / (2 * variance)).clip(1)
        position = POSITION_DOUBT * self.pixels_per_beam * np.sqrt(size)
        moment = MOMENT_DOUBT * variance * size * ~at_edge
        return np.stack([FLUX_DOUBT * components.flux, position, position, *[moment] * 3], axis=1)

    def _seen(self, by):
        """What the data see of changes, in larger patches, shape (n, 6, side, side)."""
        side = 2 * (self._reach + self._beyond) + 1
        # One product for all of them is twice as fast as one for each.
        return (by.reshape(-1, by.shape[2]) @ self._between).reshape(*by.shape[:2], side, side)

    def _cut(self, seen, offset):
        """That in the patch of a component at some offset (y, x), shape (..., 6, pixels)."""
        rows, columns = (slice(first, first + 2 * self._reach + 1) for first in np.add(self._beyond, offset))
        return seen[..., rows, columns].reshape(*seen.shape[:-2], -1)

    def _pairs(self, nearest, at_edge):
        """Each component with itself, and then those that are close to each other, twice, shape (pairs, 2)."""
        close = KDTree(nearest.T).query_pairs(self._beyond, output_type="ndarray")
        close = close[~at_edge[close].any(1)]
        alone = np.arange(len(at_edge))[:, None]
        return np.concatenate([np.hstack([alone, alone]), close, close[:, ::-1]])


@dataclass(frozen=True)
class Expansion:
    """A likelihood to second order around components, by changes in units of their doubts.

    Parameters
    ----------
    components : `~astro_ddpm_imager.observation.components.Components`
    doubt : 2D array, shape (n, 6)
        Of flux, x, y, and the moments along the shorter axis, of both axes and along the longer one; 0 of what does not
        change.
    pairs : 2D array of int, shape (pairs, 2)
    informed : 3D array, shape (pairs, 6, 6)
        What the data know of the changes of one with those of the other.
    explained : 2D array, shape (n, 6)
        What each change explains.
    """

    components: Components
    doubt: np.ndarray
    pairs: np.ndarray
    informed: np.ndarray
    explained: np.ndarray

    def improved(self, damping=1.0):
        """Components that explain more: one step of Levenberg and Marquardt (Marquardt 1963, J. SIAM 11, 431).

        Parameters
        ----------
        damping : float, optional
            How much more is doubted that a component changes: steps are shorter, and nearer to the steepest.

        Returns
        -------
        `~astro_ddpm_imager.observation.components.Components`
        """
        before, change = self.components, self._solved(damping) * self.doubt
        moments = (_moments_along(_axes(before)[1]) @ change[:, 3:, None])[:, [0, 1, 1, 2]].reshape(-1, 2, 2)
        # Turned, an ellipse that is as narrow as a point is as narrow again.
        covariance = positive(before.covariance + moments)
        return Components(before.x + change[:, 1], before.y + change[:, 2], before.flux + change[:, 0], covariance)

    def _solved(self, damping):
        """The changes that explain most; what can change no further is kept, and the rest solved."""
        explained, matrix = self.explained, self._matrix
        matrix = matrix + damping * eye_array(explained.size, format="csr")
        indices = np.arange(explained.size).reshape(explained.shape)
        kept, change = np.zeros(explained.shape, bool), np.zeros(explained.shape)
        for _ in range(SOLUTIONS):
            free, wanted = indices[~kept], change.copy()
            equations = matrix[free]
            wanted[~kept] = spsolve(
                equations[:, free].tocsc(), explained[~kept] - equations @ np.where(kept, change, 0).ravel()
            )
            change = self._possible(wanted)
            too_far = np.abs(change - wanted) > EXACT
            settled = not np.any(too_far & ~kept)
            kept |= too_far
            if settled or kept.all():
                break
        return change

    @property
    def _matrix(self):
        """What the data know of all changes, sparse."""
        explained = self.explained
        indices = np.arange(explained.size).reshape(explained.shape)
        places = np.broadcast_arrays(indices[self.pairs[:, 0], :, None], indices[self.pairs[:, 1], None])
        return coo_array((self.informed.ravel(), tuple(p.ravel() for p in places)), shape=[explained.size] * 2).tocsr()

    def _possible(self, change):
        """The nearest changes that go no further than the doubts, and leave no component narrower than a point.

        Each axis may shrink to nothing; and axes turn, by an eighth of a turn at most, even if one of them is nothing.
        """
        change, before = change.clip(-1, 1), _axes(self.components)[0].clip(0)
        after = (before + (change * self.doubt)[:, [3, 5]]).clip(0)
        most = np.maximum(np.sqrt(after.prod(1)), np.abs(after[:, 1] - after[:, 0]) / 2)
        across = (change * self.doubt)[:, 4].clip(-most, most)
        moments = np.stack([after[:, 0] - before[:, 0], across, after[:, 1] - before[:, 1]], axis=1)
        np.divide(moments, self.doubt[:, 3:], out=change[:, 3:], where=self.doubt[:, 3:] > 0)
        return change


def _axes(components):
    """Variances along the axes of components, the shorter one first, and the axes."""
    return np.linalg.eigh(components.covariance)


def _moments_along(axes):
    """What moments along axes are along x and y: of xx, xy and yy, by those of the first, of both and of the second."""
    (x0, x1), (y0, y1) = axes.transpose(1, 2, 0)
    rows = [[x0**2, 2 * x0 * x1, x1**2], [x0 * y0, x0 * y1 + x1 * y0, x1 * y1], [y0**2, 2 * y0 * y1, y1**2]]
    return np.array(rows).transpose(2, 0, 1)
