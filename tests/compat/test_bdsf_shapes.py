"""Shapes of Gaussians: north, errors."""

import astropy.units as u
import numpy as np
import pytest

from astro_ddpm_imager.compat.bdsf.shapes import condon_errors, north_angle

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
