"""Sidelobes of bright sources all over a large image."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from astro_ddpm_imager.observation import far_sidelobes
from astro_ddpm_imager.observation.beam import beam_covariance
from astro_ddpm_imager.observation.disk_convolution import DiskConvolution
from astro_ddpm_imager.observation.far_sidelobes import (
    PixelComponents,
    PlacedPSF,
    clean_for_others,
    nearest_psf,
    unknown_far_sidelobes,
)
from astro_ddpm_imager.observation.grid import tiles
from astro_ddpm_imager.observation.noise_map import measure_noise
from astro_ddpm_imager.observation.planes import Plane
from astro_ddpm_imager.simulate import Observation, read_array

SIGMA = 1.8  # pixels, of the beam
BEAM_AREA = 2 * np.pi * SIGMA**2


def a_psf(n):
    """A beam with rings of 3% that reach all over the image."""
    y, x = np.indices((n, n)) - n // 2
    distance = np.hypot(y, x)
    return (np.exp(-(distance**2) / (2 * SIGMA**2)) + 0.03 * np.sin(distance / 2) * (distance > 8)).astype(np.float32)


def on_disk(tmp_path, name, image):
    return Plane.of(tmp_path / f"{name}.npy", image.shape, lambda rows: image[rows])


def placed(tmp_path, psf):
    middle = tuple(n // 2 for n in psf.shape)
    return PlacedPSF(0, 0, on_disk(tmp_path, "psf", psf), middle, psf)


@pytest.mark.parametrize("psf_size", [90, 300, 700])
def test_rows_then_columns_are_a_convolution(tmp_path, psf_size):
    psf = a_psf(psf_size)
    sky = np.zeros((300, 280), np.float32)
    sky[[10, 150, 299], [270, 100, 0]] = 1, 2, -1
    found = np.zeros_like(sky)
    convolve = DiskConvolution(on_disk(tmp_path, "psf", psf), (psf_size // 2,) * 2, sky.shape, tmp_path / "c", 1)

    def use(rows, seen):
        found[rows] = seen

    for _ in range(2):  # the PSF stays
        convolve(lambda rows: sky[rows] if sky[rows].any() else None, use)
        full = fftconvolve(sky, psf)[psf_size // 2 :, psf_size // 2 :][:300, :280]
        np.testing.assert_allclose(found, full, atol=1e-5)


def test_no_tile_is_left_with_sidelobes_of_another_ones_source(tmp_path):
    rng = np.random.default_rng(3)
    n, rms = 400, 1e-5
    psf, sky = a_psf(2 * n), np.zeros((n, n))
    sky[[60, 331], [70, 190]] = 4e-3, 2e-3
    noise = rms * rng.standard_normal((n, n))
    seen = fftconvolve(sky, psf)[n : 2 * n, n : 2 * n]
    dirty, left = (on_disk(tmp_path, name, seen + noise) for name in ("dirty", "left"))
    cut = tiles((n, n), 200, 50)

    def measured():
        return measure_noise(left.read, (n, n), BEAM_AREA)

    found, _ = clean_for_others(dirty, left, cut, [placed(tmp_path, psf)], measured, 50, 1)
    assert found.flux.sum() == pytest.approx(6e-3, rel=0.05)
    # What a tile has of the sources in it is put back: nothing of them is lost.
    window = cut[0].window
    back = left.read(window) + found.within(window).seen(psf, (200, 200))
    alone = np.zeros_like(sky)
    alone[window] = sky[window]
    alone = fftconvolve(alone, psf)[n : 2 * n, n : 2 * n]
    np.testing.assert_allclose(back, (alone + noise)[window], atol=0.5 * rms)


def test_sidelobes_of_many_sources_are_no_noise(tmp_path):
    rng = np.random.default_rng(4)
    n, rms = 400, 1e-5
    psf, sky = a_psf(2 * n), np.zeros((n, n))
    sky[tuple(rng.integers(0, n, (2, 80)))] = rms * rng.uniform(10, 60, 80)  # none of them matters alone
    noise = gaussian_filter(rng.standard_normal((n, n)), SIGMA)
    seen = fftconvolve(sky, psf)[n : 2 * n, n : 2 * n] + rms * noise / noise.std()
    dirty, left = (on_disk(tmp_path, name, seen) for name in ("dirty", "left"))

    def measured():
        return measure_noise(left.read, (n, n), BEAM_AREA)

    assert np.median(measured().levels) > 4 * rms
    clean_for_others(dirty, left, tiles((n, n), 200, 50), [placed(tmp_path, psf)], measured, 50, 1)
    assert np.median(measured().levels) < 1.5 * rms


def test_a_psf_as_large_as_the_image_is_continued(tmp_path, caplog, monkeypatch):
    """As tclean and WSClean write it: sidelobes of sources at one end reach the other one."""
    rng = np.random.default_rng(7)
    n, rms = 400, 1e-5
    seen = Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, shape=(2 * n, 2 * n), cell=0.2 * u.arcsec,
        duration=1 * u.min, integration=1 * u.min,
    )  # fmt: skip
    sky = np.zeros((n, n))
    sky[tuple(rng.integers(0, n, (2, 60)))] = rms * rng.uniform(20, 300, 60)
    image = fftconvolve(sky, seen.psf)[n : 2 * n, n : 2 * n] + rms * rng.standard_normal((n, n))
    dirty, cut = on_disk(tmp_path, "dirty", image), tiles((n, n), 200, 50)

    def noise_with(psf, most_work):
        monkeypatch.setattr(far_sidelobes, "MOST_WORK", most_work)
        left = on_disk(tmp_path, "left", image)
        area = 2 * np.pi * np.sqrt(np.linalg.det(beam_covariance(seen.beam, seen.wcs, seen.shape)))
        clean_for_others(
            dirty, left, cut, [placed(tmp_path, psf)], lambda: measure_noise(left.read, (n, n), area), 50, 1
        )
        return np.nanmedian(measure_noise(left.read, (n, n), area).levels)

    own = seen.psf[n // 2 : n + n // 2, n // 2 : n + n // 2]
    wide, ended, continued = noise_with(seen.psf, 1e9), noise_with(own, 0), noise_with(own, 1e9)
    assert wide < 1.5 * rms
    assert 2 * wide < ended and 2 * continued < ended
    assert "the PSF image ends within the field" in caplog.text
    assert not list(tmp_path.glob("*continued*"))


def test_what_is_beyond_the_psf_image_is_said_of_all_sources(tmp_path, caplog):
    n, rms = 300, 1e-5
    psf = a_psf(n)
    sky = np.zeros((n, n))
    sky[30:280:60, 30:280:60] = 80 * rms
    noise = rms * np.random.default_rng(5).standard_normal((n, n))
    seen = fftconvolve(sky, a_psf(2 * n))[n : 2 * n, n : 2 * n] + noise
    dirty, left = (on_disk(tmp_path, name, seen) for name in ("dirty", "left"))
    clean_for_others(
        dirty, left, tiles((n, n), 150, 40), [placed(tmp_path, psf)],
        lambda: measure_noise(left.read, (n, n), BEAM_AREA), 40, 1,
    )  # fmt: skip
    assert "the PSF image ends within the field of bright sources" in caplog.text


def test_an_image_without_bright_sources_stays(tmp_path):
    image = np.random.default_rng(1).standard_normal((200, 200)).astype(np.float32)
    dirty, left = (on_disk(tmp_path, name, image) for name in ("dirty", "left"))
    found, _ = clean_for_others(
        dirty, left, tiles((200, 200), 120, 30), [placed(tmp_path, a_psf(400))],
        lambda: measure_noise(left.read, (200, 200), BEAM_AREA), 30, 1,
    )  # fmt: skip
    assert not len(found.flux)
    np.testing.assert_array_equal(left.opened(), image)


def test_components_know_their_window():
    components = PixelComponents(np.array([5, 20]), np.array([7, 30]), np.array([1.0, 2.0]))
    image = components.within((slice(10, 40), slice(25, 50))).image((30, 25))
    assert image[10, 5] == 2
    assert image.sum() == 2


def test_the_nearest_psf_counts(tmp_path):
    psf = a_psf(20)
    left, right = (PlacedPSF(x, 50, None, (10, 10), psf) for x in (0, 100))
    assert nearest_psf([left, right], (slice(40, 60), slice(60, 90))) is right


def test_a_plane_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    plane = on_disk(tmp_path, "plane", np.zeros((4, 6)))
    plane.write((slice(1, 3), slice(2, 4)), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(plane.read((slice(0, 4), slice(2, 4))), [[0, 0], [1, 2], [3, 4], [0, 0]])
    plane.path.chmod(0o400)
    monkeypatch.setattr(type(plane.path), "open", full_disk)
    with pytest.raises(OSError, match=r"plane\.npy: cannot be written \(No space left"):
        plane.write((slice(None), slice(None)), 1.0)


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_sidelobes_are_unknown_beyond_the_psf_image(tmp_path):
    psf = placed(tmp_path, a_psf(201))  # known of as far as 100 pixels
    found = PixelComponents(np.array([50, 50, 500]), np.array([50, 700, 50]), np.array([3e-3, 4e-3, 1.0]))
    window = (slice(0, 100), slice(850, 950))
    unknown = unknown_far_sidelobes(found, [psf], [0.02], window)
    np.testing.assert_allclose(unknown, 0.02 * np.sqrt(3e-3**2 + 4e-3**2 + 1), rtol=1e-6)
    near = (slice(0, 129), slice(60, 189))
    unknown = unknown_far_sidelobes(found, [psf], [0.02], near)
    assert unknown.shape == (4, 4)  # at pixels 0, 42, 85, 128, and 60, 102, 145, 188
    others = 0.02 * np.hypot(4e-3, 1.0)
    np.testing.assert_allclose(unknown[:, :3], others, rtol=1e-6)
    np.testing.assert_allclose(unknown[:, 3:], np.hypot(others, 0.02 * 3e-3), rtol=1e-6)
    assert not unknown_far_sidelobes(found, [psf], [0.0], window).any()
    assert not unknown_far_sidelobes(PixelComponents.empty(), [psf], [0.02], window).any()


def test_each_source_has_the_sidelobes_of_its_nearest_psf(tmp_path):
    one, other = placed(tmp_path, a_psf(101)), replace(placed(tmp_path, a_psf(101)), x=1000)
    found = PixelComponents(np.array([10, 10]), np.array([20, 990]), np.array([1.0, 1.0]))
    unknown = unknown_far_sidelobes(found, [one, other], [0.01, 0.03], (slice(400, 500), slice(400, 500)))
    np.testing.assert_allclose(unknown, np.hypot(0.01, 0.03), rtol=1e-6)
