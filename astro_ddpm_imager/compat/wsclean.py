"""WSClean's files: ``NAME-dirty.fits`` and ``NAME-psf.fits`` in; ``NAME-model.fits`` and all that CLEAN makes out."""

import glob
import logging
import math
import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData

from ..errors import DirtyImageError
from ..home import expanded
from ..imager import DiffusionImager
from ..observation.fits_files import opened_fits
from ..observation.history import history_lines
from ..observation.inputs import joined_digest
from ..observation.noise_map import unflatten
from ..observation.reading import read_image
from ..observation.units import JY_PER_BEAM
from ..products.headers import product_header
from ..products.writing import PRODUCTS, check_not_read, existing_products, product_path, write_products
from ..whole_files import check_folder

__all__ = ["OTHERS", "PLANE", "WSCleanImages", "deconvolve", "find_images", "without_origin", "write_plane"]

log = logging.getLogger(__name__)

# What WSClean puts between the name of a run and the kind of an image: interval, channel, polarization.
PLANE = r"(?P<plane>(-t\d{4})?(-(\d{4}|MFS))?)(-(?P<polarization>[IQUV]|[XYRL]{2}i?))?"
# Elements of the Mueller matrix that make its response to Stokes I; the others cancel. WSClean leaves out those it does
# not need, but never the first two.
MUELLER = {0: 0.5, 15: 0.5, 9: 1.0}
LINE = 72  # characters of a HISTORY card, of which FITS drops blanks at the end
SUBTRACTED = re.compile(" -?(-(?:continue|subtract-model)) ")  # in WSClean's command: a model, from the data
KINDS = {"model": "pixel", "image": "beam", "residual": "beam", "uncertainty": "pixel"}
OTHERS = {"-catalog.ecsv": ".catalog.ecsv", "-catalog.reg": ".reg", "-plot.png": ".png"}


@dataclass(frozen=True)
class WSCleanImages:
    """What WSClean has written of one image: of the whole observation, or of one of its channels or intervals.

    Parameters
    ----------
    prefix : `~pathlib.Path`
        Start of the names of the products, for instance ``field`` or
        ``field-0003``.
    dirty, psf : `~pathlib.Path`
    pb : dict, path-like, `~astropy.nddata.CCDData`, 2D array or None
        Primary beam; as a dict, paths of the images that make it, with their
        weights.
    """

    prefix: Path
    dirty: Path
    psf: Path
    pb: object = None

    def image(self, imager, mask=None, beam=None):
        """Reconstruct the image.

        Parameters
        ----------
        imager : `~astro_ddpm_imager.DiffusionImager`
        mask : path-like, `~astropy.nddata.CCDData` or 2D array, optional
            CLEAN's mask.
        beam : `~radio_beam.Beam`, optional
            Restoring beam, instead of WSClean's.

        Returns
        -------
        `~astro_ddpm_imager.ImagingResult`

        Raises
        ------
        DirtyImageError
            Something given cannot be used, or a model was subtracted.
        """
        dirty = read_image(self.dirty)
        _check_whole(dirty.meta, self.dirty)
        pb = self.pb
        if isinstance(pb, dict):
            pb = _weighted_sum(pb)
        try:
            return imager(dirty, self.psf, pb, mask, beam)
        except DirtyImageError as error:
            raise DirtyImageError(f"{self.dirty}: {error}") from error

    @property
    def inputs(self):
        """What the products are made of, by name."""
        return {"dirty": self.dirty, "psf": self.psf} | ({} if self.pb is None else {"pb": self.pb})

    @property
    def products(self):
        """Ends of the names of what is made, and not copied."""
        return [ending for ending in self._endings if ending != "-dirty.fits"]

    def check_free(self, overwrite):
        """Raise OSError if the products cannot be written, or exist and must not be replaced.

        Parameters
        ----------
        overwrite : bool
            Nothing has to be kept. A "restored" image that WSClean has made
            with ``-niter 0`` never has to: it is the dirty image again.

        Raises
        ------
        FileExistsError
            A product exists, and ``overwrite`` is False.
        """
        check_folder(self.prefix.parent)
        there = [path for path in existing_products(self.prefix, self._endings) if not _is_uncleaned(_header(path))]
        if there and not overwrite:
            raise FileExistsError(
                f"{there[0]} exists; give overwrite=True (--overwrite on the command line) to replace it, or another "
                "folder"
            )

    def write(self, result, overwrite=False):
        """Write the products, named as WSClean names them.

        Parameters
        ----------
        result : `~astro_ddpm_imager.ImagingResult`
        overwrite : bool, optional

        Returns
        -------
        list of `~pathlib.Path`
        """
        self.check_free(overwrite)
        companions = {name: origin for name, origin in result.dirty.inputs.items() if name != "dirty"}  # kept as a copy
        check_not_read(self.prefix, [path for origin in companions.values() for path in origin.paths], self._endings)
        images = _images(result, read_image(self.dirty).convert_unit_to(JY_PER_BEAM).data)
        pb = np.where(result.image.mask, np.nan, unflatten(result.dirty).pb)  # of tiles it goes on below the limit
        writers = {
            f"-{kind}{end}.fits": partial(write_plane, data=images[kind] / divisor, kind=kind)
            for end, divisor in (("", 1), ("-pb", pb))
            for kind in KINDS
        }
        writers |= {ending: PRODUCTS[ours] for ending, ours in OTHERS.items()}
        writers["-dirty.fits"] = lambda result, path: shutil.copyfile(self.dirty, path)
        return write_products(result, self.prefix, True, {ending: writers[ending] for ending in self._endings})

    @property
    def _endings(self):
        """Ends of the names of the products."""
        fits_files = [f"-{kind}.fits" for kind in KINDS]
        if self.pb is not None:
            fits_files += [f"-{kind}-pb.fits" for kind in KINDS]
        if self.dirty.name.endswith("-image.fits"):  # its name is wanted for the restored image
            fits_files.append("-dirty.fits")
        return [*fits_files, *OTHERS]


def _weighted_sum(images):
    """A primary beam, with the names of the files that make it; images are their weights by their paths."""
    missing = [path for path in images if not path.exists()]
    if missing:
        raise DirtyImageError(
            f"{missing[0]}: there is no such file, but others of a primary beam, which needs -beam-0.fits and "
            "-beam-15.fits, as WSClean 3 writes them; give the primary beam with pb= (--pb on the command line)"
        )
    planes = [read_image(path, unit=u.one) for path in images]
    total = sum(weight * plane.data for weight, plane in zip(images.values(), planes, strict=True))
    sums = [(path.name, plane.meta["FILESHA"]) for path, plane in zip(images, planes, strict=True)]
    meta = {"FILENAME": ", ".join(name for name, _ in sums), "FILESHA": joined_digest(sums)}
    return CCDData(total, unit=u.one, wcs=planes[0].wcs, meta=meta)


def _images(result, dirty):
    """Images of the apparent sky, by kind."""
    # 0 outside the primary beam, so that `wsclean -predict` can read it; and WSClean does not blank there.
    observation = unflatten(result.dirty)
    model = np.nan_to_num(result.image.data * observation.pb)
    residual = dirty - observation.convolve_psf(model)
    restored = observation.convolve_beam(model) + residual
    uncertainty = np.nan_to_num(result.uncertainty.data * observation.pb)
    return {"model": model, "image": restored, "residual": residual, "uncertainty": uncertainty}


def without_origin(header):
    """A header for another image: without what says where its own comes from.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`

    Returns
    -------
    `~astropy.io.fits.Header`
        A copy.
    """
    header = header.copy()
    for key in ("FILENAME", "FILESHA", "FILEPATH", "HISTORY"):
        header.remove(key, ignore_missing=True, remove_all=True)
    return header


def write_plane(result, path, data, kind):
    """Write an image with WSClean's header and axes, and this package's provenance.

    Parameters
    ----------
    result : `~astro_ddpm_imager.ImagingResult`
        Of an image with WSClean's header.
    path : path-like
    data : 2D array, shape (ny, nx)
    kind : str
        A key of ``KINDS``.
    """
    header = without_origin(result.dirty.meta)  # the history comes again, with the provenance
    header.update(product_header(result.dirty, result.meta))
    header["BUNIT"] = (f"JY/{KINDS[kind].upper()}", f"Units are in Jansky per {KINDS[kind]}")
    data = data.reshape((1,) * (header["NAXIS"] - 2) + data.shape)
    fits.PrimaryHDU(data.astype("float32"), header).writeto(path)


def _header(path):
    """Header of an image; empty if it cannot be read, which is said when the image is."""
    try:
        with opened_fits(path, 0, math.inf, verified=True) as (_, header):
            return header
    except DirtyImageError:
        return fits.Header()


def _is_uncleaned(header):
    """Whether a header is of a restored image that WSClean has made without cleaning."""
    return str(header.get("ORIGIN")).startswith("WSClean") and header.get("WSCNITER") == 0


def find_images(prefix, pb=None, folder=None):
    """Find what a run of WSClean has written, by the names of its files; what is wrong with them is said in its turn.

    Parameters
    ----------
    prefix : path-like
        What was ``-name`` of WSClean.
    pb : path-like, `~astropy.nddata.CCDData` or 2D array, optional
        Primary beam, instead of WSClean's.
    folder : path-like, optional
        Of the products; by default that of the run.

    Returns
    -------
    list of `WSCleanImages`
        One for each channel and interval, and one for all channels together.
        Images of other polarizations than Stokes I, and channels without
        data, are left out, which the log says.

    Raises
    ------
    FileNotFoundError
        There is no dirty image, or no PSF.
    `~astro_ddpm_imager.errors.DirtyImageError`
        None is of Stokes I with data.
    """
    prefix = expanded(prefix)
    pattern = re.compile(f"(?P<start>{re.escape(prefix.name)}{PLANE})-(dirty|image)[.]fits")
    names = sorted(path.name for path in prefix.parent.glob(f"{glob.escape(prefix.name)}*.fits"))
    images = {match["start"]: match for match in map(pattern.fullmatch, names) if match}
    if not images:
        raise FileNotFoundError(
            f"{prefix}-dirty.fits: there is no such file, nor a channel such as {prefix.name}-0000-dirty.fits; "
            "give the -name of a run of wsclean"
        )
    found = []
    for start, match in images.items():
        if match["polarization"] not in (None, "I"):
            log.warning("%s is left out: only Stokes I is reconstructed", start)
            continue
        dirty = _dirty_image(prefix.parent / start)
        if _header(dirty).get("WSCIMGWG") == 0:
            log.warning("%s is left out: WSClean had no data for it", start)
            continue
        plane = prefix.parent / (prefix.name + match["plane"])  # PSF and beam are the same for all polarizations
        psf = product_path(plane, "-psf.fits")
        if not psf.exists():
            raise FileNotFoundError(f"{psf}: there is no such file; run wsclean again, with -make-psf beside -niter 0")
        target = expanded(prefix.parent if folder is None else folder) / start
        found.append(WSCleanImages(target, dirty, psf, _beam_images(plane) if pb is None else pb))
    if not found:
        raise DirtyImageError(f"{prefix}: none of {', '.join(images)} is an image of Stokes I with data")
    return found


def _dirty_image(start):
    """Path of the dirty image; with ``-no-dirty -niter 0`` the restored image is it."""
    dirty, image = product_path(start, "-dirty.fits"), product_path(start, "-image.fits")
    if dirty.exists():
        return dirty
    header = _header(image)
    if header and not _is_uncleaned(header):
        raise FileNotFoundError(
            f"{dirty}: there is no such file, and {image.name} is no dirty image; run wsclean again without -no-dirty"
        )
    return image


def _check_whole(header, dirty):
    """Fail if a model was subtracted from the data of a dirty image: its emission would be in no product."""
    command = "".join(line.ljust(LINE) for line in history_lines(header)) + " "
    found = SUBTRACTED.search(command)
    if found:
        raise DirtyImageError(
            f"{dirty}: WSClean has subtracted a model from it ({found[1]} in its HISTORY), whose emission would "
            "be missing; run wsclean again without that option, under another -name; to go on from a model use "
            "wsclean -continue -python-deconvolution (astro-ddpm-imager plugin wsclean)"
        )


def _beam_images(start):
    """Paths of the images that make the primary beam for Stokes I and their weights; None if there are none."""
    for ending in ("-beam.fits", "-pb.fits"):
        if product_path(start, ending).exists():
            return {product_path(start, ending): 1.0}
    if not any(start.parent.glob(f"{glob.escape(start.name)}-beam-*.fits")):
        return None
    paths = {product_path(start, f"-beam-{index}.fits"): weight for index, weight in MUELLER.items()}
    needed = list(paths)[:2]  # of which one that is missing is said when they are read
    return {path: weight for path, weight in paths.items() if path in needed or path.exists()}


def deconvolve(prefix, imager=None, *, pb=None, mask=None, beam=None, folder=None, overwrite=False):
    """Do what cleaning does in WSClean: from its dirty images and PSFs to models, restored images and residuals.

    ``PREFIX-model.fits`` (Jy/pixel), ``-image.fits`` (model * restoring beam +
    residual) and ``-residual.fits`` (dirty image - PSF * model) are of the
    apparent sky and have WSClean's headers; with a primary beam there is
    each of them divided by it, as ``-model-pb.fits`` and so on. WSClean has no
    counterpart of ``-uncertainty.fits`` (unit of the model),
    ``-catalog.ecsv``, ``-catalog.reg`` (DS9) and ``-plot.png``.

    Parameters
    ----------
    prefix : path-like
        What was ``-name`` of WSClean; it was run with ``-niter 0 -make-psf``,
        or has cleaned. Each of its channels and intervals, and the image of
        all channels (``-MFS``), is reconstructed by itself: spectra are not
        made smooth.
    imager : `~astro_ddpm_imager.DiffusionImager`, optional
        By default one with the default settings.
    pb : path-like, `~astropy.nddata.CCDData` or 2D array, optional
        Primary beam; by default WSClean's (``-beam-0.fits`` and
        ``-beam-15.fits``, or ``-beam.fits``), or ``-pb.fits``, if there.
    mask : path-like, `~astropy.nddata.CCDData` or 2D array, optional
        As for CLEAN: sources are catalogued only where it is not 0.
    beam : `~radio_beam.Beam`, optional
        Restoring beam, instead of WSClean's.
    folder : path-like, optional
        Of the products; by default that of the run.
    overwrite : bool, optional
        Replace existing products, for instance of CLEAN.

    Returns
    -------
    dict
        Of `~astro_ddpm_imager.ImagingResult`, by the start of the products'
        names.

    Raises
    ------
    FileNotFoundError
        There is no dirty image, or no PSF.
    FileExistsError
        A product exists and ``overwrite`` is False; nothing is written.
    `~astro_ddpm_imager.errors.DirtyImageError`
        An image cannot be used.
    """
    runs = find_images(prefix, pb, folder)
    for run in runs:
        run.check_free(overwrite)
    imager = DiffusionImager() if imager is None else imager
    results = {}
    for run in runs:
        result = run.image(imager, mask, beam)
        run.write(result, overwrite)
        results[run.prefix.name] = result
    return results
