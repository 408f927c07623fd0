"""A network and its quick half in one file."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from astro_ddpm_imager import load_card

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from export.quick import FROM, UNTIL, balanced, in_single_precision, in_whole_numbers, joined  # noqa: E402
from export.to_onnx import export  # noqa: E402
from export.unet import UNet  # noqa: E402


def run(model, inputs):
    """Of a network in memory."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def shown(t, seed):
    rng = np.random.default_rng(seed)
    channels = {"x": 1, "condition": 4, "feedback": 2}
    inputs = {name: rng.standard_normal((2, n, 32, 40)).astype(np.float32) for name, n in channels.items()}
    return inputs | {"t": np.full(2, t, np.float32)}


def test_the_quick_half_serves_the_steps_between_only(tmp_path):
    torch.manual_seed(0)
    network = UNet((8, 12, 16), (2, 2, 3), feedback=True)
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    path = tmp_path / "mine.onnx"
    export(network, replace(load_card("default")[0], name="mine"), path)
    exact, seen = onnx.load(path), [{k: v[:1] for k, v in shown(t, t).items()} for t in (40, 100, 330)]
    alike = balanced(in_single_precision(exact), seen)
    quick = in_whole_numbers(alike, seen)
    both = joined(onnx.load(path), quick)
    operators = {half.name: {node.op_type for node in half.g.node} for half in both.graph.node[-1].attribute}
    assert "QuantizeLinear" in operators["then_branch"] and "QuantizeLinear" not in operators["else_branch"]
    assert [entry.value for entry in both.metadata_props] == [entry.value for entry in exact.metadata_props]
    for t in (1.0, FROM - 1, FROM, 100.0, UNTIL, UNTIL + 1, 999.0):
        inputs = shown(t, 7)
        expected = run(exact, inputs)
        # Balancing alone changes nothing, and whole numbers little.
        np.testing.assert_allclose(run(alike, inputs), expected, atol=2e-5 * np.abs(expected).max())
        error = (run(both, inputs) - expected).std() / expected.std()
        assert (1e-4 < error < 0.05) if FROM <= t <= UNTIL else error == 0, t
