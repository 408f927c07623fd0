"""How good the pixels are: image metrics, coverage of the uncertainty, ranks of the truth among the samples."""

from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from photutils.detection import find_peaks
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from ..diffusion.reconstruction import AGGREGATES
from ..observation.bright import bright_sky
from ..observation.local_sky import on_sky
from ..simulate.sky import Sources, sky_pixels, sky_spectrum
from .fields import true_pixels

__all__ = [
    "LEVELS",
    "beam_brightness",
    "image_scores",
    "pixel_coverage",
    "ranks_of_beams",
    "structural_similarity",
    "true_brightness",
    "true_ranks",
    "true_sky",
]

LEVELS = (0.50, 0.68, 0.90, 0.95)
CERTAIN = 0.1  # of the noise; where the samples differ less, nothing is at stake
TIE = 0.1  # of the noise; brightnesses that differ less count as equal
PEAKS = 5


def true_sky(truth, dirty):
    """The true sky of a field, times the primary beam.

    Parameters
    ----------
    truth : `~astropy.table.QTable`
        As `read_folder` gives it, of one field.
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    2D array, shape ``dirty.shape``, Jy/pixel; 0 where the image is blank
    """
    return sky_pixels(_on_pixels(truth, dirty), dirty.shape) * np.nan_to_num(dirty.pb)


def true_brightness(truth, dirty):
    """The true sky of a field, times the primary beam, as the restoring beam shows it.

    Not made from pixels, which hold where points are only to a pixel.

    Parameters
    ----------
    truth : `~astropy.table.QTable`
        As `read_folder` gives it, of one field.
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    2D array, shape ``dirty.shape``, Jy/beam
    """
    sources = _on_pixels(truth, dirty)
    pb = np.nan_to_num(dirty.primary_beam_at(sources.x, sources.y))
    spectrum = sky_spectrum(replace(sources, flux=sources.flux * pb), dirty.shape)
    (ny, nx), point = dirty.shape, np.zeros(dirty.shape)
    point[ny // 2, nx // 2] = 1
    beam = np.fft.rfft2(np.fft.ifftshift(dirty.convolve_beam(point)))
    return np.fft.irfft2(spectrum * beam, s=dirty.shape)


def _on_pixels(truth, dirty):
    """True sources on the pixels of an image, Jy."""
    x, y = true_pixels(truth, dirty.wcs)
    _, scale = on_sky(dirty.wcs, x, y)
    pa = truth["pa"].to_value(u.rad)
    along = np.einsum("nij,jn->in", np.linalg.inv(scale), [np.sin(pa), np.cos(pa)])
    cell = np.sqrt(np.abs(np.linalg.det(scale)))
    return Sources(
        x=x,
        y=y,
        flux=truth["flux"].to_value(u.Jy),
        major=truth["major"].to_value(u.arcsec) / cell,
        minor=truth["minor"].to_value(u.arcsec) / cell,
        angle=np.arctan2(along[1], along[0]),
    )


def structural_similarity(truth, image, inside):
    """Mean structural similarity index (Wang et al. 2004, IEEE Trans. Image Process. 13, 600).

    With their Gaussian window of 1.5 pixels and their constants; the range of
    the data is the truth's.

    Parameters
    ----------
    truth, image : 2D arrays
    inside : 2D array of bool
        Where to take the mean.

    Returns
    -------
    float
    """
    span = np.ptp(truth[inside])

    def smooth(values):
        return gaussian_filter(values, 1.5, truncate=3.5)

    mean = [smooth(truth), smooth(image)]
    variance = [smooth(a * a) - m * m for a, m in zip((truth, image), mean, strict=True)]
    covariance = smooth(truth * image) - mean[0] * mean[1]
    one, two = (0.01 * span) ** 2, (0.03 * span) ** 2
    index = (2 * mean[0] * mean[1] + one) * (2 * covariance + two)
    index /= (mean[0] ** 2 + mean[1] ** 2 + one) * (variance[0] + variance[1] + two)
    return float(index[inside].mean())


def image_scores(result, sky, brightness, pixels_per_beam):
    """How far each aggregate of the samples is from the true sky, without the last step that products have.

    Parameters
    ----------
    result : `~astro_ddpm_imager.ImagingResult`
    sky : 2D array
        The true sky, as `true_sky` gives it.
    brightness : 2D array
        The same at the resolution of the beam, as `true_brightness` gives it.
    pixels_per_beam : float
        Of the model.

    Returns
    -------
    dict of dict
        By aggregate: ``mse`` ((uJy/pixel)^2, corrected for the primary beam),
        ``psnr`` (dB) and ``ssim``; and at the resolution of the beam, times the
        primary beam, ``nrmse``, the root of the mean squared error over that of
        the mean squared truth, and ``flux_ratio``, of the totals. All but the
        first are None where the sky is empty.
    """
    dirty = result.dirty
    inside = np.isfinite(dirty.data)
    pb = np.where(inside, dirty.pb, 1)
    truth = np.where(inside, sky / pb, 0) * 1e6
    scores = {}
    for name, how in AGGREGATES.items():
        apparent = np.where(inside, result.apparent(how(result.sky_samples, pixels_per_beam)), 0)
        image = apparent / pb * 1e6
        mse = float(np.mean((image - truth)[inside] ** 2))
        empty = not truth.any() or not brightness[inside].any()
        scores[name] = {
            "mse": mse,
            "psnr": None if empty else float(10 * np.log10(truth.max() ** 2 / mse)),
            "ssim": None if empty else structural_similarity(truth, image, inside),
            "nrmse": None if empty else _relative_error(dirty.convolve_beam(apparent)[inside], brightness[inside]),
            "flux_ratio": None if empty else float(apparent.sum() / sky[inside].sum()),
        }
    return scores


def _relative_error(image, truth):
    return float(np.sqrt(((image - truth) ** 2).sum() / (truth**2).sum()))


def _beams(result, sky, pixels_per_beam):
    """The samples and the truth as brightness in a beam, in units of the noise, and where there is an image."""
    skies = [*(result.sky_samples + bright_sky(result.dirty, result.grid)), result.grid.gather(sky) / result.dirty.rms]
    smooth = beam_brightness(skies, pixels_per_beam)
    return smooth[:-1], smooth[-1], result.grid.sample(result.dirty.pb) > 0


def beam_brightness(skies, pixels_per_beam):
    """Flux in a round Gaussian beam around each pixel.

    Parameters
    ----------
    skies : sequence of 2D arrays, shape (n, my, mx)
        Flux per pixel.
    pixels_per_beam : float
        FWHM.

    Returns
    -------
    3D array, shape (n, my, mx), same unit
    """
    sigma = pixels_per_beam * gaussian_fwhm_to_sigma
    return np.stack([gaussian_filter(sky, sigma) for sky in skies]) * 2 * np.pi * sigma**2


def pixel_coverage(result, sky, pixels_per_beam, seed):
    """How often the true brightness of a beam lies inside the intervals of the samples.

    Counted where the samples differ by more than a tenth of the noise; for the
    quantiles, ties within a tenth of the noise are broken at random. Of L
    samples the quantiles reach as far as 1 - 2 / (L + 1); wider intervals are
    left to the standard deviation.

    Parameters
    ----------
    result : `~astro_ddpm_imager.ImagingResult`
        With two samples or more.
    sky : 2D array
        The true sky, as `true_sky` gives it.
    pixels_per_beam : float
        Of the model.
    seed : int
        Of the ties.

    Returns
    -------
    dict
        ``pixels`` (their number), and by level, as text, the number inside the
        interval: ``quantiles`` and ``deviation``.
    """
    samples, truth, inside = _beams(result, sky, pixels_per_beam)
    spread = samples.std(0, ddof=1)
    open_pixels = inside & (spread > CERTAIN)
    samples, truth, spread = samples[:, open_pixels], truth[open_pixels], spread[open_pixels]
    away = np.abs(truth - samples.mean(0)) / spread
    rng = np.random.default_rng(seed)
    samples, truth = (values + rng.uniform(-TIE / 2, TIE / 2, values.shape) for values in (samples, truth))
    quantiles = {}
    for level in LEVELS:
        if level <= 1 - 2 / (len(samples) + 1):
            # "weibull": the i-th of L samples is the quantile i / (L + 1).
            low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
            quantiles[str(level)] = int(((truth >= low) & (truth <= high)).sum())
    deviation = {str(level): int((away <= norm.ppf((1 + level) / 2)).sum()) for level in LEVELS}
    return {"pixels": int(open_pixels.sum()), "quantiles": quantiles, "deviation": deviation}


def true_ranks(result, sky, pixels_per_beam, seed):
    """Ranks of the truth among the posterior samples, for simulation-based calibration.

    If the samples are drawn from the posterior, and the field from the prior,
    every rank is as likely as any other (Talts et al. 2018, arXiv:1804.06788),
    for every quantity that is chosen without looking at the truth. The peaks
    are chosen in the dirty image. Ties within a tenth of the noise are broken
    at random.

    Parameters
    ----------
    result : `~astro_ddpm_imager.ImagingResult`
    sky : 2D array
        The true sky, as `true_sky` gives it.
    pixels_per_beam : float
        Of the model.
    seed : int
        Of the ties.

    Returns
    -------
    dict of list of int
        Ranks, from 0 to the number of samples: of the ``total flux``, of the
        ``brightest beam``, and of the beams at the five highest ``peaks`` of
        the dirty image.
    """
    samples, truth, inside = _beams(result, sky, pixels_per_beam)
    dirty = result.grid.to_model(result.dirty.data / result.dirty.rms)
    return ranks_of_beams(samples, truth, dirty, inside, pixels_per_beam, seed)


def ranks_of_beams(samples, truth, dirty, inside, pixels_per_beam, seed):
    """Ranks of a true brightness among that of samples, see `true_ranks`.

    Parameters
    ----------
    samples : 3D array, shape (n_samples, my, mx)
        Brightness in a beam, in units of the noise, on the pixels of the model.
    truth, dirty : 2D arrays, shape (my, mx)
        Likewise; the dirty image says where the peaks are.
    inside : 2D array of bool, shape (my, mx)
        Where there is an image.
    pixels_per_beam : float
    seed : int
        Of the ties.

    Returns
    -------
    dict of list of int
        As of `true_ranks`.
    """
    seen = np.where(inside, dirty, -np.inf)
    found = find_peaks(seen, 0, min_separation=2 * pixels_per_beam, n_peaks=PEAKS)
    y, x = (np.array(found[name]) for name in ("y_peak", "x_peak"))
    rng = np.random.default_rng(seed)
    beam = 2 * np.pi * (pixels_per_beam * gaussian_fwhm_to_sigma) ** 2

    def rank(of_samples, of_truth):
        jitter = rng.uniform(-TIE / 2, TIE / 2, len(of_samples) + 1)
        return int((of_samples + jitter[1:] < of_truth + jitter[0]).sum())

    return {
        "total flux": [rank(samples[:, inside].sum(1) / beam, truth[inside].sum() / beam)],
        "brightest beam": [rank(samples[:, inside].max(1), truth[inside].max())],
        "peaks": [rank(samples[:, j, i], truth[j, i]) for j, i in zip(y, x, strict=True)],
    }
