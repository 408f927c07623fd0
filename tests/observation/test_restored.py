"""Images that CLEAN has restored, with a beam in the header that is not theirs."""

import re

import astropy.units as u
import pytest
from astropy.nddata import CCDData
from radio_beam import Beam

from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import gaussian_psf


@pytest.mark.parametrize("wider", [1.0, 1.2, 1.5])
def test_a_beam_that_is_too_large_is_said_with_what_it_does_to_fluxes(noise_image, caplog, wider):
    image = noise_image(BMAJ=0.5 * wider / 3600, BMIN=0.5 * wider / 3600)
    image.data += 0.1 * gaussian_psf(at=(40, 50))
    seen = prepare(image)
    said = re.search("so that fluxes are multiplied by (.*?), the ratio of the areas", caplog.text)
    assert (said is None) == (wider == 1)
    factor = float(said[1]) if said else 1.0
    assert factor == pytest.approx(wider**-2, rel=0.02)
    assert seen.data[40, 50] == pytest.approx(0.1 * factor, rel=0.02)
    caplog.clear()
    right = prepare(image, beam=Beam(0.5 * u.arcsec))
    assert "fluxes" not in caplog.text and right.data[40, 50] == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(("area", "percent"), [(1.005, None), (1.05, "5%"), (1.19, "19%"), (1 / 1.19, None)])
def test_an_image_with_a_larger_beam_than_its_psf_is_said_to_be_smoothed(noise_image, caplog, area, percent):
    """As by restoringbeam="common" of tclean: the beam alone differs too little to refuse the PSF."""
    header = {"BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600}
    psf = CCDData(gaussian_psf(), unit=u.one, meta=header)
    image = noise_image(**{key: area**0.5 * axis for key, axis in header.items()})
    prepare(image, psf=psf)
    said = re.search(r"restoringbeam .* fluxes will be some (.*?) too high", caplog.text)
    assert (said and said[1]) == percent
    assert not (said and "half power" in caplog.text)


@pytest.mark.parametrize(("wider", "percent"), [(1.01, None), (1.06, "6%")])
def test_a_psf_of_other_weights_is_said_where_its_beam_is_larger(noise_image, caplog, wider, percent):
    """As of tclean with Briggs weights and a larger imsize: at half power it is less than 5% off."""
    beam = {key: 0.5 / 3600 for key in ("BMAJ", "BMIN")}
    psf = CCDData(gaussian_psf(), unit=u.one, meta={key: wider**0.5 * axis for key, axis in beam.items()})
    prepare(noise_image(**beam), psf=psf)
    said = re.search(r"psf: the beam in its header.* imsize.* fluxes will be some (.*?) too low", caplog.text)
    assert (said and said[1]) == percent
