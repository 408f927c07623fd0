"""One session behind one call: batches, tiles, and what runs side by side."""

import os
import subprocess
import sys

import numpy as np
import pytest

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.diffusion.denoiser import Denoiser

from ..conftest import exact_session

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


def test_the_quick_half_is_near_the_exact_one(monkeypatch):
    """Between the first and the last step the default network is in whole numbers, below what it has wrong anyway."""
    seen, run = {}, Denoiser._run

    def watched(self, inputs, options=None):
        if options is None:  # and not the first try
            seen[float(inputs["t"][0])] = inputs
        return run(self, inputs, options)

    monkeypatch.setattr(Denoiser, "_run", watched)
    imager = DiffusionImager(device="cpu", n_samples=2, seed=1)
    imager(**demo_files())
    exact = exact_session()
    assert len(seen) > 3
    for t, inputs in seen.items():
        error = (run(imager.denoiser, inputs) - exact.run(None, inputs)[0][:, 0]).std()
        assert (1e-4 < error < 0.025) if 40 < t < 330 else error < 1e-5, t
    # What has more noise decides for all of a batch.
    inputs["t"][:] = 61, 999
    np.testing.assert_allclose(run(imager.denoiser, inputs), exact.run(None, inputs)[0][:, 0], atol=1e-5)


def test_onnx_runtime_reports_nothing_to_its_maker(tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT") if name in os.environ}
    code = "from astro_ddpm_imager.diffusion.denoiser import Denoiser; Denoiser(device='cpu')"
    subprocess.run([sys.executable, "-c", code], env={**kept, "HOME": str(tmp_path)}, check=True)
    # From 1.29 on it would keep the number of the user there by which its reports are known.
    assert not list(tmp_path.rglob("*deviceid*"))
