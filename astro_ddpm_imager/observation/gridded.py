"""An observation on the pixels of a model, in units of its noise."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq

from .bright import bright_sky
from .patches import between_pixels

__all__ = ["MARGIN", "GriddedObservation"]

MARGIN = 2  # pixels of the model, as far as what is smoothed for it spreads


@dataclass(frozen=True)
class GriddedObservation:
    """Dirty image, PSF and primary beam on the pixels of a model.

    With them goes the likelihood of a sky. In units of the noise, and with the
    covariance of the noise that natural weighting has, the PSF P itself, a sky
    s has the log-likelihood s.d - s.P s / 2 for a dirty image d (Briggs 1995,
    PhD thesis, section 3.2). The model's pixels hold the flux of a square, not
    of a point, which adds a tenth of the beam's variance to a sky: that is
    undone.

    Parameters
    ----------
    dirty : 2D array, shape (my, mx)
        In units of the noise, without the part of bright sources that the
        model is not shown; 0 where blank.
    psf : 2D array, shape (2 my, 2 mx)
        Peak, 1, at pixel ``(my, mx)``.
    pb : 2D array, shape (my, mx)
        Primary beam; 0 where blank.
    beam : 2D array, shape (2, 2)
        Second moments of the restoring beam, pixels squared, order x, y.
    noise : 2D array, shape (my, mx), or float
        What counts as noise, in units of the thermal one, at least 1.
    bright : 2D array, shape (my, mx), or 0
        What of bright sources the model is not shown, flux per pixel, smoothed
        as `~astro_ddpm_imager.observation.bright.bright_sky` says.
    bright_around : 2D array, shape (my + 2 MARGIN, mx + 2 MARGIN), or 0
        What of that comes to lie beyond the pixels of the model, of sources at an edge; 0 on these.
    bright_seen : 2D array, shape (my, mx), or 0
        Its dirty image, not smoothed.
    noise_known : bool
        Whether the model knows the noise by heart, of which the likelihood knows nothing.
    """

    dirty: np.ndarray
    psf: np.ndarray
    pb: np.ndarray
    beam: np.ndarray
    noise: np.ndarray | float = 1.0
    bright: np.ndarray | int = 0
    bright_around: np.ndarray | int = 0
    bright_seen: np.ndarray | int = 0
    noise_known: bool = False

    @classmethod
    def of(cls, observation, grid):
        """Bring an observation to the pixels of a model.

        Parameters
        ----------
        observation : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        grid : `~astro_ddpm_imager.observation.grid.ModelGrid`

        Returns
        -------
        `GriddedObservation`
        """
        dirty = grid.to_model(observation.reduced / observation.rms, observation.beam_covariance)
        pb = grid.sample(observation.pb)
        psf = grid.psf_to_model(observation.covering_psf)
        noise = np.maximum(grid.sample(np.broadcast_to(observation.noise_ratio, observation.shape)), 1)
        bright, around, bright_seen = 0, 0, 0
        if observation.bright is not None:
            around, middle = bright_sky(observation, grid, MARGIN), np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
            bright, around[middle] = around[middle].copy(), 0
            seen = grid.to_model(observation.bright_seen / observation.rms, observation.beam_covariance)
            bright_seen = np.where(pb > 0, seen, 0)
        beam = observation.beam_covariance / np.outer(grid.ratio[::-1], grid.ratio[::-1])
        dirty = np.where(pb > 0, dirty, 0)
        return cls(dirty, psf, pb, beam, noise, bright, around, bright_seen, observation.noise_known)

    def seen(self, sky):
        """The dirty image of a sky, without noise.

        Parameters
        ----------
        sky : 2D array, shape (my, mx), or up to that of the PSF
            Flux per pixel in units of the noise, without ``bright``. What is
            beyond the image on one side comes round from the other.

        Returns
        -------
        2D array, shape (my, mx); 0 where blank.
        """
        my, mx = self.pb.shape
        # Of twice the size, so that nothing comes round from the other side.
        spectrum = rfft2(sky, s=self.psf.shape) * self._transfer.astype(np.result_type(sky, np.complex64))
        return np.where(self.pb > 0, irfft2(spectrum, s=self.psf.shape)[:my, :mx], 0)

    def left(self, sky):
        """What a sky leaves of the dirty image.

        Parameters
        ----------
        sky : 2D array, shape (my, mx)
            As for `seen`.

        Returns
        -------
        2D array, shape (my, mx); 0 where blank.
        """
        return self.dirty - self.seen(sky)

    def gradient(self, sky):
        """How the log-likelihood of a sky grows with the flux of each pixel.

        Parameters
        ----------
        sky : 2D array, shape (my, mx)
            As for `seen`.

        Returns
        -------
        2D array, shape (my, mx)
        """
        return _sharpen(self.left(sky))

    @cached_property
    def information(self):
        """Minus the second derivative of the log-likelihood by the fluxes of two pixels, by their offset.

        2D array, shape (2 my, 2 mx), of offset 0 at pixel ``(my, mx)``.
        """
        return _sharpen(self._of_pixels)

    def information_between(self, reach):
        """The same, of the pixels of a patch with each other.

        Parameters
        ----------
        reach : int
            Of the patch, whose side is ``2 reach + 1``.

        Returns
        -------
        2D array, shape (pixels, pixels)
        """
        if reach not in self._between:  # that of every sample
            self._between[reach] = between_pixels(self.information, reach)
        return self._between[reach]

    @cached_property
    def _between(self):
        return {}

    @cached_property
    def positive_information(self):
        """Fourier transform of ``information``, in the layout of `scipy.fft.rfft2`, of offset 0 at pixel (0, 0).

        That of a PSF which is cut off is negative in places, as no covariance is; there it is 0.
        """
        my, mx = (n // 2 for n in self.information.shape)
        return rfft2(np.roll(self.information, (my, mx), (0, 1))).real.clip(0)

    @cached_property
    def _of_pixels(self):
        """The PSF of flux that comes in pixels."""
        return _sharpen(self.psf)

    @cached_property
    def _transfer(self):
        """Fourier transform of it, of peak at pixel (0, 0)."""
        return rfft2(np.fft.ifftshift(self._of_pixels))


def _sharpen(image):
    """Undo the broadening of a band-limited image by the square of a pixel."""
    ny, nx = image.shape
    return irfft2(rfft2(image) / (np.sinc(fftfreq(ny))[:, None] * np.sinc(rfftfreq(nx))), s=image.shape)
