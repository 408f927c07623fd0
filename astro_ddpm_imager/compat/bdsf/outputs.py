"""Images as PyBDSF exports them, and the folder of products that output_all writes."""

import io
import pickle
from datetime import datetime
from pathlib import Path

import numpy as np
from astropy.io import fits

from ...observation.spectral import spectral_number

__all__ = ["output_folder", "read_parameters", "save_parameters", "write_image", "write_output"]

CARRIED = ("SPECSYS", "TELESCOP", "INSTRUME", "OBJECT", "DATE-OBS")
LARGEST = 2**20  # bytes of a save file


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
    if image.opts.opdir_overwrite == "append" and folder.exists():
        folder = folder / f"{datetime.now():%d%b%Y_%H.%M.%S}"
    return folder


def write_output(image):
    """Write what ``output_all`` or the ``savefits_`` parameters ask for.

    Parameters
    ----------
    image : `~astro_ddpm_imager.compat.bdsf.image.Image`

    Returns
    -------
    list of `~pathlib.Path`
    """
    opts, folder, name = image.opts, Path(image.basedir), f"{image.parentname}.pybdsf"
    analysis = image.analysis
    field, background = analysis.field, analysis.field.background
    images = {
        f"background/{name}.rmsd_I.fits": ("savefits_rmsim", background.rms),
        f"background/{name}.mean_I.fits": ("savefits_meanim", background.mean),
        f"background/{name}.norm_I.fits": ("savefits_normim", (field.data - background.mean) / background.rms),
        f"misc/{name}_pyrank.fits": ("savefits_rankim", analysis.rank),
        f"model/{name}.model.fits": ("savefits_modelim", analysis.model),
        f"residual/{name}.resid_gaus.fits": ("savefits_residim", analysis.residual),
    }
    catalogs = {
        f"catalogues/{name}.gaul.FITS": ("fits", "gaul"),
        f"catalogues/{name}.srl.FITS": ("fits", "srl"),
        f"catalogues/{name}.gaul": ("ascii", "gaul"),
        f"catalogues/{name}.srl": ("ascii", "srl"),
        f"catalogues/{name}.gaul.ds9.reg": ("ds9", "gaul"),
        f"catalogues/{name}.srl.ds9.reg": ("ds9", "srl"),
        f"catalogues/{name}.sky_in": ("bbs", "gaul"),
        f"catalogues/{name}.star": ("star", "gaul"),
        f"catalogues/{name}.kvis.ann": ("kvis", "gaul"),
    }
    written = []
    for path, (option, data) in images.items():
        if opts.output_all or getattr(opts, option):
            written.append(folder / path)
            written[-1].parent.mkdir(parents=True, exist_ok=True)
            without_unit = option in ("savefits_normim", "savefits_rankim")
            write_image(written[-1], data, field, unit=None if without_unit else "Jy/beam")
    if opts.output_all:
        for path, (kind, catalog_type) in catalogs.items():
            if image.sources:
                written.append(folder / path)
                written[-1].parent.mkdir(parents=True, exist_ok=True)
                image.write_list(written[-1], kind, catalog_type)
        used = folder / "misc" / "parameters_used"
        used.write_text("".join(f"{key:<40}{value!r}\n" for key, value in opts.to_dict().items()))
        save_parameters(folder / "misc" / "parameters.sav", opts)
        written += [used, folder / "misc" / "parameters.sav"]
    return written


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
