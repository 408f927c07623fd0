"""Writing the products of a result: all of them, each whole."""

import os
import tempfile
from functools import partial
from pathlib import Path

from astropy.io import fits

from ..errors import SettingError
from ..sources.catalog import restoring_beams
from .catalog_files import write_ecsv
from .headers import to_hdu
from .region_files import catalog_to_regions, ds9_text

__all__ = ["PRODUCTS", "WITH_AXES", "existing_products", "left_by_interruption", "product_path", "write_products"]


def _write_image(result, path, name, keep_axes=False):
    to_hdu(getattr(result, name), result.dirty.meta if keep_axes else None).writeto(path)


def _write_png(result, path):
    result.plot().savefig(path, dpi=120)


def _write_regions(result, path):
    catalog = result.catalog
    beams = restoring_beams(result.dirty, catalog["x"], catalog["y"])
    path.write_text(ds9_text(catalog_to_regions(catalog, beams, catalog.meta["frame"])))


IMAGES = {
    ".model.fits": "image", ".uncertainty.fits": "uncertainty", ".image.fits": "restored", ".residual.fits": "residual",
}  # fmt: skip
PRODUCTS = {
    **{suffix: partial(_write_image, name=name) for suffix, name in IMAGES.items()},
    ".catalog.ecsv": lambda result, path: write_ecsv(result.catalog, path),
    ".reg": _write_regions,
    ".png": _write_png,
}


# The same, where images have the axes of their input.
WITH_AXES = PRODUCTS | {suffix: partial(_write_image, name=name, keep_axes=True) for suffix, name in IMAGES.items()}


def product_path(prefix, suffix):
    """Path of a product; the prefix may have dots.

    Parameters
    ----------
    prefix : str or path-like
        ``~`` is the home folder.
    suffix : str
        Its end, such as ``.model.fits``.

    Returns
    -------
    `~pathlib.Path`
    """
    prefix = Path(prefix).expanduser()
    return prefix.with_name(prefix.name + suffix)


def existing_products(prefix, products=PRODUCTS):
    """List the products that are there already.

    Parameters
    ----------
    prefix : str or path-like
    products : dict, optional
        With the suffixes as keys.

    Returns
    -------
    list of `~pathlib.Path`
    """
    return [path for path in (product_path(prefix, suffix) for suffix in products) if path.exists()]


def left_by_interruption(prefix):
    """Whether what is there of the products is of this package, and not other images of the same name.

    Parameters
    ----------
    prefix : str or path-like

    Returns
    -------
    bool
    """
    images = [path for path in existing_products(prefix) if path.suffix == ".fits"]
    try:
        return bool(images) and all("DMODEL" in fits.getheader(path) for path in images)
    except OSError:
        return False


def write_products(result, prefix, overwrite=False, products=PRODUCTS):
    """Write the products under temporary names, then move them into place.

    Parameters
    ----------
    result : `~astro_ddpm_imager.result.ImagingResult`
    prefix : str or path-like
    overwrite : bool, optional
    products : dict, optional
        For each suffix a function of the result and a path that writes it.

    Returns
    -------
    list of `~pathlib.Path`

    Raises
    ------
    FileExistsError
        A product exists and ``overwrite`` is False.
    NotADirectoryError, PermissionError
        The folder cannot be made, or not be written to.
    """
    check_free(prefix, overwrite, products)
    folder = Path(prefix).expanduser().parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
        for suffix, write in products.items():
            write(result, Path(scratch) / f"product{suffix}")
        for suffix in products:
            (Path(scratch) / f"product{suffix}").replace(product_path(prefix, suffix))
    return [product_path(prefix, suffix) for suffix in products]


def check_prefix(prefix):
    """Raise SettingError if a prefix is only a folder: the products would be beside it."""
    if os.fspath(prefix).endswith(("/", os.sep)) or Path(prefix).name in ("", ".."):
        example = str(Path(prefix) / "field")
        raise SettingError(f"prefix={os.fspath(prefix)!r}: is a folder; the names need a start, such as {example!r}")


def check_folder(prefix):
    """Raise OSError if the folder of the products cannot be made, or not be written to."""
    folder = Path(prefix).expanduser().absolute().parent
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is not a folder; choose another folder for the products")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} cannot be written to; choose another folder for the products")


def check_free(prefix, overwrite, products=PRODUCTS):
    """Raise OSError if the products cannot be written, or exist and must not be replaced."""
    check_folder(prefix)
    there = [] if overwrite else existing_products(prefix, products)
    if there:
        raise FileExistsError(
            f"{there[0]} exists; give overwrite=True (--overwrite on the command line) to replace it, or another name"
        )
