"""The process that reconstructs for WSClean, between its major cycles: ``python -m`` of this module.

``wsclean_deconvolver.py`` starts it. For each major cycle it reads a line of
JSON, with the folder of the arrays, and writes a line of answer.
"""

import json
import logging
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ...command_line.printing import logging_to_stderr
from ...errors import DirtyImageError, ModelError, SettingError
from ...observation.noise_map import unflatten
from ...observation.reach import end_psf
from ...products.writing import PRODUCTS, check_not_read, write_products
from ...whole_files import check_folder
from ..major_cycles import MajorCycles
from ..wsclean import OTHERS, write_plane
from .wsclean_channels import channel_models
from .wsclean_run import WSCleanRun
from .wsclean_settings import read_plugin_settings

__all__ = ["Deconvolver", "main"]

log = logging.getLogger(__name__)

ARRAYS = ("residual", "model", "psf")
ONE_CYCLE = 1.0  # as -mgain: WSClean makes no major cycles


class Deconvolver:
    """What WSClean calls once in each major cycle; it remembers the image that it works on.

    Parameters
    ----------
    settings : `PluginSettings`
    """

    def __init__(self, settings):
        self.settings, self.imager = settings, settings.imager()
        self.run, self.cycles, self.written, self.models = None, None, None, {}

    def __call__(self, residual, model, psf, request):
        """One major cycle.

        Parameters
        ----------
        residual, model : 4D arrays, shape (channels, polarizations, ny, nx)
            Jy/beam and Jy/pixel.
        psf : 3D array, shape (channels, ny, nx)
        request : dict
            What WSClean says of them: ``channels``, ``threshold``,
            ``iterations``, ``most_iterations``, ``mgain`` and ``command``.

        Returns
        -------
        arrays : dict of arrays
            ``residual`` and ``model`` of the same shapes; and ``islands``,
            shape (ny, nx), where spectra are to be fitted.
        answer : dict
            What WSClean is told of them.
        """
        if request["iterations"] == 0:
            self._begin(residual, psf, request)
        run = self.run
        run.check(residual, psf)
        left, before = (images[:, run.total].mean(1) for images in (residual, model))
        dirty, depth = run.image(run.weighted(left)), run.depth(request["threshold"])
        cycle, goes_on = self.cycles.step(dirty, run.weighted(before), *depth)
        if cycle.result is not self.written:
            self._write(cycle.result)
        sky, islands = self._channel_models(cycle, left, before, psf)
        new = model.copy()
        new[:, run.total] = sky[:, None]
        if request["mgain"] >= ONE_CYCLE:
            # WSClean does not make the residual of what it gets.
            residual = residual.copy()
            for channel in np.flatnonzero(run.weights > 0):
                seen = self._seen(cycle, psf[channel], sky[channel] - before[channel])
                residual[channel, run.total] -= seen
        answer = {
            "continue": bool(goes_on and request["iterations"] + 1 < request["most_iterations"]),
            "iterations": request["iterations"] + 1,
            "level": float(np.abs(run.weighted(left)).max()),
            "fit_spectra": run.total if run.fits_spectra and islands is not None else [],
        }
        arrays = {"residual": residual, "model": new} | ({"islands": islands} if answer["fit_spectra"] else {})
        return arrays, answer

    def _begin(self, residual, psf, request):
        """A new image."""
        self.run = WSCleanRun.of(request, residual.shape, self.settings)
        self.run.check(residual, psf)
        check_folder(self.run.prefix.parent)
        most = min(self.settings.cycles, request["most_iterations"])
        if request["mgain"] >= ONE_CYCLE:
            log.warning(
                "-mgain %g: WSClean makes no major cycles, so that a convolution makes the residual; give -mgain 0.8 "
                "for a residual of the visibilities",
                request["mgain"],
            )
            most = 1
        mean_psf = self.run.weighted(psf)
        self.models = {}
        self.cycles = MajorCycles(
            self.imager, mean_psf, self.settings.options.pb, self.run.mask, self.run.beam(mean_psf), most,
            self.run.prefix.name,
        )  # fmt: skip

    def _channel_models(self, cycle, left, before, psf):
        """Models of the channels, made once for each reconstruction."""
        if len(left) == 1:
            return cycle.model[None], None
        if id(cycle.model) not in self.models:
            dirty = np.stack([one + self._seen(cycle, *rest) for one, *rest in zip(left, psf, before, strict=True)])
            models = channel_models(cycle, dirty, psf, self.run.weights, self.imager.card.pixels_per_beam)
            self.models[id(cycle.model)] = *models, cycle.model  # which is kept, so that its id stays its own
        return self.models[id(cycle.model)][:2]

    @staticmethod
    def _seen(cycle, psf, sky):
        """A sky as the PSF of a channel shows it, Jy/beam."""
        if not (sky.any() and psf.any()):
            return np.zeros_like(sky)
        return replace(unflatten(cycle.result.dirty), psf=end_psf(psf / psf.max(), sky.shape)[0]).convolve_psf(sky)

    def _write(self, result):
        """Write what WSClean has no counterpart of."""
        spread = np.nan_to_num(result.uncertainty.data * unflatten(result.dirty).pb)
        products = {"-uncertainty.fits": partial(write_plane, data=spread, kind="uncertainty")}
        products |= {ending: PRODUCTS[ours] for ending, ours in OTHERS.items()}
        read = [path for origin in result.dirty.inputs.values() for path in origin.paths]
        check_not_read(self.run.prefix, read, products)
        paths = write_products(result, self.run.prefix, True, products)
        log.info("wrote %s: %d sources", ", ".join(path.name for path in paths), len(result.catalog))
        self.written = result


def main():
    """Answer requests until standard input ends.

    Returns
    -------
    int
        Exit status.
    """
    # Nothing else may write where the answers go.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    deconvolver = None
    with logging_to_stderr(logging.INFO):
        for line in sys.stdin:
            request = json.loads(line)
            folder = Path(request["folder"])
            try:
                if deconvolver is None:
                    deconvolver = Deconvolver(read_plugin_settings(os.environ))
                arrays = [np.load(folder / f"{name}.npy") for name in ARRAYS]
                made, answer = deconvolver(*arrays, request)
                for name, array in made.items():
                    np.save(folder / f"{name}.npy", array)
                answer["arrays"] = list(made)
            except (DirtyImageError, ModelError, SettingError, OSError) as error:
                answer = {"error": str(error)}
            print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
