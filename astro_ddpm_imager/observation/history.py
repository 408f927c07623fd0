"""The HISTORY of a header, and the restoring beam of images whose header has it there only."""

import re
from itertools import zip_longest

import astropy.units as u
import numpy as np
from radio_beam import Beam

__all__ = ["cleaned_by", "history_beam", "history_lines"]

NUMBER = r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?)"  # Fortran writes D as well
# Of AIPS, what CLEAN has restored with; CONVL, IMAGR and PUTHEAD say what was asked of them, in units of their own.
AIPS = re.compile(rf"\s*AIPS\s+CLEAN\s+BMAJ\s*={NUMBER}\s*BMIN\s*={NUMBER}\s*(?:BPA\s*={NUMBER})?")
# Of iterations that CLEAN has done: WSClean's, MIRIAD's and others' cards, and lines of AIPS and of tclean.
CLEANED = ("WSCMINOR", "NITERS", "CLEANIT")
# AIPS's other products are components and residuals, which are not restored.
NITER = re.compile(r"\s*(?:niter|AIPS\s+CLEAN\s+NITER(?=\s*=\s*\d+\s+PRODUCT\s*=\s*1\b))\s*=\s*(\d+)")
CASA = re.compile(rf"\s*>?\s*restoration:{NUMBER}\s+by{NUMBER}\s*\(arcsec\)\s*(?:at\s+pa{NUMBER}\s*\(deg\))?")


def history_lines(header):
    """The lines of a HISTORY.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict-like
        Of which it may be one string.

    Returns
    -------
    list of str
    """
    lines = header.get("HISTORY", [])
    return [lines] if isinstance(lines, str) else list(map(str, lines))


def history_beam(header):
    """The last beam that AIPS or CASA say in a HISTORY they have restored with.

    radio-beam takes the last card that has BMAJ in it, whatever it says of it,
    and fails where that is no beam.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`

    Returns
    -------
    `~radio_beam.Beam` or None
    """
    cards = history_lines(header)
    beam = None
    for card, following in zip_longest(cards, cards[1:], fillvalue=""):
        for pattern, unit in ((AIPS, u.deg), (CASA, u.arcsec)):
            # A long line goes on in the next card.
            match = pattern.match(f"{card.rstrip()} {following.strip()}")
            found = _beam(match.groups(default="0"), unit) if match else None
            beam = beam if found is None else found
    return beam


def cleaned_by(header):
    """What a header says of the iterations of CLEAN that its image has had.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict-like

    Returns
    -------
    str or None
        The card, or the line of its HISTORY.
    """
    for name in CLEANED:
        if isinstance(header.get(name), int | float) and header[name] > 0:
            return f"{name} = {header[name]:g}"
    matches = (NITER.match(line) for line in history_lines(header))
    return next((match.group().strip() for match in matches if match and int(match[1]) > 0), None)


def _beam(numbers, unit):
    """Axes and position angle as a beam, or None where they are of none."""
    major, minor, angle = (float(number.upper().replace("D", "E")) for number in numbers)
    if not (0 < minor <= major < np.inf and np.isfinite(angle)):
        return None
    return Beam(major * unit, minor * unit, angle * u.deg)
