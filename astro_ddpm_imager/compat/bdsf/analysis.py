"""From an image to Gaussians: background, imager, selection, islands, model."""

import logging
from copy import copy
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
from astropy.nddata import CCDData
from astropy.wcs.utils import proj_plane_pixel_area
from photutils.aperture import CircularAperture, aperture_photometry

from ...errors import shown
from ...imager import DiffusionImager
from ...observation.inputs import as_companion
from ...observation.primary_beam import within_limit
from ...observation.units import JY_PER_BEAM
from .background import measure_background
from .certainty import select_certain, select_near
from .field import pixels_at, read_field
from .sources import find_islands, group_sources, make_gaussians

__all__ = ["Analysis", "analyse"]

log = logging.getLogger(__name__)

MATCHING_BEAMS = 0.6  # between a source in the detection image and the same in the main image


@dataclass(frozen=True)
class Analysis:
    """What came out of a run; arrays are indexed [y, x].

    Parameters
    ----------
    field : `~astro_ddpm_imager.compat.bdsf.field.Field`
    result : `~astro_ddpm_imager.ImagingResult` or None
    islands : list of `~astro_ddpm_imager.compat.bdsf.sources.Island`
    sources : list of `~astro_ddpm_imager.compat.bdsf.sources.Source`
    gaussians : list of `~astro_ddpm_imager.compat.bdsf.sources.Gaussian`
    rank : 2D array of int, shape (ny, nx)
        Numbers of the islands, -1 elsewhere.
    model, residual : 2D arrays, shape (ny, nx)
        Sum of the Gaussians, and the image without it, Jy/beam.
    """

    field: object
    result: object
    islands: list
    sources: list
    gaussians: list
    rank: np.ndarray
    model: np.ndarray
    residual: np.ndarray


def analyse(field, options, psf=None, pb=None, reliability=None, imager=None):
    """Find and measure the sources of a field.

    Parameters
    ----------
    field : `~astro_ddpm_imager.compat.bdsf.field.Field`
    options : `~astro_ddpm_imager.compat.bdsf.parameters.Options`
    psf, pb : 2D array, or as of `~astro_ddpm_imager.observation.inputs.as_plane`, optional
        On the pixels of the file; the PSF may be larger or smaller.
    reliability : float, optional
        Lowest reliability, instead of what ``thresh_pix`` asks for.
    imager : `~astro_ddpm_imager.DiffusionImager`, optional

    Returns
    -------
    `Analysis`

    Raises
    ------
    RuntimeError
        A parameter, or an image that it names, cannot be used.
    DirtyImageError
        ``psf`` or ``pb`` cannot.
    """
    if reliability is not None and not (isinstance(reliability, Real) and 0 <= reliability <= 1):
        raise RuntimeError(f"reliability={shown(reliability)}: must be a number from 0 to 1")
    imager = (DiffusionImager(threads=options.ncores) if imager is None else imager).but(reliability=0.0)
    psf = None if psf is None else as_companion(psf, "psf", field.plane).data
    pb = np.ones(field.data.shape) if pb is None else field.cut(as_companion(pb, "pb", field.plane).data)
    field = _measured(field, options, pb, imager.pblimit)
    result = _image(field, imager, psf)
    catalog = _select(result.catalog, field, options, psf, reliability, imager)
    gaussians = _unflagged(make_gaussians(catalog, field, result.restored.data), field, options)
    islands, rank = find_islands(gaussians, field, options.thresh_isl, options.minpix_isl, options.maxpix_isl)
    sources = group_sources(islands, field, options.group_by_isl)
    gaussians = [gaussian for island in islands for gaussian in island.gaul]
    model = field.model(gaussians)
    residual = field.data - model
    for island in islands:
        window = tuple(island.bbox[::-1])
        inside = rank[window] == island.island_id
        values = residual[window][inside] / field.pb[window][inside]
        for thing in (island, *island.gaul, *island.sources):
            # Not of small holes, in which a source may lie.
            thing.gresid_rms, thing.gresid_mean = float(np.nanstd(values)), float(np.nanmean(values))
    if options.aperture is not None:
        _measure_apertures(sources, field, options)
    return Analysis(field, result, islands, sources, gaussians, rank, model, residual)


def _measured(field, options, pb, pblimit):
    """A field with its background and primary beam, blank where that is below a limit."""
    field = replace(field, data=np.where(within_limit(pb, pblimit), field.data, np.nan), pb=pb)
    return replace(field, background=measure_background(field, options))


def _image(field, imager, psf):
    """The imager's result, on the image without its mean, whose noise is that of the background."""
    rms = field.background.rms
    quietest = np.nanmin(rms[np.isfinite(field.data)])
    if not quietest > 0:
        raise RuntimeError(  # begins as PyBDSF's, by which scripts know that they must try with a constant noise
            "A region with an unphysical rms value has been found: the noise is "
            f"{quietest:g} Jy/beam somewhere; give a larger rms_box, or rms_map=False"
        )
    dirty = CCDData(field.data - field.background.mean, unit=JY_PER_BEAM, wcs=field.wcs, meta=field.header)
    unity = bool(np.all(field.pb[np.isfinite(field.data)] == 1))
    return imager.but(pblimit=0.0)(  # pixels below the limit are blank already
        dirty,
        psf=psf,
        pb=None if unity else field.pb,
        beam=field.radio_beam,
        noise=rms if np.nanmax(rms) > quietest else None,
    )


def _select(candidates, field, options, psf, reliability, imager):
    """The sources that the options ask for."""
    if options.src_ra_dec is not None:
        x, y = pixels_at(field.wcs, *np.reshape(options.src_ra_dec, (-1, 2)).T)
        cell = proj_plane_pixel_area(field.wcs) ** 0.5
        catalog, found = select_near(candidates, x, y, options.src_radius_pix or field.beam[0] / cell)
        log.info("src_ra_dec: %d of %d positions have a candidate source", len(found), len(x))
        return catalog
    threshold = max(options.thresh_pix, options.thresh_isl)  # an island's peak reaches both
    if not options.detection_image:
        return select_certain(candidates, threshold * field.background.exaggeration, reliability)
    # What says where the image, or its background, is read from is not for this one.
    options_there = copy(options)
    options_there.rmsmean_map_filename = options.rmsmean_map_filename_det
    if options.collapse_mode == "file":
        options_there.collapse_mode = "average"
    field_there = read_field(options.detection_image, options_there)
    if field_there.data.shape != field.data.shape:
        raise RuntimeError(
            f"detection_image={options.detection_image!r}: has {field_there.full_shape} pixels (ny, nx), the image "
            f"{field.full_shape}; regrid one to the other"
        )
    field_there = _measured(field_there, options_there, field.pb, imager.pblimit)
    result = _image(field_there, imager, psf)
    there = select_certain(result.catalog, threshold * field_there.background.exaggeration, reliability)
    catalog, found = select_near(candidates, there["x"], there["y"], MATCHING_BEAMS * field_there.beam_pixels)
    for name in ("reliability", "sample_fraction"):  # whether a source exists is what the detection image says
        catalog[name] = there[name][found]
    log.info("detection_image: %d of its %d sources are measured in the image", len(catalog), len(there))
    return catalog


def _unflagged(gaussians, field, options):
    """The Gaussians that no flag asks to drop."""
    height, width = field.data.shape
    kept = []
    for gaussian in gaussians:
        (x, y), (major, minor, _) = gaussian.centre_pix, gaussian.size_sky
        area = major * minor / (field.beam[0] * field.beam[1])
        border = min(x, y, width - 1 - x, height - 1 - y)
        small = options.flag_smallsrc and area < options.flag_minsize_bm
        if border >= options.flag_bordersize and area <= options.flag_maxsize_bm and not small:
            kept.append(gaussian)
    if len(kept) < len(gaussians):
        log.info("flag_bordersize, flag_maxsize_bm, flag_minsize_bm: %d Gaussians dropped", len(gaussians) - len(kept))
    return kept


def _measure_apertures(sources, field, options):
    """Fluxes in circles around the sources, in the image without its mean."""
    data = field.data - field.background.mean
    name = "posn_pix_centroid" if options.aperture_posn == "centroid" else "posn_pix_max"
    for source in sources:
        circle = CircularAperture(getattr(source, name), options.aperture)
        table = aperture_photometry(data, circle, mask=~np.isfinite(data))
        source.aperture_flux = float(table["aperture_sum"][0] / field.beam_area / source.pb)
        source.aperture_fluxE = float(source.rms_isl * np.sqrt(circle.area / field.beam_area))
