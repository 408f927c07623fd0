"""Shapes of Gaussians: north, sizes, errors."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

from astro_ddpm_imager.compat.bdsf.background import Background
from astro_ddpm_imager.compat.bdsf.field import Field
from astro_ddpm_imager.compat.bdsf.region_formats import bbs_text
from astro_ddpm_imager.compat.bdsf.shapes import condon_errors, deconvolved_errors, north_angle, size_factor
from astro_ddpm_imager.compat.bdsf.sources import make_gaussians
from astro_ddpm_imager.observation.ellipses import from_axes

from ..conftest import make_wcs


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("angle", [0.0, 25.0])
def test_north_is_where_the_wcs_has_it(angle, flip):
    """A step along a position angle on the sky is a step at that angle, less north's, in the image."""
    wcs = make_wcs(shape=(4000, 4000), cell=60.0, angle=angle)
    wcs.wcs.cd = wcs.wcs.cd @ np.diag([flip, 1])
    wcs.wcs.crval = [150.0, 60.0]
    for x, y in ((2000, 2000), (2900, 2500)):
        start = wcs.pixel_to_world(x, y)
        for pa in (0, 70):
            there = start.directional_offset_by(pa * u.deg, 60 * u.arcsec)
            dx, dy = np.subtract(wcs.world_to_pixel(there), (x, y))
            seen = np.rad2deg(np.arctan2(-flip * dx, dy))
            assert (seen - pa - north_angle(wcs, x, y) + 180) % 360 - 180 == pytest.approx(0, abs=3)
    assert north_angle(wcs) == pytest.approx(north_angle(wcs, *(wcs.wcs.crpix - 1)), abs=1e-2)


def test_errors_are_those_that_pybdsf_gives():
    """Of the first Gaussian that PyBDSF 1.14.1 finds in the demonstration field."""
    beam = np.sqrt(0.0002475761208269 * 0.0002276299893856)
    errors = condon_errors(0.0002759926547848, 0.0002012229578337, beam, 0.0002282167967 / 4.814416885e-05)
    assert errors == pytest.approx((6.675712613e-05, 3.540490760e-05, 22.18995476), rel=0.02)
    assert condon_errors(1.0, 1.0, 1.0, 5.0)[2] == 90.0


def test_errors_of_deconvolved_shapes():
    shape, errors = (5.0, 4.0, 20.0), (0.1, 0.1, 5.0)
    assert deconvolved_errors(shape, (3.0, 0.1, 30.0), errors) == pytest.approx((5 * 0.1 / 3, 0.4**0.5, 5 * 9 / 8.99))
    assert deconvolved_errors(shape, (0.0, 0.0, 0.0), errors) == pytest.approx((0.5**0.5, 0.4**0.5, 90))


def gaussian_image(covariance, offset):
    return np.exp(-0.5 * np.einsum("iyx,ij,jyx->yx", offset, np.linalg.inv(covariance), offset))


def test_sizes_agree_with_flux_and_peak():
    beam, size = np.diag([9.0, 5.0]), np.diag([2.0, 1.0])
    offset = np.mgrid[-12:13, -12:13][::-1] - np.reshape([0.3, -0.2], (2, 1, 1))
    for true in (0.0, 0.5, 1.2):
        image = 2e-3 * gaussian_image(beam + true * size, offset)
        flux = 2e-3 * np.sqrt(np.linalg.det(beam + true * size) / np.linalg.det(beam))
        assert size_factor(image, offset, beam, size, flux) == pytest.approx(true, abs=0.02)
        assert size_factor(image, offset, beam, size, 0.8 * flux) < max(true, 1e-9)
        image[:9] = np.nan
        assert size_factor(image, offset, beam, size, flux) == pytest.approx(true, abs=0.02)
    assert size_factor(np.full_like(image, np.nan), offset, beam, size, flux) == 1


@pytest.mark.parametrize(("true", "points"), [(0.0, 2), (1.0, 0)])
def test_points_of_a_catalogue_are_points(true, points):
    """The mean shape of samples is never a point, though the flux says that it is one."""
    wcs, beam = make_wcs(shape=(96, 96), cell=1.0), (9 / 3600, 7 / 3600, 30.0)
    places, data = [(30.2, 40.1), (70.0, 60.5)], np.zeros((96, 96))
    field = Field(data, wcs, fits.Header(), beam, 1e9, (0, 0), data.shape, pb=np.full(data.shape, 0.5))
    seen = from_axes(*beam) + true * from_axes(6 / 3600, 3 / 3600, 100.0)
    for place in places:
        stand_in = SimpleNamespace(centre_pix=place, covariance=seen)
        window, profile = field.stamp(stand_in)
        data[window] += 1e-2 * profile
    field = Field(data, wcs, fits.Header(), beam, 1e9, (0, 0), data.shape, pb=field.pb, background=Background(
        np.full(data.shape, 1e-4), np.zeros(data.shape), 1e-4, 0.0, False, (9, 3)
    ))  # fmt: skip
    sky = wcs.pixel_to_world(*np.transpose(places))
    flux = 2e-2 * np.sqrt(np.linalg.det(seen) / np.linalg.det(from_axes(*beam)))  # primary beam: 0.5
    columns = {
        "x": [x for x, _ in places], "y": [y for _, y in places], "ra": sky.ra, "dec": sky.dec,
        "flux": [flux] * 2 * u.Jy, "flux_err": [2e-4] * 2 * u.Jy,
        "ra_err": [0.1] * 2 * u.arcsec, "dec_err": [0.1] * 2 * u.arcsec,
        "major": [6.0] * 2 * u.arcsec, "minor": [3.0] * 2 * u.arcsec, "pa": [100.0] * 2 * u.deg, "snr": [100.0] * 2,
        "reliability": [1.0] * 2, "sample_fraction": [1.0] * 2,
    }  # fmt: skip
    gaussians = make_gaussians(QTable(columns), field, data)
    for number, gaussian in enumerate(gaussians):
        gaussian.island_id = gaussian.source_id = gaussian.gaus_num = number
        assert gaussian.peak_flux == pytest.approx(2e-2, rel=5e-3)
        ratio = gaussian.size_sky[0] * gaussian.size_sky[1] / (beam[0] * beam[1])
        assert gaussian.total_flux / gaussian.peak_flux == pytest.approx(ratio, rel=1e-6)
        if points:  # as PyBDSF has it, also the angle
            assert gaussian.deconv_size_sky == (0, 0, 0) and gaussian.deconv_size_sky_uncorr == [0, 0, 0]
    text = bbs_text(gaussians, SimpleNamespace(frame="icrs", frequency=1e9, parentname="a"), "a")
    assert text.count("POINT") == points
