"""The parameters of PyBDSF's process_image: names, defaults, what they may be, and what becomes of each here."""

from dataclasses import dataclass

import numpy as np

from ...errors import shown
from .values import CHECKS, from_text

__all__ = ["PARAMETERS", "Options", "Parameter", "full_names"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of PyBDSF.

    Parameters
    ----------
    default : object
        PyBDSF's default.
    kind : str or tuple
        Name of one of `~astro_ddpm_imager.compat.bdsf.values.CHECKS`, a ``?`` after it allowing None; or the allowed
        values.
    effect : str
        What becomes of it here.
    counterpart : bool
        Whether it has one; if not, passing it is named in the log.
    """

    default: object
    kind: object
    effect: str
    counterpart: bool = True

    @property
    def may_be_none(self):
        """Whether None is one of its values."""
        return None in self.kind if isinstance(self.kind, tuple) else self.kind.endswith("?")

    def check(self, name, value):
        """The value as PyBDSF would store it; an empty string stands for the default, "none" for None."""
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value.item()
        if isinstance(value, str) and (value == "" or (value == "none" and self.may_be_none)):
            value = None if value else self.default
        if isinstance(self.kind, tuple):
            for choice in self.kind if not isinstance(value, np.ndarray) else ():
                # True == 1, so the type counts as well.
                if value == choice and isinstance(value, bool | np.bool_) == isinstance(choice, bool):
                    return choice
            raise RuntimeError(f"{name}={shown(value)}: choose one of {', '.join(map(repr, self.kind))}")
        if value is None and self.may_be_none:
            return None
        kind = self.kind.removesuffix("?")
        if value is None and kind == "str":
            return self.default
        accepts, convert, expected = CHECKS[kind]
        value = from_text(kind, value)
        if not accepts(value):
            none = " or None" if self.may_be_none else ""
            raise RuntimeError(f"{name}={shown(value)}: must be {expected}{none}")
        return convert(value)


CERTAINTY = (
    "sets how certain a source must be: its reliability must reach the fraction of PyBDSF's islands peaking at this "
    "many sigma that are true (0.08 up to 3.5, 0.23 at 4, 0.76 at 5); from 5.4 on its S/N must reach it as well"
)

EFFECTIVE = {
    "filename": ("", "str", "the image: FITS or CASA"),
    "aperture": (None, "above0?", "radius in pixels; adds PyBDSF's Aperture_flux columns to the source list"),
    "aperture_posn": ("centroid", ("centroid", "peak"), "where the aperture is centred"),
    "beam": (None, "beam?", "restoring beam, instead of the header's"),
    "blank_limit": (None, "float?", "pixels with absolute values below it are blanked"),
    "collapse_av": ([], "list", "channels to average; [] averages all"),
    "collapse_ch0": (0, "int", "the channel, with ``collapse_mode='single'``"),
    "collapse_file": ("None", "str", "read instead of the image, with ``collapse_mode='file'``"),
    "collapse_mode": ("average", ("average", "single", "file"), "how a cube becomes one image"),
    "collapse_wt": ("unity", ("unity", "rms"), "weights of the channels: 1, or 1 / rms squared"),
    "debug": (False, "bool", "puts debug messages into the log file"),
    "detection_image": ("", "str", "sources are found in it, and measured in the main image"),
    "flag_bordersize": (0, "int", "drops Gaussians centred closer than this to the image's edge, in pixels"),
    "flag_maxsize_bm": (25.0, "float", "drops Gaussians larger than this many beam areas"),
    "flag_minsize_bm": (0.7, "float", "drops smaller Gaussians, if ``flag_smallsrc``"),
    "flag_smallsrc": (False, "bool", "whether ``flag_minsize_bm`` counts"),
    "frequency": (
        None, "above0?",
        "frequency of image and catalogues, Hz, instead of the header's; of the collapsed cube, too, for which PyBDSF "
        "takes ``frequency_sp``",
    ),
    "group_by_isl": (False, "bool", "all Gaussians of an island become one source"),
    "indir": (None, "str?", "folder of the image, instead of that in its name"),
    "kappa_clip": (None, "float?", "clipping of background mean and rms, in sigma, at least 2; None is 3"),
    "maxpix_isl": (None, "int?", "drops islands with more pixels"),
    "mean_map": (
        "default", ("default", "zero", "const", "map"),
        "subtracted before imaging: 'zero' nothing, 'const' the clipped mean, 'map' a map; 'default' as 'const'",
    ),
    "minpix_isl": (None, "int?", "drops islands with fewer pixels; None drops none"),
    "ncores": (None, "count?", "CPU threads; with ``imager=`` its own count"),
    "opdir_overwrite": ("overwrite", ("overwrite", "append"), "with ``output_all``: replace files or add a folder"),
    "outdir": (None, "str?", "folder of the log and of ``output_all``; None is that in the image's name"),
    "output_all": (False, "bool", "writes PyBDSF's folder of products"),
    "quiet": (False, "bool", "prints nothing on the screen; the log file is written all the same"),
    "rms_box": (None, "pair?", "(box, step) of background maps, pixels; None: a tenth of the image, at least 20 beams"),
    "rms_map": (
        None, (None, True, False),
        "True: noise from a map, whose shape is divided out before imaging; False: constant; None: a map if the noise "
        "varies by a factor of more than 1.5",
    ),
    "rms_value": (
        None, "float?",
        "noise in Jy/beam of thresholds, islands and errors, where it is constant (see ``rms_map``); not the imager's",
    ),
    "rmsmean_map_filename": ([], "list", "[mean, rms] images in place of the background maps"),
    "rmsmean_map_filename_det": ([], "list", "the same for ``detection_image``"),
    "savefits_meanim": (False, "bool", "writes the mean image where ``output_all`` does"),
    "savefits_modelim": (False, "bool", "writes the model image where ``output_all`` does"),
    "savefits_normim": (False, "bool", "writes the image minus mean over rms where ``output_all`` does"),
    "savefits_rankim": (False, "bool", "writes the island numbers where ``output_all`` does"),
    "savefits_residim": (False, "bool", "writes the residual where ``output_all`` does"),
    "savefits_rmsim": (False, "bool", "writes the rms image where ``output_all`` does"),
    "solnname": (None, "str?", "added to the name of the output folder"),
    "src_ra_dec": (None, "places?", "only the candidate at each of these (RA, Dec) in degrees, however uncertain"),
    "src_radius_pix": (None, "float?", "how near, in pixels; None is the beam's major axis"),
    "stop_at": (None, (None, "isl", "read"), "'read' stops after reading; 'isl' does not: islands come with sources"),
    "thresh_isl": (
        3.0, "float", "islands reach down to this many sigma above the mean; above ``thresh_pix`` it counts as that",
    ),
    "thresh_pix": (5.0, "float", CERTAINTY),
    "trim_box": (None, "box?", "(xmin, xmax, ymin, ymax): the images are cut to it and sources found in it only"),
}  # fmt: skip

METHOD_ARGUMENTS = {
    "bbs_patches": (None, (None, "single", "gaussian", "source", "mask")),
    "bbs_patches_mask": (None, "str?"),
    "broadcast": (False, "bool"),
    "catalog_type": ("srl", ("srl", "gaul", "shap")),
    "ch0_flagged": (False, "bool"),
    "ch0_image": (True, "bool"),
    "ch0_islands": (True, "bool"),
    "clobber": (False, "bool"),
    "correct_proj": (True, "bool"),
    "force_output": (False, "bool"),
    "format": ("fits", ("fits", "ds9", "ascii", "bbs", "star", "kvis", "sagecal", "csv", "casabox")),
    "gmodel_image": (True, "bool"),
    "gresid_image": (True, "bool"),
    "img_format": ("fits", ("fits", "casa")),
    "img_type": (
        "gaus_resid",
        ("gaus_resid", "shap_resid", "rms", "mean", "gaus_model", "shap_model", "ch0", "pi", "psf_major", "psf_minor")
        + ("psf_pa", "psf_ratio", "psf_ratio_aper", "island_mask"),
    ),
    "incl_chan": (False, "bool"),
    "incl_empty": (False, "bool"),
    "mask_dilation": (0, "int"),
    "mean_image": (True, "bool"),
    "outfile": (None, "str?"),
    "pad_image": (False, "bool"),
    "pi_image": (False, "bool"),
    "psf_major": (False, "bool"),
    "psf_minor": (False, "bool"),
    "psf_pa": (False, "bool"),
    "rms_image": (True, "bool"),
    "smodel_image": (False, "bool"),
    "source_seds": (False, "bool"),
    "sresid_image": (False, "bool"),
    "srcroot": (None, "str?"),
}

NO_COUNTERPART = {
    "bright sources are subtracted with the PSF before the noise is measured, so no smaller boxes are needed": {
        "adaptive_rms_box": (False, "bool"),
        "adaptive_thresh": (None, "float?"),
        "rms_box_bright": (None, "pair?"),
    },
    "a display option of PyBDSF's shell": {
        name: (False, "bool")
        for name in ("advanced_opts", "flagging_opts", "interactive", "multichan_opts", "output_opts", "plot_allgaus")
        + ("plot_islands", "print_timing", "verbose_fitting", "do_cache")
    },
    "the samples hold emission of all scales, there are no wavelets": {
        "atrous_bdsm_do": (True, "bool"),
        "atrous_do": (False, "bool"),
        "atrous_jmax": (0, "int"),
        "atrous_lpf": ("b3", ("b3", "tr")),
        "atrous_orig_isl": (False, "bool"),
        "atrous_sum": (True, "bool"),
        "use_scipy_fft": (True, "bool"),
    },
    "certainty comes from the posterior samples, not from counting false pixels": {
        "thresh": (None, (None, "hard", "fdr")),
        "fdr_alpha": (0.05, "float"),
        "fdr_ratio": (0.1, "float"),
        "bmpersrc_th": (None, "float?"),
    },
    "no Gaussian is fitted, sources are measured in the samples": {
        "fittedimage_clip": (0.1, "float"),
        "fix_to_beam": (False, "bool"),
        "flag_maxsize_fwhm": (0.5, "float"),
        "flag_maxsize_isl": (2.0, "float"),
        "flag_maxsnr": (1.5, "float"),
        "flag_minsnr": (0.6, "float"),
        "group_method": ("intensity", ("intensity", "curvature")),
        "group_tol": (1.0, "float"),
        "ini_gausfit": ("default", ("default", "simple", "nobeam")),
        "ini_method": ("intensity", ("intensity", "curvature")),
        "peak_fit": (True, "bool"),
        "peak_maxsize": (30.0, "float"),
        "split_isl": (True, "bool"),
        "splitisl_frac_bigisl3": (0.8, "float"),
        "splitisl_maxsize": (50.0, "float"),
        "splitisl_size_extra5": (0.1, "float"),
    },
    "errors are the spread of the posterior samples": {"do_mc_errors": (False, "bool")},
    "blank pixels are NaN in the input, or below the primary-beam limit": {"check_outsideuniv": (False, "bool")},
    "the background maps are interpolated linearly": {"spline_rank": (3, (3, 1, 2, 4))},
    "the background maps of the detection image are not kept": {
        "savefits_det_meanim": (False, "bool"),
        "savefits_det_rmsim": (False, "bool"),
    },
    "only the collapsed image is analysed, no spectral index": {
        "beam_sp_derive": (True, "bool"),
        "beam_spectrum": (None, "list?"),
        "flagchan_list": ([], "list"),
        "flagchan_rms": (True, "bool"),
        "flagchan_snr": (True, "bool"),
        "frequency_sp": (None, "list?"),
        "specind_maxchan": (0, "int"),
        "specind_snr": (3.0, "float"),
        "spectralindex_do": (False, "bool"),
    },
    "only Stokes I is analysed": {
        "pi_fit": (True, "bool"),
        "pi_thresh_isl": (None, "float?"),
        "pi_thresh_pix": (None, "float?"),
        "polarisation_do": (False, "bool"),
        "rm_do": (False, "bool"),
    },
    "the PSF belongs to the observation (``psf=``) and does not vary": {
        "psf_fwhm": (None, "beam?"),
        "psf_gencode": ("list", ("list", "file")),
        "psf_generators": ("calibrators", ("calibrators", "field")),
        "psf_high_snr": (None, "float?"),
        "psf_itess_method": (0, "int"),
        "psf_kappa2": (2.0, "float"),
        "psf_nsig": (3.0, "float"),
        "psf_over": (2, "int"),
        "psf_primarygen": ("", "str"),
        "psf_smooth": (None, "float?"),
        "psf_snrbot": (0.2, "float"),
        "psf_snrcut": (10.0, "float"),
        "psf_snrcutstack": (15.0, "float"),
        "psf_snrtop": (0.15, "float"),
        "psf_stype_only": (True, "bool"),
        "psf_tess_fuzzy": (0.05, "float"),
        "psf_tess_sc": ("s", ("s", "c")),
        "psf_use_shap": (False, "bool"),
        "psf_vary_do": (False, "bool"),
    },
    "there are no shapelets": {
        "shapelet_basis": ("cartesian", ("cartesian", "polar")),
        "shapelet_do": (False, "bool"),
        "shapelet_fitmode": ("fit", ("fit", None)),
        "shapelet_gresid": (False, "bool"),
    },
}


def _all_parameters():
    yield from ((name, Parameter(*entry)) for name, entry in EFFECTIVE.items())
    kept = "an argument of a method of the image; here, as in PyBDSF, only kept in ``opts``"
    yield from ((name, Parameter(*entry, kept)) for name, entry in METHOD_ARGUMENTS.items())
    for reason, group in NO_COUNTERPART.items():
        yield from ((name, Parameter(*entry, reason, counterpart=False)) for name, entry in group.items())


PARAMETERS = dict(sorted(_all_parameters()))


def full_names(given):
    """Parameters under their full names.

    Parameters
    ----------
    given : dict
        Keys may be abbreviated as long as they are unique.

    Returns
    -------
    dict
        With values checked.

    Raises
    ------
    RuntimeError
        A name is unknown or ambiguous, or a value cannot be.
    """
    found = {}
    for key, value in given.items():
        matches = [key] if key in PARAMETERS else [name for name in PARAMETERS if name.startswith(key)]
        if not matches:
            raise RuntimeError(
                f"Input parameter '{key}' not recognized: neither PyBDSF nor this package has it; check its spelling"
            )
        if len(matches) > 1:
            raise RuntimeError(
                f"Input parameter '{key}' matches to more than one possible parameter: {', '.join(matches)}; "
                "write out the one you mean"
            )
        found[matches[0]] = PARAMETERS[matches[0]].check(matches[0], value)
    return found


class Options:
    """The values of all parameters, as attributes."""

    def __init__(self):
        self.set_default()

    def __setattr__(self, name, value):
        self.update({name: value})

    def to_dict(self):
        """All parameters with their values."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def get_names(self):
        """Names of all parameters."""
        return list(PARAMETERS)

    def to_list(self):
        """Pairs of each parameter's name and `Parameter`."""
        return list(PARAMETERS.items())

    def info(self):
        """Lines of all parameters, their values and what becomes of each."""
        return "".join(
            f"{name:<24} {value!r:<12} {PARAMETERS[name].effect}\n" for name, value in self.to_dict().items()
        )

    def set_opts(self, opts):
        """Set parameters from a dictionary."""
        self.update(opts)

    def set_default(self, opt_names=None):
        """Give the parameters of these names, one or a list, their defaults again; None is all."""
        names = list(PARAMETERS) if opt_names is None else [opt_names] if isinstance(opt_names, str) else opt_names
        self.update(dict.fromkeys(names, ""))

    def update(self, given):
        """Set parameters, whose names may be abbreviated; all or, after an error, none."""
        values = full_names(given)
        vars(self).update(values)
        return values
