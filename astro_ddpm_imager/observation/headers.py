"""Headers of images in use: mended where that is safe, refused where positions would be guessed."""

import logging
import re
import sys
from numbers import Real
from urllib.parse import quote

import numpy as np
from astropy.io import fits

from ..errors import DirtyImageError, shown
from .celestial import FRAMES
from .units import CAPITALS, axis_unit

__all__ = [
    "as_card",
    "as_number",
    "check_celestial_cards",
    "is_number",
    "mend_spectral_cards",
    "mended_header",
    "number_card",
]

log = logging.getLogger(__name__)

NUMBERS = re.compile(
    r"(CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]|PC00[12]00[12]|PV[12]_\d+|LONPOLE|LATPOLE|EQUINOX|EPOCH"
)
DATES = {"DATE-OBS", "TIMESYS"}  # that products carry, and of which astropy warns if they are no text
LARGEST_ORDER = 9  # of SIP (Shupe et al. 2005)
AIPS_VELOCITY = re.compile(r"VELO-[A-Z]{3,4}")  # radio or optical, as VELREF says
BEAM = {"BMAJ", "BMIN", "BPA"}
PLAIN = "".join(map(chr, range(ord(" "), ord("~")))).replace("%", "")
# CDELT is 1 where there is a matrix; the others have no default that is a position on the sky.
NEEDED = ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")


def as_card(value):
    """The value of a card: a text that FITS cannot hold, as of the name of a file, is percent-encoded like an URL.

    Parameters
    ----------
    value : str or other

    Returns
    -------
    str or other
        Text of printable ASCII, and what is no text, as it is.
    """
    if not isinstance(value, str) or (value.isascii() and value.isprintable()):
        return value
    return quote(value.encode(errors="surrogateescape"), safe=PLAIN)


def mended_header(header, name):
    """A header of which every card can be read and written.

    Values that FITS does not know become text; cards beyond ASCII, with line
    ends, numbers that are not finite, dates that are numbers or without a valid
    keyword are left out, and that is logged. Those of positions and of the beam are judged later.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
    name : str or path-like
        What the image is called in the log.

    Returns
    -------
    `~astropy.io.fits.Header`
    """
    kept, lost = [], []
    for card in header.cards:
        try:
            card.verify("silentfix")
            str(card)
        except (fits.VerifyError, ValueError):
            lost.append(card)
        else:
            judged = card.keyword in BEAM or NUMBERS.fullmatch(card.keyword)
            endless = isinstance(card.value, float | complex) and not np.isfinite(card.value)
            undated = card.keyword in DATES and isinstance(card.value, int | float | complex)
            (lost if undated or (endless and not judged) else kept).append(card)
    if lost:
        # Only the keywords, escaped: of some, to read the rest is what has failed.
        said = ", ".join(ascii(card.keyword)[1:-1] or "blank" for card in lost)
        log.warning("%s: cards that are not FITS are left out of the header: %s", name, said)
    return fits.Header(kept)


def check_celestial_cards(header, name):
    """Make the cards that positions depend on numbers, or refuse the header.

    To wcslib, a card that is missing or no number is 0, and the sources lie
    elsewhere on the sky.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        Text that is a number is changed to it, and that is logged.
    name : str or path-like
        What the image is called in errors.

    Raises
    ------
    DirtyImageError
        A card is missing, no finite number, or there twice with different
        values.
    """
    if not (isinstance(header.get("CTYPE1", ""), str) and isinstance(header.get("CTYPE2", ""), str)):
        key = next(key for key in ("CTYPE1", "CTYPE2") if not isinstance(header.get(key, ""), str))
        raise DirtyImageError(
            f"{name}: {key}={shown(header[key])} is no type of an axis; set it to RA---SIN or the like"
        )
    if not any(header.get(key, "").strip() for key in ("CTYPE1", "CTYPE2")):
        return  # no sky at all, which has an error of its own
    for key in NEEDED:
        if key not in header:
            raise DirtyImageError(f"{name}: there is no {key} in the header, so no place on the sky; add it")
    cd, pc = (any(key.startswith(start) for key in header) for start in (("CD1_", "CD2_"), "PC"))
    # With PC, both may be 1, but not one of them.
    scaled = cd or (pc and ("CDELT1" in header) == ("CDELT2" in header))
    for key in () if scaled else ("CDELT1", "CDELT2"):
        if key not in header:
            raise DirtyImageError(f"{name}: there is no {key} (or CD matrix) in the header, so no pixel size; add it")
    for key in ("A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER"):
        if key in header and as_number(header[key]) not in range(LARGEST_ORDER + 1):
            raise DirtyImageError(
                f"{name}: {key}={shown(header[key])}: distortions (SIP) are of order 0 to {LARGEST_ORDER}"
            )
    _mend_equinox(header, name)
    for key in dict.fromkeys(key for key in header if NUMBERS.fullmatch(key)):
        header[key] = number_card(header, key, name)


def _mend_equinox(header, name):
    """Leave one equinox, as a number: wcslib takes EPOCH where there is no EQUINOX, not as text, and 0 for a year."""
    for key in ("EQUINOX", "EPOCH"):
        if key not in header:
            continue
        value = header[key]
        said = "" if isinstance(value, fits.card.Undefined) else str(value).strip()
        if not said or as_number(value) == 0:
            log.warning(
                "%s: %s=%s counts as not given, so that the sky is that of RADESYS, or else ICRS; correct it if "
                "it is of another equinox", name, key, shown(value) if said else "nothing",
            )  # fmt: skip
            header.remove(key, remove_all=True)
        elif said.upper() in FRAMES:
            header[key] = FRAMES[said.upper()][1]
            log.warning("%s: %s=%r is taken for the number %r", name, key, value, header[key])
    if "EQUINOX" in header:
        header.remove("EPOCH", ignore_missing=True, remove_all=True)


def mend_spectral_cards(header, name):
    """Say which convention the velocities of an axis are taken for, where its cards do not, and spell its unit.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        An axis that GILDAS calls VELOCITY becomes VRAD, or VELO where VELREF says the convention. Units in
        capitals, of which wcslib knows some, become those of FITS.
    name : str or path-like
        What the image is called in the log.
    """
    for axis in range(3, 6):
        kind, unit = (header.get(f"{key}{axis}") for key in ("CTYPE", "CUNIT"))
        if isinstance(unit, str) and unit.strip().upper() in CAPITALS:
            header[f"CUNIT{axis}"] = axis_unit(unit).to_string("fits")
        if kind == "VELOCITY" and header.get("VELREF"):
            header[f"CTYPE{axis}"] = "VELO"
        elif kind == "VELOCITY":
            header[f"CTYPE{axis}"] = "VRAD"
            log.warning("%s: CTYPE%d='VELOCITY' is taken for VRAD, as GILDAS means it", name, axis)
        elif isinstance(kind, str) and AIPS_VELOCITY.fullmatch(kind) and not header.get("VELREF"):
            log.warning(
                "%s: CTYPE%d=%r without VELREF is taken for optical velocities, as AIPS means it; if they are of "
                "the radio convention, set VELREF to 257, say, which is above 256, or CTYPE%d to VRAD",
                name, axis, kind, axis,
            )  # fmt: skip


def number_card(header, key, name):
    """The one finite number that a card holds.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
    key : str
    name : str or path-like
        What the image is called in errors and in the log, where text that is a number is said.

    Returns
    -------
    float

    Raises
    ------
    DirtyImageError
        It holds none, or is there twice with different values.
    """
    values = [card.value for card in header.cards if card.keyword == key]
    if any(value != values[0] for value in values):
        said = " and ".join(shown(value) for value in values)
        raise DirtyImageError(f"{name}: {key} is in the header twice, {said}; remove the wrong one")
    value = values[0]
    number = as_number(value)
    if number is None:
        said = "nothing" if isinstance(value, fits.card.Undefined) else shown(value)
        raise DirtyImageError(f"{name}: {key}={said} is no finite number; correct it in the header")
    if isinstance(value, str):
        log.warning("%s: %s=%r is text in the header; it is taken for the number %r", name, key, value, number)
    return number


def is_number(value):
    """Whether a value is a real number of the size of those of computers.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    value = value.item() if isinstance(value, np.generic) else value  # to a float32 the largest number is infinite
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) < sys.float_info.max


def as_number(value):
    """A value of a header, also in text, as a number.

    Parameters
    ----------
    value : object

    Returns
    -------
    float or None
        None if it is no finite one.
    """
    if isinstance(value, bool | complex):
        return None
    try:
        number = float(value.strip().upper().replace("D", "E") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None
