"""The restoring beam: from headers, checked, and its moments on the pixels."""

import logging
import pickle

import astropy.units as u
import numpy as np
from astropy.io import fits
from radio_beam import Beam

from ..errors import DirtyImageError, shown
from .ellipses import from_axes, to_axes
from .headers import as_number, is_number
from .history import history_beam

__all__ = [
    "as_beam", "beam_covariance", "beam_pixels", "beam_text", "check_sampling", "checked_beam", "deep_copied",
    "header_beam",
]  # fmt: skip

log = logging.getLogger(__name__)

BEAM = ("BMAJ", "BMIN", "BPA")
PLANES = ("SIN", "NCP", "RA", "GLON")  # ends of CTYPE1: projections of imagers, or none
CLEAN_BEAM = ("CLEANBMJ", "CLEANBMN", "CLEANBPA")  # Obit's
MINIMUM_BEAM_PIXELS = 2.0
MINIMUM_FIELD_BEAMS = 8.0
DISTORTED = 0.02  # of the side of a pixel
STEPS = "correct CDELT1 and CDELT2 (or CD) in its header if that is wrong: in degrees, and 1 where they are missing"
ANOTHER_BEAM = "; give another with beam=, or --beam MAJ MIN PA on the command line"


def deep_copied(thing, memo):
    """A copy of something that has a beam: radio-beam's (0.3.10) lose their axes in ``copy.deepcopy``, not in a pickle.

    Parameters
    ----------
    thing : object
    memo : dict
        As of ``__deepcopy__``, which this is in a class.

    Returns
    -------
    object
    """
    return pickle.loads(pickle.dumps(thing))


def beam_covariance(beam, wcs, shape):
    """Second moments of a beam in pixels.

    Parameters
    ----------
    beam : `~radio_beam.Beam`
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes; any rotation, handedness and pixel shape.
    shape : tuple of int, (ny, nx)
        Of the image.

    Returns
    -------
    2D array, shape (2, 2), pixels squared, order x, y
    """
    to_pixels = np.linalg.inv(_beam_scale(wcs, shape))
    return to_pixels @ from_axes(*(axis.to_value(u.deg) for axis in (beam.major, beam.minor, beam.pa))) @ to_pixels.T


def as_beam(covariance, wcs, shape):
    """A beam with some second moments in pixels; the inverse of `beam_covariance`.

    Parameters
    ----------
    covariance : 2D array, shape (2, 2)
        Pixels squared, order x, y.
    wcs : `~astropy.wcs.WCS`
        As for `beam_covariance`.
    shape : tuple of int, (ny, nx)

    Returns
    -------
    `~radio_beam.Beam`
    """
    scale = _beam_scale(wcs, shape)
    return Beam(*(axis * u.deg for axis in to_axes(scale @ covariance @ scale.T)))


def beam_pixels(beam, wcs, shape):
    """FWHM of a beam, the geometric mean of its axes, in pixels.

    Parameters
    ----------
    beam : `~radio_beam.Beam`
    wcs : `~astropy.wcs.WCS`
        As for `beam_covariance`.
    shape : tuple of int, (ny, nx)

    Returns
    -------
    float
    """
    major, minor, _ = to_axes(beam_covariance(beam, wcs, shape))
    return float(np.sqrt(major * minor))


def _beam_scale(wcs, shape):
    """Degrees east and north (rows) for each pixel in x and y (columns), where the beam is that of the header.

    In the plane of SIN, in which imagers work, the beam is the same everywhere: that at the reference point. Images of
    other projections were regridded, and their beam is one on the sky: it is taken in the middle of the image.
    """
    if not _is_of_an_imager(wcs):
        y, x = ((n - 1) / 2 for n in shape)
        return _scale_at(wcs, x, y)
    wcs.wcs.set()  # gives LONPOLE, where the north is in the plane, its default
    if wcs.wcs.lonpole % 180 == 0:
        return wcs.pixel_scale_matrix
    cos, sin = np.cos(np.deg2rad(wcs.wcs.lonpole)), np.sin(np.deg2rad(wcs.wcs.lonpole))
    return np.array([[-cos, -sin], [sin, -cos]]) @ wcs.pixel_scale_matrix


def _is_of_an_imager(wcs):
    return wcs.wcs.ctype[0].endswith(PLANES)


def _scale_at(wcs, x, y):
    """Degrees east and north (rows), in the frame of the image, for each pixel in x and y (columns) at a pixel."""
    steps = [[0, 0], [-0.5, 0], [0.5, 0], [0, -0.5], [0, 0.5]]
    lon, lat = np.deg2rad(wcs.wcs_pix2world(np.add([x, y], steps), 0)).T
    here, left, right, below, above = np.transpose([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    east = np.array([-np.sin(lon[0]), np.cos(lon[0]), 0])
    return np.rad2deg([east, np.cross(here, east)] @ np.transpose([right - left, above - below]))


def header_beam(image, name):
    """The beam in a header.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData` or None
    name : str
        What the image is called in errors.

    Returns
    -------
    `~radio_beam.Beam` or None

    Raises
    ------
    DirtyImageError
        What the header says is no beam.
    """
    if image is None:
        return None
    header = image.meta
    keys = CLEAN_BEAM if "BMAJ" not in header and CLEAN_BEAM[0] in header else BEAM
    axes = {key: _in_degrees(header[key]) for key in keys if key in header}
    numbers = {key: as_number(value) for key, value in axes.items() if isinstance(value, str)}
    if numbers and None not in numbers.values():
        log.warning("%s: the beam is text in the header; it is taken for %s", name, _listed(numbers))
        axes |= numbers
    major, minor, pa = keys
    if axes.get(major) == axes.get(minor, 0) == 0:  # what some programs write where they know none
        axes = {}
    wrong = "is not of numbers, in degrees" if not all(map(is_number, axes.values())) else ""
    if not wrong and axes.get(minor, 0) > axes.get(major, np.inf):
        wrong = f"has a {minor} larger than {major}"
    if wrong:
        raise DirtyImageError(f"{name}: the beam in the header, {_listed(axes)}, {wrong}{ANOTHER_BEAM}")
    if major not in axes:
        beam = history_beam(header) if isinstance(header, fits.Header) else None
        if beam is not None:
            log.warning("%s: no BMAJ in the header; the beam is the last one in its HISTORY, %s", name, beam_text(beam))
        return beam
    beam = Beam(*(axis if axis is None else axis * u.deg for axis in map(axes.get, keys)))
    if minor not in axes:
        said = _listed({major: axes[major]})
        log.warning("%s: no %s in the header; the beam is taken for round, with %s deg", name, minor, said)
    elif pa not in axes and axes[minor] != axes[major]:
        log.warning("%s: no %s in the header; the position angle of the beam is taken for 0", name, pa)
    return checked_beam(beam, f"{name}: the beam in the header", ANOTHER_BEAM)


def _listed(cards):
    return ", ".join(f"{key}={shown(value)}" for key, value in cards.items())


def beam_text(beam):
    """A beam as it is said in the log.

    Parameters
    ----------
    beam : `~radio_beam.Beam`

    Returns
    -------
    str
    """
    major, minor = (axis.to_value(u.arcsec) for axis in (beam.major, beam.minor))
    return f"{major:.4g} x {minor:.4g} arcsec at {beam.pa.to_value(u.deg):.4g} deg"


def _in_degrees(value):
    """A value of a header; metadata in memory may be quantities."""
    return value.to_value(u.deg) if isinstance(value, u.Quantity) and value.unit.is_equivalent(u.deg) else value


def checked_beam(beam, name, way_out=""):
    """A beam, or None, with axes that are positive and finite.

    Parameters
    ----------
    beam : `~radio_beam.Beam` or None
    name : str
        What it is called in errors.
    way_out : str, optional
        End of the message.

    Returns
    -------
    `~radio_beam.Beam` or None, as given

    Raises
    ------
    TypeError, DirtyImageError
        It is something else, or its axes are not.
    """
    if beam is None:
        return None
    if not isinstance(beam, Beam):
        raise TypeError(
            f"{name} expected a radio_beam.Beam, such as Beam(0.9 * u.arcsec, 0.8 * u.arcsec, 80 * u.deg), got "
            f"{type(beam).__name__}"
        )
    if not (np.isfinite(beam.sr) and beam.minor > 0 and np.isfinite(beam.pa)):
        raise DirtyImageError(
            f"{name} has axes of {beam.major.to(u.arcsec):.4g} (at {beam.pa:.4g}) and {beam.minor.to(u.arcsec):.4g}, "
            f"which must be positive and finite{way_out}"
        )
    return beam


def check_sampling(beam, image):
    """Fail if the pixels are not square, too large for the beam, or too few of them.

    Parameters
    ----------
    beam : `~radio_beam.Beam`
    image : `~astropy.nddata.CCDData`

    Raises
    ------
    DirtyImageError
    """
    width, height = np.hypot(*image.wcs.pixel_scale_matrix) * 3600
    if abs(np.log(height / width)) > 0.02:
        raise DirtyImageError(
            f"dirty: the pixels are not square, {width:.4g} x {height:.4g} arcsec; {STEPS}, image it again with one "
            "cell size, or regrid it to square ones (reproject.reproject_adaptive)"
        )
    _warn_distorted(image.wcs, image.shape, width, height)
    _, minor, _ = to_axes(beam_covariance(beam, image.wcs, image.shape))
    if minor < MINIMUM_BEAM_PIXELS:
        raise DirtyImageError(
            f"dirty: the beam is under-sampled, {minor:.2f} pixels of {width:.4g} arcsec across its minor axis; "
            f"{STEPS}, or BMAJ and BMIN, which are in degrees, too; or image it again with a cell of at most "
            f"{beam.minor.to_value(u.arcsec) / 3:.3g} arcsec (3 pixels)"
        )
    if beam.major.to_value(u.deg) > max(image.shape) * width / 3600:
        raise DirtyImageError(
            f"dirty: the beam, {beam.major.to_value(u.deg):.4g} deg (BMAJ), is longer than the image is wide; "
            "BMAJ and BMIN are in degrees"
        )
    across = min(image.shape) / beam_pixels(beam, image.wcs, image.shape)
    if across < MINIMUM_FIELD_BEAMS:
        raise DirtyImageError(
            f"dirty: {image.shape[1]} x {image.shape[0]} pixels are only {across:.1f} beams across; "
            f"at least {MINIMUM_FIELD_BEAMS:.0f} are needed to tell sources from noise: make a larger image"
        )


def _warn_distorted(wcs, shape, width, height):
    """Say if the pixels that are taken for the beam are not those of all of the image, or fail if they are none."""
    ny, nx = shape
    middle = _scale_at(wcs, (nx - 1) / 2, (ny - 1) / 2)
    if not np.isfinite(middle).all():
        raise DirtyImageError(
            f"dirty: the middle of the image is beyond the projection, with CRPIX={wcs.wcs.crpix.tolist()} and "
            f"CRVAL={wcs.wcs.crval.tolist()}; correct the header, or regrid the image around its middle"
        )
    if np.linalg.det(middle) == 0:  # TPV without its PVi_j
        raise DirtyImageError(
            "dirty: the pixels in its middle have no area on the sky; correct its header (CTYPE, and PVi_j, which TPV "
            "needs), or regrid it"
        )
    here = 3600 * np.hypot(*middle)
    if _is_of_an_imager(wcs):
        if not np.allclose(here, [width, height], rtol=DISTORTED, atol=0):
            log.warning(
                "dirty: in its middle the pixels are %.4g x %.4g arcsec, at the reference point of the projection %.4g "
                "x %.4g, which are taken for the beam, as imagers mean it; if it was regridded, fluxes without a PSF "
                "will be wrong: regrid it around its middle", *here, width, height,
            )  # fmt: skip
        return
    corners = np.array([_scale_at(wcs, x, y) for x in (0, nx - 1) for y in (0, ny - 1)])
    corners = corners[np.isfinite(corners).all((1, 2))]
    stretched = np.linalg.svd(corners @ np.linalg.inv(middle), compute_uv=False)
    most = np.abs(stretched - 1).max(initial=0)
    if most > DISTORTED:
        log.warning(
            "dirty: its pixels, %.4g x %.4g arcsec in its middle, which are taken for the beam, differ by up to %.2g%% "
            "at its corners; without a PSF fluxes there will be wrong: image parts of it, or regrid it",
            *here, 100 * most,
        )  # fmt: skip
