"""Sources at the edge have their flux, and say where they are."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.sources.flags import FLAGS

from ..conftest import make_wcs

N, BEAM, CELL, NOISE = 96, 4.0, 0.1, 1e-4
SIGMA = BEAM * gaussian_fwhm_to_sigma


def make_field(sources, seed):
    """Part of a larger field: points in noise with the covariance of a Gaussian PSF, and that PSF."""
    wide = np.random.default_rng(seed).standard_normal((N + 40, N + 40))
    noise = gaussian_filter(wide, SIGMA / np.sqrt(2), mode="wrap")[20:-20, 20:-20]
    y, x = np.mgrid[:N, :N]

    def point(at_x, at_y):
        return np.exp(-0.5 * ((x - at_x) ** 2 + (y - at_y) ** 2) / SIGMA**2)

    data = noise / noise.std() + sum(snr * point(*place) for *place, snr in sources)
    meta = {"BMAJ": BEAM * CELL / 3600, "BMIN": BEAM * CELL / 3600, "BPA": 0.0}
    return CCDData(NOISE * data, unit=u.Jy / u.beam, wcs=make_wcs((N, N), CELL), meta=meta), point(N // 2, N // 2)


def test_sources_on_the_edge_have_their_flux_and_are_flagged():
    """All four edges, but for a seventh; before, for a quarter on average and four tenths at the far ones."""
    imager = DiffusionImager(n_samples=6, seed=1, device="cpu", progress=False)
    places = [(0, 48), (48, 0), (N - 1, 48), (48, N - 1)]
    fluxes = []
    for seed in range(3):
        image, psf = make_field([(*place, 12) for place in places], seed)
        catalog = imager(image, psf=psf).catalog
        for x, y in places:
            found = catalog[np.argmin(np.hypot(catalog["x"] - x, catalog["y"] - y))]
            assert np.hypot(found["x"] - x, found["y"] - y) < 1.5 and found["flags"] == FLAGS["edge"]
            fluxes.append(found["flux"].value / (12 * NOISE))
    fluxes = np.reshape(fluxes, (3, 4)).mean(0)
    assert fluxes.mean() == pytest.approx(1, abs=0.17)
    np.testing.assert_allclose(fluxes, 1, atol=0.3)


def test_blank_regions_are_edges_too(imager):
    image, psf = make_field([(48, 40, 30), (24, 24, 30)], seed=1)
    image.data[43:] = np.nan
    catalog = imager(image, psf=psf).catalog
    nearest = [np.argmin(np.hypot(catalog["x"] - x, catalog["y"] - y)) for x, y in ((48, 40), (24, 24))]
    assert catalog["flags"][nearest].tolist() == [FLAGS["edge"], 0]


def test_both_bits_add_up(imager):
    image, psf = make_field([(3, 40, 30)], seed=1)
    image.data[40, 4] = np.nan
    catalog = imager(image, psf=psf).catalog
    found = catalog[np.argmin(np.hypot(catalog["x"] - 3, catalog["y"] - 40))]
    assert found["flags"] == FLAGS["edge"] | FLAGS["hole"] == 3
