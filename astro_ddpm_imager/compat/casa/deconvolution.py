"""CASA's task deconvolve: images that are there already, without visibilities."""

import logging
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np

from ...errors import DirtyImageError, SettingError
from ...imager import DiffusionImager
from ...observation.noise_map import unflatten
from ...observation.reading import read_image
from ...products.catalog_files import write_catalog
from ...products.writing import product_path
from ..major_cycles import MajorCycles
from .depth import parse_threshold
from .parameters import PARAMETERS, ignored
from .products import copy_image, move_products, planes, put_planes, set_beam

__all__ = ["deconvolve"]

log = logging.getLogger("astro_ddpm_imager.compat.casa")

MADE = (".model", ".residual", ".image", ".uncertainty", ".catalog.ecsv")


def deconvolve(imagename, *, niter=100, threshold=0.0, nsigma=0.0, mask="", imager=None, **others):
    """Reconstruct a dirty image that tclean has made, called as the task of CASA of this name.

    It takes ``imagename`` with ``.residual`` and ``.psf``, and ``.pb`` and
    ``.model`` if they are there; of one channel and Stokes I. It writes
    ``.model``, ``.residual`` (by convolution: there are no visibilities),
    ``.image``, ``.uncertainty`` and ``.catalog.ecsv``, and replaces older ones.

    Parameters
    ----------
    imagename : str
    niter : int, optional
        0: nothing is done; any other number is as good as CASA's default of 100.
    threshold, nsigma : optional
        As of `tclean`.
    mask : str, optional
        CASA image; sources are only inside it.
    imager : `~astro_ddpm_imager.DiffusionImager`, optional
        By default one with the default settings.
    **others
        The other parameters of CASA's task, which have no counterpart.

    Returns
    -------
    `~astro_ddpm_imager.ImagingResult` or None
        None with ``niter=0``.

    Raises
    ------
    FileNotFoundError
        An image is missing.
    DirtyImageError, SettingError
        Something cannot be used; kinds of `ValueError`.
    TypeError
        A parameter is unknown.
    """
    for name in others.keys() - {*PARAMETERS, "noRequireSumwt"}:
        raise TypeError(f"deconvolve() got an unexpected keyword argument {name!r}")
    peak = parse_threshold(threshold)
    if isinstance(niter, bool) or not isinstance(niter, int | np.integer) or niter < 0:
        raise SettingError(f"niter={niter!r}: must be a whole number of at least 0")
    for suffix in (".residual", ".psf"):
        path = product_path(imagename, suffix)
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such image; make it with tclean(niter=0, calcres=True)")
    if not niter:
        return None
    without = ignored(others)
    if without:
        log.warning("these parameters have no counterpart here: %s", "; ".join(without))
    residual = read_image(product_path(imagename, ".residual"), unit=u.Jy / u.beam)
    psf = read_image(product_path(imagename, ".psf"), unit=u.one)
    there = {suffix: product_path(imagename, suffix) for suffix in (".pb", ".model")}
    pb = read_image(there[".pb"], unit=u.one) if there[".pb"].exists() else None
    before = planes(there[".model"]) if there[".model"].exists() else None
    if before is not None and len(before) > 1:
        raise DirtyImageError(f"{there['.model']}: is a cube; deconvolve takes one channel, tclean cubes")
    cycles = MajorCycles(DiffusionImager() if imager is None else imager, psf, pb, mask or None, most=1)
    cycle, _ = cycles.step(residual, None if before is None else before[0], peak, nsigma)
    _write(cycle, Path(imagename))
    return cycle.result


def _write(cycle, final):
    result = cycle.result
    dirty, blank = unflatten(result.dirty), result.dirty.blank
    left = np.nan_to_num(dirty.data - dirty.convolve_psf(cycle.model))
    images = {
        ".model": (cycle.model, "Jy/pixel"),
        ".residual": (left, "Jy/beam"),
        ".image": (dirty.convolve_beam(cycle.model) + left, "Jy/beam"),
        ".uncertainty": (np.where(blank, 0, result.uncertainty.data * dirty.pb), "Jy/pixel"),
    }
    with tempfile.TemporaryDirectory(dir=final.absolute().parent, prefix="deconvolve_") as scratch:
        made = Path(scratch) / final.name
        for suffix, (data, unit) in images.items():
            copy_image(product_path(made, suffix), product_path(final, ".residual"), unit)
            put_planes(product_path(made, suffix), data[None])
        set_beam(product_path(made, ".image"), result.dirty.beam)
        write_catalog(result.catalog, product_path(made, ".catalog.ecsv"))
        move_products(made, final, MADE)
