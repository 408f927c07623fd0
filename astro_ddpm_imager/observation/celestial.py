"""The celestial WCS of an image: built from a header, and known to be of a place on the sky."""

import logging

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import wcs_to_celestial_frame

from ..errors import DirtyImageError
from ..ignored_warnings import ignored

__all__ = ["FRAMES", "celestial_part", "read_wcs"]

log = logging.getLogger(__name__)

COMMENTARY = ("HISTORY", "COMMENT", "")
DISTORTED = 0.05  # pixels
YEARS = 1850, 2100  # of an equinox
# What some programs write for RADESYS, and what they mean.
FRAMES = {"J2000": ("FK5", 2000.0), "J2000.0": ("FK5", 2000.0), "B1950": ("FK4", 1950.0), "B1950.0": ("FK4", 1950.0)}


def read_wcs(header, name):
    """The WCS of a header; that of the first two axes where the others have none that can be used.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
    name : str or path-like
        What the image is called in errors.

    Returns
    -------
    `~astropy.wcs.WCS`

    Raises
    ------
    DirtyImageError
        That of the first two cannot be used either.
    """
    # To go through a HISTORY of CASA's takes longer than all else.
    header = fits.Header(card for card in header.cards if card.keyword not in COMMENTARY)
    with ignored(FITSFixedWarning):
        try:
            return WCS(header)
        except Exception as whole:  # mostly WcsError; odd cards make astropy stumble in other ways
            try:
                wcs = WCS(header, naxis=[1, 2])
            except Exception as error:  # as above
                raise _unusable(name, error, [header.get("CTYPE1", ""), header.get("CTYPE2", "")]) from error
            log.warning(
                "%s: the WCS of the axes beyond the sky cannot be used (%s); the image is read without it",
                name, _cause(whole),
            )  # fmt: skip
            return wcs


def celestial_part(wcs, name):
    """The celestial part of a WCS, if its positions are known on the sky.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS` or None
    name : str or path-like
        What the image is called in errors.

    Returns
    -------
    `~astropy.wcs.WCS`, of two axes

    Raises
    ------
    DirtyImageError
        There is none, its axes are not the first two, in this order, its
        numbers are not finite, its equinox is no year, or its frame is not
        known.
    """
    try:
        celestial = wcs.celestial if wcs is not None and wcs.has_celestial else None
    except ValueError as error:  # WcsError is one
        raise _unusable(name, error, list(wcs.wcs.ctype)[:2]) from error
    if celestial is None:
        said = "" if wcs is None else f", but {_types(wcs.wcs.ctype)}"
        raise DirtyImageError(
            f"{name}: no celestial WCS (CTYPE such as RA---SIN and DEC--SIN){said}; add it to the header, or "
            "give a CCDData wcs=WCS(header)"
        )
    axes = wcs.wcs.lng, wcs.wcs.lat
    if axes == (1, 0):
        raise DirtyImageError(
            f"{name}: axis 1 is {wcs.wcs.lattyp} and axis 2 {wcs.wcs.lngtyp}; swap them, "
            "for instance with data.swapaxes(-1, -2) and wcs.swapaxes(0, 1)"
        )
    if axes != (0, 1):
        raise DirtyImageError(f"{name}: the celestial axes are not the first two of the file; reorder its axes")
    (ra, dec), matrix = celestial.wcs.crval, celestial.pixel_scale_matrix
    if not (abs(ra) <= 360 and abs(dec) <= 90):
        raise DirtyImageError(
            f"{name}: CRVAL1={ra:g} and CRVAL2={dec:g} deg are no place on the sky; correct them, or CUNIT"
        )
    if not np.isfinite(celestial.wcs.crpix).all():
        raise DirtyImageError(f"{name}: CRPIX={celestial.wcs.crpix.tolist()} is no pixel; correct the WCS")
    if not (np.isfinite(matrix).all() and np.linalg.det(matrix)):
        raise DirtyImageError(f"{name}: the pixels have the axes {matrix.tolist()} deg (CDELT, CD or PC); correct them")
    _drop_distortions(celestial, name)
    _give_steps(celestial.wcs, matrix)
    for key in ("restfrq", "restwav"):
        if not np.isfinite(getattr(celestial.wcs, key)):
            setattr(celestial.wcs, key, 0.0)  # none: no header can hold it
    # The sky needs no observatory, of whose place astropy warns each time that such a WCS is unpickled, or read again.
    celestial.wcs.obsgeo = np.full(6, np.nan)
    _name_frame(celestial, name)
    _check_equinox(celestial.wcs, name)
    if not _is_known(celestial):
        raise DirtyImageError(
            f"{name}: the frame of the sky is not known, CTYPE1={wcs.wcs.ctype[0]!r} with "
            f"RADESYS={wcs.wcs.radesys!r}; image it, or regrid it, in ICRS, FK5, FK4 or Galactic coordinates"
        )
    return celestial


def _drop_distortions(wcs, name):
    """Fail if distortions matter, which no interferometer has, and products could not keep; leave out others."""
    if wcs.sip is None and wcs.cpdis1 is wcs.cpdis2 is wcs.det2im1 is wcs.det2im2 is None:
        return
    nx, ny = wcs.pixel_shape or (1, 1)
    corners = np.reshape(np.meshgrid([1, nx], [1, ny]), (2, 4)).T.astype(float)
    with np.errstate(all="ignore"):
        moved = np.abs(wcs.pix2foc(corners, 1) - corners).max()
    if not moved < DISTORTED:
        raise DirtyImageError(
            f"{name}: has distortions (SIP or tables, A_ORDER and the like) of {moved:.3g} pixels, which no imager of "
            "interferometers makes; regrid it, or remove them from the header"
        )
    log.warning("%s: has distortions of %.2g pixels, which are left out", name, moved)
    wcs.sip = wcs.cpdis1 = wcs.cpdis2 = wcs.det2im1 = wcs.det2im2 = None
    wcs.wcs.ctype = [ctype.removesuffix("-SIP") for ctype in wcs.wcs.ctype]
    wcs.wcs.set()


def _give_steps(wcs, matrix):
    """Where CD, or PC in degrees, has the pixel sizes, let CDELT have them, where scripts that read products look."""
    if wcs.has_cd() or (wcs.cdelt == 1).all():
        steps = np.copysign(np.hypot(*matrix.T), np.diag(matrix))
        del wcs.cd
        wcs.pc, wcs.cdelt = matrix / steps[:, None], steps
        wcs.set()


def _unusable(name, error, types):
    return DirtyImageError(
        f"{name}: the WCS cannot be used ({_cause(error)} {_types(types)}); correct CTYPE, CDELT and the like in the "
        "header"
    )


def _types(types):
    return ", ".join(f"CTYPE{axis}={ctype!r}" for axis, ctype in enumerate(types, 1))


def _cause(error):
    # Without the places in the source of wcslib.
    return " ".join(line.strip() for line in str(error).splitlines() if not line.startswith("ERROR"))


def _name_frame(wcs, name):
    """Give an equinox that stands in place of a frame its name."""
    said = wcs.wcs.radesys.strip()
    frame, equinox = FRAMES.get(said.upper(), (said.upper(), None))
    if frame == said or (equinox is not None and np.isfinite(wcs.wcs.equinox) and wcs.wcs.equinox != equinox):
        return
    log.warning("%s: RADESYS=%r is taken for %s", name, said, frame)
    wcs.wcs.radesys = frame
    if equinox is not None:
        wcs.wcs.equinox = equinox
    wcs.wcs.set()


def _check_equinox(wcs, name):
    """Fail if the equinox of right ascensions is no year that anyone observes in."""
    first, last = YEARS
    has_none = wcs.lngtyp != "RA" or wcs.radesys.strip() == "ICRS" or np.isnan(wcs.equinox)
    if not (has_none or first <= wcs.equinox <= last):
        raise DirtyImageError(
            f"{name}: the equinox {wcs.equinox!r} (EQUINOX or EPOCH) is no year from {first} to {last}; set EQUINOX to "
            "2000.0 or 1950.0, or leave it out if the image is in ICRS"
        )


def _is_known(wcs):
    """Whether a celestial WCS is of a frame that astropy knows."""
    try:
        wcs_to_celestial_frame(wcs)
    except ValueError:
        return False
    # It takes ecliptic longitudes with a RADESYS for right ascensions.
    return wcs.wcs.lngtyp in ("RA", "GLON")
