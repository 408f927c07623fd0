"""The products of tclean as CASA images: pixels, history, and their way to where they belong."""

import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import SettingError
from ...products.writing import check_not_read, move_all, product_path

__all__ = ["PRODUCTS", "check_inputs", "copy_image", "move_products", "note", "numbered", "planes", "put_planes"]

PRODUCTS = (
    ".image", ".image.pbcor", ".model", ".residual", ".psf", ".pb", ".sumwt", ".mask", ".uncertainty",
    ".catalog.ecsv", ".reg",
)  # fmt: skip


def check_inputs(values, names, suffixes=PRODUCTS):
    """Refuse what would be replaced by a product that is made of it.

    Parameters
    ----------
    values : dict
        All parameters of the task.
    names : iterable of str
        Those that files may be given to, one or a list.
    suffixes : iterable of str, optional
        Of the products. ``.mask`` may be read, for it is written with what it says.

    Raises
    ------
    SettingError
    """
    for name in names:
        given = values[name] if isinstance(values[name], list | tuple) else [values[name]]
        read = [path for path in given if isinstance(path, str | Path)]
        try:
            check_not_read(values["imagename"], read, [suffix for suffix in suffixes if suffix != ".mask"])
        except SettingError as error:
            raise SettingError(f"{name}={values[name]!r}, imagename={values['imagename']!r}: {error}") from error


def planes(path):
    """Pixels of a CASA image.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    3D array, shape (channels, ny, nx)
        Of its first Stokes plane.
    """
    with _opened(path) as image:
        return image.getchunk()[:, :, 0, :].transpose(2, 1, 0)


def put_planes(path, values):
    """Replace the pixels of a CASA image.

    Parameters
    ----------
    path : path-like
    values : 3D array, shape (channels, ny, nx)
    """
    with _opened(path) as image:
        image.putchunk(np.ascontiguousarray(values.transpose(2, 1, 0)[:, :, None, :]))


def copy_image(path, template, unit):
    """Make an image on the pixels of another, without its beam.

    Parameters
    ----------
    path, template : path-like
    unit : str
    """
    with _opened(template) as image:
        copy = image.subimage(outfile=str(path), dropdeg=False)
    copy.setbrightnessunit(unit)
    copy.setrestoringbeam(remove=True)
    copy.done()


def note(path, lines):
    """Add lines to the history of a CASA image.

    Parameters
    ----------
    path : path-like
    lines : list of str
    """
    with _opened(path) as image:
        image.sethistory(origin="astro_ddpm_imager", history=lines)


def numbered(imagename):
    """Name that CASA gives products that must not replace others: with a number, if there are any.

    Parameters
    ----------
    imagename : str

    Returns
    -------
    str
    """
    path = Path(imagename)
    taken = [1] if any(product_path(path, suffix).exists() for suffix in PRODUCTS) else []
    pattern = re.compile(re.escape(path.name) + r"_(\d+)\.")
    others = path.parent.iterdir() if path.parent.is_dir() else ()  # a folder that is not there yet will be made
    taken += [int(found[1]) for found in map(pattern.match, (there.name for there in others)) if found]
    return f"{imagename}_{max(taken) + 1}" if taken else imagename


def move_products(made, imagename, suffixes=PRODUCTS):
    """Put products where they belong; older ones of that name disappear, whether they were made again or not.

    Parameters
    ----------
    made : path-like
        Folder and start of the names of the products; what is replaced goes
        into that folder.
    imagename : path-like
        The same where they belong.
    suffixes : iterable of str, optional

    Returns
    -------
    list of `~pathlib.Path`
    """
    replaced = Path(made).parent / "replaced"
    replaced.mkdir()
    paths = {product_path(imagename, suffix): product_path(made, suffix) for suffix in suffixes}
    written = {target: path for target, path in paths.items() if path.exists()}
    move_all(written, replaced, paths.keys() - written.keys())
    return list(written)


@contextmanager
def _opened(path):
    from casatools import image

    tool = image()
    if not tool.open(str(path)):
        raise RuntimeError(f"{path}: CASA cannot open it")
    try:
        yield tool
    finally:
        tool.close()
