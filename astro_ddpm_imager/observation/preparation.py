"""The way to a checked dirty image from what is given, with all that may be wrong with it."""

import logging

import numpy as np
from astropy.stats import mad_std

from ..errors import DirtyImageError
from .band import blank_unmeasured
from .beam import beam_covariance, beam_pixels, beam_text, check_sampling, checked_beam, header_beam
from .blank import blank_constant
from .brightness import as_jy_per_beam
from .dirty import DirtyImage
from .ellipses import area
from .holes import interpolate, like_nearest, small_holes
from .inputs import as_companion, as_plane, check_real, origin
from .main_lobe import psf_beam
from .mixed_up import check_mixed_up
from .mosaic import is_flat_sky, mosaic_psf
from .noise_map import flatten, noise_of, warn_inverted
from .offset import share_beside, subtract_pedestal
from .pixels import blank_infinite, blank_sharp_pixels, check_range
from .primary_beam import check_pb, check_uncorrected, within_limit
from .psf import checked_psf
from .restored import is_smoothed, warn_restored
from .units import in_jy_per_beam
from .whole import Part, check_whole

__all__ = [
    "beam_explained", "beam_of", "brightness_of", "prepare", "prepare_plane", "warn_polarised", "without_faults",
]  # fmt: skip

log = logging.getLogger(__name__)

SMALLEST = 10  # beams of pixels that are not blank
MOST_HOLES = 0.1  # of an image
RUN = ("ORIGIN", "BMAJ", "BMIN", "BPA", "WSCENVIS")  # WSClean writes them into the PSF and the images of a run
STOKES = {2: "Q", 3: "U", 4: "V", -3: "RL", -4: "LR", -7: "XY", -8: "YX"}  # where sources may be negative


def prepare(dirty, psf=None, pb=None, mask=None, beam=None, pblimit=0.2, noise=None):
    """Read and check a dirty image and what belongs to it.

    Parameters
    ----------
    dirty : `~astropy.nddata.CCDData`, or as of `~astro_ddpm_imager.observation.inputs.as_plane`
        Dirty image, Jy/beam or a multiple, K or Jy/sr, not corrected for the primary beam;
        a path is of a FITS file or of a CASA image.
    psf, pb : likewise, or 2D arrays, optional
        PSF and primary beam on the same pixels.
    mask : likewise, optional
        CLEAN's mask: sources are catalogued only where it is not 0.
    beam : `~radio_beam.Beam`, optional
        Restoring beam, instead of the header's.
    pblimit : float, optional
        Primary beam below which the image is blanked.
    noise : likewise, optional
        How the noise varies over the image, see `~astro_ddpm_imager.observation.noise_map.noise_of`.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Raises
    ------
    DirtyImageError
        With the name of what cannot be used, its value, and the way out.
    """
    image = as_plane(dirty, "dirty")
    given = {"psf": psf, "pb": pb, "mask": mask, "noise": noise}
    companions = {
        name: as_companion(companion, name, image) for name, companion in given.items() if companion is not None
    }
    belongs = beam is None and beam_explained(companions.get("psf"), image)
    beam = beam_of(image, companions.get("psf"), beam)
    check_sampling(beam, image)
    values = {name: companion.data for name, companion in companions.items()}
    check_mixed_up(image.data, values, area(beam_covariance(beam, image.wcs, image.shape)))
    image = as_jy_per_beam(image, "dirty", beam)
    warn_polarised(image.meta)
    check_uncorrected(origin(image)[0], companions)
    if psf is not None:
        warn_restored(image)
    if noise is not None:
        values["noise"] = noise_of(companions["noise"])
        warn_inverted(companions["noise"], values["noise"], image, area(beam_covariance(beam, image.wcs, image.shape)))
    if pb is not None:
        check_pb(values["pb"])
        if is_flat_sky(image.meta):
            image.data = image.data * values["pb"]
            if noise is not None:
                values["noise"] = values["noise"] * values["pb"]
        if psf is not None:
            values["psf"] = mosaic_psf(companions["psf"], values["pb"], image)
    inputs = {name: origin(each) for name, each in {"dirty": image, **companions}.items()}
    return prepare_plane(image, values, beam, pblimit, inputs, belongs=belongs)


def beam_explained(psf, image):
    """Whether it is known why the beam of an image need not cross its PSF at half power.

    WSClean fits the beam to all of the main lobe; or the image has been smoothed, which is said.

    Parameters
    ----------
    psf : `~astropy.nddata.CCDData` or None
    image : `~astropy.nddata.CCDData`

    Returns
    -------
    bool
    """
    return psf is not None and (_of_one_run(psf, image) or is_smoothed(image, psf))


def _of_one_run(psf, image):
    """Whether a PSF is of the very run of WSClean that has made an image."""
    if image.meta.get("ORIGIN") != "WSClean":
        return False
    return all(key in image.meta and image.meta[key] == psf.meta.get(key) for key in RUN)


def beam_of(image, psf, beam):
    """The restoring beam that is given, or of the header of a dirty image, or of its PSF, or fitted to that.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    psf : `~astropy.nddata.CCDData` or None
    beam : `~radio_beam.Beam` or None

    Returns
    -------
    `~radio_beam.Beam`

    Raises
    ------
    DirtyImageError
        There is none, or it is none.
    """
    beam = checked_beam(beam, "beam:")
    for source, name in ((image, "dirty"), (psf, "psf")):
        if beam is None:
            beam = header_beam(source, name)
    if beam is None and psf is not None:
        beam = psf_beam(psf.data, image.wcs, image.shape)
        if beam is not None:
            log.warning("dirty: no beam in the header (BMAJ); it is fitted to the PSF: %s", beam_text(beam))
    if beam is None:
        raise DirtyImageError(
            "dirty: no beam in the header (BMAJ, BMIN, BPA) and none given; give beam=radio_beam.Beam(...), "
            "or --beam MAJ MIN PA on the command line, or the PSF, to which it is fitted"
        )
    return beam


def prepare_plane(image, companions, beam, pblimit, inputs, whole=True, belongs=False):
    """Check the pixels of a dirty image, or of a tile of one, and of what belongs to it.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        In Jy/beam or a multiple, with a celestial WCS.
    companions : dict of 2D arrays
        ``"psf"``, ``"pb"``, ``"mask"`` and ``"noise"``, as far as there are any.
    beam : `~radio_beam.Beam`
    pblimit : float
    inputs : dict
        As of `~astro_ddpm_imager.observation.dirty.DirtyImage`.
    whole : bool, optional
        Whether it is no tile of an image that has been checked as a whole: for its pedestal, and as of
        `~astro_ddpm_imager.observation.whole.check_whole`.
    belongs : bool, optional
        As of `~astro_ddpm_imager.observation.psf.checked_psf`.

    Returns
    -------
    `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Raises
    ------
    DirtyImageError
        As of `prepare`.
    """
    data = brightness_of(image)
    if image.mask is not None:
        data = np.where(image.mask, np.nan, data)
    data = blank_infinite(data)
    finite = np.isfinite(data)
    if not finite.any():
        raise DirtyImageError("dirty: every pixel is blank (NaN)")
    pb_values, noise, psf = (companions.get(name) for name in ("pb", "noise", "psf"))
    if noise is not None:
        finite &= np.isfinite(noise)
    pb_values = np.ones(data.shape) if pb_values is None else pb_values
    seen = within_limit(pb_values, pblimit)
    beyond, inside = np.isfinite(pb_values) & ~seen, finite & seen
    if not inside.any():
        raise DirtyImageError(
            f"pb: nowhere reaches pblimit={pblimit} inside the image; lower pblimit, or is it another image?"
        )
    outer = np.where(finite & beyond, data, np.nan)
    data, pb_values = np.where(inside, data, np.nan), np.where(inside, pb_values, np.nan)
    covariance = beam_covariance(beam, image.wcs, image.shape)
    beam_area = area(covariance)
    _check_known(inside, beam_area, pblimit)

    data, psf_values = without_faults(data, covariance, psf, whole, belongs or not whole)
    inside = np.isfinite(data)
    _check_known(inside, beam_area, pblimit)
    pb_values = np.where(inside, pb_values, np.nan)
    if whole:
        part = Part(data, (slice(None), slice(None)), pb_values, companions.get("mask"), noise)
        beam, ratio = check_whole([part], beam, image.wcs, image.shape, psf is not None)
        data, covariance = ratio * data, beam_covariance(beam, image.wcs, image.shape)
    rms = float(mad_std(data[inside]))
    holes = small_holes(inside, beam_pixels(beam, image.wcs, image.shape), whole) & ~beyond
    if holes.any():
        _check_holes(holes, inside)
        inside |= holes
        data = rms * interpolate(data / rms, holes, covariance)
        pb_values = np.where(holes, like_nearest(pb_values), pb_values)
        noise = noise if noise is None else np.where(holes, like_nearest(noise), noise)

    allowed = inside & (np.nan_to_num(companions["mask"]) != 0) if "mask" in companions else inside
    observation = DirtyImage(
        data, image.wcs, beam, rms, psf_values, pb_values, allowed, image.meta,
        holes=holes if holes.any() else None, inputs=inputs,
        beyond=outer if noise is None and np.isfinite(outer).any() else None,
    )  # fmt: skip
    return observation if noise is None else flatten(observation, noise)


def without_faults(data, covariance, psf, whole=False, belongs=True):
    """The pixels of a sky and noise, and the PSF, if one is given; both are checked.

    Parameters
    ----------
    data : 2D array
        Jy/beam, NaN where blank, which is not everywhere.
    covariance : 2D array, shape (2, 2)
        Of the beam.
    psf : 2D array or None
    whole, belongs : bool, optional
        As of `prepare_plane`.

    Returns
    -------
    data : 2D array
        NaN where it is neither.
    psf : 2D array or None

    Raises
    ------
    DirtyImageError
        As of `prepare`.
    """
    beam_area = area(covariance)
    lowest, highest = np.nanmin(data), np.nanmax(data)
    if lowest == highest:
        raise DirtyImageError(f"dirty: the image is constant ({lowest:g} Jy/beam); there is no noise to measure")
    data = blank_constant(data, beam_area, "dirty")
    data = blank_sharp_pixels(data, covariance, "dirty")
    psf = None if psf is None else checked_psf(psf, covariance, belongs)
    if whole:
        data = subtract_pedestal(data, beam_area, 0.0 if psf is None else share_beside(psf, data.shape, beam_area))
    rms = float(mad_std(data[np.isfinite(data)]))
    if rms == 0:
        raise DirtyImageError(
            "dirty: more than half of the pixels are equal; there is no noise to measure (blank pixels should be NaN)"
        )
    check_range(data, rms)
    return blank_unmeasured(data, rms, covariance, psf), psf


def _check_known(inside, beam_area, pblimit):
    """Fail if so little is not blank that noise cannot be told from sources."""
    if inside.sum() < SMALLEST * beam_area:
        raise DirtyImageError(
            f"dirty: hardly a pixel is not blank; lower pblimit={pblimit}, or check pb ({inside.sum()} are left, or "
            f"{inside.sum() / beam_area:.2g} beams, and at least {SMALLEST} are needed)"
        )


def _check_holes(holes, inside):
    """Fail if there are too many, or else say that they are interpolated."""
    if holes.sum() > MOST_HOLES * inside.sum():
        raise DirtyImageError(
            f"dirty: {holes.sum()} blank pixels are holes between the other {inside.sum()}: too many to find out what "
            "lies in them; is something wrong with its mask, or with the primary beam?"
        )
    log.warning(
        "dirty: %d blank pixels in small holes are interpolated, and left blank in the products; sources there are "
        "flagged", holes.sum(),
    )  # fmt: skip


def brightness_of(image):
    """The pixels of a dirty image in Jy/beam.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`

    Returns
    -------
    2D array of float

    Raises
    ------
    DirtyImageError
        They are whole numbers, or in another unit.
    """
    check_real(image.data, "dirty")
    if image.data.dtype.kind != "f":
        raise DirtyImageError(
            f"dirty: the pixels are {image.data.dtype.name}, not floating point; if their values really are in "
            f"{image.unit}, convert them with astype(float), in a file by data, header = "
            f"fits.getdata({image.meta.get('FILENAME', 'image.fits')!r}, header=True) and "
            "fits.writeto('float.fits', data.astype(float), header)"
        )
    return in_jy_per_beam(image, "dirty")


def warn_polarised(meta):
    """Say if an image is not of total intensity, where sources are positive.

    Parameters
    ----------
    meta : dict-like
        Header.
    """
    for axis in range(3, 5):
        value = meta.get(f"CRVAL{axis}")
        if str(meta.get(f"CTYPE{axis}", "")).startswith("STOKES") and value in STOKES:
            log.warning(
                "dirty: is of Stokes %s, which may be negative; the model only knows positive sources", STOKES[value]
            )
