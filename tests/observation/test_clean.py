"""CLEAN."""

import numpy as np
import pytest

from astro_ddpm_imager.observation.clean import clean

from ..conftest import ring_psf


def test_clean_separates_sources_from_sidelobes():
    n, psf = 48, ring_psf(48)
    dirty = 30 * psf[n - 20 : 2 * n - 20, n - 15 : 2 * n - 15] + 8 * psf[n - 36 : 2 * n - 36, n - 40 : 2 * n - 40]
    allowed = np.ones((n, n), bool)
    components, residual = clean(dirty, psf, 0.5, 0.2, allowed, 1000)
    assert residual.max() <= 0.5
    assert components[18:23, 13:18].sum() == pytest.approx(30, rel=0.03)
    assert components[34:39, 38:43].sum() == pytest.approx(8, rel=0.1)
    assert components.sum() == pytest.approx(38, rel=0.03)
    allowed[36, 40] = False
    assert clean(dirty, psf, 0.5, 0.2, allowed, 1000)[0][36, 40] == 0


def test_clean_leaves_what_it_says_and_subtracts_negatives_when_told():
    n, psf = 32, ring_psf(32)
    dirty = -10 * psf[n - 16 : 2 * n - 16, n - 16 : 2 * n - 16]
    every = np.ones((n, n), bool)
    assert not clean(dirty, psf, 2.5, 0.2, every, 100)[0].any()
    components, residual = clean(dirty, psf, 1.0, 0.2, every, 100, negative=True)
    assert components.sum() == pytest.approx(-10, rel=0.12) and np.abs(residual).max() <= 1
    again = residual.copy()
    for y, x in np.argwhere(components):
        again += components[y, x] * psf[n - y : 2 * n - y, n - x : 2 * n - x]
    np.testing.assert_allclose(again, dirty, atol=1e-4)


def test_clean_stops_and_says_so_when_it_diverges(caplog):
    """With a PSF that is the negative of the true one, each step makes it worse."""
    n, psf = 32, ring_psf(32)
    dirty = 10 * psf[n - 16 : 2 * n - 16, n - 16 : 2 * n - 16]
    components, _ = clean(dirty, -psf, 1.0, 0.2, np.ones((n, n), bool), 1000)
    assert "CLEAN diverges" in caplog.text and components.sum() < 100
