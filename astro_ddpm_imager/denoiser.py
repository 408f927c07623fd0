"""One ONNX Runtime session behind one call."""

import json
import logging
from functools import cached_property

import numpy as np
import onnxruntime

from .errors import ModelError
from .grid import tiles
from .models import load_card

__all__ = ["DEVICES", "Denoiser"]

log = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")
TILE = 512  # model pixels; bounds the memory, some 200 MB at work


class Denoiser:
    """A model, ready to run.

    Parameters
    ----------
    model : str or path-like
        Name or path, see `~astro_ddpm_imager.models.load_card`.
    device : {"auto", "cpu", "cuda"}
        ``"auto"`` takes CUDA where it works and else the CPU, and logs which.
    threads : int, optional
        CPU threads; by default all cores.

    Raises
    ------
    ModelError
        The files of the model do not fit together, or ``device="cuda"``
        cannot be had.
    """

    def __init__(self, model="default", device="auto", threads=None):
        if device not in DEVICES:
            raise ValueError(f"device={device!r}: choose one of {', '.join(map(repr, DEVICES))}")
        self.card, path = load_card(model)
        self._session = _open_session(path, device, threads or 0)
        self.provider = self._session.get_providers()[0]
        log.info("model %r runs on %s", self.card.name, self.provider)
        stored = self._session.get_modelmeta().custom_metadata_map.get("astro_ddpm_imager")
        if stored is None or json.loads(stored) != json.loads(json.dumps(self.card.configuration)):
            raise ModelError(f"{path.name}: the configuration in the file is not that of its card; export the model again")

    def predict(self, noisy, condition, t):
        """Expected noiseless skies.

        Parameters
        ----------
        noisy : 4D array of float32, shape (n, 1, my, mx)
            Stretched skies with noise.
        condition : tuple of two 2D arrays, shape (my, mx)
            Dirty image in units of the noise, and primary beam.
        t : int
            Step of the noise schedule.

        Returns
        -------
        4D array of float32, shape (n, 1, my, mx)
            Stretched skies.
        """
        dirty, pb = (np.asarray(plane, dtype=np.float32) for plane in condition)
        velocity = np.empty_like(noisy)
        step = np.array([t], dtype=np.float32)
        for tile in self._tiles(dirty.shape):
            around = {"dirty": dirty[tile.window][None, None], "pb": pb[tile.window][None, None], "t": step}
            for i, image in enumerate(noisy[:, :, *tile.window]):
                # One image a call: the result does not depend on how many are asked for.
                (out,) = self._session.run(None, {"x": image[None], **around})
                velocity[i, :, *tile.core] = out[0, :, *tile.inner]
        schedule = self._schedule
        return (schedule.signal[t] * noisy - schedule.noise[t] * velocity).astype(np.float32)

    @cached_property
    def _schedule(self):
        return self.card.noise_schedule

    def _tiles(self, shape):
        return tiles(shape, TILE, self.card.reach)


def _open_session(path, device, threads):
    """A session on the device asked for; ONNX Runtime itself falls back without raising."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    wanted = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider"]}
    providers = wanted.get(device, wanted["cuda"] + wanted["cpu"])
    if device == "auto" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        providers = wanted["cpu"]
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    if device == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise ModelError(
            "device='cuda': ONNX Runtime cannot use CUDA here; install onnxruntime-gpu and an NVIDIA driver with CUDA and "
            "cuDNN (onnxruntime-gpu[cuda,cudnn] brings the libraries), or choose device='cpu' or 'auto'"
        )
    return session
