"""Training and export; only where torch is installed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from astro_ddpm_imager import DiffusionImager, load_card
from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.diffusion.conditioning import CONDITIONS, condition
from astro_ddpm_imager.diffusion.denoiser import Denoiser
from astro_ddpm_imager.simulate import FieldSimulator, Population, draw_instrument, sky_pixels, sky_spectrum

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from export.ranks import ranks_of_crop  # noqa: E402
from export.to_onnx import export  # noqa: E402
from export.torch_fields import TorchFields  # noqa: E402
from export.train import CLEAN  # noqa: E402
from export.unet import UNet  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    """A small U-Net with random weights, its ONNX file and its card."""
    torch.manual_seed(0)
    model = UNet((16, 24, 32), (1, 1, 1))
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.2)
    path = tmp_path_factory.mktemp("model") / "random.onnx"
    export(model, replace(load_card("default")[0], name="random"), path)
    return model.eval(), path


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(64, 64), (48, 104)])
def test_torch_and_onnx_runtime_agree(random_model, batch, size):
    model, path = random_model
    rng = np.random.default_rng(1)
    inputs = {
        name: rng.standard_normal((batch, channels, *size)).astype(np.float32)
        for name, channels in (("x", 1), ("condition", 4))
    }
    inputs["t"] = rng.uniform(0, 1000, batch).astype(np.float32)
    with torch.no_grad():
        expected = model(*(torch.from_numpy(value) for value in inputs.values())).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, inputs)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_ranks_of_a_crop_are_those_of_its_seed(random_model):
    """A model that draws nonsense far above any sky: the truth is below all of its samples."""
    simulator = FieldSimulator((draw_instrument(np.random.default_rng(0)),))
    ranks = [ranks_of_crop(Denoiser(random_model[1], "cpu", 1), simulator, 3, 48, 1, index) for index in (0, 0, 1)]
    assert ranks[0] == ranks[1]
    assert ranks[0]["brightest beam"] == ranks[2]["brightest beam"] == [0]
    assert all(0 <= rank <= 3 for of_crop in ranks for name in of_crop for rank in of_crop[name])


def test_an_exported_model_runs(random_model):
    assert DiffusionImager(random_model[1], n_samples=1, steps=2, device="cpu")(**demo_files()).image.shape == (
        320,
        320,
    )


def test_training_resumes_and_exports(tmp_path):
    """Two steps, then two more from the checkpoint, equal four at once."""

    def train(folder, steps):
        subprocess.run(
            [
                sys.executable, "-m", "export.train", "--psfs", "2", "--output", str(folder),
                "--steps", str(steps), "--decay", "0", "--batch", "2", "--size", "32", "--eager",
            ],
            cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip
        return torch.load(folder / "checkpoint.pt")

    train(tmp_path / "a", 2)
    resumed, straight = train(tmp_path / "a", 4), train(tmp_path / "b", 4)
    assert resumed["step"] == straight["step"] == 4
    for name, weights in straight["average"].items():
        torch.testing.assert_close(resumed["average"][name], weights)
    subprocess.run(
        [sys.executable, "-m", "export.to_onnx", str(tmp_path / "a" / "checkpoint.pt"), str(tmp_path / "tiny.onnx")],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    assert json.loads((tmp_path / "tiny.json").read_text())["training"]["steps"] == 4


def test_fields_in_torch_are_those_of_numpy():
    """The same sources and the same PSF give the same sky, components and residual."""
    instrument = draw_instrument(np.random.default_rng(3), n=64)
    simulator = FieldSimulator(
        (instrument,), Population(density=0.15, other_fraction=0, seen_fraction=0), flat_fraction=1
    )
    sources, pb = simulator.draw_sky(np.random.default_rng(0), (64, 64), instrument.pixels_per_beam)
    assert len(sources) > 5
    fields = TorchFields(simulator, "cpu")
    spectrum, sky = fields._sources([sources, sources.select([])])
    np.testing.assert_allclose(spectrum[0].numpy(), sky_spectrum(sources, (64, 64)), atol=2e-3)
    assert not sky[1].any()
    inner = (slice(8, 56),) * 2  # numpy's pixels end at the edge, and so do torch's, but not at five widths
    np.testing.assert_allclose(sky[0].numpy()[inner], sky_pixels(sources, (64, 64))[inner], atol=1e-3 * sky.max())
    noise = np.random.default_rng(1).standard_normal((64, 64))
    dirty = np.fft.irfft2(sky_spectrum(sources, (64, 64)) * instrument.transfer, s=(64, 64)) + noise
    periodic = np.tile(np.fft.ifftshift(instrument.psf), (2, 2))
    expected = condition(dirty, periodic, pb, instrument.pixels_per_beam, **CLEAN)
    tensors = (torch.from_numpy(v.astype(np.float32))[None] for v in (dirty, np.fft.ifftshift(instrument.psf), pb))
    found = fields._condition(*tensors, np.array([instrument.pixels_per_beam]), **CLEAN)[0].numpy()
    for name, plane, other in zip(CONDITIONS, found, expected, strict=True):
        edge = slice(None) if name != "components" else slice(10, 54)
        np.testing.assert_allclose(plane[edge, edge], other[edge, edge], atol=0.02, err_msg=name)
    conditions, skies = fields.crops(np.random.default_rng(2), 6, 32, CLEAN)
    assert conditions.shape == (6, 4, 32, 32) and skies.shape == (6, 32, 32) and skies.min() >= 0
