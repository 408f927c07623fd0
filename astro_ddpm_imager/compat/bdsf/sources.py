"""Gaussians, sources and islands, with the attributes that scripts read from PyBDSF's."""

from types import SimpleNamespace

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import binary_erosion, find_objects, label

from ...errors import shown
from ...observation.ellipses import from_axes, to_axes
from .shapes import condon_errors, deconvolved_errors, north_angle, size_factor
from .without import STARTS

__all__ = ["Gaussian", "Island", "Source", "find_islands", "group_sources", "make_gaussians"]


class _Attributes(SimpleNamespace):
    """A namespace that is made of names only, whatever else that of newer Pythons takes.

    Two are the same only if they are one object, as PyBDSF's, so that they can be in a set or keys.
    """

    __eq__, __hash__ = object.__eq__, object.__hash__

    def __init__(self, **attributes):
        super().__init__(**attributes)

    def __getattr__(self, name):
        reason = next((reason for start, reason in STARTS.items() if name.startswith(start)), None)
        said = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(f"{said}: {reason}" if reason else said)

    def __repr__(self):
        numbers = (
            f"{name}={shown(value)}" for name, value in vars(self).items() if isinstance(value, int | float | str)
        )
        return f"{type(self).__name__}({', '.join(numbers)})"


class Gaussian(_Attributes):
    """One detected component; positions are (RA, Dec) in degrees and (x, y) in 0-based pixels.

    Parameters
    ----------
    **attributes
        Under PyBDSF's names.
    """


class Source(_Attributes):
    """One or more Gaussians.

    Parameters
    ----------
    **attributes
        Under PyBDSF's names.
    """


class Island(_Attributes):
    """Connected pixels, with their sources; arrays are indexed [x, y], as PyBDSF's.

    Parameters
    ----------
    **attributes
        Under PyBDSF's names.
    """


def make_gaussians(catalog, field, restored):
    """Gaussians from a catalogue.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Of `~astro_ddpm_imager.DiffusionImager`.
    field : `~astro_ddpm_imager.compat.bdsf.field.Field`
    restored : 2D array, shape (ny, nx)
        Restored image without its mean, Jy/beam. It says how large the Gaussians are that have the catalogue's fluxes.

    Returns
    -------
    list of `Gaussian`
    """
    beam = from_axes(*field.beam)
    to_pixels, at_reference = np.linalg.inv(field.wcs.pixel_scale_matrix), north_angle(field.wcs)
    gaussians = []
    for row in catalog:
        x, y = float(row["x"]), float(row["y"])
        pixel = tuple(np.clip(np.round([y, x]).astype(int), 0, np.array(field.data.shape) - 1))
        rms, mean, pb = (float(image[pixel]) for image in (field.background.rms, field.background.mean, field.pb))
        flux, flux_error = (float(row[name].to_value("Jy")) for name in ("flux", "flux_err"))
        errors = [float(row[name].to_value("deg")) for name in ("ra_err", "dec_err")]
        major, minor, pa = (float(row[name].to_value("deg")) for name in ("major", "minor", "pa"))
        gaussian = Gaussian(
            total_flux=flux, total_fluxE=flux_error,
            centre_sky=[float(row[name].to_value("deg")) for name in ("ra", "dec")], centre_skyE=errors,
            centre_pix=[x, y], centre_pixE=[float(e) for e in np.sqrt(to_pixels**2 @ np.square(errors))],
            rms=rms / pb, mean=mean / pb, wave_rms=0.0, wave_mean=0.0, jlevel=0, flag=0,
            reliability=float(row["reliability"]), sample_fraction=float(row["sample_fraction"]),
            snr=float(row["snr"]), pb=pb,
        )  # fmt: skip
        _set_size(gaussian, beam, from_axes(major, minor, pa + north_angle(field.wcs, x, y) - at_reference))
        gaussians.append(gaussian)
    _fit_sizes(gaussians, field, restored, to_pixels)
    for gaussian in gaussians:
        here = north_angle(field.wcs, *gaussian.centre_pix)
        _set_shape(gaussian, beam, at_reference, here, gaussian.peak_flux / gaussian.rms)
        _set_pixels(gaussian, to_pixels, gaussian.peak_flux * gaussian.pb)
    return gaussians


def _fit_sizes(gaussians, field, restored, to_pixels):
    """Make the Gaussians as large as their fluxes want them in an image."""
    beam = from_axes(*field.beam)
    left = restored - field.model(gaussians)
    for gaussian in gaussians:
        window, profile = field.stamp(gaussian)
        alone = left[window] + gaussian.peak_flux * gaussian.pb * profile
        offset = np.mgrid[window][::-1] - np.reshape(gaussian.centre_pix, (2, 1, 1))
        size = gaussian.covariance - beam
        in_pixels = (to_pixels @ each @ to_pixels.T for each in (beam, size))
        _set_size(gaussian, beam, size * size_factor(alone, offset, *in_pixels, gaussian.total_flux * gaussian.pb))


def _set_size(gaussian, beam, size):
    """Set second moments, and the peak that a Gaussian of its flux has with them."""
    gaussian.covariance = beam + size
    gaussian.peak_flux = gaussian.total_flux * float(np.sqrt(np.linalg.det(beam) / np.linalg.det(gaussian.covariance)))
    gaussian.peak_fluxE = gaussian.total_fluxE * gaussian.peak_flux / gaussian.total_flux


def _set_shape(thing, beam, at_reference, here, snr):
    """Sizes and position angles on the sky and in the image plane, with errors, from ``covariance``."""
    beam_axes = to_axes(beam)
    for name, covariance in (("size_sky", thing.covariance), ("deconv_size_sky", thing.covariance - beam)):
        major, minor, pa = map(float, to_axes(covariance))
        plane = (pa + at_reference) % 180
        sky = (plane - here) % 180
        if major == 0:  # a point has no angle
            plane = sky = 0.0
        setattr(thing, name, (major, minor, sky))
        setattr(thing, f"{name}_uncorr", [major, minor, plane])
    errors = condon_errors(*thing.size_sky[:2], np.sqrt(beam_axes[0] * beam_axes[1]), snr)
    thing.size_skyE = thing.size_skyE_uncorr = errors
    errors = deconvolved_errors(thing.size_sky, thing.deconv_size_sky, errors)
    thing.deconv_size_skyE = thing.deconv_size_skyE_uncorr = errors


def _set_pixels(gaussian, to_pixels, peak):
    """Sizes in pixels, and what PyBDSF fits: peak, centre, standard deviations, angle from the x axis."""
    cells = abs(np.linalg.det(to_pixels)) ** 0.5
    (major, minor, angle), errors = gaussian.size_sky_uncorr, gaussian.size_skyE_uncorr
    gaussian.size_pix = [major * cells, minor * cells, angle]
    gaussian.size_pixE = [errors[0] * cells, errors[1] * cells, errors[2]]
    sigmas = [axis * cells * gaussian_fwhm_to_sigma for axis in (major, minor)]
    gaussian.parameters = [peak, *gaussian.centre_pix, *sigmas, (angle - 90) % 180]


def find_islands(gaussians, field, thresh_isl, minpix=None, maxpix=None):
    """Connected pixels above a threshold, or within a Gaussian's FWHM, that hold a Gaussian.

    Sets ``island_id`` and ``gaus_num`` of the Gaussians.

    Parameters
    ----------
    gaussians : list of `Gaussian`
    field : `~astro_ddpm_imager.compat.bdsf.analysis.Field`
    thresh_isl : float
        In units of the noise.
    minpix, maxpix : int, optional
        Islands with fewer or more pixels are dropped, with their Gaussians.

    Returns
    -------
    islands : list of `Island`
    rank : 2D array of int, shape (ny, nx)
        Numbers of the islands, -1 elsewhere.
    """
    background = field.background
    with np.errstate(invalid="ignore"):
        mask = field.data - background.mean > thresh_isl * background.rms
    nearest = [tuple(np.round(g.centre_pix).astype(int)[::-1]) for g in gaussians]
    for gaussian, pixel in zip(gaussians, nearest, strict=True):
        window, profile = field.stamp(gaussian)
        mask[window] |= np.isfinite(field.data[window]) & (profile >= 0.5)
        mask[pixel] = True
    # Transposed, so that the numbers rise with x, as PyBDSF's do.
    labels = label(mask.T, np.ones((3, 3)))[0].T
    windows = find_objects(labels)
    members = {}
    for gaussian, pixel in zip(gaussians, nearest, strict=True):
        members.setdefault(int(labels[pixel]), []).append(gaussian)
    islands, rank, number = [], np.full(mask.shape, -1, dtype=np.int32), 0
    for key in sorted(members):
        window = windows[key - 1]
        inside = labels[window] == key
        pixels = int(inside.sum())
        if (minpix is not None and pixels < minpix) or (maxpix is not None and pixels > maxpix):
            continue
        island = _island(len(islands), window, inside, field)
        rank[window][inside] = island.island_id
        island.gaul = sorted(members[key], key=lambda gaussian: -gaussian.total_flux)
        island.ngaus = len(island.gaul)
        for gaussian in island.gaul:
            gaussian.island_id, gaussian.gaus_num, gaussian.gaussian_idx = island.island_id, number, number
            gaussian.total_flux_isl, gaussian.total_flux_islE = island.total_flux, island.total_fluxE
            gaussian.rms_isl, gaussian.mean_isl = island.rms, island.mean
            number += 1
        islands.append(island)
    return islands, rank


def _island(number, window, inside, field):
    image, background = field.data[window], field.background
    # Numbers are corrected for the primary beam, as fluxes are; images are not.
    pb = field.pb[window][inside]
    rms, mean = (float(np.nanmean(values[window][inside] / pb)) for values in (background.rms, background.mean))
    edge = inside & ~binary_erosion(inside)
    excess = np.nan_to_num((image - background.mean[window])[inside] / pb)
    bbox = [window[1], window[0]]
    return Island(
        island_id=number, bbox=bbox, origin=[part.start for part in bbox], shape=inside.T.shape,
        image=image.T, mask_active=~inside.T, mask_noisy=np.zeros(inside.T.shape, bool),
        border=np.array(np.nonzero(edge.T)) + [[bbox[0].start], [bbox[1].start]],
        size_active=int(inside.sum()), rms=rms, mean=mean, islmean=mean,
        max_value=float(np.nanmax(image[inside] / pb)), total_flux=float(excess.sum() / field.beam_area),
        total_fluxE=float(rms * np.sqrt(inside.sum() / field.beam_area)), dgaul=[], dsources=[], fgaul=[],
    )  # fmt: skip


def group_sources(islands, field, by_island):
    """Sources from the Gaussians of islands.

    Parameters
    ----------
    islands : list of `Island`
        Get their ``sources``; their Gaussians get ``source_id`` and ``code``.
    field : `~astro_ddpm_imager.compat.bdsf.analysis.Field`
    by_island : bool
        All Gaussians of an island are one source; otherwise each is one.

    Returns
    -------
    list of `Source`
    """
    sources = []
    for island in islands:
        groups = [island.gaul] if by_island else [[gaussian] for gaussian in island.gaul]
        code = "M" if len(groups[0]) > 1 else "S" if len(groups) == 1 else "C"
        island.sources = []
        for group in groups:
            for gaussian in group:
                gaussian.source_id, gaussian.code = len(sources), code
            source = _source(group, island, code, field)
            island.sources.append(source)
            sources.append(source)
    return sources


def _source(group, island, code, field):
    flux = np.array([gaussian.total_flux for gaussian in group])
    weights = flux / flux.sum()
    brightest = max(group, key=lambda gaussian: gaussian.peak_flux)
    # Relative to the brightest, because right ascension jumps at 360 degrees.
    around = np.array(brightest.centre_sky)
    offsets = (np.array([gaussian.centre_sky for gaussian in group]) - around + 180) % 360 - 180
    centre = weights @ offsets
    pixels = np.array([gaussian.centre_pix for gaussian in group])
    sky, pixel = around + centre, weights @ pixels
    sky[0] %= 360
    sky_error, pixel_error = (
        np.sqrt(weights**2 @ np.square([getattr(gaussian, name) for gaussian in group]))
        for name in ("centre_skyE", "centre_pixE")
    )
    apart = (pixels - pixel) @ field.wcs.pixel_scale_matrix.T
    covariance = sum(w * (g.covariance + np.outer(o, o)) for w, g, o in zip(weights, group, apart, strict=True))
    source = Source(
        source_id=group[0].source_id, island_id=island.island_id, code=code, gaussians=group, ngaus=len(group),
        jlevel=0, total_flux=float(flux.sum()),
        total_fluxE=float(np.sqrt(sum(gaussian.total_fluxE**2 for gaussian in group))),
        peak_flux_max=brightest.peak_flux, peak_flux_maxE=brightest.peak_fluxE,
        peak_flux_centroid=brightest.peak_flux, peak_flux_centroidE=brightest.peak_fluxE,
        posn_sky_centroid=sky.tolist(), posn_sky_centroidE=sky_error.tolist(),
        posn_pix_centroid=pixel.tolist(), posn_pix_centroidE=pixel_error.tolist(),
        posn_sky_max=brightest.centre_sky, posn_sky_maxE=brightest.centre_skyE,
        posn_pix_max=brightest.centre_pix, posn_pix_maxE=brightest.centre_pixE,
        rms_isl=island.rms, mean_isl=island.mean, bbox=island.bbox,
        total_flux_isl=island.total_flux, total_flux_islE=island.total_fluxE,
        aperture_flux=0.0, aperture_fluxE=0.0, covariance=covariance,
        reliability=max(gaussian.reliability for gaussian in group),
        sample_fraction=max(gaussian.sample_fraction for gaussian in group),
        snr=max(gaussian.snr for gaussian in group), pb=brightest.pb,
    )  # fmt: skip
    snr = brightest.peak_flux / brightest.rms
    _set_shape(source, from_axes(*field.beam), north_angle(field.wcs), north_angle(field.wcs, *pixel), snr)
    return source
