"""What an image writes and shows when it is asked to: catalogues, images, figures."""

from functools import partial
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_closing, binary_dilation

from ...errors import DirtyImageError, SettingError
from ...products.writing import check_kept
from .casa_images import write_casa_image
from .outputs import write_image
from .region_formats import bbs_text, casabox_text, ds9_text, kvis_text, star_text
from .tables import write_fits, write_text
from .without import IMAGES_NOT_MADE, SHAPELETS

__all__ = ["Exports"]

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
IMAGES = {  # by the name under which one is exported: the attribute
    "ch0": "ch0_arr",
    "rms": "rms_arr",
    "mean": "mean_arr",
    "gaus_resid": "resid_gaus_arr",
    "gaus_model": "model_gaus_arr",
}


def _error(message):
    """Tell as PyBDSF does of what a method cannot do: nothing is raised."""
    print(f"ERROR: {message}")
    return False


class Exports:
    """The methods of an image that write files or show figures, as PyBDSF's do."""

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
            Replace an existing file, but never one that is read.
        force_output : bool, optional
            Write a file even if there are no sources.
        bbs_patches_mask : path-like, optional
            FITS image of patch numbers, which may have other pixels of the same sky.

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
        patches = [] if bbs_patches_mask is None else [bbs_patches_mask]
        if not self._is_free(path, clobber, patches):
            return None if format == "casabox" else False
        try:
            self.write_list(path, format, catalog_type, srcroot or self.parentname, bbs_patches, bbs_patches_mask)
        except DirtyImageError as error:
            return _error(str(error))
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
        """Write one of the images to a file.

        Parameters
        ----------
        outfile : path-like, optional
            By default named after the image, in the current folder.
        img_format : {"fits", "casa"}
            The latter needs python-casacore or CASA.
        pad_image : bool, optional
            Fill with zeros to the size of the file, after ``trim_box``.
        img_type : {"ch0", "rms", "mean", "gaus_resid", "gaus_model", "island_mask"}
            Which image.
        mask_dilation : int, optional
            Rounds of dilation of the island mask, whose gaps of less than a beam are then closed.
        clobber : bool, optional
            Replace an existing file, but never one that is read.

        Returns
        -------
        bool
            True; False if nothing is written, which is printed, not raised.
        """
        img_format = img_format.lower()
        if img_format not in ("fits", "casa"):
            return _error(f"img_format={img_format!r}: must be 'fits' or 'casa'")
        if img_type in IMAGES_NOT_MADE:
            return _error(f"img_type={img_type!r}: {IMAGES_NOT_MADE[img_type]}.")
        if img_type not in (*IMAGES, "island_mask"):
            return _error(f"img_type={img_type!r} not recognized: choose one of {', '.join(IMAGES)}, island_mask")
        if not hasattr(self, "analysis"):
            return _error("the image has not been processed. Please run process_image first.")
        path = Path(outfile or f"{self.imagename}_{img_type}.{img_format}")
        if not self._is_free(path, clobber):
            return False
        is_mask = img_type == "island_mask"
        # What the attributes hold now: scripts change them to have that written.
        pixels = self._island_mask(mask_dilation) if is_mask else getattr(self, IMAGES[img_type]).T
        write = partial(write_image, data=pixels, field=self.field, pad=pad_image, unit=None if is_mask else "Jy/beam")
        try:
            write(path) if img_format == "fits" else write_casa_image(path, write)
        except SettingError as error:
            return _error(error)
        print(f"--> Wrote file '{path}'")
        return True

    def _is_free(self, path, clobber, also_read=()):
        """Whether a file can be written; if not, it is told why."""
        if path.exists() and not clobber:
            return _error(f"File exists and clobber = False: {path}")
        try:
            check_kept([path], [*self.files, *also_read])
        except SettingError as error:
            return _error(error)
        return True

    def _island_mask(self, dilation):
        mask = self.pyrank.T >= 0
        if dilation > 0:
            # Gaps between islands that are narrower than a beam are closed, as PyBDSF does it.
            gap = np.ones((round(1.5 * self.beam2pix(self.beam)[0]),) * 2)
            mask = binary_closing(binary_dilation(mask, iterations=dilation), gap)
        return mask.astype(np.float32)

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
