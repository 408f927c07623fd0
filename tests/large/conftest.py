"""A field of some sources, and a quick imager of tiles so small that it is a large image."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS
from scipy.fft import irfft2, rfft2
from scipy.signal import fftconvolve

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.simulate import Observation, read_array

SHAPE = (230, 210)
RMS = 20e-6
# Pixels x and y and S/N of sources: the last but two are on seams of tiles of 150 pixels, the last but one is bright.
SOURCES = np.array([(40, 60, 20), (170, 50, 25), (60, 180, 15), (90.4, 89.6, 30), (104.5, 150, 25), (30, 30, 400)])
ARGUMENTS = ["--samples", "2", "--steps", "2", "--seed", "3", "--tile", "150", "--device", "cpu"]


@pytest.fixture(scope="session")
def seen():
    """Beam, WCS and a PSF that reaches all over the image from everywhere."""
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, shape=(460, 460), cell=0.2 * u.arcsec,
        integration=2 * u.min,
    )  # fmt: skip


@pytest.fixture(scope="session")
def field(seen):
    """Arguments of an imager: a field of some sources."""
    ny, nx = SHAPE
    sky = Components.points(SOURCES[:, 0], SOURCES[:, 1], RMS * SOURCES[:, 2]).pixels(SHAPE)
    transfer = rfft2(np.fft.ifftshift(seen.psf)).real.clip(0)
    white = np.random.default_rng(5).standard_normal(seen.psf.shape)
    noise = irfft2(rfft2(white) * np.sqrt(transfer), s=seen.psf.shape)
    data = fftconvolve(sky, seen.psf)[230 : 230 + ny, 230 : 230 + nx] + RMS * (noise / noise.std())[:ny, :nx]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---SIN", "DEC--SIN"], [150, 2], [nx // 2 + 1, ny // 2 + 1]
    wcs.wcs.cdelt = np.array([-0.2, 0.2]) / 3600
    dirty = CCDData(data.astype(np.float32), unit="Jy/beam", wcs=wcs)
    return {"dirty": dirty, "psf": [(wcs.pixel_to_world(nx // 2, ny // 2), seen.psf)], "beam": seen.beam}


@pytest.fixture(scope="session")
def middle(seen):
    """The PSF on the pixels of the field."""
    ny, nx = SHAPE
    return seen.psf[230 - ny // 2 : 230 - ny // 2 + ny, 230 - nx // 2 : 230 - nx // 2 + nx]


@pytest.fixture(scope="session")
def in_tiles():
    """A quick imager of small tiles."""
    return DiffusionImager(n_samples=4, steps=3, seed=1, tile=150, progress=False, device="cpu")


def write(folder, field, middle, **others):
    header = field["dirty"].wcs.to_header()
    header["BMAJ"], header["BMIN"] = (axis.to_value("deg") for axis in (field["beam"].major, field["beam"].minor))
    header["BPA"], header["BUNIT"] = field["beam"].pa.to_value("deg"), "Jy/beam"
    for name, data in {"f.dirty": field["dirty"].data, "f.psf": middle.astype(np.float32), **others}.items():
        fits.PrimaryHDU(data, header).writeto(folder / f"{name}.fits")
