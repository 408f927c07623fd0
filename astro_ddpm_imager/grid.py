"""Image pixels to model pixels and back: Fourier resampling, flux-conserving maps and tiles.

A model knows one number of pixels per beam. An image is brought there by
cropping (or zero-padding) its Fourier transform, which is exact because a
dirty image holds nothing beyond its longest baseline, and what the model
draws is brought back by a flux-conserving map.
"""

import numpy as np
from scipy.fft import irfft2, rfft2

__all__ = ["fourier_resample"]


def fourier_resample(image, shape):
    """Resample a periodic image by cropping or padding its Fourier transform.

    Pixel (0, 0) keeps its position and the values keep their scale.

    Parameters
    ----------
    image : 2D array, shape (ny, nx)
    shape : tuple of int, (my, mx)

    Returns
    -------
    2D array of shape ``shape``.
    """
    image = np.asarray(image, dtype=float)
    spectrum = rfft2(image)
    ny, nx = image.shape
    my, mx = shape
    rows, columns = min(ny, my), min(nx, mx)
    out = np.zeros((my, mx // 2 + 1), dtype=complex)
    # The Nyquist terms of the shorter axis are left out: they have no unique counterpart.
    positive, negative = (rows + 1) // 2, (rows - 1) // 2
    kept = (columns + 1) // 2
    out[:positive, :kept] = spectrum[:positive, :kept]
    out[my - negative :, :kept] = spectrum[ny - negative :, :kept]
    return irfft2(out, s=(my, mx)) * (my * mx) / (ny * nx)
