"""Images that were convolved to a larger beam, or tapered, have noise that looks like sources."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.wcs import WCS
from radio_beam import Beam
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.observation.grid import ModelGrid
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.sources.smooth_noise import noise_smoothness

SIDE, SIGMA, NOISE = 300, 2.0, 1e-4  # pixels; pixels, of the beam; Jy/beam
POINTS = [(60, 80), (150, 160), (220, 90), (90, 230), (240, 220)]


def gaussian(x0, y0):
    """A point as the beam shows it."""
    y, x = np.indices((SIDE, SIDE))
    return np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * SIGMA**2))


def restored(smoothness, seed=0, snr=20.0):
    """Points in noise whose autocorrelation is a Gaussian of ``smoothness`` times the area of the beam."""
    sigma = SIGMA * np.sqrt(smoothness / 2)
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE, SIDE)), sigma, mode="wrap")
    sky = sum(snr * NOISE * gaussian(x0, y0) for x0, y0 in POINTS)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.crval = ["RA---SIN", "DEC--SIN"], [-1 / 3600, 1 / 3600], [150, 2]
    beam = Beam(SIGMA * np.sqrt(8 * np.log(2)) * u.arcsec)
    return CCDData(NOISE * noise / noise.std() + sky, unit=u.Jy / u.beam, wcs=wcs), beam


@pytest.mark.parametrize("smoothness, expected", [(1.0, 1.0), (1.4, 1.0), (2.0, 2.0)])
def test_how_smooth_the_noise_is(smoothness, expected):
    image, beam = restored(smoothness, snr=0)
    observation = prepare(image, beam=beam)
    grid = ModelGrid(observation.shape, observation.beam_pixels, 2.2, 8)
    gridded = GriddedObservation.of(observation, grid)
    left = np.where(grid.on_image, gridded.dirty, np.nan)
    assert noise_smoothness(left, gridded, 2.2) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("psf", [None, gaussian(SIDE // 2, SIDE // 2)], ids=["convolved", "tapered"])
def test_what_smooth_noise_makes_is_not_credible_and_what_is_true_is(psf, caplog):
    imager = DiffusionImager(n_samples=8, seed=1, device="cpu", progress=False)
    for seed in range(2):
        image, beam = restored(2.0, seed)
        catalog = imager(image, psf, beam=beam).catalog
        x0, y0 = np.transpose(POINTS)
        apart = np.hypot(catalog["x"][:, None] - x0, catalog["y"][:, None] - y0)
        assert (apart.min(0) < 2).all() and (catalog["reliability"][apart.argmin(0)] > 0.9).all()
        assert (catalog["reliability"][apart.min(1) > 4] < 0.45).all()  # up to 0.63 if it counted as natural noise
    assert "the noise is smoother than that of an interferometer of this beam" in caplog.text
