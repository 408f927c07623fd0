"""The images of a run side by side."""

import warnings

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import Ellipse

from .shapes import north_angle

__all__ = ["show_images"]


def show_images(analysis, names):
    """Open a window with images, the sources marked in those with islands.

    Parameters
    ----------
    analysis : `~astro_ddpm_imager.compat.bdsf.analysis.Analysis`
    names : list of str
        Titles: "Image", "rms", "Mean", "Islands", "Gaussian model" or "Gaussian residual".

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    field = analysis.field
    images = {
        "Image": field.data,
        "rms": field.background.rms,
        "Mean": field.background.mean,
        "Islands": field.data,
        "Gaussian model": analysis.model,
        "Gaussian residual": analysis.residual,
    }
    low, high = np.nanpercentile(field.data, [1, 99.8])
    wide = min(len(names), 3) or 1
    tall = max(-(-len(names) // wide), 1)
    figure, axes = plt.subplots(tall, wide, figsize=(4.5 * wide, 4 * tall), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, name in zip(axes.flat, names, strict=False):
        limits = {} if name in ("rms", "Mean") else {"vmin": low, "vmax": high}
        shown = axis.imshow(images[name], origin="lower", cmap="gray", **limits)
        figure.colorbar(shown, ax=axis, label="Jy/beam")
        axis.set(title=name, xlabel="x (pixel)", ylabel="y (pixel)")
        if name == "Islands":
            axis.contour(analysis.rank >= 0, levels=[0.5], colors="c", linewidths=0.7)
            _draw_gaussians(axis, analysis)
    figure.tight_layout()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*non-interactive", UserWarning)
        plt.show()
    return figure


def _draw_gaussians(axis, analysis):
    wcs = analysis.field.wcs
    determinant = np.linalg.det(wcs.pixel_scale_matrix)
    cell, handed = np.sqrt(abs(determinant)), -np.sign(determinant)
    for gaussian in analysis.gaussians:
        major, minor, pa = gaussian.size_sky
        angle = handed * (pa + north_angle(wcs, *gaussian.centre_pix))
        axis.add_patch(
            Ellipse(gaussian.centre_pix, minor / cell, major / cell, angle=angle, fill=False, color="orange")
        )
