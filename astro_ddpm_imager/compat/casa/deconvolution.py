"""CASA's task deconvolve: images that are there already, without visibilities."""

import logging
import shutil
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np

from ...errors import DirtyImageError, SettingError, shown
from ...imager import DiffusionImager
from ...observation.noise_map import unflatten
from ...observation.reading import read_image
from ...observation.units import JY_PER_BEAM
from ...products.writing import product_path
from ..major_cycles import MajorCycles
from .calling import as_task
from .depth import parse_threshold
from .found import write_found
from .log import tell, tell_ignored
from .masks import allowed_pixels, mask_image
from .parameters import PARAMETERS, Parameter, check_kinds, ignored
from .products import check_inputs, copy_image, move_products, planes, put_planes
from .summary import Course, Summary, stop_code, summarise

__all__ = ["DECONVOLVE", "deconvolve"]

MADE = (".model", ".residual", ".image", ".mask", ".uncertainty", ".catalog.ecsv", ".reg")
NEEDED = (".psf", ".pb", ".sumwt")  # CASA wants them beside what it restores, and leaves them as they are

OWN = {
    "imagename": (
        "", "here", "start of the names of ``.residual`` and ``.psf``, of ``.pb``, ``.model`` and ``.mask`` if they "
        "are there, and of the products, which replace older ones",
    ),
    "startmodel": ("", "here", "a CASA image on the same pixels that counts as ``.model``, which must not exist then"),
    "restoration": (True, "casa", "whether CASA's deconvolve makes ``.image``"),
    "restoringbeam": ([], "casa", "beam of ``.image``, by CASA's deconvolve, also ``'common'``"),
    "niter": (100, "here", "0: CASA's deconvolve alone, which restores what is there; more: one reconstruction"),
}  # fmt: skip
NAMES = (
    "imagename", "startmodel", "deconvolver", "scales", "nterms", "smallscalebias", "fusedthreshold", "largestscale",
    "restoration", "restoringbeam", "niter", "gain", "threshold", "nsigma", "interactive", "fullsummary", "fastnoise",
    "usemask", "mask", "pbmask", "sidelobethreshold", "noisethreshold", "lownoisethreshold", "negativethreshold",
    "smoothfactor", "minbeamfrac", "cutthreshold", "growiterations", "dogrowprune", "verbose",
)  # fmt: skip
# What else they have in common with tclean's are the defaults.
DECONVOLVE = {name: Parameter(*OWN[name]) if name in OWN else PARAMETERS[name] for name in NAMES}


def _reconstructs(values):
    return values["niter"] != 0


def _check(values):
    check_kinds(values)
    parse_threshold(values["threshold"])
    if values["deconvolver"] == "mtmfs":
        raise SettingError(
            f"deconvolver='mtmfs', nterms={values['nterms']}: there are no Taylor terms here; make one image of the "
            "band and choose any other deconvolver; give niter=0 for CASA's deconvolve alone"
        )
    for suffix in (".residual", ".psf"):
        path = product_path(values["imagename"], suffix)
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such image; make it with tclean(niter=0, calcres=True)")
    starts, model = _starts(values["startmodel"]), product_path(values["imagename"], ".model")
    for start in starts:
        if not Path(start).exists():
            raise SettingError(f"startmodel={start!r}: there is no such image")
    if starts and (len(starts) > 1 or model.exists()):
        why = "only 'mtmfs' has several" if len(starts) > 1 else f"there is {model.name}, which goes on; remove it"
        raise SettingError(f"startmodel={values['startmodel']!r}: {why}, or leave startmodel out")
    check_inputs(values, ("startmodel", "mask"), MADE)


def _starts(startmodel):
    return [name for name in ([startmodel] if isinstance(startmodel, str) else startmodel) if name]


@as_task(DECONVOLVE, _reconstructs, _check)
def deconvolve(given, values, imager):
    """Reconstruct a dirty image that tclean has made, called as the task of CASA of this name.

    It writes ``.model``, ``.residual`` (by convolution: there are no
    visibilities), ``.mask``, ``.uncertainty``, ``.catalog.ecsv`` and ``.reg``;
    CASA's deconvolve restores ``.image`` from them. Cubes have one
    reconstruction per channel.

    Parameters
    ----------
    {parameters}
    imager : `~astro_ddpm_imager.DiffusionImager`, optional
        By default one with the default settings.
    **parameters
        What a newer CASA's deconvolve has besides, without effect unless ``niter=0``.

    Returns
    -------
    dict
        What deconvolve returns, in which an iteration is a reconstruction, and by
        name ``imagename``, ``catalog`` and ``results``, as of `tclean`. With
        ``niter=0`` this is CASA's deconvolve and nothing else.

    Raises
    ------
    FileNotFoundError
        An image is missing.
    DirtyImageError, SettingError
        Something cannot be used; kinds of `ValueError`.
    ImportError
        CASA is not installed.
    TypeError
        A parameter is unknown, or given twice.
    """
    tell_ignored(
        ignored(given, DECONVOLVE) + [f"{name}={shown(given[name])} (unknown)" for name in given.keys() - DECONVOLVE]
    )
    return _Deconvolution(values, DiffusionImager() if imager is None else imager).run()


class _Deconvolution:
    """What takes the place of the minor cycle in one call of deconvolve."""

    def __init__(self, values, imager):
        self.values, self.imager, self.final = values, imager, Path(values["imagename"])
        self.threshold = parse_threshold(values["threshold"])
        self.residual = planes(self._there(".residual"))
        start = [*_starts(values["startmodel"]), *[self._there(".model")] * self._there(".model").exists()]
        # Neither has a mask, which ``.residual`` may have.
        self.template = start[0] if start else self._there(".psf")
        self.model = planes(start[0]) if start else np.zeros_like(self.residual)
        if self.model.shape != self.residual.shape:
            raise SettingError(
                f"startmodel={values['startmodel']!r}: {start[0]} has shape {self.model.shape} (channels, ny, nx), the "
                f"residual {self.residual.shape}; regrid it with imregrid"
            )
        self.cycles, self.courses, self.noise = {}, {}, []

    def run(self):
        """Make all products, and move them to where they belong."""
        import casatasks

        with tempfile.TemporaryDirectory(dir=self.final.absolute().parent, prefix="deconvolve_") as scratch:
            made = Path(scratch) / self.final.name
            allowed = allowed_pixels(self.values, made, self._there(".residual"), self._there(".pb"))
            for channel in range(len(self.residual)):
                self._reconstruct(channel, allowed)
            if not self.cycles:
                raise DirtyImageError("no channel has data that can be reconstructed; the log says why")
            mask = mask_image(self.values, allowed, self.model)
            shutil.copytree(self._there(".residual"), product_path(made, ".residual"))  # with its mask, for ``.image``
            for suffix, unit in ((".model", "Jy/pixel"), (".mask", "")):
                copy_image(product_path(made, suffix), self.template, unit)
            for suffix, data in ((".model", self.model), (".residual", self.residual), (".mask", mask)):
                put_planes(product_path(made, suffix), data)
            for suffix in NEEDED:
                if self._there(suffix).exists():
                    product_path(made, suffix).symlink_to(self._there(suffix).absolute())
            summary = casatasks.deconvolve(
                imagename=str(made), niter=0, restoration=self.values["restoration"],
                restoringbeam=self.values["restoringbeam"],
            )  # fmt: skip
            results = {channel: cycle.result for channel, cycle in self.cycles.items()}
            catalog = write_found(made, results, len(self.model), str(self.values["imagename"]))
            paths = move_products(made, self.final, MADE)
        tell(f"wrote {', '.join(path.name for path in paths)}: {len(catalog)} sources")
        code = stop_code(self.noise, 1, self.values["nsigma"])
        return Summary(
            summarise(summary or {}, self.courses, code, self.values, []),
            imagename=str(self.values["imagename"]),
            catalog=catalog,
            results=[results.get(channel) for channel in range(len(self.model))],
        )

    def _there(self, suffix):
        return product_path(self.final, suffix)

    def _reconstruct(self, channel, allowed):
        name = f"channel {channel}: " if len(self.residual) > 1 else ""
        left = read_image(self._there(".residual"), channel, 0, JY_PER_BEAM)
        if not np.nan_to_num(left.data).any():
            tell(f"{name}has no data, stays blank", logging.WARNING)
            return
        psf = read_image(self._there(".psf"), channel, 0, u.one)
        pb = read_image(self._there(".pb"), channel, 0, u.one) if self._there(".pb").exists() else None
        mask = None if allowed is None else allowed[channel].astype(float)
        before = self.model[channel].copy()
        course = Course(
            np.ones(left.shape, bool) if allowed is None else allowed[channel], np.isfinite(left.data),
            start=float(before.sum()),
        )  # fmt: skip
        course.add_residual(left.data)
        cycles = MajorCycles(self.imager, psf, pb, mask, most=1, name=name.removesuffix(": ") or "image")
        try:
            cycle, _ = cycles.step(left, before, self.threshold, self.values["nsigma"])
        except DirtyImageError as error:
            if not name:
                raise
            tell(f"{name}stays dirty, {error}", logging.WARNING)
            return
        self.model[channel] = cycle.model
        # Also where nothing is reconstructed, below the limit of the primary beam.
        seen = unflatten(cycle.result.dirty).convolve_psf(cycle.model - before)
        self.residual[channel] = np.nan_to_num(self.residual[channel] - seen)
        course.add_model(cycle)
        course.end(self.residual[channel], cycle)
        # There are no visibilities to tell, but the convolution does.
        self.noise.append("noise" if cycle.judged(self.residual[channel]).is_noise else "most")
        self.cycles[channel], self.courses[channel] = cycle, course
