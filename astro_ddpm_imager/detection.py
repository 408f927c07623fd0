"""Sources in one sky: a posterior sample, or an aggregate of samples."""

import warnings

import numpy as np
from photutils.detection import find_peaks
from photutils.segmentation import SegmentationImage, SourceCatalog
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from .aggregation import Detections

__all__ = ["detect"]

SMOOTHING_BEAMS = 0.3  # standard deviation; two peaks of one source become one
SEPARATION_BEAMS = 0.6  # closest peaks
REACH_BEAMS = 1.5  # how far from its peak flux belongs to a source
FAINTEST_PEAK = 0.05  # of the threshold, in a smoothed pixel


def detect(sky, threshold, pixels_per_beam, sample=0):
    """Detect and measure sources in a sky without noise.

    Peaks of the slightly smoothed sky are sources; each pixel belongs to the
    nearest peak within 1.5 beams. Fluxes, centroids and moments are photutils'.

    Parameters
    ----------
    sky : 2D array, shape (ny, nx)
        Flux per pixel, in units of the noise.
    threshold : float
        Flux of the faintest source, in units of the noise.
    pixels_per_beam : float
    sample : int, optional
        Index of the sky, kept in the result.

    Returns
    -------
    `~astro_ddpm_imager.aggregation.Detections`
    """
    sky = np.asarray(sky, dtype=float)
    smooth = gaussian_filter(sky, SMOOTHING_BEAMS * pixels_per_beam)
    # A source right between pixels has several equal peaks, of which one will do.
    smooth *= 1 + 1e-9 * np.linspace(0, 1, smooth.size).reshape(smooth.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        peaks = find_peaks(smooth, FAINTEST_PEAK * threshold, min_separation=SEPARATION_BEAMS * pixels_per_beam)
    if peaks is None:
        return Detections.empty()
    bright = np.argwhere(sky > 0)
    tree = cKDTree(np.column_stack([peaks["y_peak"], peaks["x_peak"]]))
    distance, nearest = tree.query(bright, distance_upper_bound=REACH_BEAMS * pixels_per_beam)
    owned = np.isfinite(distance)
    labels = np.zeros(sky.shape, dtype=np.int32)
    labels[tuple(bright[owned].T)] = nearest[owned] + 1
    if not labels.any():
        return Detections.empty()
    catalog = SourceCatalog(sky, SegmentationImage(labels))
    flux = np.atleast_1d(catalog.segment_flux)
    moments = {name: np.atleast_1d(getattr(catalog, f"covariance_{name}").value) for name in ("xx", "xy", "yy")}
    covariance = np.stack([moments["xx"], moments["xy"], moments["xy"], moments["yy"]], -1).reshape(-1, 2, 2)
    kept = flux >= threshold
    return Detections(
        sample=np.full(kept.sum(), sample),
        x=np.atleast_1d(catalog.x_centroid)[kept],
        y=np.atleast_1d(catalog.y_centroid)[kept],
        flux=flux[kept],
        covariance=np.nan_to_num(covariance[kept]),
    )
