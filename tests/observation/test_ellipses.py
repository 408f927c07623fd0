"""Gaussians as axes and as second moments."""

import astropy.units as u
import numpy as np
import pytest
from astropy.stats import gaussian_sigma_to_fwhm
from radio_beam import Beam

from astro_ddpm_imager.observation.ellipses import from_axes, positive, to_axes


def test_axes_and_moments_are_inverse():
    assert to_axes(from_axes(3.0, 1.5, 130.0)) == pytest.approx((3.0, 1.5, 130.0))
    moments = from_axes(3.0, 1.0, 90.0)  # along east, the first axis
    assert moments[0, 0] > moments[1, 1] and moments[0, 1] == pytest.approx(0)
    assert np.sqrt(moments[0, 0]) * gaussian_sigma_to_fwhm == pytest.approx(3.0)
    assert to_axes(from_axes(1.0, 1.0, 0.0) - from_axes(2.0, 2.0, 0.0))[:2] == (0.0, 0.0)


def test_many_at_once_are_each_alone():
    axes = np.array([[3.0, 1.5, 130.0], [2.0, 1.0, 20.0], [5.0, 4.0, 90.0]]).T
    moments = from_axes(*axes)
    assert moments.shape == (3, 2, 2)
    np.testing.assert_allclose(moments[1], from_axes(2.0, 1.0, 20.0))
    np.testing.assert_allclose(to_axes(moments), axes)


def test_convolution_adds_moments():
    """As radio_beam has it, which knows only axes."""
    one, other = (3.0, 1.5, 130.0), (2.0, 1.0, 20.0)
    both = Beam(*(value * u.deg for value in one)).convolve(Beam(*(value * u.deg for value in other)))
    major, minor, pa = to_axes(from_axes(*one) + from_axes(*other))
    assert (both.major.value, both.minor.value) == pytest.approx((major, minor))
    assert (both.pa.to_value(u.deg) - pa + 90) % 180 - 90 == pytest.approx(0, abs=1e-6)


def test_narrower_than_a_point_is_cut_off():
    difference = from_axes(3.0, 1.0, 40.0) - from_axes(2.0, 2.0, 0.0)
    major, minor, pa = to_axes(positive(difference))
    assert (major, minor, pa) == pytest.approx((np.sqrt(5), 0.0, 40.0), abs=1e-6)
