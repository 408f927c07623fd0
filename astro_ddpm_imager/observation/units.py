"""Units of brightness, as headers spell them."""

import logging
import re

import astropy.units as u
import numpy as np

from ..errors import DirtyImageError
from ..ignored_warnings import ignored

__all__ = [
    "CAPITALS", "JY_PER_BEAM", "axis_unit", "check_usable", "in_jy_per_beam", "is_brightness", "is_surface_brightness",
    "is_variance", "parse_unit",
]  # fmt: skip

log = logging.getLogger(__name__)

JY_PER_BEAM = u.Jy / u.beam
SURFACE = (u.K, u.Jy / u.sr)  # of which the beam makes Jy/beam
BRIGHTNESS = (JY_PER_BEAM, u.Jy / u.pix, u.Jy, *SURFACE)  # Jy is what some headers say for Jy/beam
MULTIPLES = (1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e6)  # of Jy/beam, in which images are
CAPITALS = {"HZ": u.Hz, "KHZ": u.kHz, "MHZ": u.MHz, "GHZ": u.GHz, "M/S": u.m / u.s, "KM/S": u.km / u.s}  # of axes
PREFIXES = {"milli": "m", "micro": "u", "nano": "n", "\u00b5": "u", "\u03bc": "u", "?": "u", "??": "u"}
JY = r"(milli|micro|nano|[mun\u00b5\u03bck]|\?{1,2})?(?:jy|janskys?)"  # astropy reads letters beyond ASCII as '?'
BEAM = r"(?:beam|bm|b)"
UNIT = re.compile(  # 'Jy/beam', 'JY/BEAM (S.FLUX)', 'mJy beam-1', 'beam-1 Jy', 'JY/BM', 'mJy/b', 'microJansky/beam'
    rf"{JY}\s*(?:/\s*{BEAM}(?:\s*\(s\.flux\))?|[.*]?\s*{BEAM}(?:\^|\*\*)?-1)|{BEAM}(?:\^|\*\*)?-1\s*[.*]?\s*{JY}",
    re.IGNORECASE,
)
SQUARE = re.compile(r"\((.+)\)\s*(?:\^|\*\*)?2")
BITS = (u.bit, u.byte)  # which astropy takes 'b' and 'B' for
SPELLED = {"JY": "Jy", "SR": "sr", "PIXEL": "pix", "PIX": "pix", "KELVIN": "K"}  # of units in capitals
TEMPERATURE = re.compile(r"\s*\(T_?M?B\)$", re.IGNORECASE)  # 'K (Tmb)', as GILDAS writes it


def parse_unit(text, name):
    """Unit of a BUNIT card; the spellings in use are 'Jy/beam', 'JY/BEAM' and 'Jy beam-1'.

    Parameters
    ----------
    text : str or None
    name : str
        What the image is called in errors.

    Returns
    -------
    `~astropy.units.Unit`

    Raises
    ------
    DirtyImageError
        It is missing or unknown.
    """
    if not isinstance(text, str | None):
        raise DirtyImageError(f"{name}: BUNIT={text!r} is no unit; set it to 'Jy/beam', if that is what it is")
    text = (text or "").strip()
    if not text:
        raise DirtyImageError(
            f"{name}: the unit is missing; set BUNIT in the header, to 'Jy/beam' if that is what it is: with "
            "astropy.io.fits.setval(path, 'BUNIT', value='Jy/beam'), or imhead(image, 'put', 'bunit', 'Jy/beam') of "
            "CASA before exportfits; or, in Python, give read_image(path, unit='Jy/beam')"
        )
    match = UNIT.fullmatch(text)
    if match:
        prefix = match[1] or match[2] or ""
        if prefix == "M" and not ("MJy" in text or text.isupper()):
            raise DirtyImageError(f"{name}: BUNIT={text!r} may be milli or mega; set it to 'mJy/beam' or 'MJy/beam'")
        # All in capitals, M is milli: images in mega-Jansky are not known to be written so.
        prefix = "M" if "MJy" in text else PREFIXES.get(prefix.lower(), prefix.lower())
        if "?" in text:
            log.warning("%s: BUNIT=%r has a letter that is not ASCII, which is taken for micro", name, text)
        return u.Unit(prefix + "Jy") / u.beam
    unit = _unit_of_astropy(text)
    if isinstance(unit, u.UnrecognizedUnit) or (_is_convertible(unit) and not _is_multiple(unit)):
        said = "is unknown" if isinstance(unit, u.UnrecognizedUnit) else "is not Jy/beam as images have it"
        raise DirtyImageError(
            f"{name}: the unit {text!r} {said}; set BUNIT in the header to 'Jy/beam' if that is what it is, "
            "or convert the image"
        )
    return unit


def is_brightness(text):
    """Whether a unit is Jy/beam, in any of its spellings, or another one of brightness, such as K, or a multiple.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool
    """
    unit = _unit_of_astropy(text)
    return bool(UNIT.fullmatch(text.strip())) or any(_is_convertible(unit, one) for one in BRIGHTNESS)


def is_variance(text):
    """Whether a unit is the square of one of brightness.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool
    """
    square = SQUARE.fullmatch(text.strip())  # which astropy does not read
    unit = _unit_of_astropy(text)
    return is_brightness(square[1]) if square else any(_is_convertible(unit, one**2) for one in BRIGHTNESS)


def is_surface_brightness(unit):
    """Whether a unit is one of brightness temperature, or of brightness per solid angle.

    Parameters
    ----------
    unit : `~astropy.units.Unit`

    Returns
    -------
    bool
    """
    return any(_is_convertible(unit, one) for one in SURFACE)


def _unit_of_astropy(text):
    text = TEMPERATURE.sub("", text)
    if text.isupper():
        text = re.sub("|".join(SPELLED), lambda word: SPELLED[word[0]], text)
    with ignored(u.UnitsWarning):  # of two slashes: what it is taken for is said
        return _of_beams(u.Unit(text, parse_strict="silent"))


def _of_beams(unit):
    """A unit in which beams are not taken for bits."""
    if not (isinstance(unit, u.UnitBase) and set(BITS) & set(unit.bases)):
        return unit
    return u.CompositeUnit(unit.scale, [u.beam if base in BITS else base for base in unit.bases], unit.powers)


def _is_convertible(unit, wanted=JY_PER_BEAM):
    """Whether pixels in some unit can be converted to Jy/beam, or another one."""
    try:
        return unit.is_equivalent(wanted)
    except AttributeError:  # magnitudes and the like of units
        return False


def _is_multiple(unit):
    """Whether a unit that can be converted to Jy/beam is one that images have: not W/m2/Hz/beam, or 2 Jy/beam."""
    return np.isclose(unit.to(JY_PER_BEAM), MULTIPLES, rtol=1e-6, atol=0).any()


def axis_unit(text):
    """Unit of a CUNIT card of a spectral axis, in capitals, too, as older programs write it.

    Parameters
    ----------
    text : str

    Returns
    -------
    `~astropy.units.Unit`
        One that is not recognized where it is unknown.
    """
    unit = u.Unit(text, parse_strict="silent")
    return CAPITALS.get(text.strip().upper(), unit) if isinstance(unit, u.UnrecognizedUnit) else unit


def in_jy_per_beam(image, name):
    """The pixels of an image in Jy/beam.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    name : str or path-like
        What it is called in errors.

    Returns
    -------
    array of float, of the shape of the image

    Raises
    ------
    DirtyImageError
        It is in another unit.
    """
    unit = _of_beams(image.unit)
    if not _is_jy_per_beam(unit):
        raise _refusal(unit, name)
    return image.data.astype(float) * unit.to(JY_PER_BEAM)


def check_usable(unit, name):
    """Fail if a unit is neither Jy/beam, nor a multiple of it, nor one of surface brightness.

    Parameters
    ----------
    unit : `~astropy.units.Unit`
    name : str or path-like
        What the image is called in errors.

    Raises
    ------
    DirtyImageError
    """
    if not (_is_jy_per_beam(_of_beams(unit)) or is_surface_brightness(unit)):
        raise _refusal(unit, name)


def _is_jy_per_beam(unit):
    return _is_convertible(unit) and _is_multiple(unit)


def _refusal(unit, name):
    if _is_convertible(unit, u.Jy / u.pix):
        return DirtyImageError(
            f"{name}: the unit is {str(unit)!r}, that of models of the sky, without a beam; give the dirty image, in "
            "Jy/beam, or, if this one has the resolution of the beam, multiply it by the area of that in pixels"
        )
    return DirtyImageError(
        f"{name}: the unit is {str(unit)!r}, not Jy/beam or a multiple of it, K or Jy/sr; set BUNIT in the header, or "
        "unit= of the image in memory, to 'Jy/beam' if that is what it is, or convert the image first"
    )
