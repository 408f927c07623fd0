"""What is not right with a source, one bit each, as in a catalogue's column ``flags``."""

from enum import IntFlag

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm
from scipy.ndimage import distance_transform_edt

__all__ = ["SourceFlag", "source_flags"]


class SourceFlag(IntFlag):
    """Bits of a catalogue's column ``flags``; ``SourceFlag(value)`` names those that are set.

    Parameters
    ----------
    value : int
        A sum of bits.
    """

    HOLE = 1  #: Within its FWHM of a small hole, where the image is interpolated.
    EDGE = 2  #: Within its FWHM of the edge of the image, or of a blank region.


def source_flags(dirty, x, y, covariance):
    """Flags of sources.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    x, y : 1D arrays, shape (n,)
        0-based pixels.
    covariance : array, shape (n, 2, 2)
        Second moments, pixels squared, order x, y, not convolved with the beam.

    Returns
    -------
    1D array of int, shape (n,)
    """
    # Of the longer axis, as the beam shows it.
    fwhm = gaussian_sigma_to_fwhm * np.sqrt(np.linalg.eigvalsh(dirty.beam_covariance + covariance)[:, -1])
    pixel = tuple(np.round(position).astype(int) + 1 for position in (y, x))
    flags = np.zeros(len(pixel[0]), dtype=int)
    known = np.pad(np.isfinite(dirty.data), 1)  # beyond the edge nothing is
    flags[distance_transform_edt(known)[pixel] <= fwhm] |= SourceFlag.EDGE
    if dirty.holes is not None:
        to_hole = distance_transform_edt(np.pad(~dirty.holes, 1, constant_values=True))
        flags[to_hole[pixel] <= fwhm] |= SourceFlag.HOLE
    return flags
