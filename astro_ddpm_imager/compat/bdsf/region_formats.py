"""Region files and sky models as PyBDSF writes them: DS9, CASA boxes, kvis, AIPS star, BBS."""

import logging

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, SkyCoord
from astropy.stats import gaussian_sigma_to_fwhm

from ...errors import DirtyImageError, printable
from ...observation.ellipses import from_axes
from ...observation.reading import read_image
from ...products.region_files import reliability_color

__all__ = ["bbs_text", "casabox_text", "ds9_text", "kvis_text", "star_text"]

log = logging.getLogger(__name__)

BOX_FWHM = 3.0  # half of a CASA box's sides, in FWHM of the source


def _name(thing, kind, root):
    root = printable(root)
    if kind == "srl":
        return f"{root}_i{thing.island_id}_s{thing.source_id}"
    return f"{root}_w{thing.jlevel}_i{thing.island_id}_s{thing.source_id}_g{thing.gaus_num}"


def _position(thing, kind):
    return thing.posn_sky_centroid if kind == "srl" else thing.centre_sky


def _sexagesimal(ra, dec, separators, precision):
    """Right ascension and declination."""
    ra, dec = Angle(ra, u.deg).to(u.hourangle), Angle(dec, u.deg)
    hours = ra.to_string(sep=separators[0], precision=precision, pad=True)
    return hours, dec.to_string(sep=separators[1], precision=precision, pad=True, alwayssign=True)


def ds9_text(things, kind, image):
    """DS9 regions: ellipses with the FWHM as semi-axes, named, coloured by reliability.

    Parameters
    ----------
    things : list
        Sources or Gaussians.
    kind : {"srl", "gaul"}
    image : `~astro_ddpm_imager.compat.bdsf.image.Image`

    Returns
    -------
    str
    """
    lines = [
        "# Region file format: DS9 version 4.0",
        'global color=green font="helvetica 10 normal" select=1 highlite=1 edit=1 move=1 delete=1 include=1 '
        "fixed=0 source",
        image.frame,
    ]
    for thing in things:
        (ra, dec), (major, minor, pa) = _position(thing, kind), thing.size_sky
        lines.append(
            f'ellipse({ra!r},{dec!r},{major * 3600!r}",{minor * 3600!r}",{pa + 90!r}) '
            f"# text={{{_name(thing, kind, image.parentname)}}} color={reliability_color(thing.reliability)} "
            f"tag={{reliability {thing.reliability:.2f}}}"
        )
    return "\n".join(lines) + "\n"


def casabox_text(things, kind, image):
    """CASA boxes for cleaning, three FWHM to each side of the sources.

    Parameters
    ----------
    things : list
        Sources or Gaussians.
    kind : {"srl", "gaul"}
    image : `~astro_ddpm_imager.compat.bdsf.image.Image`

    Returns
    -------
    str
    """
    lines = ["#CRTFv0 CASA Region Text Format version 0"]
    frame = {"fk5": "J2000", "icrs": "ICRS", "fk4": "B1950"}[image.frame]
    for thing in things:
        ra, dec = _position(thing, kind)
        east, north = BOX_FWHM * gaussian_sigma_to_fwhm * np.sqrt(np.diag(from_axes(*thing.size_sky)))
        east /= np.cos(np.deg2rad(dec))
        # Across 0 h, hours are below 0, as CASA and regions read them: the latter warns of 24 h, and takes a corner at
        # 23 h for the other side of the sky.
        ra -= 360 if ra + east >= 360 else 0
        corners = [
            ", ".join(_sexagesimal(*corner, (":", "."), 3))
            for corner in ((ra + east, dec - north), (ra - east, dec + north))
        ]
        lines.append(f"box [[{corners[0]}], [{corners[1]}]] coord={frame}")
    return "\n".join(lines) + "\n"


def kvis_text(gaussians):
    """Annotations for kvis: the number of the island, and the FWHM as semi-axes, in frame and plane of the image.

    Parameters
    ----------
    gaussians : list of `~astro_ddpm_imager.compat.bdsf.sources.Gaussian`

    Returns
    -------
    str
    """
    lines = ["### KVis annotation file", "", "color green", ""]
    for gaussian in gaussians:
        (ra, dec), (major, minor, pa) = gaussian.centre_sky, gaussian.size_sky_uncorr
        lines.append(f"text   {ra:10.5f} {dec:10.5f}   {gaussian.island_id}")
        lines.append(f"ellipse {ra:10.5f} {dec:10.5f}   {major:10.7f} {minor:10.7f}  {pa:10.4f}")
    return "\n".join(lines) + "\n"


def star_text(gaussians):
    """AIPS star file: position, axes in arcsec, position angle, in frame and plane of the image; symbol and peak.

    Parameters
    ----------
    gaussians : list of `~astro_ddpm_imager.compat.bdsf.sources.Gaussian`

    Returns
    -------
    str
    """
    lines = []
    for gaussian in gaussians:
        (ra, dec), (major, minor, pa) = gaussian.centre_sky, gaussian.size_sky_uncorr
        hms, dms = Angle(ra, u.deg).hms, Angle(abs(dec), u.deg).dms
        lines.append(
            f"{int(hms.h):2d} {int(hms.m):2d} {hms.s:6.3f} {'-' if dec < 0 else '+'}{int(dms.d):2d} {int(dms.m):2d} "
            f"{dms.s:6.3f} {major * 3600:9.4f} {minor * 3600:9.4f} {pa:7.2f}  4 {gaussian.peak_flux:13.7f}"
        )
    return "".join(line + "\n" for line in lines)


def bbs_text(gaussians, image, root, patches=None, mask=None):
    """BBS sky model, brightest first.

    The spectral index is left empty, because none is measured; a Gaussian
    whose deconvolved size is below its error is a point. Positions are of
    J2000, as BBS takes them.

    Parameters
    ----------
    gaussians : list of `~astro_ddpm_imager.compat.bdsf.sources.Gaussian`
    image : `~astro_ddpm_imager.compat.bdsf.image.Image`
    root : str
        Start of the names.
    patches : {None, "single", "gaussian", "source", "mask"}, optional
    mask : path-like, optional
        FITS image of patch numbers, for ``"mask"``; it may have other pixels of the same sky.

    Returns
    -------
    str

    Raises
    ------
    DirtyImageError
        The mask cannot be read, or has no number where a Gaussian is.
    """
    if image.frame == "fk4":
        log.warning("the image is of B1950: the positions of the sky model are precessed to J2000")
    patch_column = "Patch, " if patches else ""
    lines = [
        f"format = Name, Type, {patch_column}Ra, Dec, I, Q, U, V, MajorAxis, MinorAxis, Orientation, "
        f"ReferenceFrequency='{image.frequency:.5e}', SpectralIndex='[]'",
        "",
    ]
    number_at = _patch_numbers(mask, image.frame) if patches == "mask" else None
    named = {
        "single": lambda gaussian: f"{root}_patch",
        "gaussian": lambda gaussian: f"{root}_patch_w{gaussian.jlevel}_g{gaussian.gaus_num}",
        "source": lambda gaussian: f"{root}_patch_s{gaussian.source_id}",
        "mask": lambda gaussian: f"{root}_patch_m{number_at(gaussian):g}",
    }
    groups = {}
    for gaussian in sorted(gaussians, key=lambda gaussian: -gaussian.total_flux):
        groups.setdefault(named[patches](gaussian) if patches else None, []).append(gaussian)
    for patch, members in groups.items():
        if patch:
            lines.append(f", , {patch}, 00:00:00, +00.00.00")
        lines += [_bbs_line(gaussian, image, root, patch) for gaussian in members]
    return "\n".join(lines) + "\n"


def _patch_numbers(mask, frame):
    """A function that looks up in an image of patch numbers where a Gaussian is on the sky."""
    try:
        numbers = read_image(mask, unit=u.one)
    except (DirtyImageError, FileNotFoundError) as error:
        raise DirtyImageError(f"bbs_patches_mask={str(mask)!r}: {error}") from error

    def number_at(gaussian):
        place = SkyCoord(*gaussian.centre_sky, unit="deg", frame=frame)
        pixel = np.array(numbers.wcs.world_to_pixel(place))[::-1]
        inside = np.all((pixel > -0.5) & (pixel < np.array(numbers.shape) - 0.5))
        number = numbers.data[tuple(np.round(pixel).astype(int))] if inside else np.nan
        if not np.isfinite(number):
            raise DirtyImageError(
                f"bbs_patches_mask={str(mask)!r}: has no number at {place.to_string('hmsdms')}, where there is a "
                "Gaussian; give one that covers the image, with 0 outside of patches"
            )
        return number

    return number_at


def _bbs_line(gaussian, image, root, patch):
    major, minor, pa = gaussian.deconv_size_sky
    resolved = major > gaussian.deconv_size_skyE[0]
    shape = (major * 3600, minor * 3600, pa) if resolved else (0.0, 0.0, 0.0)
    place = gaussian.centre_sky
    if image.frame == "fk4":
        there = SkyCoord(*place, unit="deg", frame="fk4").fk5
        place = (there.ra.deg, there.dec.deg)
    ra, dec = _sexagesimal(*place, (":", "."), 6)
    fields = [_name(gaussian, "gaul", root), "GAUSSIAN" if resolved else "POINT", *([patch] if patch else []), ra, dec]
    fields += [f"{gaussian.total_flux:.3e}", "0.0", "0.0", "0.0", *(f"{value:.5e}" for value in shape)]
    return ", ".join([*fields, f"{image.frequency:.5e}", "[]"])
