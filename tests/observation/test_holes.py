"""Small blank holes are filled for what works on the whole image, and stay blank in what comes out."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager.compat import bdsf
from astro_ddpm_imager.observation.grid import ModelGrid
from astro_ddpm_imager.observation.holes import interpolate, small_holes
from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import make_wcs

N, BEAM, CELL, NOISE = 96, 4.0, 0.1, 1e-4
SIGMA = BEAM * gaussian_fwhm_to_sigma
SOURCES = [(24.3, 23.6, 80), (71.8, 24.4, 60), (24.0, 72.0, 50), (72.4, 71.7, 40), (48.2, 48.3, 30)]  # x, y, S/N
HOLES = {
    "peak": lambda y, x: (y, x),
    "beside": lambda y, x: (y, x + 1),
    "two by two": lambda y, x: (slice(y, y + 2), slice(x, x + 2)),
    "three by three": lambda y, x: (slice(y - 1, y + 2), slice(x - 1, x + 2)),
}


def gaussian(n, x, y, sigma=SIGMA):
    rows, columns = np.mgrid[:n, :n]
    return np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / sigma**2)


def make_field():
    """Points in noise with the covariance of a Gaussian PSF, and that PSF."""
    noise = gaussian_filter(np.random.default_rng(1).standard_normal((N, N)), SIGMA / np.sqrt(2), mode="wrap")
    data = noise / noise.std() + sum(snr * gaussian(N, x, y) for x, y, snr in SOURCES)
    return as_image(NOISE * data), gaussian(N, N // 2, N // 2)


def as_image(data, mask=None):
    meta = {"BMAJ": BEAM * CELL / 3600, "BMIN": BEAM * CELL / 3600, "BPA": 0.0}
    return CCDData(data, unit=u.Jy / u.beam, wcs=make_wcs(data.shape, CELL), meta=meta, mask=mask)


def nearest(catalog, x, y):
    return catalog[np.argmin(np.hypot(catalog["x"] - x, catalog["y"] - y))]


def holes_of(kind):
    holes = np.zeros((N, N), dtype=bool)
    for x, y, _ in SOURCES:
        holes[HOLES[kind](round(y), round(x))] = True
    return holes


@pytest.mark.parametrize("kind", HOLES)
@pytest.mark.parametrize("with_psf", [True, False])
def test_a_hole_on_a_source_does_not_change_its_flux(quick, kind, with_psf):
    """With the PSF, and as a CLEANed image without."""
    image, psf = make_field()
    psf, holes = psf if with_psf else None, holes_of(kind)
    whole, result = quick(image, psf=psf), quick(as_image(np.where(holes, np.nan, image.data)), psf=psf)
    assert not whole.catalog["flags"].any()
    for x, y, _ in SOURCES:
        expected, found = nearest(whole.catalog, x, y), nearest(result.catalog, x, y)
        assert found["flux"].value / expected["flux"].value == pytest.approx(1, abs=0.02)
        assert np.hypot(found["x"] - x, found["y"] - y) < 0.3
        assert found["flags"] == 1
    for product in (result.image, result.uncertainty, result.residual, result.restored):
        np.testing.assert_array_equal(np.isnan(product.data), holes)
    np.testing.assert_array_equal(np.isnan(result.samples), [holes] * len(result.samples))
    assert result.dirty.rms == pytest.approx(whole.dirty.rms, rel=0.02)


def test_a_masked_pixel_is_a_hole_whatever_is_in_it():
    image, _ = make_field()
    holes = holes_of("two by two")
    filled = prepare(as_image(np.where(holes, np.nan, image.data)))
    for anything in (1e30, np.inf, 0.0):
        masked = prepare(as_image(np.where(holes, anything, image.data), mask=holes))
        np.testing.assert_array_equal(masked.data, filled.data)
        np.testing.assert_array_equal(masked.holes, holes)


def test_only_sources_at_the_hole_are_flagged(quick):
    image, psf = make_field()
    x, y, _ = SOURCES[0]
    image.data[round(y), round(x) + 2] = np.nan
    catalog = quick(image, psf=psf).catalog
    flags = [nearest(catalog, *source[:2])["flags"] for source in SOURCES]
    assert flags == [1, 0, 0, 0, 0]


def test_pybdsfs_interface(tmp_path, quick, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image, _ = make_field()
    fluxes = []
    for name, holes in (("whole", np.zeros((N, N), bool)), ("pierced", holes_of("peak"))):
        header = image.wcs.to_header()
        header.update({"BUNIT": "Jy/beam", **image.meta})
        fits.PrimaryHDU(np.where(holes, np.nan, image.data), header).writeto(f"{name}.fits")
        found = bdsf.process_image(f"{name}.fits", quiet=True, imager=quick, frequency=1e9)
        gaussians = [min(found.gaussians, key=lambda g: np.hypot(*np.subtract(g.centre_pix, s[:2]))) for s in SOURCES]
        assert np.isfinite([[g.rms, g.total_fluxE, g.size_skyE[0]] for g in gaussians]).all()
        np.testing.assert_array_equal(np.isnan(found.resid_gaus_arr), holes)
        fluxes.append([g.total_flux for g in gaussians])
    np.testing.assert_allclose(fluxes[1], fluxes[0], rtol=0.03)


@pytest.mark.parametrize("beam", [2.2, 3.0, 5.0, 9.0])
@pytest.mark.parametrize("place", [(20, 20), (20, 21), (21, 21)])
def test_a_missing_pixel_is_what_the_beam_says(beam, place):
    """Of a point of S/N 80 between pixels; interpolation by a kernel leaves tens of percent."""
    sigma = beam * gaussian_fwhm_to_sigma
    image = 80 * gaussian(41, 20.3, 20.4, sigma)
    missing = np.zeros((41, 41), dtype=bool)
    missing[place] = True
    filled = interpolate(np.where(missing, np.nan, image), missing, sigma**2 * np.eye(2))
    assert filled[place] == pytest.approx(image[place], abs=0.02 * 80)
    np.testing.assert_array_equal(filled[~missing], image[~missing])


def test_beams_that_are_long_and_turned():
    covariance = np.array([[8.0, 3.0], [3.0, 3.0]])
    y, x = np.mgrid[:41, :41] - 20.3
    steps = np.stack([x, y], -1)
    image = 50 * np.exp(-0.5 * np.einsum("...i,ij,...j", steps, np.linalg.inv(covariance), steps))
    missing = np.zeros((41, 41), dtype=bool)
    missing[19:22, 19:22] = True
    np.testing.assert_allclose(interpolate(image, missing, covariance), image, atol=0.02 * 50)


def test_what_is_a_hole():
    known = np.ones((60, 60), dtype=bool)
    known[10, 10] = known[20:23, 20:23] = False
    known[40, 15:45] = False  # a line
    holes = ~known
    known[:, :2] = False  # along the border
    known[45:57, 30:42] = False  # three beams
    known[0, 59] = False  # a corner
    holes[0, 59] = True
    np.testing.assert_array_equal(small_holes(known, 4.0), holes)
    assert not small_holes(np.zeros((9, 9), bool), 4.0).any()
    assert not small_holes(np.ones((9, 9), bool), 4.0).any()


def test_large_blank_regions_and_zeros_stay_as_they_are(noise_image, caplog):
    image = noise_image()
    image.data[30:60, 30:60], image.data[:, :3] = np.nan, np.nan
    image.data[70, 70] = image.data[10, 10] = 0
    dirty = prepare(image)
    np.testing.assert_array_equal(dirty.data, image.data)
    assert dirty.holes is None and "holes" not in caplog.text
    np.testing.assert_array_equal(dirty.blank, np.isnan(image.data))


def test_below_the_limit_of_the_primary_beam_nothing_is_filled(noise_image):
    pb = np.ones((96, 96))
    pb[50, 50], pb[20, 20] = 0.1, np.nan
    dirty = prepare(noise_image(), pb=pb)
    assert np.isnan(dirty.data[50, 50]) and not dirty.allowed[50, 50]
    assert np.isfinite(dirty.data[20, 20]) and dirty.pb[20, 20] == 1 and dirty.blank[20, 20]


def test_it_is_said(noise_image, caplog):
    image = noise_image()
    image.data[30, 30] = image.data[50:52, 50] = np.nan
    prepare(image)
    assert "3 blank pixels in small holes are interpolated, and left blank in the products" in caplog.text


@pytest.mark.parametrize("smoothing", [SIGMA / np.sqrt(2), 1.0, 0.5])
def test_beyond_its_edges_an_image_is_no_louder(smoothing):
    """Be its noise as smooth as the beam, as that of natural weighting is, or less so."""
    louder = []
    for n in range(90, 110):
        noise = gaussian_filter(np.random.default_rng(n).standard_normal((n, n)), smoothing, mode="wrap")
        grid = ModelGrid((n, n), BEAM, 2.2, 8)
        model = grid.to_model(noise / noise.std(), np.eye(2) * SIGMA**2)
        last = np.flatnonzero(grid.sample(np.ones((n, n))).any(0))[-1]
        louder.append(model[:-5, last].std() / model[5:-5, 5:-5].std())
    assert np.mean(louder) < (1.6 if smoothing < 1 else 1.1)


@pytest.mark.parametrize("beyond", [1.0, 3.0])
def test_a_source_just_outside_does_not_come_round_to_the_other_edge(beyond):
    """It ends in the padding, beyond which the other edge lies: there were sources of S/N 20 at the same height."""
    y, x = np.mgrid[:200, :200]
    image = 1000 * np.exp(-0.5 * ((y - 100) ** 2 + (x - 199 - beyond) ** 2) / SIGMA**2)
    grid = ModelGrid((200, 200), BEAM, 2.2, 8)
    model = grid.to_model(image, np.eye(2) * SIGMA**2)
    assert np.abs(model[:, :10]).max() < 1
