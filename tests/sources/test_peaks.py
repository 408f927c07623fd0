"""Peaks of sources in skies as a network draws them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from astro_ddpm_imager.observation.components import Components
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.sources.aggregation import Detections
from astro_ddpm_imager.sources.finding import find_sources
from astro_ddpm_imager.sources.peaks import measure_peaks

from ..conftest import gaussian_psf

N, PIXELS_PER_BEAM = 64, 2.2
BEAM = np.array([[1.2, 0.3], [0.3, 0.8]])  # second moments, pixels squared


def observe(sky):
    """A sky seen with a Gaussian PSF, without noise."""
    offset = np.mgrid[: 2 * N, : 2 * N][::-1] - N
    psf = np.exp(-0.5 * np.einsum("iyx,ij,jyx->yx", offset, np.linalg.inv(BEAM), offset))
    observed = GriddedObservation(np.zeros((N, N)), psf, np.ones((N, N)), BEAM)
    return replace(observed, dirty=observed.seen(sky))


def squares(x, y, flux, variance):
    """A Gaussian as pixels share it."""
    return Components(*(np.array([v]) for v in (x, y, flux)), variance * np.eye(2)[None]).squares((N, N))


def gaussian_peak(flux, covariance):
    return flux * np.sqrt(np.linalg.det(BEAM) / np.linalg.det(BEAM + covariance))


def as_one(sky):
    """All of a sky as one detection."""
    flux, places = sky.sum(), np.mgrid[:N, :N][::-1]
    x, y = (places * sky).sum((1, 2)) / flux
    offset = places - np.reshape([x, y], (2, 1, 1))
    moments = np.einsum("iyx,jyx,yx->ij", offset, offset, sky) / flux
    none, columns = np.zeros(1, int), (np.array([value]) for value in (x, y, flux))
    return Detections(none, *columns, moments[None], np.zeros((1, 3)), none, np.zeros(1))


def measured(sky, observed):
    found = as_one(sky)
    return measure_peaks(found, found, sky, observed, PIXELS_PER_BEAM).peak.item()


@pytest.mark.parametrize("variance", [0.3, 1.0, 6.0])
@pytest.mark.parametrize(("x", "y"), [(30.0, 30.0), (30.3, 29.8)])
def test_a_gaussian_has_the_peak_of_its_flux_and_moments(x, y, variance):
    sky = squares(x, y, 50.0, variance)
    assert measured(sky, observe(sky)) == pytest.approx(gaussian_peak(50, variance * np.eye(2)), rel=0.03)


@pytest.mark.parametrize(("x", "y"), [(30.0, 30.0), (30.5, 30.5), (30.3, 29.8), (2.4, 61.2)])
def test_wings_hardly_take_from_the_peak_of_a_point(x, y):
    """Of a tenth of its flux; a Gaussian with its moments peaks lower than what is seen, by more than 7%."""
    sky = squares(x, y, 45.0, 0.2) + squares(x, y, 5.0, 4.0)
    observed, one = observe(sky), as_one(sky)
    seen = map_coordinates(observed.dirty, [one.y, one.x], mode="nearest").item()
    assert gaussian_peak(one.flux.item(), one.covariance[0] - np.eye(2) / 12) < 0.93 * seen
    assert measured(sky, observed) == pytest.approx(seen, rel=0.02)


def test_a_source_that_is_refined_has_the_peak_of_the_data():
    """Drawn with wings and a flux that is 8% too high."""
    true, drawn = squares(30.3, 29.8, 50.0, 0.3), squares(30.3, 29.8, 50.0, 0.3) + squares(30.3, 29.8, 4.0, 4.0)
    observed = observe(true)
    found = find_sources(drawn, observed, 1.0, PIXELS_PER_BEAM)
    assert found.peak.item() == pytest.approx(map_coordinates(observed.dirty, [[29.8], [30.3]]).item(), rel=0.02)


def test_the_peak_of_a_bright_source_is_of_what_was_drawn_and_what_was_not_shown():
    x, y = 30.3, 29.8
    shown, hidden = squares(x, y, 10.0, 0.2) + squares(x, y, 5.0, 4.0), squares(x, y, 85.0, 0.2)
    bright = squares(x, y, 85.0, 0.2 + (0.25 * PIXELS_PER_BEAM) ** 2)
    observed, whole = replace(observe(shown), bright=bright, bright_seen=observe(hidden).dirty), observe(shown + hidden)
    found = find_sources(shown, observed, 1.0, PIXELS_PER_BEAM)
    assert found.peak.item() == pytest.approx(map_coordinates(whole.dirty, [[y], [x]]).item(), rel=0.01)


def test_a_ring_keeps_half_of_the_peak_of_a_gaussian():
    y, x = np.mgrid[:N, :N]
    sky = np.where(np.abs(np.hypot(x - 30, y - 30) - 6) < 1, 2.0, 0)
    half = 0.5 * gaussian_peak(sky.sum(), as_one(sky).covariance[0] - np.eye(2) / 12)
    assert measured(sky, observe(sky)) == pytest.approx(half, rel=1e-6)


def test_nothing_has_no_peak():
    nothing = np.zeros((N, N))
    assert len(find_sources(nothing, observe(nothing), 1.0, PIXELS_PER_BEAM).peak) == 0


@pytest.mark.parametrize("inside", [0.0, 0.7])
def test_a_bright_source_at_the_edge_has_its_peak(noise_image, quick, inside):
    """What is not shown to the model of it ends there, too: it was a third too low."""
    dirty, psf = noise_image(), gaussian_psf(shape=(192, 192))
    dirty.data += 0.03 * gaussian_psf(at=(48, 95 - inside))
    (source,) = quick(dirty, psf=psf).catalog
    assert source["snr"] == pytest.approx(300, rel=0.07)
    assert source["peak_flux"].value == pytest.approx(0.03, rel=0.05)
