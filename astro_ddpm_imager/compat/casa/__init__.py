"""CASA's interface: import tclean or deconvolve from ``astro_ddpm_imager.compat.casa``, and a script runs."""

import inspect
import logging

from ...imager import DiffusionImager
from .cleaning import Cleaning, tell
from .deconvolution import deconvolve
from .parameters import PARAMETERS, bind, check, ignored
from .selection import check_selection

__all__ = ["PARAMETERS", "deconvolve", "tclean"]


def tclean(*arguments, imager=None, **parameters):
    """Image a MeasurementSet, called as the task of CASA of this name.

    CASA's own tclean makes the dirty image, the PSF and the primary beam; the
    diffusion model takes the place of the minor cycles; CASA's tclean
    subtracts its sky from the visibilities, and what is left goes to the model
    again, until it is noise; then CASA's tclean restores the sky. The products
    are CASA images of CASA's names, ``imagename`` with ``.image``, ``.model``,
    ``.residual``, ``.psf``, ``.pb``, ``.sumwt``, ``.mask`` and, with
    ``pbcor``, ``.image.pbcor``; and besides ``.uncertainty``,
    ``.catalog.ecsv`` and ``.reg``. Older ones of these names are replaced when
    all are made.

    Parameters
    ----------
    *arguments
        tclean's parameters, in its order.
    imager : `~astro_ddpm_imager.DiffusionImager`, optional
        By default one with the default settings.
    **parameters
        tclean's parameters. See `~astro_ddpm_imager.compat.casa.PARAMETERS` for what becomes of each.

    Returns
    -------
    dict
        What tclean with ``niter=0`` returns, and ``imagename``, ``catalog``
        (`~astropy.table.QTable`) and ``results``: an
        `~astro_ddpm_imager.ImagingResult` per channel, None where it is blank.
        With ``niter=0``, which is the default, this is CASA's tclean and
        nothing else.

    Raises
    ------
    SettingError
        A parameter has a value that cannot be used; a kind of `ValueError`.
    DirtyImageError
        The dirty image cannot be reconstructed; a kind of `ValueError`.
    ImportError
        CASA is not installed.
    TypeError
        A parameter is unknown, or given twice.
    RuntimeError
        CASA made no image.
    """
    given = bind(arguments, parameters)
    values = {name: parameter.default for name, parameter in PARAMETERS.items()} | given
    wanted = values["niter"] != 0
    if wanted:
        check(values)
    theirs = _task()
    for name in given.keys() - inspect.signature(theirs).parameters.keys():
        raise TypeError(f"tclean() got an unexpected keyword argument {name!r}: this CASA's tclean does not have it")
    if not wanted:
        return theirs(**given)
    return _reconstruct(given, values, imager)


def _task():
    try:
        from casatasks import tclean as theirs
    except ImportError as error:
        raise ImportError(
            f"CASA is needed to image MeasurementSets, and it cannot be imported ({error}): "
            "pip install casatasks casatools casadata six"
        ) from error
    return theirs


def _reconstruct(given, values, imager):
    for line in check_selection(values):
        tell(line)
    without = ignored(given)
    if without:
        tell(f"these parameters have no counterpart here: {'; '.join(without)}", logging.WARNING)
    return Cleaning(given, values, DiffusionImager() if imager is None else imager).run()
