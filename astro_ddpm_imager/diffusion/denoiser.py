"""One ONNX Runtime session behind one call."""

import ctypes
import json
import logging
import os
import sys
from functools import cache, cached_property
from threading import Timer

import numpy as np

from ..errors import ModelError
from ..observation.grid import tiles
from ..settings import check_choice, check_number
from .conditioning import CONDITIONS
from .models import load_card
from .models.network import check_network, read_network

__all__ = ["DEVICES", "Denoiser"]

log = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")
SMALLEST, LONGEST = 16, 60.0  # model pixels, and seconds, of the first run
QUICK_UNTIL = "until"  # name, in the networks that have a quick half, of the t up to which it is used
TILE = 512  # model pixels; bounds the memory, some 200 MB at work
PAIRED = 256  # model pixels: two samples of at most this side take 13% less time together on a CPU, and more no less
ON_GPU = 20 * TILE**2  # model pixels in a batch, some 4 GB at work


class Denoiser:
    """A model, ready to run.

    Parameters
    ----------
    model : str or path-like
        Name or path, see `~astro_ddpm_imager.load_card`.
    device : {"auto", "cpu", "cuda"}
        ``"auto"`` takes CUDA where it works and else the CPU, and logs which.
    threads : int, optional
        CPU threads; by default one for each core that the process may use.

    Raises
    ------
    SettingError
        ``device`` is unknown, or ``threads`` no whole number of at least 1.
    ModelError
        The files of the model do not fit together, ONNX Runtime is not there
        or not whole, or ``device="cuda"`` cannot be had.
    """

    def __init__(self, model="default", device="auto", threads=None):
        check_choice("device", device, DEVICES)
        if threads is not None:
            check_number("threads", threads, 1, whole=True)
        self.card, path = load_card(model)
        self._path, self._device, self._threads = path.absolute(), device, threads
        self._open()
        stored = self._session.get_modelmeta().custom_metadata_map.get("astro_ddpm_imager")
        self._try()
        if not _is_same(stored, self.card.configuration):
            raise ModelError(
                f"{path.name}: the configuration in the file is not that of its card; export the model again"
            )

    def _open(self):
        # What is opened is what has been checked, whatever happens to the file.
        content = read_network(self._path, self.card.sha256)
        check_network(content, f"model {self._path.name}")
        self._session = _open_session(content, self._device, self._path.name)
        self.provider = self._session.get_providers()[0]
        self.workers = self._threads or _cores()
        log.info("model %r runs on %s", self.card.name, self.provider)

    def __getstate__(self):
        # A session cannot be pickled or copied; another process opens its own.
        return {name: value for name, value in self.__dict__.items() if name != "_session"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._open()

    @property
    def looks_back(self):
        """Whether the model is shown its own last estimate."""
        return "feedback" in (given.name for given in self._session.get_inputs())

    @property
    def streams(self):
        """How many threads should run the model side by side."""
        # Threads for samples are faster than threads inside a sample, and the result is always the same. A GPU does one
        # batch at a time; meanwhile the CPU can look back at the other one.
        return self.workers if self.provider == "CPUExecutionProvider" else min(2, self.workers)

    def batch(self, shape, number):
        """How many samples should go through the model together.

        Parameters
        ----------
        shape : tuple of int, (my, mx)
            Of a sample.
        number : int
            Of samples that there are to do.

        Returns
        -------
        int
            On a CPU it does not depend on the number of threads, so that the result does not.
        """
        pixels = np.prod(np.minimum(shape, TILE))
        if self.provider == "CPUExecutionProvider":
            return 2 if pixels <= PAIRED**2 else 1
        return int(np.clip(-(-number // self.streams), 1, max(1, ON_GPU // pixels)))

    def without_noise(self, dirty):
        """A dirty image without the noise that a model with a protocol knows by heart.

        Parameters
        ----------
        dirty : 2D array, shape (side, side)
            The part that the model sees.

        Returns
        -------
        2D array of float32, same shape
        """
        image = np.asarray(dirty, dtype=np.float32)[None, None]
        inputs = {"x": image, "condition": np.repeat(image, len(CONDITIONS), 1), "t": np.zeros(1, np.float32)}
        (noiseless,) = self._session.run(["noiseless"], inputs)
        return noiseless[0, 0]

    def predict(self, noisy, conditions, t, feedback=None):
        """Expected noiseless skies.

        Parameters
        ----------
        noisy : 3D array of float32, shape (n, my, mx)
            Stretched skies with noise.
        conditions : 4D array of float32, shape (n, 4, my, mx)
            See `~astro_ddpm_imager.diffusion.conditioning.condition`.
        t : int
            Step of the noise schedule.
        feedback : 4D array of float32, shape (n, 2, my, mx), optional
            Of a model that `looks_back`: see `~astro_ddpm_imager.diffusion.conditioning.feedback`.

        Returns
        -------
        3D array of float32, shape (n, my, mx)
            Stretched skies.
        """
        velocity = np.empty_like(noisy)
        # On a CPU, one alone would have other last digits than beside another one.
        alone = len(noisy) == 1 < self.batch(noisy.shape[1:], 2)
        for tile in tiles(noisy.shape[1:], TILE, self.card.reach):
            inputs = {"x": noisy[:, None, *tile.window], "condition": conditions[:, :, *tile.window]}
            if feedback is not None:
                inputs["feedback"] = feedback[:, :, *tile.window]
            if alone:
                inputs = {name: np.repeat(images, 2, 0) for name, images in inputs.items()}
            inputs["t"] = np.full(len(inputs["x"]), t, dtype=np.float32)
            velocity[:, *tile.core] = self._run(inputs)[: len(noisy), *tile.inner]
        expected = np.float32(self._schedule.signal[t]) * noisy - np.float32(self._schedule.noise[t]) * velocity
        # Of the protocol no sky is brighter; by large gamma a little more would become a thousand times more.
        return expected.clip(-1, 1) if self.card.protocol else expected

    def _try(self):
        """Run the model once on very little, for a bounded time."""
        side = self.card.protocol.get("side") or self.card.multiple * -(-SMALLEST // self.card.multiple)
        shapes = {"x": (1, 1, side, side), "condition": (1, len(CONDITIONS), side, side), "t": (1,)}
        if self.looks_back:
            shapes["feedback"] = (1, 2, side, side)
        nothing = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
        options = _runtime().RunOptions()
        timer = Timer(LONGEST, setattr, (options, "terminate", True))
        timer.start()
        try:
            for t in (0, self.card.schedule["steps"] - 1):  # a network may have a quick half, for what has little noise
                self._run(nothing | {"t": np.full(1, t, np.float32)}, options)
        finally:
            timer.cancel()

    def _run(self, inputs, options=None):
        """The output of the model for tiles, without the axis of channels."""
        try:
            out = self._session.run(None, inputs, options)[0]
        except Exception as error:  # ONNX Runtime has no exceptions of its own that are documented
            raise ModelError(f"model {self._path.name}: cannot be run ({error})") from error
        if np.shape(out) != inputs["x"].shape or not np.isfinite(out).all():
            what = (
                f"of shape {np.shape(out)} instead of {inputs['x'].shape}"
                if np.shape(out) != inputs["x"].shape
                else "not finite"
            )
            raise ModelError(f"model {self._path.name}: its output is {what}; it is damaged, or not of this package")
        return out[:, 0]

    @cached_property
    def _schedule(self):
        return self.card.noise_schedule


def _is_same(stored, configuration):
    """Whether the metadata of a file are the configuration of its card."""
    try:
        return json.loads(stored or "null") == json.loads(json.dumps(configuration))
    except (ValueError, RecursionError):
        return False


def _open_session(content, device, name):
    """A session on the device asked for; ONNX Runtime itself falls back without raising."""
    onnxruntime = _runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors; which nodes of the network a GPU leaves to the CPU is nobody's concern
    # Sides that it does not know are nowhere equal, so that it looks in vain for memory to use again, as long as for
    # all else that it does to open the network.
    options.enable_mem_reuse = False
    if device != "cpu" and _has_cuda():
        onnxruntime.preload_dlls()
        # Whole numbers make a network quick on a CPU only.
        options.add_initializer(QUICK_UNTIL, _never())
        session = _session(content, options, "CUDAExecutionProvider", name)
        if device == "auto" or session.get_providers()[0] == "CUDAExecutionProvider":
            return session
    if device == "cuda":
        raise ModelError(
            "device='cuda': ONNX Runtime cannot use CUDA here; install onnxruntime-gpu and an NVIDIA driver with CUDA "
            "and cuDNN (onnxruntime-gpu[cuda,cudnn] brings the libraries), or choose device='cpu' or 'auto'"
        )
    return _session(content, options, "CPUExecutionProvider", name)


def _session(content, options, provider, name):
    try:
        return _runtime().InferenceSession(content, options, providers=[provider])
    except Exception as error:  # as above
        raise ModelError(f"model {name}: ONNX Runtime cannot open it ({error})") from error


@cache
def _never():
    """No t is as low; must live as long as the session."""
    return _runtime().OrtValue.ortvalue_from_numpy(np.array(-1, np.float32))


def _runtime():
    """ONNX Runtime, if it is whole: installing or removing one of its two packages removes files of the other."""
    # From 1.29 on it reports its use to Microsoft, and keeps a number of the user's for that in the home folder, from
    # its import on, if it is not told otherwise.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime

        if not hasattr(onnxruntime, "SessionOptions"):
            raise ImportError("module 'onnxruntime' has no attribute 'SessionOptions'")
    except ImportError as error:
        raise ModelError(
            f"ONNX Runtime cannot be used ({error}): it is not installed, or its packages onnxruntime and "
            "onnxruntime-gpu, which are the same module, have broken each other; pip uninstall -y onnxruntime "
            "onnxruntime-gpu, then pip install one of them: onnxruntime-gpu, which runs on a CPU, too, or onnxruntime"
        ) from error
    return onnxruntime


def _cores():
    """Those that the process may use, which on a shared machine may be few."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _has_cuda():
    """Whether ONNX Runtime was built for CUDA and there is an NVIDIA driver."""
    if "CUDAExecutionProvider" not in _runtime().get_available_providers():
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
