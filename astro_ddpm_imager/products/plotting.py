"""One picture of a result."""

import numpy as np
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke

from ..observation.ellipses import to_axes
from .region_files import reliability_color

__all__ = ["plot_result"]

AXES = {"DEC": "Dec", "GLON": "l", "GLAT": "b"}  # where the FITS name is not the usual one


def plot_result(result):
    """Dirty image, reconstruction, uncertainty and residual, with the sources marked.

    Parameters
    ----------
    result : `~astro_ddpm_imager.result.ImagingResult`

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    figure = Figure(figsize=(11, 9.4), layout="constrained")
    dirty = result.dirty
    noise = dirty.rms * 1e6
    top = max(5 * noise, 1e6 * np.nanmax(dirty.data))
    bright = max(1e6 * np.nanmax(result.image.data), 1e-3)
    spread = 1e6 * result.uncertainty.data
    largest = np.nanmax(spread) if np.isfinite(spread).any() else 1
    reconstruction = f"Reconstruction ({result.meta['aggregate']})"
    panels = [
        ("Dirty image", 1e6 * dirty.data, Normalize(-3 * noise, top), "gray", "µJy/beam"),
        (reconstruction, 1e6 * result.image.data, PowerNorm(0.5, 0, bright), "gray", "µJy/pixel"),
        ("Uncertainty", spread, Normalize(0, largest), "viridis", "µJy/pixel"),
        ("Residual", 1e6 * result.residual.data, Normalize(-4 * noise, 4 * noise), "RdBu_r", "µJy/beam"),
    ]
    for number, (title, data, norm, colors, unit) in enumerate(panels, 1):
        axes = figure.add_subplot(2, 2, number, projection=dirty.wcs)
        shown = axes.imshow(data, origin="lower", norm=norm, cmap=colors, interpolation="nearest")
        figure.colorbar(shown, ax=axes, label=unit, shrink=0.85)
        axes.set_title(title)
        for index, name in enumerate((dirty.wcs.wcs.lngtyp, dirty.wcs.wcs.lattyp)):
            axis = axes.coords[index]
            axis.set_axislabel(AXES.get(name, name), minpad=0.5)
            axis.set_ticks(number=4)
            axis.set_ticklabel(exclude_overlapping=True, size=8)
        _mark_sources(axes, result, labels=number == 1, color="black" if title == "Residual" else None)
        _draw_beam(axes, dirty)
    seen = f"{len(result.catalog)} source{'s' * (len(result.catalog) != 1)}"
    title = f"{seen}; noise {noise:.3g} µJy/beam; {result.meta['n_samples']} samples"
    if result.fit.misfits:
        title += f"\nThe residual is not noise: {', '.join(result.fit.misfits)} (reduced χ² {result.fit.chi2:.2f})"
    figure.suptitle(title)
    return figure


def _mark_sources(axes, result, labels, color):
    scale = 3600 * np.sqrt(np.abs(np.linalg.det(result.dirty.wcs.pixel_scale_matrix)))
    for row in result.catalog:
        radius = max(1.2 * result.dirty.beam_pixels, 0.7 * row["major"].to_value("arcsec") / scale)
        paint = color or reliability_color(row["reliability"]).replace("green", "lime")
        axes.add_patch(Ellipse((row["x"], row["y"]), 2 * radius, 2 * radius, fill=False, color=paint, lw=1.2))
        if labels:
            axes.annotate(
                f"{row['source_id']} ({row['reliability']:.2f})",
                (row["x"] + radius, row["y"] + radius), color="white", size=8, annotation_clip=True,
                path_effects=[withStroke(linewidth=2, foreground="black")],
            )  # fmt: skip


def _draw_beam(axes, dirty):
    major, minor, angle = to_axes(dirty.beam_covariance)
    corner = 1.5 * major
    # Matplotlib's angles run from x to y.
    axes.add_patch(Ellipse((corner, corner), major, minor, angle=90 - angle, color="grey"))
