"""Writing the products of a result: all of them, each whole."""

import errno
import logging
import os
import re
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits

from ..errors import SettingError
from ..home import check_path, expanded
from ..observation.extensions import file_of
from ..observation.planes import Plane
from ..sources.catalog import restoring_beams
from ..whole_files import check_folder, lock_of
from .catalog_files import ecsv_meta, write_ecsv
from .folders import move_without_replacing, scratch_folder
from .headers import to_hdu

__all__ = [
    "IMAGES", "PRODUCTS", "WITH_AXES", "check_free", "check_kept", "check_not_read",
    "checked_prefix", "existing_products", "move_all", "product_path", "put_in_place", "write_products",
]  # fmt: skip

log = logging.getLogger(__name__)


def _write_image(result, path, name, keep_axes=False):
    hdu = to_hdu(getattr(result, name), result.dirty.meta if keep_axes else None)
    on_disk = hdu.data.filename if isinstance(hdu.data, np.memmap) else None
    if on_disk is None:
        hdu.writeto(path)
    else:
        _stream(hdu.header, Plane(Path(on_disk)), path)


def _stream(header, plane, path):
    """Write an image that is on disk, by rows, so that it is never in memory."""
    header["EXTEND"] = False
    stream = fits.StreamingHDU(path, header)
    try:
        for start in range(0, len(plane.opened()), ROWS):
            stream.write(plane.read((slice(start, start + ROWS), slice(None))))
    finally:
        stream.close()


def _write_png(result, path):
    # Noise is hardly smaller when it is compressed as well as can be, which takes a tenth of a picture's time.
    result.plot().savefig(path, dpi=120, pil_kwargs={"compress_level": 2})


def _write_regions(result, path):
    from .region_files import catalog_to_regions, ds9_text  # here, because regions takes a fifth of a second

    catalog, dirty = result.catalog, result.dirty
    beams = restoring_beams(dirty.wcs, dirty.beam_covariance, catalog["x"], catalog["y"])
    path.write_text(ds9_text(catalog_to_regions(catalog, beams, catalog.meta["frame"])))


ROWS = 256  # of an image that are written at once
ENDING = re.compile(r"(?<=[^.])\.*(\.fits(\.gz)?)?\.*\Z", re.IGNORECASE)  # of a prefix that is a name of a file
LONGEST_NAME = 255  # bytes, of all file systems in use

IMAGES = {  # of a result: its attribute, and the unit
    ".model.fits": ("image", "Jy/pixel"), ".uncertainty.fits": ("uncertainty", "Jy/pixel"),
    ".image.fits": ("restored", "Jy/beam"), ".residual.fits": ("residual", "Jy/beam"),
}  # fmt: skip
PRODUCTS = {
    **{suffix: partial(_write_image, name=name) for suffix, (name, _) in IMAGES.items()},
    ".catalog.ecsv": lambda result, path: write_ecsv(result.catalog, path),
    ".reg": _write_regions,
    ".png": _write_png,
}


OF_CUBES = (".channels.ecsv", ".spectra.ecsv")  # that channels of a cube have besides

# The same, where images have the axes of their input.
WITH_AXES = PRODUCTS | {suffix: partial(PRODUCTS[suffix], keep_axes=True) for suffix in IMAGES}


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
    prefix = expanded(prefix)
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
    # A link that leads nowhere is there, too.
    return [path for path in (product_path(prefix, suffix) for suffix in products) if os.path.lexists(path)]


def write_products(result, prefix, overwrite=False, products=PRODUCTS):
    """Write the products in a folder of their own, then move them into place.

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
    OSError
        There is no room; nothing is written or replaced.
    """
    check_free(prefix, overwrite, products)
    folder = product_path(prefix, "").parent
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as scratch:
        written = {}
        for suffix, write in products.items():
            written[product_path(prefix, suffix)] = path = scratch / f"product{suffix}"
            try:
                write(result, path)
            except OSError as error:
                said = error.strerror or error
                raise OSError(
                    error.errno or errno.ENOSPC,  # of which astropy says everything but the number
                    f"{product_path(prefix, suffix)}: cannot be written ({said}); nothing is replaced",
                ) from error
        put_in_place(written, scratch, prefix, overwrite, products)
    return list(written)


def put_in_place(written, scratch, prefix, overwrite, products=PRODUCTS):
    """Move what is written to where it belongs: all of it, or nothing.

    Parameters
    ----------
    written : dict
        Of each product its path, and that of the file.
    scratch : `~pathlib.Path`
        Folder for what is replaced, beside the products.
    prefix : str or path-like
        As of `write_products`, as are the others.
    overwrite : bool
    products : iterable of str, optional

    Raises
    ------
    FileExistsError
        A product exists and ``overwrite`` is False.
    """
    with lock_of(product_path(prefix, "").parent, wait=True):
        _check_targets(prefix, overwrite, products)  # again: another process may have been faster
        others = _tables_of_others(prefix, products)
        move_all(written, scratch, others)
    for path in others:
        log.info("%s was of the products that are replaced, and is removed", path)


def move_all(written, scratch, gone=()):
    """Move products to their targets: all of them, or none; what was there goes first, so that nothing is mixed.

    Parameters
    ----------
    written : dict
        Of each target the file, or the folder of a CASA image.
    scratch : `~pathlib.Path`
        Folder for what is replaced.
    gone : iterable of `~pathlib.Path`, optional
        What goes as well, if it is there.
    """
    old, new = {}, {}
    try:
        for number, target in enumerate([*written, *gone]):
            if os.path.lexists(target):
                old[target] = target.rename(scratch / f"old{number}")
        for target, path in written.items():
            if path.is_dir():
                path.rename(target)
            else:
                move_without_replacing(path, target)
            new[target] = path
    except BaseException:
        for target, path in new.items():
            target.rename(path)
        for target, path in old.items():
            if not os.path.lexists(target):
                path.rename(target)
        raise


def checked_prefix(prefix):
    """A prefix without the ``.fits``, ``.fits.gz`` or dots that it may end in: each product has an ending of its own.

    Parameters
    ----------
    prefix : str or path-like

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    SettingError
        It is only a folder, beside which the products would be.
    TypeError
        It is no path.
    """
    check_path(prefix, "prefix")
    if os.fspath(prefix).endswith(("/", os.sep)) or Path(prefix).name in ("", "..", "~"):
        example = str(Path(prefix) / "field")
        raise SettingError(f"prefix={os.fspath(prefix)!r}: is a folder; the names need a start, such as {example!r}")
    return Path(prefix).with_name(ENDING.sub("", Path(prefix).name))


def check_free(prefix, overwrite, products=PRODUCTS):
    """Check that the products can be written.

    Parameters
    ----------
    prefix : str or path-like
    overwrite : bool
        Those that exist may be replaced.
    products : dict, optional
        With the suffixes as keys.

    Raises
    ------
    FileExistsError
        A product exists, and must not be replaced.
    OSError
        Its name is too long, or a folder has it; or its folder cannot be made or written to.
    """
    check_folder(product_path(prefix, "").parent)
    _check_targets(prefix, overwrite, products)


def _check_targets(prefix, overwrite, products):
    """Check that the names of the products are free, in a folder that has been checked."""
    targets = [product_path(prefix, suffix) for suffix in products]
    for target in targets:
        if len(os.fsencode(target.name)) > LONGEST_NAME:
            raise OSError(errno.ENAMETOOLONG, f"{target.name} is too long for the name of a file; choose a shorter one")
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder; remove it, or choose another name")
    there = [] if overwrite else existing_products(prefix, products) + _tables_of_others(prefix, products)
    if there:
        foreign = [path for path in there if _is_foreign(path)]
        whose = ", and is none of this package's products" if foreign else ""
        raise FileExistsError(
            f"{[*foreign, *there][0]} exists{whose}; give overwrite=True (--overwrite on the command line) to replace "
            "it, or another name or folder (--output-dir)"
        )


def _is_foreign(path):
    """Whether a FITS file or a table is one, or anything, that this package has not written."""
    try:
        if path.suffix == ".fits":
            return "DMODEL" not in fits.getheader(path)
        return path.suffix == ".ecsv" and "model_sha256" not in ecsv_meta(path)
    except (OSError, ValueError):
        return True


def _tables_of_others(prefix, products):
    """Tables that channels of a cube have left, beside which products of the same name would seem to be of them."""
    if not IMAGES.keys() <= set(products):  # WSClean's names are others
        return []
    return [
        path
        for path in existing_products(prefix, [suffix for suffix in OF_CUBES if suffix not in products])
        if not _is_foreign(path)
    ]


def check_not_read(prefix, inputs, products=PRODUCTS):
    """Check that no product would take the place of a file that is read.

    Parameters
    ----------
    prefix : str or path-like
    inputs : iterable of path-like
        All that are read; also under other names.
    products : dict, optional
        With the suffixes as keys.

    Raises
    ------
    SettingError
        One would.
    """
    check_kept(existing_products(prefix, products), inputs)


def check_kept(targets, inputs):
    """Check that nothing that is written takes the place of a file that is read.

    Parameters
    ----------
    targets : iterable of `~pathlib.Path`
        What is written.
    inputs : iterable of path-like
        As of `check_not_read`.

    Raises
    ------
    SettingError
        Something would.
    """
    read = {}
    for path in inputs:
        with suppress(OSError):
            status = expanded(file_of(path)).stat()
            read[status.st_dev, status.st_ino] = path
    for target in targets:
        with suppress(OSError):
            status = target.stat()
            path = read.get((status.st_dev, status.st_ino))
            if path is not None:
                raise SettingError(
                    f"{target} would be replaced by a product, but is read in the same call (as {path}); choose "
                    "another name, or another folder (--output-dir on the command line)"
                )
