"""Files and images that the tests share."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.wcs import WCS

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.data import demo_files

SHARED = Path(__file__).parents[2] / "shared" / "casa_fields"


@pytest.fixture
def casa_fields():
    """Folder of the CASA fields used in development."""
    if not SHARED.is_dir():
        pytest.skip(f"the development data are not at {SHARED}")
    return SHARED


@pytest.fixture
def demo():
    """Arguments of a DiffusionImager: the demonstration field."""
    return demo_files()


@pytest.fixture(scope="session")
def imager():
    """A quick imager: few samples, few steps."""
    return DiffusionImager(n_samples=2, steps=3, seed=1, device="cpu", progress=False)


@pytest.fixture(scope="session")
def result(imager):
    """The quick imager's result on the demonstration field."""
    return imager(**demo_files())


def make_wcs(shape=(96, 96), cell=0.1, angle=0.0):
    """A celestial WCS with pixels of ``cell`` arcsec, rotated by ``angle`` degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---SIN", "DEC--SIN"], [150.0, 2.0]
    wcs.wcs.crpix = [shape[1] // 2 + 1, shape[0] // 2 + 1]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * cell / 3600
    wcs.wcs.radesys = "ICRS"
    return wcs


@pytest.fixture
def noise_image():
    """Function making a dirty image of noise with a beam of 0.5 arcsec in its header."""

    def make(shape=(96, 96), cell=0.1, unit=u.Jy / u.beam, **header):
        data = 1e-4 * np.random.default_rng(0).standard_normal(shape)
        meta = {"BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600, "BPA": 0.0, **header}
        return CCDData(data, unit=unit, wcs=make_wcs(shape[-2:], cell), meta=meta)

    return make
