"""The spectral axis of a cube: frequencies and velocities of its channels."""

from contextlib import suppress
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from ..errors import DirtyImageError
from ..ignored_warnings import ignored

__all__ = ["SpectralAxis", "plane_frequency", "spectral_axis", "spectral_number", "uneven_step", "without_terms"]

VELOCITIES = {
    "VRAD": u.doppler_radio,
    "VOPT": u.doppler_optical,
    "FELO": u.doppler_optical,
    "VELO": u.doppler_relativistic,
}
OTHERS = {"FREQ": u.Hz, "WAVE": u.m}
OBIT = "SPECLNMF"  # of which plane 0 is the image at CRVAL, the next are its spectral terms, then come channels
TERMS = 2  # of the spectrum, plane 0 among them, where NTERM does not say it
REST = ("RESTFRQ", "RESTFREQ", "RESTWAV", "VELREF")
RADIO = 1e7, 1e13  # Hz: where nothing says the unit, none of these is one in MHz or GHz


@dataclass(frozen=True)
class SpectralAxis:
    """Channels of a cube.

    Parameters
    ----------
    frequency : `~astropy.units.Quantity`, shape (n,)
        GHz, of the middle of each; NaN if velocities have no rest frequency.
    velocity : `~astropy.units.Quantity` or None, shape (n,)
        km/s, if the axis is one of velocities.
    cards : dict
        CTYPE, CUNIT, CRVAL, CRPIX and CDELT of the axis, in SI units, and of
        the whole cube.
    """

    frequency: u.Quantity
    velocity: u.Quantity | None
    cards: dict

    def __len__(self):
        return len(self.frequency)

    def __str__(self):
        values = self.frequency if self.velocity is None else self.velocity
        return f"{len(self)} channels, {values[0]:.7g} to {values[-1]:.7g}"


def spectral_number(header):
    """Which axis of an image is that of its frequency, velocity or wavelength.

    Parameters
    ----------
    header : dict-like

    Returns
    -------
    int or None
        From 3 to 5, as in the names of its cards.
    """
    kinds = (*VELOCITIES, *OTHERS, OBIT)
    return next((axis for axis in range(3, 6) if str(header.get(f"CTYPE{axis}", "")).startswith(kinds)), None)


def plane_frequency(header):
    """The frequency that the header of one plane says, by its spectral axis or a FREQ card.

    A rest frequency alone is that of a line, or of the observation: it is not
    known which.

    Parameters
    ----------
    header : dict-like
        As `~astro_ddpm_imager.observation.reading.select_plane` makes it: CRVAL is that of the plane.

    Returns
    -------
    float or None
        Hz.
    """
    axis = spectral_number(header)
    if axis is None:
        return _radio(header.get("FREQ"))
    kind, unit, value = (header.get(f"{key}{axis}", "") for key in ("CTYPE", "CUNIT", "CRVAL"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind.startswith(("FREQ", OBIT)):
        return _radio(value) if str(unit).strip() in ("", "Hz") else None
    cards = {"CTYPE1": kind, "CUNIT1": str(unit), "CRVAL1": value, "CRPIX1": 1.0, "CDELT1": 1.0}
    cards |= {key: header[key] for key in REST if isinstance(header.get(key), int | float)}
    with ignored(FITSFixedWarning), suppress(ValueError):  # wcslib's are, and those of a header
        return _radio(float(spectral_axis(WCS(fits.Header(cards)), 1, "").frequency[0].to_value(u.Hz)))
    return None


def _radio(value):
    """A frequency at which interferometers observe, Hz, or None."""
    return float(value) if isinstance(value, int | float) and RADIO[0] <= value <= RADIO[1] else None


def uneven_step(wcs, axis, plane):
    """The value of a plane, and the step there, on an axis with steps that are not even, as of optical velocities.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
    axis : int
        As in the names of its cards.
    plane : int
        0-based.

    Returns
    -------
    tuple of float or None
        In SI units; None of any other axis.
    """
    kind = wcs.wcs.ctype[axis - 1] if axis <= wcs.naxis else ""
    if kind[:4] not in VELOCITIES | OTHERS or kind[4:5] != "-":  # wcslib has made VOPT-F2W of FELO-HEL
        return None
    with suppress(ValueError):  # wcslib's, said where the axis is read
        pixels = np.array([[plane - 0.5], [plane], [plane + 0.5]])
        before, value, after = _alone(wcs, axis).wcs_pix2world(pixels, 0)[:, 0].tolist()
        return value, after - before
    return None


def _alone(wcs, axis):
    """The WCS of one axis, for an image may have fewer axes than its header."""
    alone = WCS(naxis=1)
    alone.wcs = wcs.wcs.sub([axis])
    return alone


def without_terms(header, axis, plane, name):
    """The header of a plane of Obit's axis, whose channels have cards of their own; any other as it is.

    Parameters
    ----------
    header : dict-like
    axis : int
        Of the plane, as in the names of its cards.
    plane : int
        0-based.
    name : str
        What the image is called in errors.

    Returns
    -------
    dict-like

    Raises
    ------
    DirtyImageError
        The plane is a term of the spectrum.
    """
    if plane == 0 or not str(header.get(f"CTYPE{axis}", "")).startswith(OBIT):
        return header
    terms = header.get("NTERM")
    terms = terms if isinstance(terms, int) else TERMS
    if plane < terms:
        raise DirtyImageError(
            f"{name}: channel={plane} is a term of the spectrum (CTYPE{axis}={OBIT!r}), no image of the sky; choose 0, "
            f"or one from {terms} on"
        )
    header = header.copy()
    header[f"CRVAL{axis}"], header[f"CRPIX{axis}"] = _radio(header.get(f"FREQ{plane - terms + 1:04d}")), plane + 1.0
    return header


def spectral_axis(wcs, length, name):
    """The spectral axis of a WCS.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
    length : int
        Number of channels.
    name : str or path-like
        What the cube is called in errors.

    Returns
    -------
    `SpectralAxis`

    Raises
    ------
    DirtyImageError
        There is none that is of frequencies, velocities or wavelengths, and of nothing else.
    """
    with suppress(ValueError):  # of which is said below what is wrong
        wcs.wcs.set()  # without which wcslib does not know which axis it is
    axis = wcs.wcs.spec
    kind = wcs.wcs.ctype[axis][:4] if axis >= 0 else ""
    if kind not in VELOCITIES | OTHERS:
        types = ", ".join(f"CTYPE{number}={ctype!r}" for number, ctype in enumerate(wcs.wcs.ctype, 1))
        raise DirtyImageError(
            f"{name}: no spectral WCS (CTYPE3 such as FREQ or VRAD), but {types}; add it to the header, or choose one "
            "plane with channel= in read_image, --channel on the command line"
        )
    try:
        alone = _alone(wcs, axis + 1)
        values = alone.wcs_pix2world(np.arange(length)[:, None], 0)[:, 0]
    except ValueError as error:  # wcslib's are
        raise DirtyImageError(f"{name}: the spectral WCS cannot be used ({error}); correct its header") from error
    if not np.isfinite(values).all() or (length > 1 and not np.diff(values).all()):
        raise DirtyImageError(
            f"{name}: the spectral WCS says the same of different channels, or nothing, with "
            f"CRVAL{axis + 1}={wcs.wcs.crval[axis]:g} and CDELT{axis + 1}={wcs.wcs.cdelt[axis]:g}; correct its header"
        )
    frequency, velocity = _of_values(values, kind, wcs)
    hertz = frequency[np.isfinite(frequency)].to_value(u.Hz)
    if len(hertz) and not RADIO[0] <= hertz.min() <= hertz.max() <= RADIO[1]:
        raise DirtyImageError(
            f"{name}: its channels are at {hertz.min():.4g} to {hertz.max():.4g} Hz by CTYPE{axis + 1}, "
            f"CUNIT{axis + 1} and RESTFRQ, where no interferometer observes; correct the unit, or RESTFRQ, in Hz"
        )
    cards = {
        "CTYPE": wcs.wcs.ctype[axis],
        "CUNIT": u.Unit(wcs.wcs.cunit[axis]).to_string("fits"),
        "CRVAL": wcs.wcs.crval[axis],
        "CRPIX": wcs.wcs.crpix[axis],
        "CDELT": alone.pixel_scale_matrix[0, 0],
    }
    return SpectralAxis(frequency, velocity, cards)


def _of_values(values, kind, wcs):
    """Frequencies, and velocities if these are the values."""
    if kind == "FREQ":
        return values / 1e9 * u.GHz, None  # times 1e-9, the last digits are not those of the header
    if kind == "WAVE":
        return (c / (values * u.m)).to(u.GHz), None
    velocity = values * u.m / u.s
    rest = (
        wcs.wcs.restfrq * u.Hz if wcs.wcs.restfrq > 0 else c / (wcs.wcs.restwav * u.m) if wcs.wcs.restwav > 0 else None
    )
    frequency = np.full(len(values), np.nan) * u.GHz if rest is None else velocity.to(u.GHz, VELOCITIES[kind](rest))
    return frequency, velocity.to(u.km / u.s)
