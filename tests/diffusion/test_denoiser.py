"""One session behind one call: batches, tiles, and what runs side by side."""

import numpy as np
import pytest

from astro_ddpm_imager.diffusion.denoiser import Denoiser

SHAPE = (40, 56)


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(3)
    return [rng.standard_normal((3, *extra, *SHAPE), dtype=np.float32) for extra in ((), (4,), (2,))]


def test_a_batch_is_as_its_images_one_by_one(given):
    noisy, conditions, feedback = given
    denoiser = Denoiser(device="cpu")
    together = denoiser.predict(noisy, conditions, 500, feedback)
    assert together.shape == noisy.shape
    for i in range(len(noisy)):
        (alone,) = denoiser.predict(noisy[i : i + 1], conditions[i : i + 1], 500, feedback[i : i + 1])
        np.testing.assert_allclose(together[i], alone, atol=1e-5)
    pair = denoiser.predict(noisy[:2], conditions[:2], 500, feedback[:2])
    np.testing.assert_array_equal(denoiser.predict(noisy[:1], conditions[:1], 500, feedback[:1]), pair[:1])


def test_batches_on_a_cpu_do_not_depend_on_threads():
    for shape, expected in (((64, 64), 2), ((256, 200), 2), ((1024, 1024), 1)):
        assert {Denoiser(device="cpu", threads=n).batch(shape, 20) for n in (1, 2, 7)} == {expected}


def test_a_gpu_gets_two_batches_that_fit(monkeypatch):
    denoiser = Denoiser(device="cpu", threads=4)
    monkeypatch.setattr(denoiser, "provider", "CUDAExecutionProvider")
    assert denoiser.streams == 2
    assert denoiser.batch((128, 128), 20) == 10
    assert denoiser.batch((4096, 4096), 60) == 20  # of tiles
    assert denoiser.batch((128, 128), 1) == 1
