"""CASA's interface: import tclean or deconvolve from ``astro_ddpm_imager.compat.casa``, and a script runs."""

from ...imager import DiffusionImager
from .calling import as_task
from .cleaning import Cleaning
from .deconvolution import DECONVOLVE, deconvolve
from .log import tell, tell_ignored
from .parameters import PARAMETERS, check, ignored
from .selection import check_selection

__all__ = ["DECONVOLVE", "PARAMETERS", "deconvolve", "tclean"]


def _reconstructs(values):
    return values["niter"] != 0 and values["nmajor"] != 0


@as_task(PARAMETERS, _reconstructs, check)
def tclean(given, values, imager):
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
    {parameters}
    imager : `~astro_ddpm_imager.DiffusionImager`, optional
        By default one with the default settings.
    **parameters
        What a newer CASA's tclean has besides, passed to it unchanged.

    Returns
    -------
    dict
        What tclean returns, in which an iteration is a reconstruction, and by
        name, but not among the keys and what is saved, ``imagename``,
        ``catalog`` (`~astropy.table.QTable`) and ``results``: an
        `~astro_ddpm_imager.ImagingResult` per channel, None where it is blank.
        With ``niter=0``, which is the default, or ``nmajor=0`` this is CASA's
        tclean and nothing else.

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
    for line in check_selection(values):
        tell(line)
    tell_ignored(ignored(given))
    return Cleaning(given, values, DiffusionImager() if imager is None else imager).run()
