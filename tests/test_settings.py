"""Settings of an imager, its model and its device: what is refused, and what is said."""

import numpy as np
import pytest

from astro_ddpm_imager import DiffusionImager, ModelError, SettingError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_samples": 0}, "n_samples=0: must be a whole number of at least 1"),
        ({"n_samples": 2.5}, "n_samples=2.5: must be a whole number"),
        ({"steps": 2000}, "steps=2000: must be a whole number from 1 to 1000"),
        ({"sampler": "euler"}, "sampler='euler': choose one of 'ddpm', 'unipc'"),
        ({"aggregate": "mode"}, "aggregate='mode': choose one of 'beam-median', 'mean', 'median', 'single'"),
        ({"catalog": "x"}, "catalog='x': choose one of 'detect-aggregate', 'aggregate-detect'"),
        ({"reliability": 1.5}, "reliability=1.5: must be a number from 0 to 1"),
        ({"threshold": -1}, "threshold=-1: must be a number of at least 0, and finite"),
        ({"threshold": np.inf}, "threshold=inf: must be a number of at least 0, and finite"),
        ({"seed": -1}, "seed=-1: must be a whole number of at least 0"),
        ({"threads": 0}, "threads=0: must be a whole number of at least 1"),
        ({"device": "tpu"}, "device='tpu': choose one of 'auto', 'cpu', 'cuda'"),
        ({"aggregate": ["median"]}, r"aggregate=\['median'\]: choose one of"),
        ({"calibrate": "no"}, "calibrate='no': must be True or False"),
        ({"progress": "yes"}, "progress='yes': must be True, False, None or a progress bar"),
        ({"model": 3}, "model=3: must be a name or a path"),
    ],
)
def test_settings(setting, message):
    with pytest.raises(SettingError, match=message.replace(".", r"\.")):
        DiffusionImager(**setting)


def test_unknown_model():
    with pytest.raises(ModelError, match=r"model='defualt' is unknown; there are .*'default'"):
        DiffusionImager(model="defualt")
    with pytest.raises(ModelError, match=r"nowhere\.onnx.*there is no such file"):
        DiffusionImager(model="nowhere.onnx")


def test_cuda_is_never_silently_replaced(monkeypatch):
    monkeypatch.setattr("astro_ddpm_imager.diffusion.denoiser._has_cuda", lambda: False)
    with pytest.raises(ModelError, match="device='cuda': ONNX Runtime cannot use CUDA here; install onnxruntime-gpu"):
        DiffusionImager(device="cuda")


def test_auto_says_what_it_took(caplog):
    caplog.set_level("INFO", logger="astro_ddpm_imager")
    imager = DiffusionImager(device="auto")
    assert f"runs on {imager.denoiser.provider}" in caplog.text
