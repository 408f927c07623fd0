"""What a run of WSClean images: names, place on the sky, weights, polarizations."""

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.wcs.utils import proj_plane_pixel_area

from ...errors import DirtyImageError, SettingError, SimulationError
from ...observation.inputs import as_companion
from ...observation.reading import read_image
from ...simulate.imaging import fit_beam
from ..wsclean import PLANE, without_origin
from .wsclean_settings import PREFIX

__all__ = ["WSCleanRun"]

log = logging.getLogger(__name__)

# In the order in which WSClean has them.
POLARIZATIONS = ("I", "Q", "U", "V", "RR", "RL", "LR", "LL", "XX", "XY", "YX", "YY")
TOTAL = ("XX", "YY", "RR", "LL")  # whose mean, where there is no I, is the total intensity
STARTS_PYTHON_ONCE = "3.1"
MIDDLE = 1  # pixel, by which the peak of a PSF may be off
OF_COMPONENTS = ("-auto-mask", "-save-source-list")  # of its multiscale CLEAN, which is not there
# Options without effect, and why.
WITHOUT = {
    "-save-source-list": "WSClean lists every pixel of the model; the sources are in the catalogue",
    "-auto-mask": "has no counterpart: the model itself tells emission from noise",
    "-multiscale": "has no counterpart: the model knows the shapes of sources",
    "-local-rms": "has no counterpart: the noise of -auto-threshold is that of all of the image",
    "-horizon-mask": "has no counterpart: give a mask, with -fits-mask",
    "-spectral-correction": "has no counterpart: the channels count with their weights",
    "-squared-channel-joining": "has no counterpart: the channels count with their weights",
    "-force-spectrum": "has no counterpart: each source has a spectrum of its own",
}


@dataclass(frozen=True)
class WSCleanRun:
    """One image that WSClean deconvolves.

    Parameters
    ----------
    prefix : `~pathlib.Path`
        Start of the names of its products.
    template : `~astropy.nddata.CCDData`
        PSF of the first channel, with WSClean's header.
    weights : 1D array, shape (channels,)
        Sum 1; 0 for a channel without data.
    total : list of int
        Polarizations that make the total intensity.
    mask : `~pathlib.Path`, `~astropy.nddata.CCDData`, 2D array or None
        CLEAN's mask.
    nsigma : float or None
        ``-auto-threshold``.
    fits_spectra : bool
        ``-fit-spectral-pol`` or ``-fit-spectral-log-pol``.
    """

    prefix: Path
    template: CCDData
    weights: np.ndarray
    total: list
    mask: object
    nsigma: float | None
    fits_spectra: bool

    @classmethod
    def of(cls, request, shape, settings):
        """Find out what is imaged.

        Parameters
        ----------
        request : dict
            With ``"command"``, the command line as a list, and ``"channels"``,
            of each its frequency and its weight.
        shape : tuple of int
            Of the residual: channels, polarizations, ny, nx.
        settings : `PluginSettings`

        Returns
        -------
        `WSCleanRun`

        Raises
        ------
        SettingError
            Options of WSClean do not go together with this.
        FileNotFoundError
            Its PSF is not where it should be.
        DirtyImageError
            WSClean asks for what cannot be done, or its arrays cannot be used.
        """
        options = _Options(request["command"])
        path, template = _psf_image(options.value("-name") or settings.name or "wsclean", shape[2:])
        _check_options(options, str(template.meta.get("WSCVERSI", "")))
        weights = np.transpose(request["channels"])[1]
        weights = np.where(np.isfinite(weights), weights, 0).clip(0)
        if not weights.any():
            raise DirtyImageError("no channel has data; see -channel-range, -interval and the flags")
        prefix = _prefix(path, shape[0], settings.output)
        total = _total_intensity(options.value("-pol") or "I", shape[1])
        mask = _mask(settings.options.mask, options, template)
        fits_spectra = "-fit-spectral-pol" in options or "-fit-spectral-log-pol" in options
        nsigma = options.number("-auto-threshold", None)
        return cls(prefix, template, weights / weights.sum(), total, mask, nsigma, fits_spectra)

    def check(self, residual, psf):
        """Raise DirtyImageError if the arrays cannot be used.

        Parameters
        ----------
        residual : 4D array, shape (channels, polarizations, ny, nx)
        psf : 3D array, shape (channels, ny, nx)
        """
        used = self.weights > 0
        for name, array in (("residual", residual[used][:, self.total]), ("PSF", psf[used])):
            wrong = np.count_nonzero(~np.isfinite(array))
            if wrong:
                raise DirtyImageError(
                    f"{name}: {wrong} of {array.size} pixels are not finite (NaN); visibilities or weights are not: "
                    "flag them, for instance with CASA's flagdata(mode='clip', clipminmax=[...])"
                )
        middle = [n // 2 for n in psf.shape[1:]]
        for channel in np.flatnonzero(used):
            peak = np.unravel_index(np.argmax(psf[channel]), psf.shape[1:])
            if not psf[channel].any() or np.abs(np.subtract(peak, middle)).max() > MIDDLE:
                raise DirtyImageError(
                    f"PSF of channel {channel}: peaks at pixel (x, y) = ({peak[1]}, {peak[0]}) instead of "
                    f"({middle[1]}, {middle[0]}), its middle; the model would be displaced: see the weights, or make "
                    "the image larger"
                )

    def depth(self, threshold):
        """How deep the model goes.

        Parameters
        ----------
        threshold : float
            WSClean's, Jy/beam. Of ``-auto-threshold`` it is in units of the
            noise and of all sidelobes of the dirty image.

        Returns
        -------
        peak, nsigma : float
            Jy/beam, and in units of the noise alone.
        """
        return (threshold, 0.0) if self.nsigma is None else (0.0, self.nsigma)

    def weighted(self, images):
        """Mean over the channels.

        Parameters
        ----------
        images : 3D array, shape (channels, ny, nx)

        Returns
        -------
        2D array, shape (ny, nx)
        """
        used = self.weights > 0
        return np.tensordot(self.weights[used], images[used], 1)

    def beam(self, psf):
        """Beam of all channels together; WSClean's fit is up to a tenth wider than the half-power ellipse of its PSF.

        Parameters
        ----------
        psf : 2D array, shape (ny, nx)

        Returns
        -------
        `~radio_beam.Beam`

        Raises
        ------
        DirtyImageError
            The PSF does not fit into the image.
        """
        cell = (proj_plane_pixel_area(self.template.wcs) ** 0.5 * u.deg).to(u.arcsec)
        try:
            return fit_beam(psf / psf.max(), cell)
        except SimulationError as error:
            ny, nx = psf.shape
            raise DirtyImageError(
                f"the image is too small, or its PSF has no main lobe: {nx} x {ny} pixels of {cell:.3g}; make it many "
                "beams wide, with -size and -scale"
            ) from error

    def image(self, data):
        """An image on the pixels of the run.

        Parameters
        ----------
        data : 2D array, shape (ny, nx)
            Jy/beam.

        Returns
        -------
        `~astropy.nddata.CCDData`
        """
        return CCDData(data, unit=u.Jy / u.beam, wcs=self.template.wcs, meta=self.template.meta.copy())


class _Options:
    """Values of options of WSClean, whose names begin with one dash or two."""

    def __init__(self, command):
        self.words = [re.sub("^--(?=[a-z])", "-", word) for word in command]

    def __contains__(self, name):
        return name in self.words

    def value(self, name):
        """The word after an option, or None."""
        places = [i for i, word in enumerate(self.words[:-1]) if word == name]
        return self.words[places[-1] + 1] if places else None

    def number(self, name, default=1):
        """The same as a number."""
        with suppress(TypeError, ValueError):  # which WSClean itself would not take
            return float(self.value(name))
        return default

    def path(self, name):
        """The same as a path."""
        return None if self.value(name) is None else Path(self.value(name))


def _psf_image(name, shape):
    """Path and content of the PSF that WSClean has written last."""
    start = Path(name)
    pattern = re.compile(f"{re.escape(start.name)}{PLANE}-psf[.]fits")
    there = [path for path in start.parent.glob("*-psf.fits") if pattern.fullmatch(path.name)]
    if not there:
        raise FileNotFoundError(
            f"{name}-psf.fits: there is no such file, which says where on the sky the image is; if {name!r} is not the "
            f"-name of the run, set {PREFIX}NAME to it"
        )
    path = max(there, key=lambda path: path.stat().st_mtime_ns)
    template = read_image(path)
    if template.shape != tuple(shape):
        ny, nx = shape
        raise SettingError(
            f"WSClean wants a part of {nx} x {ny} pixels deconvolved, not {path.name}; leave out "
            "-parallel-deconvolution"
        )
    template.meta = without_origin(template.meta)
    return path, template


def _prefix(path, channels, output):
    """Start of the names of the products: that of the PSF, but of all channels together."""
    start = path.name.removesuffix("-psf.fits")
    if channels > 1:
        start = re.sub(r"-(\d{4}|MFS)$", "", start) + "-MFS"
    return path.with_name(start) if output is None else output


def _check_options(options, version):
    several = [
        (options.number("-intervals-out") > 1, "-intervals-out", "make the intervals one by one, with -interval"),
        (
            options.number("-channels-out") > 1 and "-join-channels" not in options,
            "-channels-out", "add -join-channels, or make the channels one by one, with -channel-range",
        ),
        (
            len(_polarizations(options.value("-pol") or "I")) > 1 and "-join-polarizations" not in options,
            "-pol", "add -join-polarizations, or make the image of Stokes I by itself",
        ),
    ]  # fmt: skip
    if version.startswith(STARTS_PYTHON_ONCE):
        for is_so, option, way in several:
            if is_so:
                raise SettingError(
                    f"{option} {options.value(option)}: WSClean {version} crashes when it deconvolves a second image "
                    f"in Python; {way}"
                )
        together = [option for option in OF_COMPONENTS if "-multiscale" in options and option in options]
        if together:
            raise SettingError(
                f"-multiscale {together[0]}: WSClean {version} crashes when it looks for multiscale components that "
                "Python has not made; leave out -multiscale, for the model knows the shapes of sources"
            )
    for option, why in WITHOUT.items():
        if option in options:
            log.warning("%s: %s", option, why)


def _mask(path, options, template):
    """CLEAN's mask, without the border of the image if that is to stay empty."""
    path = path or options.path("-fits-mask") or options.path("-casa-mask")
    border = options.number("-clean-border", 0)
    if border <= 0:
        return path
    mask = as_companion(np.ones(template.shape) if path is None else path, "mask", template)
    y, x = (np.minimum(np.arange(n), np.arange(n)[::-1]) >= round(n * border / 100) for n in template.shape)
    mask.data = np.where(np.outer(y, x), mask.data, 0)
    return mask


def _polarizations(text):
    found = set(re.findall("[XYRL]{2}|[IQUV]", text.upper()))
    return [name for name in POLARIZATIONS if name in found]


def _total_intensity(text, number):
    """Indices of the polarizations that are, or make, the total intensity."""
    names = _polarizations(text)
    if number == 1 and len(names) != 1:
        names = names[:1]
    if len(names) != number:
        raise SettingError(f"-pol {text}: {number} images are not known by name; give -pol I, or I,Q,U,V")
    chosen = [names.index("I")] if "I" in names else [i for i, name in enumerate(names) if name in TOTAL]
    if not chosen:
        raise SettingError(f"-pol {text}: only total intensity is reconstructed, which is positive; give -pol I")
    left = [name for i, name in enumerate(names) if i not in chosen]
    if left:
        log.warning("only total intensity is reconstructed: Stokes %s stays dirty", ", ".join(left))
    return chosen
