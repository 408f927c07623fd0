"""Where emission may be: mask, usemask and pbmask of CASA's tasks."""

import logging

import numpy as np

from ...errors import SettingError
from ...products.writing import product_path
from .log import tell
from .products import planes

__all__ = ["allowed_pixels", "mask_image"]


def allowed_pixels(values, made, template, pb):
    """Where emission may be.

    Parameters
    ----------
    values : dict
        All parameters of the task.
    made : path-like
        Start of the names of what is made on the way.
    template : path-like
        CASA image with the pixels that are wanted.
    pb : path-like
        CASA image of the primary beam.

    Returns
    -------
    3D array of bool, shape (channels, ny, nx), or None
        None for everywhere.

    Raises
    ------
    SettingError
        There is no such mask, no pixel in it, or no primary beam.
    """
    usemask, mask, pbmask = values["usemask"], values["mask"], values["pbmask"]
    if isinstance(mask, list | tuple):
        mask = [part for part in mask if part]  # saved parameters have [''], which CASA takes for ''
    inside = None
    if usemask == "pb" or (pbmask > 0 and (mask or usemask == "auto-multithresh")):
        if not pb.exists():
            raise SettingError(
                f"usemask={usemask!r}, pbmask={pbmask:g}: there is no {pb.name}; make it with tclean, or choose "
                "usemask='user' and pbmask=0"
            )
        with np.errstate(invalid="ignore"):
            inside = planes(pb) > pbmask
        if not inside.any():
            raise SettingError(
                f"usemask={usemask!r}, pbmask={pbmask:g}: the primary beam, {pb.name}, is nowhere above it; give less"
            )
    if usemask != "user":
        return inside
    if mask:
        allowed = _user_mask(mask, template, product_path(made, ".user"))
        return allowed if inside is None else _not_empty(allowed & inside, f"mask={mask!r}, pbmask={pbmask:g}")
    if pbmask > 0:
        tell(f"pbmask={pbmask:g}: has no effect without mask, as in CASA; choose usemask='pb'", logging.WARNING)
    there = product_path(values["imagename"], ".mask")
    if not there.exists():
        return None
    tell(f"mask='': there is {there.name} from before, sources are kept inside it; remove it to have all")
    return _user_mask(str(there), template, product_path(made, ".user"))


def mask_image(values, allowed, model):
    """What ``.mask`` holds.

    Parameters
    ----------
    values : dict
        All parameters of the task.
    allowed : 3D array of bool or None
        As `allowed_pixels` returns it.
    model : 3D array, shape (channels, ny, nx)

    Returns
    -------
    3D array, same shape
        1 where emission may be, 0 elsewhere; with ``usemask="auto-multithresh"``, where there is some.
    """
    if values["usemask"] == "auto-multithresh":
        allowed = model != 0
    return np.ones_like(model) if allowed is None else allowed.astype(float)


def _user_mask(mask, template, made):
    from casatasks import makemask

    try:
        makemask(mode="copy", inpimage=str(template), inpmask=mask, output=str(made))
    except Exception as error:  # CASA's tasks have no exception of their own
        words = " ".join(str(error).split())
        raise SettingError(
            f"mask={mask!r}: give a CASA image, a region or a region file; CASA says: {words}"
        ) from error
    return _not_empty(planes(made) > 0.5, f"mask={mask!r}")


def _not_empty(allowed, given):
    if not allowed.any():
        raise SettingError(
            f"{given}: holds no pixel of the image; see where it lies; remove it if an earlier run made it"
        )
    return allowed
