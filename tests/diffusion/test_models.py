"""Cards and model files belong together."""

import json
import shutil
import sys
from types import ModuleType

import pytest

from astro_ddpm_imager import DiffusionImager, ModelError, list_models, load_card
from astro_ddpm_imager.diffusion.models.card import SHIPPED


@pytest.fixture
def copy(tmp_path):
    """A copy of the default model."""
    for ending in ("onnx", "json"):
        shutil.copy(SHIPPED / f"default.{ending}", tmp_path / f"mine.{ending}")
    return tmp_path / "mine.onnx"


def test_default_model_has_a_card():
    assert "default" in list_models()
    card, path = load_card("default")
    assert card.noise_protocol == "independent"
    assert path.stat().st_size < 20e6
    assert card.gamma == card.stretch.gamma and card.noise_schedule.steps == 1000


def test_a_model_elsewhere(copy):
    assert DiffusionImager(copy, device="cpu").card.name == "default"


def test_a_damaged_file_is_refused(copy):
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    with pytest.raises(ModelError, match=r"the SHA-256 of mine\.onnx is .*; the file is damaged or not the card's"):
        load_card(copy)


def test_a_card_of_another_model_is_refused(copy):
    card = copy.with_suffix(".json")
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "gamma": 10.0}))
    with pytest.raises(ModelError, match="the configuration in the file is not that of its card"):
        DiffusionImager(copy, device="cpu")
    card.write_text(json.dumps({**content, "colour": "red"}))
    with pytest.raises(ModelError, match=r"its card mine\.json cannot be read \(unknown entries \['colour'\]\)"):
        load_card(copy)
    card.unlink()
    with pytest.raises(ModelError, match=r"its card mine\.json is missing"):
        load_card(copy)


@pytest.mark.parametrize("module", [ModuleType("onnxruntime"), None], ids=["broken", "missing"])
def test_onnx_runtime_that_is_not_whole(monkeypatch, module):
    """As when onnxruntime and onnxruntime-gpu were both installed, and one of them removed."""
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(ModelError, match=r"cannot be used .*; pip uninstall -y onnxruntime onnxruntime-gpu"):
        DiffusionImager(device="cpu")
