"""An observation on the pixels of a model, in units of its noise."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from .bright import bright_sky

__all__ = ["GriddedObservation"]


@dataclass(frozen=True)
class GriddedObservation:
    """Dirty image, PSF and primary beam on the pixels of a model.

    Parameters
    ----------
    dirty : 2D array, shape (my, mx)
        In units of the noise, without the part of bright sources that the
        model is not shown; 0 where blank.
    psf : 2D array, shape (2 my, 2 mx)
        Peak, 1, at pixel ``(my, mx)``.
    pb : 2D array, shape (my, mx)
        Primary beam; 0 where blank.
    bright : 2D array, shape (my, mx), or 0
        What of bright sources the model is not shown, flux per pixel.
    """

    dirty: np.ndarray
    psf: np.ndarray
    pb: np.ndarray
    bright: np.ndarray | int = 0

    @classmethod
    def of(cls, observation, grid):
        """Bring an observation to the pixels of a model.

        Parameters
        ----------
        observation : `~astro_ddpm_imager.dirty.DirtyImage`
        grid : `~astro_ddpm_imager.grid.ModelGrid`

        Returns
        -------
        `GriddedObservation`
        """
        dirty, pb = grid.to_model(observation.reduced / observation.rms), grid.sample(observation.pb)
        psf = grid.psf_to_model(observation.covering_psf)
        return cls(np.where(pb > 0, dirty, 0), psf, pb, bright_sky(observation, grid))

    def residual(self, sky):
        """What a sky leaves of the dirty image.

        Parameters
        ----------
        sky : 2D array, shape (my, mx)
            Flux per pixel in units of the noise, without ``bright``.

        Returns
        -------
        2D array, shape (my, mx); 0 where blank.
        """
        my, mx = sky.shape
        seen = fftconvolve(self.psf, sky)[my : 2 * my, mx : 2 * mx]
        return np.where(self.pb > 0, self.dirty - seen, 0)
