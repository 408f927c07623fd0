"""A PSF is normalised, put in the middle, and cut to what is known of it; or refused, if it is none."""

import numpy as np
import pytest
from astropy.io import fits

from astro_ddpm_imager import DirtyImageError
from astro_ddpm_imager.observation.dirty import prepare

from ..conftest import gaussian_psf

ITS_BEAM = {"BMAJ": 0.891 / 3600, "BMIN": 0.821 / 3600, "BPA": 83.0}  # of the demonstration's PSF


def test_psf_and_pb_of_no_use(noise_image):
    with pytest.raises(DirtyImageError, match="psf: its largest value is -1"):
        prepare(noise_image(), psf=np.full((96, 96), -1.0))
    with pytest.raises(DirtyImageError, match="pb: its largest value is 7; a primary beam is 1 at its centre"):
        prepare(noise_image(), pb=np.full((96, 96), 7.0))
    with pytest.raises(DirtyImageError, match=r"pb: nowhere reaches pblimit=0\.2"):
        prepare(noise_image(), pb=np.full((96, 96), 0.1))


def test_psf_off_centre_is_moved_and_said(noise_image, caplog):
    checked = prepare(noise_image(), psf=2 * gaussian_psf(at=(50, 47))).psf
    np.testing.assert_allclose(checked, gaussian_psf(), atol=1e-12)
    assert "peaks at 2 instead of 1; normalised" in caplog.text
    assert "peaks at pixel (x, y) = (47, 50) instead of (48, 48); moved" in caplog.text


def test_psf_that_is_none(noise_image, demo):
    psf = fits.getdata(demo["psf"]).squeeze().astype(float)
    y, x = (n // 2 for n in psf.shape)
    psf = psf[y - 48 : y + 48, x - 48 : x + 48]
    assert prepare(noise_image(**ITS_BEAM), psf=psf).psf[48, 48] == 1
    with pytest.raises(DirtyImageError, match=r"psf: its lowest value is -\d+.* times its highest; .*the right sign\?"):
        prepare(noise_image(), psf=-psf)
    with pytest.raises(DirtyImageError, match=r"psf: is not symmetric about its peak, by 1.* is it another image"):
        prepare(noise_image(), psf=noise_image().data.clip(-5e-5))


def test_a_psf_of_which_a_part_is_not_known(noise_image, demo, caplog):
    """Padded with zeros, blank beyond a radius, its peak not in the middle: it is cut, or mirrored, never made up."""
    psf = fits.getdata(demo["psf"]).squeeze().astype(float)
    y, x = (n // 2 for n in psf.shape)
    psf = psf[y - 48 : y + 48, x - 48 : x + 48]
    padded = np.pad(psf[8:89, 8:89], [(8, 7), (8, 7)])
    checked = prepare(noise_image(**ITS_BEAM), psf=padded).psf
    np.testing.assert_array_equal(checked, psf[8:89, 8:89])
    assert "psf: is blank or 0 beyond 81 x 81 pixels around its peak" in caplog.text
    wide = np.pad(psf[:, 28:69], [(0, 0), (28, 27)])  # along one axis: nothing is lost along the other
    np.testing.assert_array_equal(prepare(noise_image(**ITS_BEAM), psf=wide).psf, psf[:, 28:69])
    disc = np.where(np.hypot(*np.ogrid[-48:48, -48:48]) < 40, psf, np.nan)
    cut = prepare(noise_image(**ITS_BEAM), psf=disc).psf
    assert min(cut.shape) >= 51 and np.isfinite(cut).all()
    middle = tuple(slice(48 - n // 2, 48 + n // 2 + 1) for n in cut.shape)
    np.testing.assert_array_equal(cut, psf[middle])
    moved = prepare(noise_image(**ITS_BEAM), psf=np.roll(psf, (3, -2), (0, 1))).psf
    inner = tuple(slice(48 - n // 2, 48 + n // 2 + 1) for n in np.minimum(moved.shape, 91))
    at = tuple(slice(n // 2 - (s.stop - s.start) // 2, n // 2 + (s.stop - s.start) // 2 + 1)
               for n, s in zip(moved.shape, inner, strict=True))  # fmt: skip
    np.testing.assert_allclose(moved[at], psf[inner], atol=0.02)


def test_a_primary_beam_in_the_place_of_the_psf(noise_image):
    radius = np.hypot(*np.ogrid[-48:48, -48:48])
    pb = np.exp(-0.5 * (radius / 30) ** 2)
    with pytest.raises(DirtyImageError, match=r"psf: is 0\.94 two beams from its peak, .* perhaps the primary beam\?"):
        prepare(noise_image(), psf=pb)


def test_a_psf_that_is_not_finite_everywhere(noise_image, caplog):
    psf = gaussian_psf()
    psf[3, 3], psf[4, 4] = np.inf, np.nan
    np.testing.assert_allclose(prepare(noise_image(), psf=psf).psf, gaussian_psf(), atol=1e-12)
    assert "psf" not in caplog.text
