"""What process_image returns: PyBDSF's Image, with its attributes and methods."""

import logging
from pathlib import Path

import numpy as np
from astropy.wcs.utils import proj_plane_pixel_area

from ... import __version__
from ...errors import DirtyImageError, SettingError, shown
from ...observation.celestial import read_wcs
from ...observation.extensions import file_of
from ...observation.inputs import given_paths
from ...products.writing import check_kept
from .analysis import analyse
from .background import map_paths
from .conversions import Conversions
from .exports import Exports
from .field import catalog_frame, read_field
from .outputs import check_output, output_folder, read_parameters, save_parameters, write_output
from .parameters import PARAMETERS, Options
from .runlog import RunLog
from .without import ATTRIBUTES

__all__ = ["Image"]

ENDINGS = (".fits.gz", ".fits", ".FITS", ".image")
SAVED = ".pybdsf.sav"
MADE = ("analysis", "result", "sources", "gaussians", "islands")
READ = ("readimage", "collapse", "preprocess")
DONE = (*READ, "rmsimage", "threshold", "islands", "gausfit", "gaul2srl", "make_residimage", "outlist", "cleanup")


class Image(Conversions, Exports):
    """An image and its sources, with PyBDSF's attributes; arrays are indexed [x, y].

    Parameters
    ----------
    options : dict
        Parameters, at least ``filename``.

    Attributes
    ----------
    sources, gaussians, islands : lists
        With ``nsrc``, ``ngaus`` and ``nisl`` as their lengths.
    ch0_arr, rms_arr, mean_arr, model_gaus_arr, resid_gaus_arr : 2D arrays, shape (nx, ny)
        Jy/beam.
    pyrank : 2D array of int, shape (nx, ny)
        Numbers of the islands, -1 elsewhere.
    beam : tuple of float
        FWHM of the axes and position angle, degrees.
    frequency : float
        Hz.
    result : `~astro_ddpm_imager.ImagingResult`
        What this package makes of the image, beyond what PyBDSF has; of one of more
        than 2048 x 2048 pixels a `~astro_ddpm_imager.tiled_result.TiledResult`.
    """

    software = f"astro_ddpm_imager version {__version__}"

    def __init__(self, options):
        self.opts = Options()
        known = {name: value for name, value in options.items() if name in PARAMETERS}
        self.unknown = sorted(set(options) - set(known))
        self.opts.update(known)
        self.extras = {}

    def process(self, psf=None, pb=None, reliability=None, imager=None, **parameters):
        """Process the image, again if it has been before.

        Parameters
        ----------
        psf, pb, reliability, imager : optional
            See `process_image`; what is not given stays as it was.
        **parameters
            PyBDSF's parameters.

        Returns
        -------
        bool
            True.

        Raises
        ------
        RuntimeError
            The image or a parameter cannot be used, as PyBDSF raises it.
        """
        self.opts.update(parameters)
        given = {"psf": psf, "pb": pb, "reliability": reliability, "imager": imager}
        self.extras |= {name: value for name, value in given.items() if value is not None}
        for name in MADE:  # of a run before, perhaps of another image
            vars(self).pop(name, None)
        self._set_names()
        run = RunLog(Path(self.logfilename), self.opts.quiet, self.opts.debug)
        with run.open():
            try:
                self._run(run)
            except (DirtyImageError, FileNotFoundError, SettingError) as error:
                run.note("%s", error, level=logging.ERROR)
                raise RuntimeError(str(error)) from error
            except RuntimeError as error:
                run.note("%s", error, level=logging.ERROR)
                raise
        return True

    def _set_names(self):
        opts = self.opts
        if not opts.filename:
            raise RuntimeError("Image file name not specified: give filename=")
        path = Path(opts.filename)
        if opts.indir is not None:
            path = Path(opts.indir) / path.name
        file = file_of(path)
        if not file.exists():
            raise RuntimeError(f"File '{path}' not found.")
        self.path, self.filename, self.indir = path, str(path), str(path.parent)
        self.parentname = next((file.name.removesuffix(end) for end in ENDINGS if file.name.endswith(end)), file.name)
        self.imagename = f"{self.parentname}.pybdsf"
        self.outdir = str(Path(opts.outdir or Path(opts.filename).parent).resolve())
        self.basedir = str(output_folder(self))
        self.logfilename = str(Path(self.outdir) / f"{file.name}.pybdsf.log")

    def _run(self, run):
        opts, changed = self.opts, self._changed()
        run.note("%s", self.software)
        run.note("Non-default input parameters: %s", ", ".join(f"{key}={shown(getattr(opts, key))}" for key in changed))
        if self.unknown:
            run.note("unknown, ignored: %s", ", ".join(self.unknown), level=logging.WARNING)
        without = [f"{name} ({PARAMETERS[name].effect})" for name in changed if not PARAMETERS[name].counterpart]
        if without:
            run.note("these parameters have no counterpart here: %s", "; ".join(without), level=logging.WARNING)
        check_output(self)
        field = read_field(self.path, opts)
        self._take_field(field)
        run.tell_field(self)
        if opts.stop_at == "read":
            return
        imager = self.extras.get("imager")
        if imager is not None and opts.ncores not in (None, imager.threads):
            run.note("ncores=%d has no effect: imager= has threads of its own", opts.ncores, level=logging.WARNING)
        if "psf" not in self.extras:
            run.say("--> No PSF: the restoring beam takes its place; give psf= if the image is not CLEANed")
        self.analysis = analyse(field, opts, **self.extras)
        self._take_analysis()
        run.tell_analysis(self)
        for path in write_output(self):
            run.note("Wrote %s", path)

    @property
    def files(self):
        """Paths of all that is read: nothing that is written may take its place."""
        opts, given = self.opts, [self.extras.get(name) for name in ("psf", "pb")]
        named = [opts.filename, vars(self).get("path"), opts.detection_image, opts.collapse_file]
        maps = map_paths((*opts.rmsmean_map_filename, *opts.rmsmean_map_filename_det), opts)
        return [path for each in (*named, *maps, *given) for path in given_paths(each) if str(path)]

    def _changed(self):
        """Parameters that do not have their default value."""
        return [name for name, entry in PARAMETERS.items() if getattr(self.opts, name) != entry.default]

    def __getattr__(self, name):
        if name in ATTRIBUTES:
            raise AttributeError(f"{name}: {ATTRIBUTES[name]}")
        stopped = "opts" in vars(self) and self.opts.stop_at == "read"
        way = ", before process() has gone through" + (", which stop_at='read' ends after reading" if stopped else "")
        way = "" if name.startswith("__") or "analysis" in vars(self) else way
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{way}")

    def _take_field(self, field):
        self.field = field
        self.header, self.beam, self.frequency = field.header, tuple(map(float, field.beam)), float(field.frequency)
        self.equinox = float(np.nan_to_num(field.wcs.wcs.equinox, nan=2000.0))
        self.frame, self._original_shape = catalog_frame(field.wcs), field.full_shape[::-1]
        self.ch0_arr = field.data.T.astype(np.float32)
        self.image_arr = self.ch0_arr[None, None]
        if self.opts.trim_box is not None:
            (x, y), (nx, ny) = field.origin, self.ch0_arr.shape
            self.trim_box = [x, x + nx, y, y + ny]
        self.shape, (self.nstokes, self.nchan) = self.image_arr.shape, self.image_arr.shape[:2]
        self.mask_arr = ~np.isfinite(self.ch0_arr)
        self.masked, self.blankpix = bool(self.mask_arr.any()), int(self.mask_arr.sum())
        self.wcs_obj = read_wcs(field.header, self.path)
        self.wcs_obj.wcs.crpix[:2] -= field.origin
        self.wcs_obj.wcs.obsgeo = np.full(6, np.nan)  # as of every WCS here: astropy warns where it is unpickled
        self.wcs_obj.acdelt = [float(side) for side in self._cells()]
        self.omega = float(self.ch0_arr.size * proj_plane_pixel_area(field.wcs) * np.deg2rad(1) ** 2)
        self.completed_Ops = list(READ)
        if self.blankpix < self.ch0_arr.size:
            self._measure_pixels()

    def _measure_pixels(self):
        ch0 = self.ch0_arr
        self.max_value, self.min_value = float(np.nanmax(ch0)), float(np.nanmin(ch0))
        self.raw_mean, self.raw_rms = float(np.nanmean(ch0)), float(np.nanstd(ch0))
        self.maxpix_coord, self.minpix_coord = (
            tuple(map(int, np.unravel_index(find(ch0), ch0.shape))) for find in (np.nanargmax, np.nanargmin)
        )
        self.ch0_sum_jy = float(np.nansum(ch0, dtype=float) / self.pixel_beamarea())

    def _take_analysis(self):
        analysis, background = self.analysis, self.analysis.field.background
        self.result = analysis.result
        self.sources, self.gaussians, self.islands = analysis.sources, analysis.gaussians, analysis.islands
        self.nsrc, self.ngaus, self.nisl = len(self.sources), len(self.gaussians), len(self.islands)
        self.total_flux_gaus = float(sum(gaussian.total_flux for gaussian in self.gaussians))
        self.clipped_rms, self.clipped_mean = background.clipped_rms, background.clipped_mean
        self.rms_box, self.use_rms_map = background.rms_box, background.varies
        self.rms_arr, self.mean_arr = background.rms.T.astype(np.float32), background.mean.T.astype(np.float32)
        self.model_gaus_arr = analysis.model.T.astype(np.float32)
        self.resid_gaus_arr = analysis.residual.T.astype(np.float32)
        self.pyrank, self.island_labels = analysis.rank.T, analysis.rank.T + 1
        self.completed_Ops = list(DONE)
        opts = self.opts
        self.thresh, self.thresh_pix, self.aperture = "hard", opts.thresh_pix, opts.aperture
        self.minpix_isl = 0 if opts.minpix_isl is None else opts.minpix_isl
        self.maxpix_isl = np.inf if opts.maxpix_isl is None else opts.maxpix_isl
        self.mean_map_type = "const" if opts.mean_map == "default" else opts.mean_map

    def get_map(self, map_name):
        """An array by its name, such as ``"rms_arr"``."""
        return getattr(self, map_name)

    def put_map(self, map_name, map_data):
        """Replace an array by its name; ``export_image`` writes the new one."""
        setattr(self, map_name, map_data)

    def save_pars(self, savefile=None):
        """Save the parameters to a file that `process_image` and PyBDSF read, by default beside the image."""
        savefile = savefile or self.opts.filename + SAVED
        try:
            check_kept([Path(savefile)], self.files)
        except SettingError as error:
            raise RuntimeError(str(error)) from error
        save_parameters(savefile, self.opts)
        print(f"--> Saved parameters to file '{savefile}'.")

    def load_pars(self, loadfile=None):
        """Take the parameters, but for the image, of a file that `save_pars`, or PyBDSF, has saved."""
        loadfile = loadfile or self.opts.filename + SAVED
        if not Path(loadfile).exists():
            raise RuntimeError(f"File '{loadfile}' not found.")
        found = read_parameters(loadfile)
        if found is None:
            raise RuntimeError(f"{loadfile}: is no file that save_pars has saved")
        opts = Options()
        opts.update({name: value for name, value in found.items() if name in PARAMETERS})
        opts.filename = self.opts.filename
        self.opts = opts

    def set_pars(self, **parameters):
        """Set parameters; names may be abbreviated."""
        self.opts.update(parameters)

    def list_pars(self):
        """Print the parameters, and what becomes of each."""
        print(self.opts.info(), end="")
