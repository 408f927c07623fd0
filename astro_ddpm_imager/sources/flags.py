"""What is not right with a source: bits of a catalogue's column ``flags``."""

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm
from scipy.ndimage import distance_transform_edt

__all__ = ["FLAGS", "source_flags"]


FLAGS = {
    "hole": 1,  # a small hole, where the image is interpolated, lies within the source's FWHM
    "edge": 2,  # the edge of the image, or a blank region, does
    "artefacts": 4,  # errors of gains, or sidelobes that are not known, add more than half of the noise there
    "misfit": 8,  # what the reconstruction leaves of the data there is not noise
}
LOUD = 1.5  # times the thermal noise


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
        Sums of `FLAGS`.
    """
    # Of the longer axis, as the beam shows it.
    fwhm = gaussian_sigma_to_fwhm * np.sqrt(np.linalg.eigvalsh(dirty.beam_covariance + covariance)[:, -1])
    pixel = tuple(np.round(position).astype(int) + 1 for position in (y, x))
    flags = np.zeros(len(pixel[0]), dtype=int)
    known = np.pad(np.isfinite(dirty.data), 1)  # beyond the edge nothing is
    flags[distance_transform_edt(known)[pixel] <= fwhm] |= FLAGS["edge"]
    if dirty.holes is not None:
        to_hole = distance_transform_edt(np.pad(~dirty.holes, 1, constant_values=True))
        flags[to_hole[pixel] <= fwhm] |= FLAGS["hole"]
    loud = np.broadcast_to(dirty.noise_ratio, dirty.shape)
    if dirty.artefacts is not None:
        loud = np.hypot(loud, dirty.artefacts.level / dirty.rms)
    flags[np.pad(loud, 1)[pixel] > LOUD] |= FLAGS["artefacts"]
    return flags
