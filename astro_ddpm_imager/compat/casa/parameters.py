"""The parameters of CASA's tclean: names in its order, defaults, and what becomes of each here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import SettingError, shown
from ...settings import check_number
from .products import check_inputs

__all__ = ["MOSAICS", "PARAMETERS", "Parameter", "check", "check_kinds", "ignored", "passed_on"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of tclean.

    Parameters
    ----------
    default : object
        CASA's default.
    handling : {"casa", "both", "here", "none"}
        Who it is for: CASA's tclean, which gets it unchanged; CASA's tclean
        and this package; this package; or nobody, which the log says.
    effect : str
        What becomes of it.
    """

    default: object
    handling: str
    effect: str


UNCHANGED = "passed to CASA's tclean unchanged"
NO_CYCLES = "there are no minor cycles"
NO_COMPONENTS = "the model knows the shapes of sources, there are no CLEAN components"
AUTOMASK = "masks are not grown here; the model itself tells emission from noise"

_TABLE = [
    ("vis", "", "both", "the MeasurementSet or a list of them; must exist and have the data column"),
    ("selectdata", True, "both", UNCHANGED),
    ("field", "", "both", "passed on; without ``gridder='mosaic'`` the fields selected must have one phase centre"),
    ("spw", "", "both", UNCHANGED),
    ("timerange", "", "both", UNCHANGED),
    ("uvrange", "", "casa", UNCHANGED),
    ("antenna", "", "casa", UNCHANGED),
    ("scan", "", "both", UNCHANGED),
    ("observation", "", "both", UNCHANGED),
    ("intent", "", "both", UNCHANGED),
    ("datacolumn", "corrected", "both", "passed on; without CORRECTED_DATA CASA takes DATA, which the log says"),
    ("imagename", "", "here", "start of the names of the products; existing ones are replaced"),
    ("imsize", [100], "casa", UNCHANGED),
    ("cell", [], "casa", UNCHANGED),
    ("phasecenter", "", "casa", UNCHANGED),
    ("stokes", "I", "both", "passed on; one plane of total intensity (I, pseudoI, XX, YY, RR, LL), else an error"),
    ("projection", "SIN", "casa", UNCHANGED),
    ("startmodel", "", "none", "the samples start from noise, not from a model"),
    ("specmode", "mfs", "both", "passed on; cubes have one reconstruction per channel; ``'mvc'`` is an error"),
    ("reffreq", "", "casa", UNCHANGED),
    ("nchan", -1, "casa", UNCHANGED),
    ("start", "", "casa", UNCHANGED),
    ("width", "", "casa", UNCHANGED),
    ("outframe", "LSRK", "casa", UNCHANGED),
    ("veltype", "radio", "casa", UNCHANGED),
    ("restfreq", [], "casa", UNCHANGED),
    ("interpolation", "linear", "casa", UNCHANGED),
    ("perchanweightdensity", True, "casa", UNCHANGED),
    ("gridder", "standard", "both", "passed on, also ``'mosaic'``; A-projection is an error"),
    ("facets", 1, "casa", UNCHANGED),
    ("psfphasecenter", "", "casa", UNCHANGED),
    ("wprojplanes", 1, "casa", UNCHANGED),
    ("vptable", "", "casa", UNCHANGED),
    ("mosweight", True, "casa", UNCHANGED),
    ("aterm", True, "casa", UNCHANGED),
    ("psterm", False, "casa", UNCHANGED),
    ("wbawp", True, "casa", UNCHANGED),
    ("conjbeams", False, "casa", UNCHANGED),
    ("cfcache", "", "casa", UNCHANGED),
    ("usepointing", False, "casa", UNCHANGED),
    ("computepastep", 360.0, "casa", UNCHANGED),
    ("rotatepastep", 360.0, "casa", UNCHANGED),
    ("pointingoffsetsigdev", [], "casa", UNCHANGED),
    ("pblimit", 0.2, "both", "passed on; nothing is reconstructed where the primary beam is below its absolute value"),
    ("normtype", "flatnoise", "casa", UNCHANGED),
    ("deconvolver", "hogbom", "none", "the diffusion model takes its place; ``'mtmfs'`` is an error"),
    ("scales", [], "none", NO_COMPONENTS),
    ("nterms", 2, "none", "for ``deconvolver='mtmfs'`` only, which is an error"),
    ("smallscalebias", 0.0, "none", NO_COMPONENTS),
    ("fusedthreshold", 0.0, "none", NO_COMPONENTS),
    ("largestscale", -1, "none", NO_COMPONENTS),
    ("restoration", True, "casa", "passed on: without it there is no ``.image``"),
    ("restoringbeam", [], "casa", "beam of ``.image``, by CASA's tclean, also ``'common'``"),
    ("pbcor", False, "casa", "also ``.image.pbcor``, by CASA's tclean"),
    ("outlierfile", "", "here", "an error: one field at a time"),
    ("weighting", "natural", "casa", UNCHANGED),
    ("robust", 0.5, "casa", UNCHANGED),
    ("noise", "1.0Jy", "casa", UNCHANGED),
    ("npixels", 0, "casa", UNCHANGED),
    ("uvtaper", [""], "casa", UNCHANGED),
    (
        "niter", 0, "here",
        "0: CASA's tclean alone, only the dirty image; more: at most so many reconstructions, each with a major cycle; "
        "two to four are enough",
    ),
    ("gain", 0.1, "none", NO_CYCLES),
    (
        "threshold", 0.0, "here",
        "``.model`` and catalogue hold only what peaks above it in the image (with its noise, before the primary-beam "
        "correction), as CLEAN sees it; fainter emission stays in ``.residual``",
    ),
    ("nsigma", 0.0, "here", "as ``threshold``, times the noise; the higher of the two counts"),
    ("cycleniter", -1, "none", NO_CYCLES),
    ("cyclefactor", 1.0, "none", NO_CYCLES),
    ("minpsffraction", 0.05, "none", NO_CYCLES),
    ("maxpsffraction", 0.8, "none", NO_CYCLES),
    ("interactive", False, "none", "there is nothing to interact with"),
    (
        "nmajor", -1, "here",
        "at most so many reconstructions; -1 stands for 4; 0: CASA's tclean alone, only the dirty image",
    ),
    ("fullsummary", False, "here", "adds what was before each reconstruction to ``summaryminor``"),
    (
        "usemask", "user", "here",
        "``'user'``: as ``mask`` says; ``'pb'``: where the primary beam is above ``pbmask``; ``'auto-multithresh'``: "
        "everywhere, and ``.mask`` is where the model put emission",
    ),
    (
        "mask", "", "here",
        "CASA image, region, region file or a list: ``.model`` and catalogue are empty elsewhere; '' takes "
        "``<imagename>.mask`` if there is one, else all of the image",
    ),
    (
        "pbmask", 0.0, "here",
        "for ``usemask='pb'``; above 0 also where ``mask`` is given, and for ``'auto-multithresh'``: only where the "
        "primary beam is above it",
    ),
    ("sidelobethreshold", 3.0, "none", AUTOMASK),
    ("noisethreshold", 5.0, "none", AUTOMASK),
    ("lownoisethreshold", 1.5, "none", AUTOMASK),
    ("negativethreshold", 0.0, "none", AUTOMASK),
    ("smoothfactor", 1.0, "none", AUTOMASK),
    ("minbeamfrac", 0.3, "none", AUTOMASK),
    ("cutthreshold", 0.01, "none", AUTOMASK),
    ("growiterations", 75, "none", AUTOMASK),
    ("dogrowprune", True, "none", AUTOMASK),
    ("minpercentchange", -1.0, "none", AUTOMASK),
    ("verbose", False, "none", AUTOMASK),
    ("fastnoise", True, "none", "the noise is measured as the samples need it"),
    (
        "restart", True, "here",
        "True: existing products are replaced, nothing is continued; False: a number is added to ``imagename``, as in "
        "CASA",
    ),
    ("savemodel", "none", "casa", "``'virtual'`` or ``'modelcolumn'``: CASA's tclean saves the reconstruction"),
    ("calcres", True, "none", "the residual is always made"),
    ("calcpsf", True, "none", "the PSF is always made"),
    ("psfcutoff", 0.35, "casa", UNCHANGED),
    ("parallel", False, "casa", UNCHANGED),
]  # fmt: skip
PARAMETERS = {name: Parameter(*entry) for name, *entry in _TABLE}

# CASA's tclean gets them when it has a model to restore and save.
OF_THE_MODEL = ("restoration", "restoringbeam", "pbcor", "savemodel")
MOSAICS = ("mosaic", "mosaicft", "ftmosaic")
GRIDDERS = ("standard", "gridft", "ft", "wproject", "wprojectft", "widefield", *MOSAICS)
PLANES = ("I", "pseudoI", "XX", "YY", "RR", "LL")
ALONE = "; give niter=0 for CASA's tclean alone"


def check(values):
    """Refuse what cannot be reconstructed.

    Parameters
    ----------
    values : dict
        All parameters.

    Raises
    ------
    SettingError
        With the parameter, its value and the way out.
    """
    check_kinds(values)
    folder = Path(values["imagename"]).parent
    if not (folder.is_dir() or folder.parent.is_dir()):  # CASA makes one folder, not two
        raise SettingError(f"imagename={values['imagename']!r}: there is no folder {str(folder)!r}; make it first")
    if values["gridder"] not in GRIDDERS:
        raise SettingError(
            f"gridder={values['gridder']!r}: noise and PSF vary over the image with A-projection, which the model "
            f"does not know; image one field with gridder='standard', or several with 'mosaic'{ALONE}"
        )
    if values["deconvolver"] == "mtmfs":
        raise SettingError(
            f"deconvolver='mtmfs', nterms={values['nterms']}: there are no Taylor terms here; make one image of the "
            f"band with any other deconvolver, or specmode='cube' for its spectrum{ALONE}"
        )
    if values["specmode"] == "mvc":
        raise SettingError(f"specmode='mvc': there are no Taylor terms here; choose 'mfs' or 'cube'{ALONE}")
    if values["stokes"] not in PLANES:
        raise SettingError(
            f"stokes={values['stokes']!r}: the model knows total intensity only, one plane; choose one of "
            f"{', '.join(map(repr, PLANES))}{ALONE}"
        )
    if values["outlierfile"]:
        raise SettingError(
            f"outlierfile={values['outlierfile']!r}: one field is imaged at a time; make the image larger (imsize), or "
            f"call tclean for each field{ALONE}"
        )
    if values["restart"]:  # else the products get a name of their own
        check_inputs(values, ("vis", "mask"))


def check_kinds(values):
    """Refuse values of the wrong type or range.

    Parameters
    ----------
    values : dict
        All parameters of tclean or of deconvolve.

    Raises
    ------
    SettingError
    """
    if not Path(values["imagename"]).name:
        raise SettingError(f"imagename={values['imagename']!r}: give the start of the names of the products")
    for name, least, whole in (("niter", 0, True), ("nmajor", -1, True), ("nsigma", 0, False), ("pbmask", 0, False)):
        check_number(name, values.get(name, 0), least, np.inf, whole)
    if values["usemask"] not in ("user", "pb", "auto-multithresh"):
        raise SettingError(f"usemask={values['usemask']!r}: choose 'user', 'pb' or 'auto-multithresh'")


def passed_on(given, with_model):
    """What CASA's tclean is called with, but for the name of the image and ``niter``.

    Parameters
    ----------
    given : dict
        Parameters the caller gave.
    with_model : bool
        Whether there is a model to restore and save.

    Returns
    -------
    dict
    """
    kept = {
        name: value
        for name, value in given.items()
        # What this table does not know, a newer CASA may.
        if name not in PARAMETERS or PARAMETERS[name].handling in ("casa", "both")
    }
    return {name: value for name, value in kept.items() if with_model or name not in OF_THE_MODEL}


def ignored(given, table=PARAMETERS):
    """Parameters that have no effect but were given another value than the default.

    Parameters
    ----------
    given : dict
    table : dict of `Parameter`, optional

    Returns
    -------
    list of str
        Names, each with its value and the reason.
    """
    return [
        f"{name}={shown(value)} ({table[name].effect})"
        for name, value in given.items()
        if name in table and table[name].handling == "none" and not np.array_equal(value, table[name].default)
    ]
