"""One run: CASA makes the dirty image and the residual of each model, the imager reconstructs the sky from them."""

import copy
import logging
import shutil
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import vstack

from ...errors import DirtyImageError, SettingError
from ...observation.noise_map import unflatten
from ...observation.reading import read_image
from ...products.catalog_files import write_catalog
from ...products.region_files import catalog_to_regions, ds9_text
from ...products.writing import product_path
from ...sources.catalog import restoring_beams
from ..major_cycles import MOST, MajorCycles
from .depth import parse_threshold
from .parameters import passed_on
from .products import copy_image, move_products, note, numbered, planes, put_planes

__all__ = ["Cleaning", "tell"]

log = logging.getLogger("astro_ddpm_imager.compat.casa")


def tell(message, level=logging.INFO):
    """Log a message, here and in CASA's log.

    Parameters
    ----------
    message : str
    level : int, optional
    """
    from casatasks import casalog

    log.log(level, "%s", message)
    casalog.post(message, "WARN" if level >= logging.WARNING else "INFO", "astro_ddpm_imager")


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
        self.imager = copy.copy(imager)
        # CASA takes a negative limit as: the same, but blank nothing.
        self.imager.pblimit = abs(values["pblimit"])
        self.imagename = str(values["imagename"])
        if not values["restart"]:
            self.imagename = numbered(self.imagename)

    def run(self):
        """Make all products, and move them to where they belong.

        Returns
        -------
        dict
            CASA's summary and ``imagename``, ``catalog`` and ``results``.

        Raises
        ------
        RuntimeError
            CASA cannot make the images, as tclean raises it.
        """
        final = Path(self.imagename)
        final.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix="tclean_") as scratch:
            self.made = Path(scratch).absolute() / final.name
            self._tclean(restoration=True)
            if not self._path(".image").exists():
                from casatasks import casalog

                raise RuntimeError(f"CASA's tclean has made no image; its log says why: {casalog.logfile()}")
            allowed = self._allowed()
            self._begin(allowed)
            while self._reconstruct():
                # CASA subtracts the model from the visibilities.
                self._tclean(calcpsf=False, restoration=False)
            self._write_uncertainty()
            # The same once more, and CASA restores and saves the model, as far as wanted.
            shutil.rmtree(self._path(".image"))
            summary = self._tclean(with_model=True, calcpsf=False)
            self._write_mask(allowed)
            catalog = self._write_catalog()
            self._write_history()
            paths = move_products(self.made, final)
        tell(f"wrote {', '.join(path.name for path in paths)}: {len(catalog)} sources")
        results = [self.results.get(channel) for channel in range(len(self.model))]
        return {**(summary or {}), "imagename": self.imagename, "catalog": catalog, "results": results}

    def _path(self, suffix):
        return product_path(self.made, suffix)

    def _tclean(self, with_model=False, **more):
        import casatasks

        parameters = passed_on(self.given, with_model) | {"imagename": str(self.made), "niter": 0} | more
        return casatasks.tclean(**parameters)

    def _allowed(self):
        """Where emission may be: an array of bool, shape (channels, ny, nx), or None for everywhere."""
        usemask, mask = self.values["usemask"], self.values["mask"]
        if usemask == "pb":
            with np.errstate(invalid="ignore"):
                return planes(self._path(".pb")) > self.values["pbmask"]
        if usemask == "auto-multithresh":
            return None
        there = product_path(self.imagename, ".mask")
        if not mask and there.exists():
            tell(f"mask='': there is {there.name} from before, sources are kept inside it; remove it to have all")
            mask = str(there)
        return self._user_mask(mask) if mask else None

    def _user_mask(self, mask):
        from casatasks import makemask

        made = self._path(".user")
        try:
            makemask(mode="copy", inpimage=str(self._path(".image")), inpmask=mask, output=str(made))
        except Exception as error:  # CASA's tasks have no exception of their own
            words = " ".join(str(error).split())
            raise SettingError(
                f"mask={mask!r}: give a CASA image, a region or a region file; CASA says: {words}"
            ) from error
        allowed = planes(made) > 0.5
        if not allowed.any():
            raise SettingError(
                f"mask={mask!r}: holds no pixel of the image; see where it lies; remove it if an earlier run made it"
            )
        return allowed

    def _begin(self, allowed):
        """Set up the major cycles of each channel that has data."""
        self.model = np.zeros_like(planes(self._path(".model")))
        self.dirty, self.channels, self.cycles = {}, {}, {}
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
        if not self.channels:
            raise DirtyImageError("no channel has data that can be reconstructed; the log says why")

    def _most(self):
        """How many reconstructions there may be."""
        limits = [self.values["niter"], self.values["nmajor"] if self.values["nmajor"] > 0 else MOST]
        return min(limits)

    def _name(self, channel):
        return f"channel {channel}: " if len(self.model) > 1 else ""

    def _reconstruct(self):
        """One step of each channel that is not done; writes ``.model`` and returns whether its residual is wanted."""
        residual = planes(self._path(".residual"))
        wanted = []
        for channel, cycles in list(self.channels.items()):
            left = self.dirty[channel]
            if channel in self.cycles:
                left = left.copy()
                left.data = np.where(np.isfinite(left.data), residual[channel], np.nan)
            try:
                cycle, goes_on = cycles.step(left, None, self.threshold, self.values["nsigma"])
            except DirtyImageError as error:
                if not self._name(channel):
                    raise
                tell(f"{self._name(channel)}stays dirty, {error}", logging.WARNING)
                del self.channels[channel]
                continue
            self.cycles[channel], self.model[channel] = cycle, cycle.model
            if goes_on:
                wanted.append(channel)
            else:
                del self.channels[channel]
        if not self.cycles:
            raise DirtyImageError("no channel has data that can be reconstructed; the log says why")
        put_planes(self._path(".model"), self.model)
        return bool(wanted)

    def _write_uncertainty(self):
        """Write ``.uncertainty``, and say what was found."""
        uncertainty, self.results, self.catalogs = np.zeros_like(self.model), {}, []
        for channel, cycle in sorted(self.cycles.items()):
            result = self.results[channel] = cycle.result
            uncertainty[channel] = np.where(result.dirty.blank, 0, result.uncertainty.data * unflatten(result.dirty).pb)
            self._keep(result.catalog, channel)
            above = f" that peak above {cycle.peak:.4g} Jy/beam" if cycle.peak else ""
            tell(
                f"{self._name(channel)}noise {result.dirty.rms:.4g} Jy/beam, {len(result.catalog)} sources{above}, "
                f"seed {result.meta['seed']}"
            )
        copy_image(self._path(".uncertainty"), self._path(".model"), "Jy/pixel")
        put_planes(self._path(".uncertainty"), uncertainty)

    def _keep(self, catalog, channel):
        catalog = catalog.copy()
        if len(self.model) > 1:
            catalog["channel"] = np.full(len(catalog), channel)
            catalog["channel"].info.description = "0-based channel of the cube"
        self.catalogs.append(catalog)

    def _write_mask(self, allowed):
        copy_image(self._path(".mask"), self._path(".model"), "")
        if self.values["usemask"] == "auto-multithresh":
            allowed = self.model != 0
        put_planes(self._path(".mask"), np.ones_like(self.model) if allowed is None else allowed.astype(float))

    def _write_catalog(self):
        beams = []
        for catalog, result in zip(self.catalogs, self.results.values(), strict=True):
            beams += restoring_beams(result.dirty.wcs, result.dirty.beam_covariance, catalog["x"], catalog["y"])
        catalog = vstack(self.catalogs, metadata_conflicts="silent")
        catalog.meta = self._common([catalog.meta for catalog in self.catalogs])
        catalog["source_id"][:] = np.arange(1, len(catalog) + 1)
        write_catalog(catalog, self._path(".catalog.ecsv"))
        regions = catalog_to_regions(catalog, beams, catalog.meta["frame"])
        self._path(".reg").write_text(ds9_text(regions))
        return catalog

    @staticmethod
    def _common(metas):
        """What the metadata of all channels agree on; the noise and the seed are each channel's own."""
        first, *others = metas
        return {name: value for name, value in first.items() if all(meta.get(name) == value for meta in others)}

    def _write_history(self):
        meta = self._common([result.meta for result in self.results.values()])
        lines = [f"the sky is a reconstruction, not CLEAN components: {self.imagename}"]
        lines += [f"{name} = {value}" for name, value in meta.items()]
        for suffix in (".image", ".image.pbcor", ".model", ".residual", ".uncertainty"):
            if self._path(suffix).exists():
                note(self._path(suffix), lines)
