"""What process_image returns: PyBDSF's Image, with its attributes and methods."""

import logging
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation

from ... import __version__
from ...errors import DirtyImageError
from ...sources.catalog import on_sky
from .analysis import analyse
from .field import pixels_at, read_field
from .outputs import output_folder, read_parameters, save_parameters, write_image, write_output
from .parameters import PARAMETERS, Options
from .region_formats import bbs_text, casabox_text, ds9_text, kvis_text, star_text
from .runlog import RunLog
from .tables import write_fits, write_text

__all__ = ["Image"]

ENDINGS = (".fits.gz", ".fits", ".FITS", ".image")
FORMATS = {  # of catalogues: default ending, what it is called, and whether sources can be written
    "fits": (".fits", "FITS file", True),
    "ascii": ("", "ASCII file", True),
    "csv": ("", "ASCII file", True),
    "ds9": (".reg", "ds9 region file", True),
    "casabox": (".box", "CASA clean box file", True),
    "kvis": (".kvis.ann", "kvis file", False),
    "star": (".star", "AIPS STAR file", False),
    "bbs": (".sky_in", "BBS sky model", False),
}
SHAPELETS = "there are no shapelets here"
POLARISATION = "only Stokes I is analysed here"
PSF_VARIATION = "the variation of the PSF is not measured here"
NOT_MADE = {"shap_resid": SHAPELETS, "shap_model": SHAPELETS, "pi": POLARISATION}
NOT_MADE |= dict.fromkeys(("psf_major", "psf_minor", "psf_pa", "psf_ratio", "psf_ratio_aper"), PSF_VARIATION)


def _error(message):
    """Tell as PyBDSF does of what a method cannot do: nothing is raised."""
    print(f"ERROR: {message}")
    return False


class Image:
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
    result : `~astro_ddpm_imager.ImagingResult`
        What this package makes of the image, beyond what PyBDSF has.
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
        self._set_names()
        run = RunLog(Path(self.logfilename), self.opts.quiet, self.opts.debug)
        with run.open():
            try:
                self._run(run)
            except (DirtyImageError, FileNotFoundError) as error:
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
        if not path.exists():
            raise RuntimeError(f"File '{path}' not found.")
        self.path, self.filename, self.indir = path, str(path), str(path.parent)
        self.parentname = next((path.name.removesuffix(end) for end in ENDINGS if path.name.endswith(end)), path.name)
        self.imagename = f"{self.parentname}.pybdsf"
        self.outdir = str(Path(opts.outdir or path.parent).resolve())
        self.basedir = str(output_folder(self))
        self.logfilename = str(Path(self.outdir) / f"{path.name}.pybdsf.log")

    def _run(self, run):
        opts, changed = self.opts, self._changed()
        run.note("%s", self.software)
        run.note("Non-default input parameters: %s", ", ".join(f"{key}={getattr(opts, key)!r}" for key in changed))
        if self.unknown:
            run.note("unknown, ignored: %s", ", ".join(self.unknown), level=logging.WARNING)
        without = [f"{name} ({PARAMETERS[name].effect})" for name in changed if not PARAMETERS[name].counterpart]
        if without:
            run.note("these parameters have no counterpart here: %s", "; ".join(without), level=logging.WARNING)
        field = read_field(self.path, opts)
        run.say("--> Opened '%s'", self.filename)
        run.say("Image size .............................. : %s pixels", field.data.shape[::-1])
        run.say("Beam shape (major, minor, pos angle) .... : (%.5e, %.5e, %.1f) degrees", *field.beam)
        self._take_field(field)
        if opts.stop_at == "read":
            return
        if "psf" not in self.extras:
            run.say("--> No PSF: the restoring beam takes its place; give psf= if the image is not CLEANed")
        self.analysis = analyse(field, opts, **self.extras)
        self._take_analysis()
        run.say("Value of background rms ................. : %.2e Jy/beam", self.clipped_rms)
        run.say("Number of islands found ................. : %d", self.nisl)
        run.say("Number of Gaussians ..................... : %d", self.ngaus)
        run.say("Number of sources ....................... : %d", self.nsrc)
        for path in write_output(self):
            run.note("Wrote %s", path)

    def _changed(self):
        """Parameters that do not have their default value."""
        return [name for name, entry in PARAMETERS.items() if getattr(self.opts, name) != entry.default]

    def _take_field(self, field):
        self.header, self.beam, self.frequency = field.header, tuple(map(float, field.beam)), float(field.frequency)
        self.equinox = float(field.header.get("EQUINOX", 2000.0))
        self.frame = (field.wcs.wcs.radesys or "ICRS").lower()
        if self.frame not in ("fk5", "icrs", "fk4"):
            self.frame = "icrs"
        self.ch0_arr = field.data.T.astype(np.float32)
        self.image_arr = self.ch0_arr[None, None]
        self.shape = self.image_arr.shape
        self.mask_arr = ~np.isfinite(self.ch0_arr)
        self.masked, self.blankpix = bool(self.mask_arr.any()), int(self.mask_arr.sum())
        self.max_value, self.min_value = float(np.nanmax(self.ch0_arr)), float(np.nanmin(self.ch0_arr))
        self.raw_mean, self.raw_rms = float(np.nanmean(self.ch0_arr)), float(np.nanstd(self.ch0_arr))
        self.wcs_obj, self._pixel_beam, self._pixel_beamarea = field.wcs, field.pixel_beam, field.beam_area

    def pixel_beam(self):
        """The beam as standard deviations of its axes in pixels, and its angle."""
        return self._pixel_beam

    def pixel_beamarea(self):
        """Solid angle of the beam, pixels."""
        return self._pixel_beamarea

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
        self.pyrank = analysis.rank.T

    def sky2pix(self, position):
        """Pixel [x, y] of a position [RA, Dec] in degrees."""
        return [float(value) for value in pixels_at(self.wcs_obj, *position)]

    def pix2sky(self, position):
        """Position [RA, Dec] in degrees of a pixel [x, y]."""
        sky = on_sky(self.wcs_obj, *np.reshape(position, (2, 1)))[0]
        return [float(sky.spherical.lon.deg[0]), float(sky.spherical.lat.deg[0])]

    def write_catalog(
        self,
        *,
        outfile=None,
        format="bbs",
        srcroot=None,
        catalog_type="gaul",
        bbs_patches=None,
        incl_chan=False,
        incl_empty=False,
        clobber=False,
        force_output=False,
        correct_proj=True,
        bbs_patches_mask=None,
    ):
        """Write the sources or Gaussians to a file.

        Parameters
        ----------
        outfile : path-like, optional
            By default named after the image, in the current folder.
        format : {"fits", "ascii", "csv", "ds9", "casabox", "kvis", "star", "bbs"}
            The last three are for Gaussians only.
        srcroot : str, optional
            Start of the names in BBS files; by default the image's name.
        catalog_type : {"gaul", "srl"}
            Gaussians or sources.
        bbs_patches : {None, "single", "gaussian", "source", "mask"}, optional
            How Gaussians are grouped in BBS files.
        incl_chan, incl_empty, correct_proj : bool, optional
            Without effect: there are no fluxes of channels and no islands
            without Gaussians, and sizes are always those on the sky.
        clobber : bool, optional
            Replace an existing file.
        force_output : bool, optional
            Write a file even if there are no sources.
        bbs_patches_mask : path-like, optional
            FITS image of patch numbers.

        Returns
        -------
        bool or None
            True, or None for ``"casabox"``, also where its file exists; False
            if nothing is written, which is printed, not raised.
        """
        format, bbs_patches = format.lower(), bbs_patches and bbs_patches.lower()
        if catalog_type not in ("gaul", "srl"):
            if catalog_type == "shap":
                return _error(f"catalog_type='shap': {SHAPELETS}.")
            return _error(f'catalog_type={catalog_type!r}: must be "gaul" or "srl"')
        if format not in FORMATS:
            return _error(f"format={format!r}: must be {', '.join(map(repr, FORMATS))}")
        if bbs_patches not in (None, "single", "gaussian", "source", "mask"):
            return _error(f'bbs_patches={bbs_patches!r}: must be None, "single", "gaussian", "source" or "mask"')
        if bbs_patches == "mask" and bbs_patches_mask is None:
            return _error("bbs_patches='mask': give the FITS file of the patches as bbs_patches_mask")
        if not hasattr(self, "analysis"):
            return _error("the image has not been processed. Please run process_image first.")
        if not self.sources and not force_output:
            print("No sources were found in the image. Output file not written.")
            return False
        ending, called, of_sources = FORMATS[format]
        if catalog_type == "srl" and not of_sources:
            return _error(f"Only catalog_type = 'gaul' is supported with {format} files.")
        if not outfile:
            kind = f".{catalog_type}" if format in ("fits", "ascii", "csv", "ds9") else ""
            outfile = f"{self.imagename}{kind}{ending}"
        path = Path(outfile)
        if path.exists() and not clobber:
            told = _error(f"File exists and clobber = False: {path}")
            return None if format == "casabox" else told
        self.write_list(path, format, catalog_type, srcroot or self.parentname, bbs_patches, bbs_patches_mask)
        print(f"--> Wrote {called} '{path}'")
        return None if format == "casabox" else True

    def write_list(self, path, format, catalog_type, srcroot=None, bbs_patches=None, bbs_patches_mask=None):
        """Write a catalogue without asking; the parameters are `write_catalog`'s."""
        things = self.sources if catalog_type == "srl" else self.gaussians
        if format == "fits":
            return write_fits(path, things, catalog_type, self)
        if format in ("ascii", "csv"):
            return write_text(path, things, catalog_type, self, ", " if format == "csv" else " ")
        texts = {
            "ds9": lambda: ds9_text(things, catalog_type, self),
            "casabox": lambda: casabox_text(things, catalog_type, self),
            "kvis": lambda: kvis_text(things),
            "star": lambda: star_text(things),
            "bbs": lambda: bbs_text(things, self, srcroot or self.parentname, bbs_patches, bbs_patches_mask),
        }
        return path.write_text(texts[format]())

    def export_image(
        self,
        *,
        outfile=None,
        img_format="fits",
        pad_image=False,
        img_type="gaus_resid",
        mask_dilation=0,
        clobber=False,
    ):
        """Write one of the images to a FITS file.

        Parameters
        ----------
        outfile : path-like, optional
            By default named after the image, in the current folder.
        img_format : {"fits"}
            CASA images cannot be written.
        pad_image : bool, optional
            Fill with zeros to the size of the file, after ``trim_box``.
        img_type : {"ch0", "rms", "mean", "gaus_resid", "gaus_model", "island_mask"}
            Which image.
        mask_dilation : int, optional
            Rounds of dilation of the island mask.
        clobber : bool, optional
            Replace an existing file.

        Returns
        -------
        bool
            True; False if nothing is written, which is printed, not raised.
        """
        if img_format.lower() != "fits":
            return _error(
                f"img_format={img_format!r}: only 'fits' is written; CASA's importfits makes a CASA image of it"
            )
        if img_type in NOT_MADE:
            return _error(f"img_type={img_type!r}: {NOT_MADE[img_type]}.")
        images = {
            "ch0": lambda analysis: analysis.field.data,
            "rms": lambda analysis: analysis.field.background.rms,
            "mean": lambda analysis: analysis.field.background.mean,
            "gaus_resid": lambda analysis: analysis.residual,
            "gaus_model": lambda analysis: analysis.model,
            "island_mask": lambda analysis: self._island_mask(mask_dilation),
        }
        if img_type not in images:
            return _error(f"img_type={img_type!r} not recognized: choose one of {', '.join(images)}")
        if not hasattr(self, "analysis"):
            return _error("the image has not been processed. Please run process_image first.")
        path = Path(outfile or f"{self.imagename}_{img_type}.fits")
        if path.exists() and not clobber:
            return _error(f"File exists and clobber = False: {path}")
        write_image(path, images[img_type](self.analysis), self.analysis.field, pad_image)
        print(f"--> Wrote file '{path}'")
        return True

    def _island_mask(self, dilation):
        mask = self.analysis.rank >= 0
        return (binary_dilation(mask, iterations=dilation) if dilation > 0 else mask).astype(np.float32)

    def show_fit(
        self,
        *,
        ch0_image=True,
        rms_image=True,
        mean_image=True,
        ch0_islands=True,
        gresid_image=True,
        gmodel_image=True,
        **others,
    ):
        """Show the images, with the sources marked.

        Parameters
        ----------
        ch0_image, rms_image, mean_image, ch0_islands, gresid_image, gmodel_image : bool, optional
            Which images.
        **others
            PyBDSF's other arguments, of images that are not made here.

        Returns
        -------
        bool
            True; False for an argument that PyBDSF does not have, which is printed.
        """
        known = {"sresid_image", "smodel_image", "source_seds", "pi_image", "pyramid_srcs", "broadcast", "ch0_flagged"}
        known |= {"psf_major", "psf_minor", "psf_pa"}
        if set(others) - known:
            return _error(f"show_fit has no argument {sorted(set(others) - known)[0]!r}")
        if not hasattr(self, "analysis"):
            return _error("the image has not been processed. Please run process_image first.")
        missing = [name for name, value in others.items() if value and name not in ("broadcast", "pyramid_srcs")]
        if missing:
            print(f"not made here, not shown: {', '.join(missing)}")
        chosen = {
            "Image": ch0_image, "rms": rms_image, "Mean": mean_image, "Islands": ch0_islands,
            "Gaussian model": gmodel_image, "Gaussian residual": gresid_image,
        }  # fmt: skip
        from .figures import show_images  # pyplot chooses a window system when it is imported

        show_images(self.analysis, [name for name, wanted in chosen.items() if wanted])
        return True

    def save_pars(self, savefile=None):
        """Save the parameters to a file that `process_image` and PyBDSF read."""
        savefile = savefile or f"{self.imagename}.sav"
        save_parameters(savefile, self.opts)
        print(f"--> Saved parameters to file '{savefile}'.")

    def load_pars(self, loadfile):
        """Take the parameters of a file that `save_pars`, or PyBDSF, has saved."""
        found = read_parameters(loadfile)
        if found is None:
            raise RuntimeError(f"{loadfile}: is no file that save_pars has saved")
        self.opts.update(found)

    def set_pars(self, **parameters):
        """Set parameters; names may be abbreviated."""
        self.opts.update(parameters)

    def list_pars(self):
        """Print the parameters, and what becomes of each."""
        for name, value in self.opts.to_dict().items():
            print(f"{name:<24} {value!r:<12} {PARAMETERS[name].effect}")
