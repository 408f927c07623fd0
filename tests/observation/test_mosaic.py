"""The PSF of a mosaic: pointings are put together here as CASA's tclean does it."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS
from scipy.fft import irfft2, rfft2
from scipy.signal import fftconvolve

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.observation.mosaic import mosaic_overlap, mosaic_psf
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, read_array

SIDE, MIDDLE, WIDTH, RMS = 260, 130, 44.0, 1e-4  # pixels; FWHM of the primary beam; Jy/beam
HEXAGON = [(0, 0), *((WIDTH / 2 * np.sin(a), WIDTH / 2 * np.cos(a)) for a in np.radians(60 * np.arange(6)))]
WIDE = [(WIDTH / 2 * i, WIDTH / 2 * j) for i in range(-3, 4) for j in range(-3, 4)]
SOURCES = np.array([(130, 130, 30), (95, 128, 40), (150, 165, 25), (160, 100, 45), (118, 88, 35), (120, 150, 20)])


def primary_beam(offset):
    y, x = np.mgrid[:SIDE, :SIDE] - MIDDLE
    return 2.0 ** (-4 * ((y - offset[0]) ** 2 + (x - offset[1]) ** 2) / WIDTH**2)


class Mosaic:
    """A PSF that all pointings share, and their primary beams."""

    def __init__(self, seen, pointings):
        self.seen = seen
        self.beams = [primary_beam(offset) for offset in pointings]
        self.weight = np.sqrt(sum(beam**2 for beam in self.beams))
        self.peak = self.weight.max()
        self.pb = np.where(self.weight > 0.2 * self.peak, self.weight / self.peak, np.nan)

    def image(self, sky):
        """Of a sky; the noise would be even."""
        window = np.s_[MIDDLE : MIDDLE + SIDE, MIDDLE : MIDDLE + SIDE]
        seen = sum(beam * fftconvolve(beam * sky, self.seen.psf)[window] for beam in self.beams)
        return np.where(np.isfinite(self.pb), seen / (self.weight * self.peak), np.nan)

    def psf(self, y=MIDDLE, x=MIDDLE):
        """As tclean writes it for a place: all pointings see the same, whatever their primary beams are there."""
        total = sum(np.roll(beam, (MIDDLE - y, MIDDLE - x), (0, 1)) for beam in self.beams)
        return self.seen.psf * total / total[MIDDLE, MIDDLE]


@pytest.fixture(scope="module")
def seen():
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, shape=(SIDE, SIDE), cell=0.25 * u.arcsec,
        integration=2 * u.min,
    )  # fmt: skip


@pytest.fixture(scope="module")
def hexagon(seen):
    return Mosaic(seen, HEXAGON)


def plane(data, *history, unit="", at=(MIDDLE, MIDDLE)):
    """An image with a WCS that has the pixel ``at``, (y, x), of the mosaic in its middle, and a HISTORY."""
    header = fits.Header()
    for line in history:
        header["HISTORY"] = line
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---SIN", "DEC--SIN"], np.array([-0.25, 0.25]) / 3600
    wcs.wcs.crval, wcs.wcs.crpix = [150, 2], [2 * MIDDLE - at[1] + 1, 2 * MIDDLE - at[0] + 1]
    return CCDData(np.array(data, np.float32), unit=unit, wcs=wcs, meta=header)


MADE = 'gridder     = "mosaic"'


def response(mosaic, y, x):
    """What a source of even noise looks like, where the mosaic is, and the pixels that a PSF has there."""
    sky = np.zeros((SIDE, SIDE))
    sky[y, x] = 1
    image = mosaic.image(sky)
    return image / image[y, x], np.isfinite(image)


def left(mosaic, psf, y, x):
    """Of that response, by a PSF: root mean square."""
    image, inside = response(mosaic, y, x)
    whole = np.zeros((2 * SIDE, 2 * SIDE))
    whole[MIDDLE : MIDDLE + SIDE, MIDDLE : MIDDLE + SIDE] = psf
    seen = whole[SIDE - y : 2 * SIDE - y, SIDE - x : 2 * SIDE - x]
    return np.sqrt(np.mean((image - seen)[inside] ** 2))


@pytest.mark.parametrize("place", [(130, 130), (130, 95), (165, 150), (100, 160)])
def test_sidelobes_are_what_the_overlap_of_pointings_leaves(hexagon, place):
    given = hexagon.psf()
    psf = mosaic_psf(plane(given, MADE), hexagon.pb, plane(hexagon.pb, unit="Jy/beam"))
    assert psf[MIDDLE, MIDDLE] == pytest.approx(1)
    assert left(hexagon, psf, *place) < 0.6 * left(hexagon, given, *place)


def test_of_one_pointing_it_is_the_psf_without_its_primary_beam(seen):
    one = Mosaic(seen, HEXAGON[:1])
    psf = mosaic_overlap(one.pb).of_sources(one.psf(), (MIDDLE, MIDDLE))
    inside = np.isfinite(one.pb)
    assert np.abs(psf - seen.psf)[inside].max() < 0.05 * np.abs(seen.psf[inside & (seen.psf < 0.5)]).max()


def test_in_a_wide_mosaic_no_pointing_sees_places_that_are_far_apart(seen):
    wide = Mosaic(seen, WIDE)
    overlap = mosaic_overlap(wide.pb)
    assert overlap.width == pytest.approx(WIDTH, rel=0.1)
    shared = overlap.factor((MIDDLE, MIDDLE), np.zeros(1), np.array([0, 0.5, 1]) * WIDTH)[0]
    assert shared == pytest.approx([1, 2**-0.5, 2**-2], abs=0.1)


def test_psfs_of_other_places_become_the_same(hexagon):
    given = [plane(hexagon.psf(*at), MADE, at=at) for at in ((MIDDLE, MIDDLE), (130, 95), (165, 150))]
    psfs = [mosaic_psf(each, hexagon.pb, plane(hexagon.pb, unit="Jy/beam")) for each in given]
    inner = np.s_[MIDDLE - 35 : MIDDLE + 36, MIDDLE - 35 : MIDDLE + 36]
    for was, now in zip(given[1:], psfs[1:], strict=True):
        assert np.std((now - psfs[0])[inner]) < 0.2 * np.std((was.data - given[0].data)[inner])


@pytest.mark.parametrize("history", [(), ('gridder     = "standard"',), ("gridder     = 'wproject'",)])
def test_psfs_of_other_images_are_as_they_are(hexagon, history):
    given = plane(hexagon.psf(), *history)
    assert np.array_equal(mosaic_psf(given, hexagon.pb, plane(hexagon.pb, *history, unit="Jy/beam")), given.data)


def test_a_part_of_a_mosaic_says_nothing_of_its_pointings(seen, caplog):
    wide = Mosaic(seen, WIDE)
    pb, given = wide.pb.copy(), plane(wide.psf(), MADE)
    pb[wide.weight < 0.7 * wide.peak] = np.nan
    pb[np.isfinite(pb)] = pb[np.isfinite(pb)].clip(0.9)
    with caplog.at_level(logging.WARNING):
        psf = mosaic_psf(given, pb, plane(pb, unit="Jy/beam"))
    assert np.array_equal(psf, given.data)
    assert "give images of the whole mosaic" in caplog.text


@pytest.fixture(scope="module")
def observed(hexagon):
    """Arguments of an imager: sources on a mosaic with even noise."""
    rng = np.random.default_rng(3)
    sky = np.zeros((SIDE, SIDE))
    for y, x, snr in SOURCES:
        sky[y, x] = RMS * snr / hexagon.pb[y, x]
    transfer = rfft2(np.fft.ifftshift(hexagon.seen.psf)).real.clip(0)
    noise = irfft2(rfft2(rng.standard_normal((SIDE, SIDE))) * np.sqrt(transfer), s=(SIDE, SIDE))
    dirty = plane(hexagon.image(sky) + RMS * noise / noise.std(), MADE, unit="Jy/beam")
    return {"dirty": dirty, "psf": plane(hexagon.psf(), MADE), "pb": hexagon.pb, "beam": hexagon.seen.beam}


def test_flat_sky_is_made_flat_noise(observed, caplog):
    flat_sky = plane(observed["dirty"].data / observed["pb"], MADE, 'normtype    = "flatsky"', unit="Jy/beam")
    with caplog.at_level(logging.INFO):
        checked = prepare(**observed | {"dirty": flat_sky})
    assert "multiplied by it" in caplog.text
    np.testing.assert_allclose(checked.data, prepare(**observed).data, rtol=1e-5)
    before = flat_sky.data.copy()
    prepare(**observed | {"dirty": flat_sky})
    np.testing.assert_array_equal(flat_sky.data, before)  # what is given stays


@pytest.mark.parametrize("weight", [False, True])
def test_noise_of_flat_sky_is_made_flat_with_it(observed, weight):
    """A map of it was left as it was, and the image, multiplied by the primary beam, divided by that."""
    pb = observed["pb"]
    flat_sky = plane(observed["dirty"].data / pb, MADE, 'normtype    = "flatsky"', unit="Jy/beam")
    noise = CCDData(pb**2, unit="") if weight else CCDData(RMS / pb, unit="Jy/beam")
    checked = prepare(**observed | {"dirty": flat_sky, "noise": noise})
    np.testing.assert_allclose(checked.data, prepare(**observed).data, rtol=1e-5)
    imager = DiffusionImager(n_samples=1, steps=1, seed=1, progress=False, device="cpu", tile=200)
    one, other = (imager(**observed | given).restored.data for given in ({}, {"dirty": flat_sky, "noise": noise}))
    np.testing.assert_allclose(other, one, atol=1e-2 * RMS)


@pytest.mark.parametrize("several", [False, True])
def test_a_mosaic_has_the_fluxes_of_its_sources_and_no_others(observed, hexagon, several, caplog):
    imager = DiffusionImager(n_samples=4, steps=3, seed=1, progress=False, device="cpu", reliability=0.5)
    if several:  # these are not symmetric, as PSFs otherwise are
        places = [(130, 95), (MIDDLE, MIDDLE)]
        observed = observed | {"psf": [plane(hexagon.psf(*at), MADE, at=at) for at in places]}
    catalog = imager(**observed).catalog
    assert len(catalog) == len(SOURCES)
    for y, x, snr in SOURCES:
        near = catalog[np.hypot(catalog["x"] - x, catalog["y"] - y) < 2]
        assert near["flux"].to_value("Jy") * hexagon.pb[y, x] == pytest.approx([RMS * snr], abs=5 * RMS)


def test_tiles_of_flat_sky_are_those_of_flat_noise(observed):
    imager = DiffusionImager(n_samples=1, steps=1, seed=1, progress=False, device="cpu", tile=200)
    flat_sky = plane(observed["dirty"].data / observed["pb"], MADE, 'normtype    = "flatsky"', unit="Jy/beam")
    one, other = (imager(**observed | {"dirty": dirty}).restored.data for dirty in (observed["dirty"], flat_sky))
    np.testing.assert_allclose(other, one, atol=1e-3 * RMS)
