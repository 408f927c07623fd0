"""Images as PyBDSF exports them, and the folder of products that output_all writes."""

import io
import pickle
from datetime import datetime
from pathlib import Path

import numpy as np
from astropy.io import fits

from ...errors import shown
from ...observation.spectral import spectral_number
from ...products.writing import check_kept

__all__ = ["check_output", "output_folder", "read_parameters", "save_parameters", "write_image", "write_output"]

CARRIED = ("SPECSYS", "TELESCOP", "INSTRUME", "OBJECT", "DATE-OBS")
LARGEST = 2**20  # bytes of a save file
BEAM = "Jy/beam"
IMAGES = {  # by the parameter that asks for it alone: path, pixels of an analysis, unit
    "savefits_rmsim": ("background/{}.rmsd_I.fits", lambda analysis: analysis.field.background.rms, BEAM),
    "savefits_meanim": ("background/{}.mean_I.fits", lambda analysis: analysis.field.background.mean, BEAM),
    "savefits_normim": ("background/{}.norm_I.fits", lambda analysis: analysis.field.in_sigma, None),
    "savefits_rankim": ("misc/{}_pyrank.fits", lambda analysis: analysis.rank, None),
    "savefits_modelim": ("model/{}.model.fits", lambda analysis: analysis.model, BEAM),
    "savefits_residim": ("residual/{}.resid_gaus.fits", lambda analysis: analysis.residual, BEAM),
}
CATALOGS = {  # by path: format and type
    "catalogues/{}.gaul.FITS": ("fits", "gaul"),
    "catalogues/{}.srl.FITS": ("fits", "srl"),
    "catalogues/{}.gaul": ("ascii", "gaul"),
    "catalogues/{}.srl": ("ascii", "srl"),
    "catalogues/{}.gaul.ds9.reg": ("ds9", "gaul"),
    "catalogues/{}.srl.ds9.reg": ("ds9", "srl"),
    "catalogues/{}.sky_in": ("bbs", "gaul"),
    "catalogues/{}.star": ("star", "gaul"),
    "catalogues/{}.kvis.ann": ("kvis", "gaul"),
}


def write_image(path, data, field, pad=False, unit="Jy/beam"):
    """Write an image as FITS with the four axes PyBDSF writes.

    Parameters
    ----------
    path : path-like
        Replaced if it exists.
    data : 2D array, shape (ny, nx)
    field : `~astro_ddpm_imager.compat.bdsf.field.Field`
    pad : bool, optional
        Fill with zeros up to the size of the file, if the image was cut.
    unit : str or None, optional
        BUNIT; None for numbers without one.
    """
    wcs = field.wcs
    if pad and data.shape != field.full_shape:
        (x, y), (height, width) = field.origin, data.shape
        padded = np.zeros(field.full_shape, data.dtype)
        padded[y : y + height, x : x + width] = data
        data, wcs = padded, field.wcs.deepcopy()
        wcs.wcs.crpix += field.origin
    header = wcs.to_header()
    # Always these two, in this order, whatever there is in the file.
    for axis, (kind, value, step, of_axis) in enumerate(
        [("STOKES", 1.0, 1.0, ""), ("FREQ", field.frequency, _channel_width(field.header), "Hz")], 3
    ):
        cards = {"CTYPE": kind, "CRVAL": value, "CRPIX": 1.0, "CDELT": step, "CUNIT": of_axis}
        header.update({f"{key}{axis}": card for key, card in cards.items()})
    header["WCSAXES"], header["RESTFRQ"] = 4, field.frequency
    for key in CARRIED:
        if key in field.header:
            header[key] = field.header[key]
    header["BMAJ"], header["BMIN"], header["BPA"] = field.beam
    header.setdefault("EQUINOX", 2000.0)
    if unit:
        header["BUNIT"] = unit
    kind = "int32" if data.dtype.kind == "i" else "float32"
    fits.PrimaryHDU(data.astype(kind)[None, None], header).writeto(path, overwrite=True)


def _channel_width(header):
    """Of a frequency axis, Hz; 1 where there is none."""
    axis = spectral_number(header)
    width = header.get(f"CDELT{axis}") if str(header.get(f"CTYPE{axis}")).startswith("FREQ") else None
    return float(width) if isinstance(width, int | float) and width else 1.0


def output_folder(image):
    """Folder of ``output_all``: ``outdir/<name>_pybdsf<solnname>``, with the date if runs are appended.

    Parameters
    ----------
    image : `~astro_ddpm_imager.compat.bdsf.image.Image`

    Returns
    -------
    `~pathlib.Path`
    """
    folder = Path(image.outdir) / f"{image.parentname}_pybdsf{image.opts.solnname or ''}"
    if image.opts.output_all and image.opts.opdir_overwrite == "append":
        folder = folder / f"{datetime.now():%d%b%Y_%H.%M.%S}"
    return folder


def check_output(image):
    """Refuse to write what ``output_all`` or the ``savefits_`` parameters ask for in the place of what is read.

    Parameters
    ----------
    image : `~astro_ddpm_imager.compat.bdsf.image.Image`

    Raises
    ------
    SettingError
    """
    check_kept([*_wanted_images(image), *_wanted_catalogs(image)], image.files)


def write_output(image):
    """Write what ``output_all`` or the ``savefits_`` parameters ask for.

    Parameters
    ----------
    image : `~astro_ddpm_imager.compat.bdsf.image.Image`

    Returns
    -------
    list of `~pathlib.Path`
    """
    written = []
    for path, option in _wanted_images(image).items():
        _, pixels, unit = IMAGES[option]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, pixels(image.analysis), image.analysis.field, unit=unit)
        written.append(path)
    for path, arguments in _wanted_catalogs(image).items():
        path.unlink(missing_ok=True)  # without sources none is written, and one of a run before is not of this one
        if image.sources:
            path.parent.mkdir(parents=True, exist_ok=True)
            image.write_list(path, *arguments)
            written.append(path)
    if image.opts.output_all:
        used, saved = (Path(image.basedir) / "misc" / name for name in ("parameters_used", "parameters.sav"))
        used.write_text("".join(f"{key:<40}{shown(value)}\n" for key, value in image.opts.to_dict().items()))
        save_parameters(saved, image.opts)
        written += [used, saved]
    return written


def _wanted_images(image):
    """Of each image that is asked for its path, and the parameter that asks for it alone."""
    return {
        _output_path(image, path): option
        for option, (path, *_) in IMAGES.items()
        if image.opts.output_all or getattr(image.opts, option)
    }


def _wanted_catalogs(image):
    """Of each catalogue that is asked for its path, format and type."""
    return {_output_path(image, path): how for path, how in CATALOGS.items() if image.opts.output_all}


def _output_path(image, path):
    return Path(image.basedir) / path.format(f"{image.parentname}.pybdsf")


def save_parameters(path, opts):
    """Save parameters in PyBDSF's format: a pickled dictionary.

    Parameters
    ----------
    path : path-like
        Replaced if it exists.
    opts : `~astro_ddpm_imager.compat.bdsf.parameters.Options`
    """
    with Path(path).open("wb") as stream:
        pickle.dump(opts.to_dict(), stream, protocol=0)


class _PlainUnpickler(pickle.Unpickler):
    """Unpickle nothing but plain values: a save file must not be able to run code."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"holds an object of {module}.{name}, which no parameter is")


def read_parameters(path):
    """Read a save file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict or None
        None if the file is no save file; otherwise it is printed that it has been read.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            return None
        # Of bytes: of a file, a long text is made room for before it is read.
        found = _PlainUnpickler(io.BytesIO(content)).load()
    except Exception:  # there is no end to what a damaged save file makes pickle stumble over
        return None
    if not isinstance(found, dict):
        return None
    print(f"--> Loaded parameters from file '{path}'.")
    return found
