"""One image of many: the mean of dirty images, weighted by their noise, and of all that belongs to them."""

import numpy as np
from astropy.stats import mad_std
from scipy.optimize import brentq

from ..errors import DirtyImageError
from .beam import as_beam
from .dirty import DirtyImage
from .psf import half_power, middle_of

__all__ = ["Mean"]

MOST_UNLIKE = 1.5  # beam FWHM of one channel in units of that of another
WIDER, NARROWER = 1.6, 0.6  # than the mean of the beams: that of the mean PSF


class Mean:
    """The mean of dirty images of the same pixels, to which they are added one at a time.

    With weights of one over the noise squared, and for sources that have the
    same flux in all of them, the likelihood of the mean, with the mean of the
    PSFs, is that of all of them together, up to a constant. (The primary beam
    counts as the mean one, and the noise as that of natural weighting.)
    """

    def __init__(self):
        self.first, self.weight, self.scales, self.beams = None, 0.0, [], []
        self.psf = None

    def add(self, dirty):
        """Add an image.

        Parameters
        ----------
        dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

        Raises
        ------
        DirtyImageError
            Its beam is too unlike that of another.
        """
        weight = dirty.rms**-2
        if self.first is None:
            self.first = dirty
            self.data, self.pb = np.zeros(dirty.shape), np.zeros(dirty.shape)
            self.allowed, self.holes = np.zeros(dirty.shape, bool), np.zeros(dirty.shape, bool)
            self.moments = np.zeros((2, 2))
        self.scales.append(dirty.beam_pixels)
        unlike = max(self.scales) / min(self.scales)
        if unlike > MOST_UNLIKE:
            raise DirtyImageError(
                f"dirty: the beams of the channels differ by a factor of {unlike:.2g}, more than {MOST_UNLIKE}, "
                "so that no source looks the same in all; choose channels that are more alike, or image each for itself"
            )
        self.weight += weight
        self.data += weight * dirty.data  # blank where one is
        self.pb += weight * dirty.pb
        self.moments += weight * dirty.beam_covariance
        self.allowed |= dirty.allowed
        if dirty.holes is not None:
            self.holes |= dirty.holes
        if dirty.psf is not None:
            psf = dirty.psf if self.psf is None else middle_of(dirty.psf, self.psf.shape)
            self.psf = weight * psf + (0 if self.psf is None else middle_of(self.psf, psf.shape))

    def image(self, meta):
        """The mean of what has been added.

        Parameters
        ----------
        meta : dict-like
            Its header.

        Returns
        -------
        `~astro_ddpm_imager.observation.dirty.DirtyImage`

        Raises
        ------
        DirtyImageError
            No pixel has a value in all images.
        """
        data, pb = self.data / self.weight, self.pb / self.weight
        inside = np.isfinite(data)
        if not inside.any():
            raise DirtyImageError(
                "dirty: no pixel has a value in all channels; leave out those that are blank elsewhere"
            )
        psf = None if self.psf is None else self.psf / self.weight
        covariance = self.moments / self.weight
        if psf is not None:
            covariance = covariance * _widening(psf, covariance) ** 2
        beam = as_beam(covariance, self.first.wcs, data.shape)
        return DirtyImage(
            data, self.first.wcs, beam, float(mad_std(data[inside])), psf, np.where(inside, pb, np.nan),
            self.allowed & inside, meta, holes=self.holes if self.holes.any() else None, inputs=self.first.inputs,
        )  # fmt: skip


def _widening(psf, covariance):
    """How much wider than a beam that is which has half of a PSF's peak where it has half of its own."""

    def excess(factor):
        return half_power(psf, factor**2 * covariance).mean() - 0.5

    return brentq(excess, NARROWER, WIDER) if excess(NARROWER) > 0 > excess(WIDER) else 1.0
