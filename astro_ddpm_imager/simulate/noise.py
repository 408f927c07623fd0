"""Thermal noise in a naturally weighted dirty image."""

import numpy as np

__all__ = ["noise_amplitude"]


def noise_amplitude(psf: np.ndarray, taper: float) -> np.ndarray:
    """Fourier amplitude of the noise of a naturally weighted image.

    With natural weighting the power spectrum of the noise is the transfer
    function itself, the Fourier transform of the PSF (Briggs 1995, PhD thesis,
    section 3.2). An image holds only part of the PSF's sidelobes, and cutting
    them makes the transform negative in places, so the PSF is tapered first.

    Parameters
    ----------
    psf : 2D array, shape (ny, nx)
        PSF with its peak at pixel ``(ny // 2, nx // 2)``: the variance of the
        noise, 1 unless the pixels are too large for the longest baselines.
    taper : float
        Standard deviation of the Gaussian taper, pixels.

    Returns
    -------
    2D array, shape (ny, nx // 2 + 1)
        What white noise of unit variance is multiplied with, in the layout of
        `numpy.fft.rfft2`, so that the noise has that variance.
    """
    ny, nx = psf.shape
    y, x = np.ogrid[:ny, :nx]
    window = np.exp(-0.5 * ((y - ny // 2) ** 2 + (x - nx // 2) ** 2) / taper**2)
    power = np.fft.fft2(np.fft.ifftshift(psf * window)).real.clip(0)
    return np.sqrt(power * (psf[ny // 2, nx // 2] / power.mean()))[:, : nx // 2 + 1]
