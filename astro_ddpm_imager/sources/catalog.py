"""The catalogue: sources on the model's pixels, in flat-noise units, become a table of the sky."""

from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.table import QTable
from radio_beam import Beam

from ..observation.ellipses import positive, to_axes
from ..observation.local_sky import on_sky
from .flags import FLAGS, source_flags
from .islands import join
from .peaks import NARROWEST

__all__ = [
    "COLUMNS",
    "SPECTRAL_COLUMNS",
    "UCDS",
    "apparent_peaks",
    "build_catalog",
    "covariance_on_image",
    "describe",
    "filtered_snr",
    "restoring_beams",
]

COLUMNS = {
    "source_id": (None, "Number of the source, from 1, by falling S/N"),
    "ra": (u.deg, "Right ascension, in the frame of the image, or ICRS"),
    "dec": (u.deg, "Declination, in the frame of the image, or ICRS"),
    "ra_err": (u.deg, "Error of ra, on the sky (times cos dec)"),
    "dec_err": (u.deg, "Error of dec"),
    "flux": (u.Jy, "Total flux, corrected for the primary beam"),
    "flux_err": (u.Jy, "Error of flux"),
    "peak_flux": (u.Jy / u.beam, "Peak after convolution with the restoring beam, corrected for the primary beam"),
    "snr": (None, "Peak before the correction for the primary beam / noise there, with unknown sidelobes"),
    "reliability": (None, "Probability that the source exists"),
    "x": (None, "0-based pixel of the input, first FITS axis"),
    "y": (None, "0-based pixel of the input, second FITS axis"),
    "major": (u.arcsec, "FWHM of the major axis, deconvolved"),
    "minor": (u.arcsec, "FWHM of the minor axis, deconvolved"),
    "pa": (u.deg, "Position angle of the major axis, east of north"),
    "pb": (None, "Primary beam at the source"),
    "sample_fraction": (None, "Fraction of the samples that contain the source"),
    "n_components": (None, "Components that touch and are counted as this one source"),
    "chi2": (
        None,
        "Mean square of the residual around the source over that of noise; less where noise is fitted",
    ),
    "flags": (None, "Sum of what is not right: 1 at a hole, 2 at an edge, 4 among artefacts, 8 a misfit; 0 if nothing"),
}
UCDS = {
    "source_id": "meta.id;meta.main",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "ra_err": "stat.error;pos.eq.ra",
    "dec_err": "stat.error;pos.eq.dec",
    "flux": "phot.flux.density;em.radio",
    "flux_err": "stat.error;phot.flux.density;em.radio",
    "peak_flux": "phot.flux.density;em.radio;stat.max",
    "snr": "stat.snr",
    "reliability": "stat.probability",
    "x": "pos.cartesian.x;instr.det",
    "y": "pos.cartesian.y;instr.det",
    "major": "phys.angSize.smajAxis",
    "minor": "phys.angSize.sminAxis",
    "pa": "pos.posAng",
    "pb": "arith.factor;instr.beam",
    "sample_fraction": "stat.value",
    "chi2": "stat.fit.chi2",
    "n_components": "meta.number",
    "flags": "meta.code.qual",
}
SPECTRAL_COLUMNS = {
    "channel": (None, "0-based channel of the cube"),
    "frequency": (u.GHz, "Frequency of the channel"),
    "velocity": (u.km / u.s, "Velocity of the channel, if the axis of the cube is one of velocities"),
}
SPECTRAL_UCDS = {"channel": "meta.id.part;em.freq", "frequency": "em.freq", "velocity": "spect.dopplerVeloc"}
IN_IMAGE = 0.8  # of the samples: a source that fewer have is in part left in the residual
LARGEST = 1.5  # times their mean in the samples, the moments that agree with flux and peak


def build_catalog(sources, grid, dirty, residual, reliability, meta):
    """Turn merged sources into a catalogue.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
        On the model's pixels, in units of the noise.
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    residual : `~astro_ddpm_imager.sources.fit.Residual`
    reliability : float
        Lowest reliability of a source in the catalogue.
    meta : dict
        Provenance.

    Returns
    -------
    `~astropy.table.QTable`
        Columns as in `COLUMNS`; a row per source, by falling S/N. Positions,
        their errors and position angles are in the frame of the image if that
        is ICRS, FK5 of J2000 or FK4 of B1950, else (Galactic, other equinoxes)
        in ICRS; ``meta["frame"]`` says which.
    """
    y, x = _on_pixels(sources, grid, dirty.shape)
    nearest = tuple(np.round(position).astype(int) for position in (y, x))
    inside = np.all([(p >= 0) & (p < n) for p, n in zip(nearest, dirty.shape, strict=True)], axis=0)
    inside[inside] = dirty.allowed[nearest[0][inside], nearest[1][inside]]
    inside = np.isin(sources.whole, sources.whole[inside])  # of a ring about a blank, too
    sources, pb = replace(sources, peak=apparent_peaks(sources, grid, dirty)), dirty.primary_beam_at(x, y)
    sources, pb, n_components = join(sources.select(inside), pb[inside])
    chosen = sources.reliability >= reliability
    sources, pb, n_components = sources.select(chosen), pb[chosen], n_components[chosen]
    y, x = _on_pixels(sources, grid, dirty.shape)

    peak, ratio = sources.peak, np.array(grid.ratio[::-1])
    snr = peak / dirty.noise_ratio_at(x, y)
    covariance = positive(covariance_on_image(sources, grid))
    one = n_components == 1
    covariance[one] = _agreeing(covariance[one], sources.flux[one] / peak[one], dirty.beam_covariance)
    chi2, misfit = residual.around(sources)
    misfit &= sources.fraction > IN_IMAGE
    sky, scale = on_sky(dirty.wcs, x, y)
    major, minor, pa = _axes(covariance, scale)
    pixel_err = np.stack([sources.x_err * ratio[0], sources.y_err * ratio[1]], -1)
    world_err = _turned_errors(pixel_err, dirty.beam_covariance + 2 * covariance, scale)

    values = {
        "source_id": np.arange(1, len(sources) + 1),
        "ra": sky.ra.deg, "dec": sky.dec.deg, "ra_err": world_err[:, 0] / 3600, "dec_err": world_err[:, 1] / 3600,
        "flux": sources.flux * dirty.rms / pb, "flux_err": sources.flux_err * dirty.rms / pb,
        "peak_flux": peak * dirty.rms / pb, "snr": snr, "reliability": sources.reliability,
        "x": x, "y": y, "major": major, "minor": minor, "pa": pa, "pb": pb * dirty.relative_noise_at(x, y),
        "sample_fraction": sources.fraction, "n_components": n_components,
        "chi2": chi2, "flags": source_flags(dirty, x, y, covariance) | np.where(misfit, FLAGS["misfit"], 0),
    }  # fmt: skip
    order = np.argsort(-snr, kind="stable")
    table = QTable(meta={**meta, "rms": dirty.rms, "frame": sky.frame.name})
    for name in COLUMNS:
        table[name] = values[name] if name == "source_id" else np.asarray(values[name])[order]
    describe(table)
    return table


def describe(table):
    """Give the columns of a catalogue the units, descriptions and UCDs that they lack.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Changed. UCDs stand in the ``info.meta["ucd"]`` of its columns, from
        where astropy takes them to VOTables.
    """
    ucds = UCDS | SPECTRAL_UCDS
    for name, (unit, description) in (COLUMNS | SPECTRAL_COLUMNS).items():
        if name not in table.colnames:
            continue
        if unit is not None and table[name].unit is None:
            table[name] = table[name] * unit
        info = table[name].info
        info.description = info.description or description
        info.meta = {"ucd": ucds[name], **(info.meta or {})}


def apparent_peaks(sources, grid, dirty):
    """Brightness in the middle of sources after convolution with the restoring beam, in units of the noise.

    Components of one extended source shine on each other.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    1D array, shape (n,)
    """
    seen = dirty.beam_covariance + positive(covariance_on_image(sources, grid))
    places = np.stack(grid.to_image_position(sources.y, sources.x)[::-1], 1)
    together = sources.peak.copy()
    for whole in np.flatnonzero(np.bincount(sources.whole) > 1):
        parts = np.flatnonzero(sources.whole == whole)
        offset = places[parts, None] - places[parts]  # of each from each
        squared = np.einsum("abi,bij,abj->ab", offset, np.linalg.inv(seen[parts]), offset)
        together[parts] = np.exp(-0.5 * squared) @ sources.peak[parts]
    return together


def filtered_snr(sources, grid, dirty):
    """S/N of sources in a filter of their shape, with noise that has the spectrum of the beam.

    Of a source of covariance C and flux F seen with a beam B that is
    F (det B / det (B + 2 C))^(1/4), from the likelihood of natural weighting
    (`~astro_ddpm_imager.observation.gridded.GriddedObservation`).

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`

    Returns
    -------
    snr : 1D array, shape (n,)
    beams : 1D array, shape (n,)
        The area of the filter: its noise adds up to the square root of that of as many beams.
    """
    beam, size = dirty.beam_covariance, covariance_on_image(sources, grid)
    widened = np.linalg.det(beam + 2 * size) / np.linalg.det(beam)
    beams = np.sqrt(widened.clip(NARROWEST))
    return sources.flux / np.sqrt(beams), beams


def covariance_on_image(sources, grid):
    """Second moments of sources in the image's pixels.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.sources.aggregation.MergedSources`
    grid : `~astro_ddpm_imager.observation.grid.ModelGrid`

    Returns
    -------
    array, shape (n, 2, 2)
        Pixels squared, order x, y; of points those that are measured, so half of them are negative.
    """
    ratio = np.array(grid.ratio[::-1])
    # The moments hold the variance of the model's pixel, 1/12.
    return (sources.covariance - np.eye(2) / 12) * np.outer(ratio, ratio)


def _agreeing(covariance, area, beam):
    """Moments that agree with flux and peak, which are known better, each times a number.

    Nothing is narrower than a point, so that the mean of what its size may be
    is too large.

    Parameters
    ----------
    covariance : array, shape (n, 2, 2)
        No axis narrower than a point.
    area : 1D array, shape (n,)
        Flux over peak: that of a source as the beam shows it, in units of the beam's.
    beam : 2D array, shape (2, 2)

    Returns
    -------
    array, shape (n, 2, 2)
        From 0 to ``LARGEST`` times as large.
    """
    # The determinant of beam + factor * covariance is that of the beam times area^2: an equation of second order.
    more = np.linalg.det(beam) * (area**2 - 1).clip(0)
    linear = np.linalg.det(beam) * np.trace(np.linalg.solve(beam, covariance), axis1=1, axis2=2)
    root = linear + np.sqrt(linear**2 + 4 * more * np.linalg.det(covariance).clip(0))
    factor = np.divide(2 * more, root, out=np.ones_like(more), where=root > 0)
    return covariance * factor.clip(0, LARGEST)[:, None, None]


def _turned_errors(errors, seen, scale):
    """Errors on the sky, shape (n, 2), of positions in pixels, from those in x and y.

    They are correlated as the likelihood has it, whose errors are in proportion to the axes of what is seen (Condon
    1997, PASP 109, 166): in noise with the covariance of the beam B, of a source of covariance C those of B + 2 C.
    """
    shares = errors / np.sqrt(np.diagonal(seen, axis1=1, axis2=2))
    covariance = shares[:, :, None] * seen * shares[:, None, :]
    return np.sqrt(np.diagonal(scale @ covariance @ np.swapaxes(scale, 1, 2), axis1=1, axis2=2))


def _on_pixels(sources, grid, shape):
    """Positions y and x on the image."""
    positions = grid.to_image_position(sources.y, sources.x)
    return [_at_edge(*axis) for axis in zip(positions, shape, grid.ratio, strict=True)]


def _at_edge(position, n, ratio):
    """Positions on an axis of n pixels; those at most half a model pixel beyond its ends are put there."""
    moved = position.clip(-0.49, n - 0.51)
    return np.where(np.abs(moved - position) <= 0.5 * ratio, moved, position)


def restoring_beams(wcs, beam_covariance, x, y):
    """The restoring beam at some pixels, its position angle east of the north that catalogues have there.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes.
    beam_covariance : 2D array, shape (2, 2)
        Of the restoring beam, see `~astro_ddpm_imager.observation.beam.beam_covariance`.
    x, y : 1D arrays, shape (n,)
        0-based pixels.

    Returns
    -------
    list of `~radio_beam.Beam`
    """
    _, scale = on_sky(wcs, x, y)
    axes = np.transpose(_axes(beam_covariance, scale))
    return [Beam(major * u.arcsec, minor * u.arcsec, pa * u.deg) for major, minor, pa in axes]


def _axes(covariance, scale):
    """FWHM (arcsec) and position angle (deg) of second moments in pixels; an axis narrower than a point is 0."""
    return to_axes(scale @ covariance @ np.swapaxes(scale, 1, 2))
