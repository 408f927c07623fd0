"""The spectral axis of a cube: frequencies and velocities."""

import astropy.units as u
import numpy as np
import pytest
from astropy.constants import c
from astropy.wcs import WCS

from astro_ddpm_imager.errors import DirtyImageError
from astro_ddpm_imager.observation.spectral import spectral_axis


def cube_wcs(kind, value, step, unit, rest=0.0):
    wcs = WCS(naxis=3)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---SIN", "DEC--SIN", kind], ["deg", "deg", unit]
    wcs.wcs.crval, wcs.wcs.cdelt, wcs.wcs.crpix = [150, 2, value], [-1e-4, 1e-4, step], [1, 1, 2]
    wcs.wcs.restfrq = rest
    return wcs


def test_frequencies():
    axis = spectral_axis(cube_wcs("FREQ", 230, 2, "GHz"), 3, "cube")
    np.testing.assert_allclose(axis.frequency.to_value(u.GHz), [228, 230, 232])
    assert axis.velocity is None and axis.cards["CUNIT"] == "Hz" and axis.cards["CDELT"] == pytest.approx(2e9)


@pytest.mark.parametrize("kind", ["VRAD", "VOPT"])
def test_velocities_are_frequencies_of_a_rest_frequency(kind):
    axis = spectral_axis(cube_wcs(kind, 0, 3000, "km/s", 230e9), 3, "cube")
    np.testing.assert_allclose(axis.velocity.to_value(u.km / u.s), [-3000, 0, 3000])
    ratio = 3e6 / c.to_value(u.m / u.s)
    expected = [1 + ratio, 1, 1 - ratio] if kind == "VRAD" else [1 / (1 - ratio), 1, 1 / (1 + ratio)]
    np.testing.assert_allclose(axis.frequency.to_value(u.GHz), np.multiply(230, expected))


def test_velocities_without_a_rest_frequency_have_no_frequencies():
    axis = spectral_axis(cube_wcs("VRAD", 0, 3, "km/s"), 2, "cube")
    assert np.isnan(axis.frequency).all()
    np.testing.assert_allclose(np.diff(axis.velocity.to_value(u.km / u.s)), 3)


@pytest.mark.parametrize(
    ("kind", "value", "step", "said"),
    [("", 0, 1, "no spectral WCS"), ("STOKES", 1, 1, "no spectral WCS"), ("ZOPT", 0, 1, "no spectral WCS")],
)
def test_axes_that_are_not_spectral(kind, value, step, said):
    with pytest.raises(DirtyImageError, match=f"cube: {said}.*CTYPE3='{kind}'"):
        spectral_axis(cube_wcs(kind, value, step, ""), 2, "cube")
