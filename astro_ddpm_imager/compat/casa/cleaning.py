"""One run: CASA makes the dirty image and the residual of each model, the imager reconstructs the sky from them."""

import logging
import shutil
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np

from ...errors import DirtyImageError
from ...observation.reading import read_image
from ...products.writing import product_path
from ..major_cycles import MOST, MajorCycles
from .depth import parse_threshold
from .found import write_found
from .log import tell
from .masks import allowed_pixels, mask_image
from .parameters import passed_on
from .products import copy_image, move_products, numbered, planes, put_planes
from .summary import Course, Summary, stop_code, summarise

__all__ = ["Cleaning"]


class Cleaning:
    """What takes the place of CLEAN in one call of tclean.

    Parameters
    ----------
    given : dict
        Parameters the caller gave.
    values : dict
        All parameters.
    imager : `~astro_ddpm_imager.DiffusionImager`
    """

    def __init__(self, given, values, imager):
        self.given, self.values = given, values
        self.threshold = parse_threshold(values["threshold"])
        # CASA takes a negative limit as: the same, but blank nothing.
        self.imager = imager.but(pblimit=abs(values["pblimit"]))
        self.imagename = str(values["imagename"])
        if not values["restart"]:
            self.imagename = numbered(self.imagename)

    def run(self):
        """Make all products, and move them to where they belong.

        Returns
        -------
        `Summary`
            CASA's, and ``imagename``, ``catalog`` and ``results``.

        Raises
        ------
        RuntimeError
            CASA cannot make the images, as tclean raises it.
        """
        final = Path(self.imagename)
        final.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix="tclean_") as scratch:
            self.made = Path(scratch).absolute() / final.name
            self.channels, self.major = {}, []
            self._tclean(restoration=True)
            if not self._path(".image").exists():
                from casatasks import casalog

                raise RuntimeError(f"CASA's tclean has made no image; its log says why: {casalog.logfile()}")
            values = self.values | {"imagename": self.imagename}
            allowed = allowed_pixels(values, self.made, self._path(".image"), self._path(".pb"))
            self._begin(allowed)
            while self._reconstruct():
                # CASA subtracts the model from the visibilities.
                self._tclean(calcpsf=False, restoration=False)
            # The same once more, and CASA restores and saves the model, as far as wanted.
            shutil.rmtree(self._path(".image"))
            summary = self._tclean(with_model=True, calcpsf=False) or {}
            self._write_mask(allowed)
            results = {channel: cycle.result for channel, cycle in sorted(self.cycles.items())}
            catalog = write_found(self.made, results, len(self.model), self.imagename)
            summary = self._summarise(summary)
            paths = move_products(self.made, final)
        for channel, cycle in sorted(self.cycles.items()):
            self._say(channel, cycle)
        tell(f"wrote {', '.join(path.name for path in paths)}: {len(catalog)} sources")
        results = [results.get(channel) for channel in range(len(self.model))]
        return Summary(summary, imagename=self.imagename, catalog=catalog, results=results)

    def _path(self, suffix):
        return product_path(self.made, suffix)

    def _tclean(self, with_model=False, **more):
        import casatasks

        self.major.append(sum(cycles.made for cycles in self.channels.values()))
        parameters = passed_on(self.given, with_model) | {"imagename": str(self.made), "niter": 0} | more
        return casatasks.tclean(**parameters)

    def _begin(self, allowed):
        """Set up the major cycles of each channel that has data."""
        self.model = np.zeros_like(planes(self._path(".model")))
        self.dirty, self.cycles, self.courses, self.going = {}, {}, {}, []
        for channel in range(len(self.model)):
            dirty = read_image(self._path(".image"), channel, 0)
            if not np.nan_to_num(dirty.data).any():
                tell(f"{self._name(channel)}has no data, stays blank", logging.WARNING)
                continue
            psf, pb = (read_image(self._path(suffix), channel, 0, u.one) for suffix in (".psf", ".pb"))
            mask = None if allowed is None else allowed[channel].astype(float)
            self.dirty[channel] = dirty
            self.channels[channel] = MajorCycles(
                self.imager, psf, pb, mask, most=self._most(), name=self._name(channel).removesuffix(": ") or "image"
            )
            everywhere = np.ones(dirty.shape, bool)
            self.courses[channel] = Course(everywhere if allowed is None else allowed[channel], np.isfinite(dirty.data))
        self.going = list(self.channels)
        if not self.going:
            raise DirtyImageError("no channel has data that can be reconstructed; the log says why")

    def _most(self):
        """How many reconstructions there may be."""
        return min(self.values["niter"], self._most_major())

    def _most_major(self):
        return self.values["nmajor"] if self.values["nmajor"] > 0 else MOST

    def _name(self, channel):
        return f"channel {channel}: " if len(self.model) > 1 else ""

    def _reconstruct(self):
        """One step of each channel that is not done; writes ``.model`` and returns whether its residual is wanted."""
        residual = planes(self._path(".residual"))
        for channel in list(self.going):
            left, cycles = self.dirty[channel], self.channels[channel]
            if channel in self.cycles:
                left = left.copy()
                left.data = np.where(np.isfinite(left.data), residual[channel], np.nan)
            self.courses[channel].add_residual(left.data)
            made = cycles.made
            try:
                cycle, goes_on = cycles.step(left, None, self.threshold, self.values["nsigma"])
            except DirtyImageError as error:
                if not self._name(channel):
                    raise
                tell(f"{self._name(channel)}stays dirty, {error}", logging.WARNING)
                self.going.remove(channel)
                continue
            self.cycles[channel], self.model[channel] = cycle, cycle.model
            if cycles.made > made:
                self.courses[channel].add_model(cycle)
            if not goes_on:
                self.going.remove(channel)
        if not self.cycles:
            raise DirtyImageError("no channel has data that can be reconstructed; the log says why")
        put_planes(self._path(".model"), self.model)
        return bool(self.going)

    def _summarise(self, summary):
        """The summary of CASA's last run, with what was done before."""
        residual = planes(self._path(".residual"))
        courses = {channel: self.courses[channel] for channel in self.cycles}
        for channel, course in courses.items():
            course.end(residual[channel], self.cycles[channel])
        limit = 1 if self.values["niter"] <= self._most_major() else 9
        code = stop_code([self.channels[channel].reason for channel in courses], limit, self.values["nsigma"])
        return summarise(summary, courses, code, self.values, self.major)

    def _say(self, channel, cycle):
        result = cycle.result
        above = f" that peak above {cycle.peak:.4g} Jy/beam" if cycle.peak else ""
        tell(
            f"{self._name(channel)}noise {result.dirty.rms:.4g} Jy/beam, {len(result.catalog)} sources{above}, "
            f"seed {result.meta['seed']}"
        )

    def _write_mask(self, allowed):
        copy_image(self._path(".mask"), self._path(".model"), "")
        put_planes(self._path(".mask"), mask_image(self.values, allowed, self.model))
