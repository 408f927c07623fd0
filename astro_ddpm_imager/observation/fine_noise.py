"""The noise beneath emission that fills an image: what structure finer than the emission says."""

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma, mad_std
from scipy.fft import fftfreq, rfftfreq
from scipy.ndimage import gaussian_filter

__all__ = ["FineNoise"]

# More than noise makes it: of natural, Briggs and uniform weighting what is measured of the whole image is 0.7 to 1.05
# times what its fine structure says, of an image that was convolved from a much sharper one to its beam 1.4 times.
EMISSION = 1.5


class FineNoise:
    """Measures the noise of an image, or of what sources leave of it, by what is finer than the beam shows of emission.

    The median deviation of an image that a galaxy or a disc fills in part is that of the galaxy. Without what a
    Gaussian of the size of the beam leaves when it smooths the image, wide emission is gone, and of noise a share is
    left that the PSF tells: noise of natural weighting has it for its covariance.

    Parameters
    ----------
    inside : 2D array of bool, shape (ny, nx)
        Where the image is not blank.
    transfer : 2D complex array
        Fourier transform of the PSF, in the layout of `scipy.fft.rfft2`, on ``whole`` pixels.
    whole : tuple of int
    beam_pixels : float
        FWHM of the beam.
    """

    def __init__(self, inside, transfer, whole, beam_pixels):
        self.inside, self._sigma = inside, gaussian_fwhm_to_sigma * beam_pixels
        self._known = gaussian_filter(inside.astype(float), self._sigma).clip(1e-3)
        v, u = fftfreq(whole[0])[:, None], rfftfreq(whole[1])
        finer = -np.expm1(-2 * (np.pi * self._sigma) ** 2 * (u**2 + v**2))
        power = transfer.real.clip(0)  # but for the axis of no frequency, each stands for two: their ratio is the same
        self._share = np.sqrt(np.sum(power * finer**2) / np.sum(power))

    def beneath(self, rms, residual):
        """The noise of an image in which ``rms`` has been measured.

        Parameters
        ----------
        rms : float
        residual : 2D array, shape (ny, nx)
            In the unit of ``rms``.

        Returns
        -------
        float
            ``rms``, or less where that is of emission.
        """
        filled = np.where(self.inside, residual, 0)
        finer = filled - gaussian_filter(filled, self._sigma) / self._known
        fine = float(mad_std(finer[self.inside])) / self._share
        return fine if rms > EMISSION * fine > 0 else rms
