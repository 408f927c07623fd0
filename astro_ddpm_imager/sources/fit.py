"""Whether the reconstruction explains the data: the residual of a good one is noise."""

import logging
from dataclasses import dataclass

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter, gaussian_laplace
from scipy.special import chdtrc, ndtri

from ..observation.ellipses import positive

__all__ = ["Fit", "Residual", "measure_fit", "warn_of_misfit"]

log = logging.getLogger(__name__)

WITHIN = 2.0  # standard deviations of a source, as the beam shows it, in which its residual is looked at
# So rare in noise that a result that has it does not explain its data; of 500 simulated fields fewer than 1% do.
MOST_CHI2, LEAST_CHI2 = 4.0, -7.0  # standard deviations of that of noise
RARE_PEAK = 1e-3  # peaks so high in a field
MOST_PSF_ERROR = 5.5  # standard deviations
KNOWN = 1.05  # times the noise: where more counts as noise, sidelobes are not all known, and neither is the noise
CERTAIN = 6.0  # times the noise, in a beam: what says something of the PSF
# Such a chi-squared around a source, in noise; of 112 points and round Gaussians of S/N 8 to 300, seen with their whole
# PSF, the rarest was 0.03.
RARE_SOURCE = 1e-6


@dataclass(frozen=True)
class Fit:
    """How well a sky explains a dirty image.

    Parameters
    ----------
    chi2 : float
        Mean square of the residual in units of the noise: reduced chi-squared.
    chi2_err : float
        Standard deviation of that of noise.
    excess : float
        Of chi-squared over that of noise, in standard deviations, where the
        noise is known; where sidelobes that are not known count as noise, it
        is but estimated.
    highest, lowest : float
        Of the residual, in units of the noise.
    peak_limit : float
        What noise exceeds in one field of a thousand.
    psf_error : float
        Significance, in standard deviations, with which the residual looks like
        the sky seen with a PSF of another width or other sidelobes.
    """

    chi2: float
    chi2_err: float
    excess: float
    highest: float
    lowest: float
    peak_limit: float
    psf_error: float

    @property
    def misfits(self):
        """What is wrong, by name, as a dict of text; empty where the sky explains the data."""
        found = {}
        if self.psf_error > MOST_PSF_ERROR:
            found["psf"] = (
                f"it looks like the sky seen with another PSF ({self.psf_error:.1f} sigma): is the PSF of this image, "
                "channel and weighting, and the image without an offset? Or is it a mosaic, over which the PSF changes?"
            )
        if self.lowest < -self.peak_limit:
            found["negative"] = (
                f"it falls to {self.lowest:.1f} times the noise: is there absorption, a negative bowl, or "
                "a bright source that is not quite right?"
            )
        if self.highest > self.peak_limit:
            found["peak"] = (
                f"it rises to {self.highest:.1f} times the noise: are gains off, or is there emission that the model "
                "does not know?"
            )
        if self.excess > MOST_CHI2 and not found:
            found["chi2"] = "it is more than noise: are gains off, or the noise not the same everywhere?"
        if self.excess < LEAST_CHI2:
            found["noise"] = (
                "it is less than the noise that was measured in the image: does emission fill the field? Then S/N and "
                "reliabilities are too low"
            )
        return found


@dataclass(frozen=True)
class Residual:
    """What a sky leaves of a dirty image, on the model's pixels.

    Parameters
    ----------
    image : 2D array, shape (my, mx)
        In units of what counts as noise; 0 where blank.
    inside : 2D array of bool
        Where it is not blank, and on the image.
    correlated : float
        Pixels to each independent value of the noise: noise of natural
        weighting has the PSF for its covariance, so the sum of its squares.
    pixels_per_beam : float
    """

    image: np.ndarray
    inside: np.ndarray
    correlated: float
    pixels_per_beam: float

    @classmethod
    def of(cls, sky, gridded, grid):
        """That of a sky.

        Parameters
        ----------
        sky : 2D array, shape (my, mx)
            Flux per pixel in units of the noise, without ``gridded.bright``.
        gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
        grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
            What it has beyond the edges of the image, the image knows nothing of.

        Returns
        -------
        `Residual`
        """
        image, inside = gridded.left(sky) / gridded.noise, (gridded.pb > 0) & grid.on_image
        return cls(image, inside, max(1.0, float((gridded.psf**2).sum())), grid.pixels_per_beam)

    def around(self, sources):
        """Mean square of the residual around each source, within its size as the beam shows it.

        Of noise it is 1; a source has been fitted to the some two independent values that a point has there, so that
        it is less, by how much depends on what the model knows.

        Parameters
        ----------
        sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`

        Returns
        -------
        chi2 : 1D array, shape (n,)
            In units of what counts as noise; NaN where all is blank.
        misfit : 1D array of bool, shape (n,)
            Whether noise would hardly have it.
        """
        beam = np.eye(2) * (gaussian_fwhm_to_sigma * self.pixels_per_beam) ** 2
        chi2, misfit = np.full(len(sources), np.nan), np.zeros(len(sources), dtype=bool)
        for i, (x, y, moments) in enumerate(zip(sources.x, sources.y, sources.covariance, strict=True)):
            seen = beam + positive(moments)
            reach = WITHIN * np.sqrt(np.diag(seen))
            columns, rows = (
                np.arange(max(0, round(p - r)), min(n, round(p + r) + 1))
                for p, r, n in zip((x, y), reach, self.image.shape[::-1], strict=True)
            )
            offset = np.stack(np.meshgrid(columns - x, rows - y), -1)
            near = np.einsum("...i,ij,...j", offset, np.linalg.inv(seen), offset) < WITHIN**2
            window = np.ix_(rows, columns)
            values = self.image[window][near & self.inside[window]]
            if len(values):
                independent = max(1.0, len(values) / self.correlated)
                chi2[i] = np.mean(values**2)
                misfit[i] = chdtrc(independent, chi2[i] * independent) < RARE_SOURCE
        return chi2, misfit


def measure_fit(residual, sky, gridded):
    """Compare the residual of a sky with noise.

    Parameters
    ----------
    residual : `Residual`
    sky : 2D array, shape (my, mx)
        As for `Residual.of`.
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`

    Returns
    -------
    `Fit`
    """
    values = residual.image[residual.inside]
    known = residual.inside & (gridded.noise < KNOWN)
    return Fit(
        chi2=float(np.mean(values**2)),
        chi2_err=float(np.sqrt(2 * residual.correlated / len(values))),
        excess=_excess(residual.image[known], residual.correlated),
        highest=float(values.max()),
        lowest=float(values.min()),
        peak_limit=float(-ndtri(RARE_PEAK / 2 / len(values))),
        psf_error=_psf_error(residual, sky + gridded.bright, gridded, known),
    )


def _excess(values, correlated):
    """Of chi-squared over that of noise, in its standard deviations; 0 of nothing."""
    return float((values**2 - 1).sum() / np.sqrt(2 * max(len(values), 1) * correlated))


def _psf_error(residual, sky, gridded, known):
    """Significance of another width of the PSF, or other sidelobes, in a residual."""
    sigma = gaussian_fwhm_to_sigma * residual.pixels_per_beam
    beam = 2 * np.pi * sigma**2
    # Fainter sources were found where the noise is positive, and the residual knows.
    sky = np.where(gaussian_filter(sky, sigma) * beam > CERTAIN * gridded.noise, sky, 0)
    main_lobe = gaussian_filter(sky, sigma) * beam
    wider = gaussian_laplace(sky, sigma)
    significance = 0.0
    for template in (gridded.seen(sky) - main_lobe, wider):
        template = np.where(known, template / gridded.noise, 0)
        norm_squared = (template**2).sum() * residual.correlated
        if norm_squared > 0:
            significance = max(significance, abs(np.vdot(template, residual.image)) / np.sqrt(norm_squared))
    return float(significance)


def warn_of_misfit(fit):
    """Say that a result does not explain its data, and what is likely wrong.

    Parameters
    ----------
    fit : `Fit`
    """
    for reason in fit.misfits.values():
        log.warning("the residual is not noise (reduced chi-squared %.2f): %s", fit.chi2, reason)
