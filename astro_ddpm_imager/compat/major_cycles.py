"""Major cycles: an imaging framework makes the residual of a model, which is reconstructed, until it is noise."""

import logging
from dataclasses import dataclass, replace

import numpy as np
from astropy.stats import mad_std

from ..observation.noise_map import unflatten
from ..observation.preparation import prepare
from ..observation.reach import end_psf
from .depth import deep_model, deep_sources

__all__ = ["MOST", "Cycle", "MajorCycles"]

log = logging.getLogger(__name__)

MOST = 4  # reconstructions
LIKE_NOISE = 1.03  # times the noise: the root mean square of a residual
HIGHEST = 5.0  # times the noise: the peak of one, above or below 0
REASONS = {  # to stop
    "noise": "the residual is noise, no more reconstructions",
    "no better": "the residual does not become less, no more reconstructions",
    "most": "no more than {most} reconstructions were asked for",
}
BETTER_RMS, BETTER_PEAK = 0.99, 0.95  # of what was left before: less than that is worth another cycle


@dataclass(frozen=True)
class Cycle:
    """One model, and what the framework has found to be left of the data with it.

    Parameters
    ----------
    result : `~astro_ddpm_imager.ImagingResult`
        Its ``catalog`` as deep as was asked for.
    model : 2D array, shape (ny, nx)
        Apparent sky, Jy/pixel; 0 where blank.
    peak : float
        Jy/beam: what does not reach it is not in the model.
    rms, highest, noise : float or None
        Of the residual, Jy/beam, ``highest`` above or below 0; ``noise`` of
        the image, as its quiet parts have it. None before they are known.
    """

    result: object
    model: np.ndarray
    peak: float
    rms: float | None = None
    highest: float | None = None
    noise: float | None = None

    def judged(self, residual):
        """The same with what is left of the data.

        Parameters
        ----------
        residual : 2D array, shape (ny, nx)
            Jy/beam.

        Returns
        -------
        `Cycle`
        """
        left = residual[~self.result.dirty.blank]
        noise = min(self.result.dirty.rms, float(mad_std(left)))
        return replace(self, rms=float(left.std()), highest=float(np.abs(left).max()), noise=noise)

    @property
    def is_noise(self):
        """Whether nothing but noise is left, and what is too faint."""
        return self.rms <= LIKE_NOISE * self.noise and self.highest <= max(HIGHEST * self.noise, self.peak)

    def improves(self, before):
        """Whether so much less is left than before that another cycle may be worth it.

        Parameters
        ----------
        before : `Cycle` or None

        Returns
        -------
        bool
        """
        if before is None:
            return True
        return self.rms < BETTER_RMS * before.rms or self.highest < BETTER_PEAK * before.highest


class MajorCycles:
    """What takes the place of the minor cycles of CLEAN, from one major cycle to the next.

    The first time it reconstructs the dirty image. Afterwards the framework
    has predicted the visibilities of the model and gridded what is left of the
    data. To this residual the model is added again, as its PSF shows it, and
    the sum is reconstructed: what the convolution has wrong (w terms, primary
    beams, sidelobes beyond the image of the PSF) is only wrong in what the
    model still lacks, and vanishes with it.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    psf : `~astropy.nddata.CCDData` or 2D array
    pb, mask : as of the imager, optional
    beam : `~radio_beam.Beam`, optional
        Restoring beam, instead of the header's.
    most : int, optional
        Reconstructions.
    name : str, optional
        What the image is called in the log.

    Attributes
    ----------
    made : int
        Reconstructions.
    reason : {"", "noise", "no better", "most"}
        Why there are no more: what is left is noise, or does not become less, or ``most`` were made.
    """

    def __init__(self, imager, psf, pb=None, mask=None, beam=None, most=MOST, name="image"):
        self.imager, self.companions = imager, (psf, pb, mask, beam)
        self.most, self.name = most, name
        self.made, self.current, self.best, self.reason = 0, None, None, ""

    def step(self, residual, model=None, peak=0.0, nsigma=0.0):
        """Take what the framework has gridded, and give the model for the next major cycle.

        Parameters
        ----------
        residual : `~astropy.nddata.CCDData`
            The dirty image, or what the framework has found to be left of it
            with the model of the step before; Jy/beam.
        model : 2D array, shape (ny, nx), optional
            That model as the framework has it, Jy/pixel, if it was changed.
        peak : float, optional
            Jy/beam, that emission must reach to be in the model.
        nsigma : float, optional
            The same in units of the noise; the higher of the two counts.

        Returns
        -------
        cycle : `Cycle`
            Its model is the one to go on with.
        goes_on : bool
            Whether the residual of the model is wanted; if not, it is one that
            was returned before, and nothing gets better any more.

        Raises
        ------
        DirtyImageError
            The image cannot be reconstructed.
        """
        if self.current is None:
            self.current = self._reconstructed(residual, model, peak, nsigma)
            self.reason = "" if self.most > 1 else "most"
            return self.current, self.most > 1
        model = self.current.model if model is None else model
        judged = self.current.judged(residual.data)
        log.info(
            "%s, major cycle %d: the residual's rms is %.3f times the noise of %.4g Jy/beam, its peak %.2f times",
            self.name, self.made, judged.rms / judged.noise, judged.noise, judged.highest / judged.noise,
        )  # fmt: skip
        improved = judged.improves(self.best)
        if improved or judged.rms <= self.best.rms:
            self.best = judged
        self.reason = self._reason_to_stop(judged, improved)
        if self.reason:
            log.info("%s: %s (%d made)", self.name, REASONS[self.reason].format(most=self.most), self.made)
            self.current = self.best
            return self.best, False
        self.current = self._reconstructed(residual, model, peak, nsigma)
        return self.current, True

    def _reason_to_stop(self, judged, improved):
        if judged.is_noise:
            return "noise"
        if not improved:
            return "no better"
        return "most" if self.made >= self.most else ""

    def _reconstructed(self, residual, model, peak, nsigma):
        result = self.imager.reconstruct(self._observation(residual, model))
        self.made += 1
        dirty, seen = unflatten(result.dirty), result.restored.data
        peak = max(peak, nsigma * dirty.rms)
        sky = np.where(dirty.blank, 0, result.image.data * dirty.pb)
        result.catalog = deep_sources(result.catalog, dirty, seen, peak)
        return Cycle(result, deep_model(sky, dirty, seen, peak), peak)

    def _observation(self, residual, model):
        """The residual with the model in it."""
        psf, pb, mask, beam = self.companions
        pblimit = self.imager.pblimit
        if model is None or not model.any():
            return prepare(residual, psf, pb, mask, beam, pblimit)
        checked = prepare(residual, psf, pb, mask, beam, pblimit)
        # What the model has beyond the image of the PSF the framework has subtracted, and is not added again.
        ended = end_psf(checked.psf, checked.shape)[0]
        dirty = residual.copy()
        dirty.data = residual.data + replace(checked, psf=ended).convolve_psf(model)
        return replace(prepare(dirty, psf, pb, mask, beam, pblimit), psf=ended)
