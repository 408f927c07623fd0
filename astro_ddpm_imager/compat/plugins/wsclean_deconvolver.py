"""Deconvolver for WSClean: ``wsclean -python-deconvolution $(astro-ddpm-imager plugin wsclean) ...``.

WSClean runs this file in a Python of its own, often not the one that
astro_ddpm_imager is installed in. So it needs numpy only, and hands the images
to the other Python, which waits in a process of its own between major cycles.
Whatever goes wrong ends WSClean with a message and exit status 1: an exception
would leave WSClean hanging, or crash it without a word.
"""

import atexit
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy
except ImportError as error:
    numpy, numpy_error = None, str(error).strip().splitlines()[0]

# The Python of astro_ddpm_imager and the folder of the package, written here by astro-ddpm-imager plugin wsclean.
PYTHON, FOLDER = "", ""
WORKER = "astro_ddpm_imager.compat.plugins.wsclean_worker"
PREFIX = "astro_ddpm_imager: "

worker = None


def deconvolve(residual, model, psf, meta):
    """Give WSClean the model for the next major cycle; WSClean calls this.

    Parameters
    ----------
    residual, model : arrays of float, shape (channels, polarizations, ny, nx)
        Jy/beam and Jy/pixel.
    psf : array of float, shape (channels, ny, nx)
    meta : object
        What else WSClean says.

    Returns
    -------
    dict
        ``residual``, ``model``, ``level`` and ``continue``.
    """
    try:
        return _deconvolved(residual, model, psf, meta)
    except BaseException as error:
        _stop(str(error) or type(error).__name__)


def _deconvolved(residual, model, psf, meta):
    answer, arrays = _ask(
        {"residual": residual, "model": model, "psf": psf},
        {
            "channels": [[channel.frequency, channel.weight] for channel in meta.channels],
            "threshold": meta.final_threshold,
            "iterations": meta.iteration_number,
            "most_iterations": meta.max_iterations,
            "mgain": meta.mgain,
            "command": _command_line(),
        },
    )
    for polarization in answer["fit_spectra"]:
        fitter = meta.spectral_fitter.fit_and_evaluate
        arrays["model"][:, polarization] = _fit_spectra(arrays["model"][:, polarization], arrays["islands"], fitter)
    meta.iteration_number = answer["iterations"]
    return {
        "residual": arrays["residual"],
        "model": arrays["model"],
        "level": answer["level"],
        "continue": answer["continue"],
    }


def _fit_spectra(images, islands, fitter):
    """Give each source the spectrum that WSClean's fitter makes of its fluxes.

    Parameters
    ----------
    images : array of float, shape (channels, ny, nx)
    islands : array of int, shape (ny, nx)
        Number of the source; 0 where there is none.
    fitter : callable

    Returns
    -------
    array of the shape of ``images``
    """
    labels = islands.ravel()
    shape = images.mean(axis=0)
    total = numpy.bincount(labels, shape.ravel())
    fluxes = numpy.array([numpy.bincount(labels, image.ravel()) for image in images])
    y, x = (numpy.bincount(labels, axis.ravel()) / numpy.bincount(labels) for axis in numpy.indices(islands.shape))
    factors = numpy.full(fluxes.shape, numpy.nan)
    for source in range(1, len(total)):
        if total[source] > 0:
            spectrum = numpy.ascontiguousarray(fluxes[:, source])
            factors[:, source] = _fitted(fitter, spectrum, int(x[source]), int(y[source])) / total[source]
    factors[:, ~numpy.isfinite(factors).all(axis=0)] = numpy.nan  # none of them where there is nothing to fit
    fitted = shape * factors[:, islands]
    return numpy.where(numpy.isfinite(fitted), fitted, images)


def _fitted(fitter, spectrum, x, y):
    """The spectrum that WSClean's fitter makes of one; not every version wants the pixel."""
    try:
        return numpy.asarray(fitter(spectrum, x, y))
    except TypeError:
        return numpy.asarray(fitter(spectrum))


def _ask(arrays, request):
    """Send images to the worker, which is started if needed, and wait for the answer."""
    global worker
    if worker is None or worker.poll() is not None:
        worker = _started()
    with tempfile.TemporaryDirectory(prefix="astro_ddpm_imager") as folder:
        for name, array in arrays.items():
            numpy.save(Path(folder, name + ".npy"), numpy.asarray(array))
        try:
            worker.stdin.write(json.dumps(dict(request, folder=folder)).encode() + b"\n")
            worker.stdin.flush()
            line = worker.stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise RuntimeError(
                f"the process that reconstructs has ended with status {worker.wait()}; the lines above say why (-9: "
                "the system was short of memory)"
            )
        answer = json.loads(line.decode())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer, {name: numpy.load(Path(folder, name + ".npy")) for name in answer["arrays"]}


def _started():
    if not PYTHON:
        raise RuntimeError("give -python-deconvolution the file that astro-ddpm-imager plugin wsclean prints")
    environment = dict(os.environ, PYTHONPATH=FOLDER)
    environment.pop("PYTHONHOME", None)  # of WSClean's Python
    try:
        # What it logs goes to WSClean's log.
        return subprocess.Popen(
            [PYTHON, "-m", WORKER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=1
        )
    except OSError as error:
        raise RuntimeError(
            f"{PYTHON}: {error.strerror}; the environment of astro_ddpm_imager was moved or removed: run "
            "astro-ddpm-imager plugin wsclean again"
        ) from error


def _command_line():
    """WSClean's, where the system tells: it says what the images are called."""
    try:
        return [os.fsdecode(part) for part in Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]]
    except OSError:
        return []


def _is_cut(command):
    """Whether WSClean deconvolves parts of the image, several at a time: Python crashes before it can say a word."""
    words = ["-" + word.lstrip("-") for word in command]
    try:
        largest = words.index("-parallel-deconvolution") + 1
        size = words.index("-size") + 1
        return float(command[largest]) < max(map(float, command[size : size + 2]))
    except (ValueError, IndexError):  # it is not given, or is something that WSClean does not take
        return False


def _stop(message):
    """End WSClean with a message."""
    print(f"\n{PREFIX}ERROR: {message}\n{PREFIX}WSClean is stopped; no model was made", flush=True)
    if worker is not None:
        worker.kill()
    ctypes.CDLL(None).fflush(None)  # what WSClean has printed itself
    os._exit(1)


def _end_worker():
    if worker is not None:
        worker.stdin.close()
        worker.wait()


if PYTHON:  # else this is only the pattern of the file that WSClean is given
    if numpy is None:
        _stop(
            "WSClean uses Python {0}.{1} of {2}, which cannot import numpy ({3}). Install it for that Python (Debian: "
            "apt-get install python3-numpy; else python{0}.{1} -m pip install numpy). If it is installed, unset "
            "PYTHONPATH and PYTHONHOME, which may point to packages of another Python".format(
                *sys.version_info[:2], sys.prefix, numpy_error
            )
        )
    if _is_cut(_command_line()):
        _stop("leave out -parallel-deconvolution, for the PSF reaches further than a part of the image")
    atexit.register(_end_worker)
