"""Where emission may be: mask, usemask and pbmask of CASA's tasks."""

import numpy as np

from ...errors import SettingError
from ...products.writing import product_path
from .log import tell
from .products import planes

__all__ = ["allowed_pixels"]


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
    usemask, mask = values["usemask"], values["mask"]
    if usemask == "auto-multithresh":
        return None
    if usemask == "pb":
        if not pb.exists():
            raise SettingError(f"usemask='pb': there is no {pb.name}; make it with tclean, or choose usemask='user'")
        with np.errstate(invalid="ignore"):
            return planes(pb) > values["pbmask"]
    there = product_path(values["imagename"], ".mask")
    if not mask and there.exists():
        tell(f"mask='': there is {there.name} from before, sources are kept inside it; remove it to have all")
        mask = str(there)
    return _user_mask(mask, template, product_path(made, ".user")) if mask else None


def _user_mask(mask, template, made):
    from casatasks import makemask

    try:
        makemask(mode="copy", inpimage=str(template), inpmask=mask, output=str(made))
    except Exception as error:  # CASA's tasks have no exception of their own
        words = " ".join(str(error).split())
        raise SettingError(
            f"mask={mask!r}: give a CASA image, a region or a region file; CASA says: {words}"
        ) from error
    allowed = planes(made) > 0.5
    if not allowed.any():
        raise SettingError(
            f"mask={mask!r}: holds no pixel of the image; see where it lies; remove it if an earlier run made it"
        )
    return allowed
