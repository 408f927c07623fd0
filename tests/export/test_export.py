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
from astro_ddpm_imager.diffusion.sampling import LinearSchedule
from astro_ddpm_imager.diffusion.stretch import PowerStretch
from astro_ddpm_imager.simulate import FieldSimulator, Population, draw_instrument, sky_pixels, sky_spectrum

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from export.feedback import Diffusion  # noqa: E402
from export.instruments import write  # noqa: E402
from export.ranks import ranks_of_field  # noqa: E402
from export.to_onnx import export  # noqa: E402
from export.torch_fields import TorchSimulator, _turned, draw_skies  # noqa: E402
from export.train import CLEAN  # noqa: E402
from export.unet import UNet  # noqa: E402

ROOT = Path(__file__).parents[2]


def random_network(folder, feedback):
    """A small U-Net with random weights, of half precision as they are kept, and its ONNX file."""
    torch.manual_seed(0)
    model = UNet((16, 24, 32), (1, 1, 1), feedback)
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.2)
        weights.data = weights.data.half().float()
    path = folder / "random.onnx"
    export(model, replace(load_card("default")[0], name="random"), path)
    return model.eval(), path


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    return random_network(tmp_path_factory.mktemp("model"), feedback=False)


@pytest.fixture(scope="module")
def random_model_with_feedback(tmp_path_factory):
    return random_network(tmp_path_factory.mktemp("model"), feedback=True)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(64, 64), (48, 104)])
@pytest.mark.parametrize("name", ["random_model", "random_model_with_feedback"])
def test_torch_and_onnx_runtime_agree(name, batch, size, request):
    model, path = request.getfixturevalue(name)
    rng = np.random.default_rng(1)
    channels = {"x": 1, "condition": 4, "feedback": 2}
    inputs = {name: rng.standard_normal((batch, channels[name], *size)).astype(np.float32) for name in channels}
    inputs = {
        "x": inputs["x"],
        "condition": inputs["condition"],
        "t": rng.uniform(0, 1000, batch).astype(np.float32),
    } | ({} if model.feedback is None else {"feedback": inputs["feedback"]})
    with torch.no_grad():
        expected = model(*(torch.from_numpy(value) for value in inputs.values())).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, inputs)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_ranks_of_a_field_are_those_of_its_seed(random_model):
    """A model that draws nonsense far above any sky: the truth is below all of its samples."""
    simulator = FieldSimulator((draw_instrument(np.random.default_rng(0), n=48),))
    ranks = [ranks_of_field(Denoiser(random_model[1], "cpu", 1), simulator, 3, 1, index) for index in (0, 0, 1)]
    assert ranks[0] == ranks[1]
    assert ranks[0]["brightest beam"] == ranks[2]["brightest beam"] == [0]
    assert ranks[0]["distance"] == ranks[2]["distance"] == [0]
    assert all(0 <= rank <= 3 for of_field in ranks for name in of_field for rank in of_field[name])


def test_an_exported_model_runs(random_model):
    assert DiffusionImager(random_model[1], n_samples=1, steps=2, device="cpu")(**demo_files()).image.shape == (
        320,
        320,
    )


ONE_AFTER_THE_OTHER = """
import json, sys
from export import to_onnx, train
for name, *arguments in json.loads(sys.argv[1]):
    sys.argv = [name, *arguments]
    assert not {"train": train, "to_onnx": to_onnx}[name].main()
"""  # commands in one process, which imports torch once


def test_training_resumes_and_exports(tmp_path):
    """Two steps, then two more from the checkpoint, equal four at once; the learning rate knows the last step."""
    write(tmp_path / "psfs.npz", [draw_instrument(np.random.default_rng(i), n=32) for i in range(2)])

    def train(folder, steps):
        return [
            "train", str(tmp_path / "psfs.npz"), "--output", str(tmp_path / folder),
            "--steps", str(steps), "--batch", "2", "--validation", "1", "--eager", "--single-precision",
            "--channels", "8", "8", "8", "--blocks", "1", "1", "1",
        ]  # fmt: skip

    calls = [train("a", 2), train("a", 4), train("b", 4)]
    calls.append(["to_onnx", str(tmp_path / "a" / "checkpoint.pt"), str(tmp_path / "tiny.onnx")])
    subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(calls)], cwd=ROOT, check=True, capture_output=True
    )
    resumed, straight = (torch.load(tmp_path / folder / "checkpoint.pt") for folder in "ab")
    assert resumed["step"] == straight["step"] == 4
    for name, weights in straight["average"].items():
        torch.testing.assert_close(resumed["average"][name], weights)
    card = json.loads((tmp_path / "tiny.json").read_text())
    assert card["training"]["steps"] == 4
    assert card["steps"] == load_card("default")[0].steps  # of the sampler


@pytest.fixture(scope="module")
def instrument():
    return draw_instrument(np.random.default_rng(3), n=64, observatory="vla")


@pytest.mark.parametrize("kind", Population().kinds)
def test_fields_in_torch_are_those_of_numpy(instrument, kind):
    """The same sources, PSF, errors and noise give the same sky, dirty image, residual and components."""
    simulator = FieldSimulator((instrument,), gain_errors=1, flat=dict.fromkeys(Population().kinds, 0.0))
    seed = next(
        seed for seed in range(20) if len(draw_skies(simulator, np.random.default_rng(seed), 1, kind).sources) > 3
    )
    batch = draw_skies(simulator, np.random.default_rng(seed), 1, kind)
    rng = np.random.default_rng(seed)
    rng.integers(1, size=1)
    drawn = simulator.draw_sky(rng, (64, 64), instrument.pixels_per_beam, kind)
    sources, observe = drawn.sources, TorchSimulator(simulator, "cpu", **CLEAN)
    pixels, spectrum = observe.skies(torch.from_numpy(batch.sources), 1)
    expected = sky_spectrum(sources, (64, 64))
    np.testing.assert_allclose(spectrum[0].numpy(), expected, atol=1e-4 * np.abs(expected).max())
    # numpy's pixels end at the edge, where torch's go on at the other side.
    surrounded = replace(sources, x=sources.x + 64, y=sources.y + 64)
    tiles = sky_pixels(surrounded, (192, 192)).reshape(3, 64, 3, 64).sum((0, 2))
    np.testing.assert_allclose(pixels[0].numpy(), tiles, atol=1e-3 * tiles.max())

    pb = simulator.primary_beam((64, 64), drawn.pb_fwhm)
    np.testing.assert_allclose(observe.primary_beams(torch.from_numpy(batch.pb_fwhm))[0].numpy(), pb, atol=1e-5)
    generator, again = (torch.Generator().manual_seed(7) for _ in range(2))
    fields = observe(batch, generator)
    white = torch.randn((1, 64, 64), generator=again)[0].numpy()
    turned = int(torch.randint(4, (1,), generator=again))
    wrong = replace(sources, flux=drawn.gain_error * drawn.true_flux)
    expected = expected * instrument.transfer + sky_spectrum(wrong, (64, 64)) * instrument.error_transfer
    expected += np.fft.rfft2(white) * instrument.noise_amplitude
    dirty = np.where(pb > 0, np.fft.irfft2(expected, s=(64, 64)), 0)
    periodic = np.tile(np.fft.ifftshift(instrument.psf), (2, 2))
    images = condition(dirty, periodic, pb, instrument.pixels_per_beam, **CLEAN)
    for name, found, image in zip(CONDITIONS, fields.images[0].numpy(), images, strict=True):
        np.testing.assert_allclose(
            found, _turned(torch.from_numpy(image), turned).numpy(), atol=2e-3 * np.abs(dirty).max(), err_msg=name
        )


def test_clean_of_all_fields_at_once_is_that_of_one_after_the_other(instrument, monkeypatch):
    """In the interpreter of triton, which needs no GPU; the fields are of many components or none."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip("triton")
    simulator = FieldSimulator((instrument, instrument.turned(1)), gain_errors=0, remainders=0)
    observe = TorchSimulator(simulator, "cpu", **CLEAN)
    fields = observe(draw_skies(simulator, np.random.default_rng(0), 8), torch.Generator().manual_seed(1))
    dirty, which, pb = fields.images[:, 0], np.arange(8) % 2, fields.images[:, 3]
    one_by_one, at_once = observe.conditions(dirty, which, pb), observe.conditions_at_once(dirty, which, pb)
    assert one_by_one[:, 2].max() > 1
    # The components of numpy are convolved with a beam that ends at the edge.
    inner = (slice(None), slice(None), slice(12, 52), slice(12, 52))
    np.testing.assert_allclose(at_once[inner].numpy(), one_by_one[inner].numpy(), atol=0.01)


def test_the_misfit_of_the_truth_is_noise(instrument):
    """Whatever the direction the field was turned in, and that of the empty sky is the dirty image."""
    population = Population(kinds={"extended": 1}, extended_peak=(50, 60))
    flat = {"extended": 1.0}
    simulator = FieldSimulator((instrument,), population, gain_errors=0, flat=flat)
    observe = TorchSimulator(simulator, "cpu", **CLEAN)
    for seed in range(6):
        batch = draw_skies(simulator, np.random.default_rng(seed), 4)
        fields = observe(batch, torch.Generator().manual_seed(seed))
        misfit = fields.misfit(fields.skies)
        assert fields.images[:, 0].std() > 3 and misfit.std() == pytest.approx(1, rel=0.1)
        torch.testing.assert_close(fields.misfit(torch.zeros_like(fields.skies)), fields.images[:, :1])


def test_a_noisier_sky_tells_nothing_more():
    """A sky with noise added has the distribution that it would have had from the beginning."""
    diffusion = Diffusion(LinearSchedule(), PowerStretch(), "cpu")
    generator = torch.Generator().manual_seed(0)
    skies = torch.full((64, 32, 32), 2.0)
    x, t, velocity = diffusion.diffuse(skies, generator)
    alpha, sigma = diffusion.amplitudes(t)
    torch.testing.assert_close(alpha * x - sigma * velocity, torch.zeros_like(x), atol=1e-4, rtol=0)  # 2 sqrt(2/8) - 1
    torch.testing.assert_close(diffusion.flux(diffusion.expected(x, velocity, t)), skies, atol=1e-3, rtol=0)
    noisier, before = diffusion.before(x, t, torch.full((64,), 1.5), generator)
    assert (before >= t).all() and (before[t < 900] > t[t < 900]).all()
    _, expected = diffusion.amplitudes(before)
    np.testing.assert_allclose(noisier.std((1, 2, 3)).numpy(), expected.flatten().numpy(), rtol=0.15)


def test_training_goes_on_from_a_network_without_feedback():
    torch.manual_seed(1)
    without, with_feedback = UNet((8, 8, 8), (1, 1, 1)), UNet((8, 8, 8), (1, 1, 1), feedback=True)
    torch.nn.init.normal_(without.last.weight)
    lacking, _ = with_feedback.load_state_dict(without.state_dict(), strict=False)
    assert lacking == ["feedback.weight"]
    x, condition_, t, feedback = (
        torch.randn(2, 1, 32, 32),
        torch.randn(2, 4, 32, 32),
        torch.tensor([5.0, 500]),
        torch.randn(2, 2, 32, 32),
    )
    torch.testing.assert_close(with_feedback(x, condition_, t, feedback), without(x, condition_, t))
