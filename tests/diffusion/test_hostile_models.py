"""Damaged and hostile models and cards: each is a ModelError that names the entry, before anything of it is run."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from astro_ddpm_imager import DiffusionImager, ModelError, load_card
from astro_ddpm_imager.diffusion.models.card import SHIPPED
from astro_ddpm_imager.diffusion.models.network import check_network

onnx = pytest.importorskip("onnx")


@pytest.fixture
def copy(tmp_path):
    """A copy of the default model."""
    for ending in ("onnx", "json"):
        shutil.copy(SHIPPED / f"default.{ending}", tmp_path / f"mine.{ending}")
    return tmp_path / "mine.onnx"


def changed_card(path, **entries):
    """Change a card; entries of entries by names such as clean__gain; of value None, remove them."""
    card = path.with_suffix(".json")
    content = json.loads(card.read_text())
    for name, value in entries.items():
        *outer, last = name.split("__")
        inner = content
        for key in outer:
            inner = inner[key]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    card.write_text(json.dumps(content))


BAD = [
    {"gamma": "2"}, {"gamma": float("nan")}, {"gamma": 0}, {"gamma": True}, {"c": -8}, {"c": float("inf")}, {"name": 5},
    {"name": ""}, {"name": "a\x1b[0m"}, {"date": []}, {"noise_protocol": "none"}, {"schedule": 5},
    {"schedule__steps": 1e9},
    {"schedule__steps": 2.5}, {"schedule__beta_end": 2}, {"schedule__beta_start": 0.5}, {"schedule__beta_end": None},
    {"pixels_per_beam": 0}, {"pixels_per_beam": 1e9}, {"multiple": 0}, {"multiple": 10**9}, {"reach": -1},
    {"reach": 10**6}, {"parameters": "many"}, {"clean": {}}, {"clean__gain": 0}, {"clean__gain": 7},
    {"clean__threshold": "x"}, {"bright__kept": 1e5}, {"bright__brightest": None}, {"limits": []},
    {"limits__beam_axis_ratio": 0.5}, {"training": "long"}, {"threshold": -1}, {"reliability": 2}, {"steps": 0},
    {"steps": 2000}, {"steps": [7]}, {"calibration": 5}, {"calibration__flux_err": "1"},
    {"calibration__reliability__slope": None}, {"calibration__reliability__n_samples": 0},
    {"calibration__purity": [1]}, {"calibration__purity": {"x": 0.5}}, {"calibration__purity": {"0.9": "x"}},
    {"scores": []}, {"image_scores": 3}, {"sha256": "short"}, {"sha256": 5}, {"gamma": None}, {"steps": None},
]  # fmt: skip


@pytest.mark.parametrize("entries", BAD, ids=str)
def test_entries_of_the_card_are_named(copy, entries):
    changed_card(copy, **entries)
    name = next(iter(entries)).replace("__", ".")
    with pytest.raises(ModelError, match=rf"its card mine\.json cannot be read \(.*{name.split('.')[-1]}"):
        load_card(copy)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "5", '"x"', "\xff", "[" * 100_000, '{"a": 1e999}', "\0"])
def test_cards_that_are_none(copy, content):
    copy.with_suffix(".json").write_bytes(content.encode("latin1"))
    with pytest.raises(ModelError, match=r"its card mine\.json cannot be read"):
        DiffusionImager(copy, device="cpu")


def renewed(path, model):
    """Write a model, and its checksum to its card."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    path.write_bytes(content)
    changed_card(path, sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("place", ["weights.bin", "../../etc/passwd", "/etc/passwd"])
def test_weights_in_other_files_are_refused(copy, place):
    model = onnx.load(copy)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    renewed(copy, model)
    with pytest.raises(ModelError, match=r"are in another file, '.*', which the checksum of the card does not hold"):
        DiffusionImager(copy, device="cpu")


@pytest.mark.parametrize(
    ("operator", "domain", "said"),
    [
        ("Loop", "", "Loop, which need not end"),
        ("RandomNormal", "", "the same seed must give the same samples"),
        ("Own", "org.example", "an operator of another library, org.example.Own"),
    ],
)
def test_operators_are_looked_at_also_in_inner_graphs(copy, operator, domain, said):
    for inner in (False, True):
        model = onnx.load(SHIPPED / "default.onnx")
        node = onnx.helper.make_node(operator, [], ["out"], domain=domain)
        if inner:
            node = onnx.helper.make_node("If", ["x"], ["out"], then_branch=onnx.helper.make_graph([node], "g", [], []))
        model.graph.node.insert(0, node)
        renewed(copy, model)
        with pytest.raises(ModelError, match=said):
            DiffusionImager(copy, device="cpu")


def test_inputs_and_outputs(copy):
    model = onnx.load(copy)
    model.graph.input[0].name = "y"
    with pytest.raises(ModelError, match=r"it: has the inputs \['condition', 'feedback', 't', 'y'\], not x, condition"):
        check_network(model.SerializeToString(), "it")
    model = onnx.load(copy)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    with pytest.raises(ModelError, match=r"its input 'x' is not of float32 with 4 axes"):
        check_network(model.SerializeToString(), "it")
    model = onnx.load(copy)
    del model.graph.output[:]
    with pytest.raises(ModelError, match=r"its first output is not of float32"):
        check_network(model.SerializeToString(), "it")


def test_files_that_are_no_models(copy):
    whole, rng = copy.read_bytes(), np.random.default_rng(0)
    bad = [b"", b"no model", rng.bytes(5000), whole[: len(whole) // 2], whole[:1000], b"\x3a" + b"\xff" * 9 + b"\x01"]
    for _ in range(20):
        content = bytearray(whole)
        for at in rng.integers(0, 3000, 5):
            content[at] ^= 1 << int(rng.integers(8))
        bad.append(bytes(content))
    for content in bad:
        renewed(copy, content)
        try:
            DiffusionImager(copy, device="cpu")
        except ModelError as error:
            assert "mine.onnx" in str(error)


def test_a_model_that_returns_nan(copy):
    model = onnx.load(copy)
    halves = [branch.g for node in model.graph.node for branch in node.attribute if branch.HasField("g")]
    for tensor in (tensor for half in halves for tensor in half.initializer):
        if tensor.data_type == onnx.TensorProto.FLOAT16 or tensor.data_type == onnx.TensorProto.FLOAT:
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(tensor.dims, np.nan, kind), tensor.name))
    renewed(copy, model)
    with pytest.raises(ModelError, match=r"mine\.onnx: its output is not finite; it is damaged"):
        DiffusionImager(copy, device="cpu")


def test_what_is_opened_is_what_was_checked(copy):
    imager = DiffusionImager(copy, device="cpu")
    state = imager.denoiser.__getstate__()
    copy.write_bytes(copy.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"the SHA-256 of mine\.onnx is"):
        type(imager.denoiser).__new__(type(imager.denoiser)).__setstate__(state)
