"""Pictures of a result: one of all its images, or one image on axes of one's own."""

from base64 import b64encode
from io import BytesIO

import astropy.units as u
import numpy as np
from astropy.wcs.utils import proj_plane_pixel_area
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, MaxNLocator

from ..observation.ellipses import to_axes
from ..settings import check_choice, check_number
from .region_files import reliability_color
from .summary import brightness, fitting_unit

__all__ = [
    "FAINTEST", "KNEE", "PANELS", "asinh_ticks", "frame_image", "label_axes", "plot_image", "plot_panel", "plot_result",
    "result_figure",
]  # fmt: skip

AXES = {"DEC": "Dec", "GLON": "l", "GLAT": "b"}  # where the FITS name is not the usual one
PANELS = ("dirty", "reconstruction", "uncertainty", "residual")
LABELS = 12  # sources that are named by default
FAINTEST, BRIGHTEST = -4.0, 5.0  # times the noise: what an image without sources shows
KNEE = 2.0  # times the noise: above, colours are logarithmic
EDGE = 1.5  # pixels beyond those that are not blank
RESIDUAL = 5.0  # times the noise, either way
SIDES = np.array([(1, 1), (-1, 1), (1, -1), (-1, -1)])  # of a source, where its name may stand
FINEST = 2048  # pixels of an image on a side that are drawn
ROW, BELOW, BETWEEN, ABOVE = 3.63, 0.55, 0.47, 0.92  # inches: of a square image, and for letters and titles
FLATTEST = 0.3  # height over width that an image has room for, at least
BAR, BESIDE = 0.046, 0.03  # of the width: a colour bar, and the room before it


class _ResultFigure(Figure):
    """A figure that notebooks show, whatever backend matplotlib has there."""

    def _repr_png_(self):
        content = BytesIO()
        self.savefig(content, format="png", dpi=90)
        return b64encode(content.getvalue()).decode()


def result_figure(size):
    """A figure that notebooks show.

    Parameters
    ----------
    size : tuple of float, (width, height)
        Inches.

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    return _ResultFigure(figsize=size)


def plot_result(result, labels=LABELS):
    """Image, reconstruction, uncertainty and residual, with the sources marked.

    Parameters
    ----------
    result : `~astro_ddpm_imager.result.ImagingResult`
    labels : int, optional
        As for `plot_image`.

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    width, height = np.ptp(_limits(~result.dirty.blank), axis=1)
    row = ROW * np.clip(height / width, FLATTEST, 1)
    total = BELOW + BETWEEN + ABOVE + 2 * row
    figure = result_figure((11, total))
    # Places are fixed, because to find good ones takes as long as to draw everything twice.
    places = {"bottom": BELOW / total, "top": 1 - ABOVE / total, "hspace": BETWEEN / row}
    grid = figure.add_gridspec(2, 2, left=0.08, right=0.925, wspace=0.3, **places)
    for number, (panel, cell) in enumerate(zip(PANELS, grid, strict=True)):
        axes = figure.add_subplot(cell, projection=result.dirty.wcs)
        plot_image(result, axes, panel, labels if number == 0 else 0)
        _share_labels(axes, number)
    seen = f"{len(result.catalog)} source{'s' * (len(result.catalog) != 1)}"
    title = f"{seen}; noise {brightness(result.dirty.rms)}; {result.meta['n_samples']} samples"
    if result.fit.misfits:
        title += f"\nThe residual is not noise: {', '.join(result.fit.misfits)} (reduced χ² {result.fit.chi2:.3g})"
    figure.suptitle(title)
    return figure


def plot_panel(result, panel, labels=LABELS):
    """One image of a result, with the sources marked, in a figure of its own.

    Parameters
    ----------
    result : `~astro_ddpm_imager.result.ImagingResult`
    panel : str
    labels : int, optional
        As for `plot_image`.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    SettingError
        There is no such image, or ``labels`` is no number of them; a kind of `ValueError`.
    """
    figure = result_figure((7, 5.6))
    plot_image(result, figure.add_subplot(projection=result.dirty.wcs), panel, labels)
    return figure


def _share_labels(axes, number):
    """Of four images with the same axes, label those on the outside: letters take a third of the time."""
    right, lower = number % 2, number // 2
    for axis, inside in zip(axes.coords, (not lower, right), strict=True):
        if inside:
            axis.set_ticklabel_visible(False)
            axis.set_axislabel("")


def plot_image(result, axes, panel="reconstruction", labels=LABELS):
    """Draw one image of a result, with the sources marked, on axes.

    Colours are linear in the noise and logarithmic above (Lupton et al.
    1999, AJ 118, 1406), so that faint sources are seen beside bright ones.

    Parameters
    ----------
    result : `~astro_ddpm_imager.result.ImagingResult`
    axes : `~matplotlib.axes.Axes`
        Those of the sky have ``projection=result.image.wcs``.
    panel : {"dirty", "reconstruction", "uncertainty", "residual"}, optional
    labels : int, optional
        How many sources, those of highest S/N first, are named by their
        number and reliability, as far as there is room; all are marked.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    SettingError
        There is no such image, or ``labels`` is no number of them; a kind of `ValueError`.
    """
    check_choice("panel", panel, PANELS)
    check_number("labels", labels, 0, whole=True)
    title, image, per, colors, (low, top, knee) = _panel(result, panel)
    scale, unit = fitting_unit(max(abs(low), top))
    low, top = low / scale, top / scale
    image, extent = _fewer_pixels(image)
    norm = Normalize(low, top) if knee is None else AsinhNorm(knee / scale, low, top)
    shown = axes.imshow(image / scale, origin="lower", norm=norm, cmap=colors, interpolation="nearest", extent=extent)
    bar = frame_image(axes, shown, ~result.dirty.blank, f"{unit}/{per}", "both" if panel == "residual" else "neither")
    if knee is not None:
        bar.set_ticks(asinh_ticks(norm))
        # Over many decades a tick has a prefix of its own.
        many = top > 2e4 * knee / scale
        bar.ax.yaxis.set_major_formatter(_prefixed(scale) if many else "{x:g}")
        bar.set_label(f"Jy/{per}" if many else f"{unit}/{per}")
    axes.set_title(title)
    label_axes(axes, result.dirty.wcs)
    _mark_sources(axes, result, labels, color="black" if panel == "residual" else None)
    _draw_beam(axes, result.dirty)
    return axes


def frame_image(axes, shown, there, label, extend="neither"):
    """Cut axes to where an image is not blank, and give it a colour bar of its height.

    Parameters
    ----------
    axes : `~matplotlib.axes.Axes`
    shown : matplotlib image
    there : 2D bool array
        Pixels that are not blank.
    label : str
        Unit of the colours.
    extend : str, optional
        As of a colour bar of matplotlib.

    Returns
    -------
    matplotlib colour bar
    """
    xlim, ylim = _limits(there)
    axes.set(xlim=xlim, ylim=ylim)
    # An image may be too wide to fill the height of its place.
    high = (1 - BAR - BESIDE) * axes.bbox.width * np.ptp(ylim) / np.ptp(xlim) / axes.bbox.height
    return axes.figure.colorbar(
        shown, ax=axes, label=label, fraction=BAR, pad=BESIDE, shrink=min(1, high), extend=extend
    )


def _limits(there):
    """First and last place in x and in y that are drawn: blank borders take no room."""
    columns, rows = (np.flatnonzero(there.any(axis)) for axis in (0, 1))
    return [(pixels[0] - EDGE, pixels[-1] + EDGE) for pixels in (columns, rows)]


def _fewer_pixels(image):
    """An image of no more pixels than a picture shows, of each block what is farthest from 0, and what it covers."""
    ny, nx = image.shape
    step = -(-max(ny, nx) // FINEST)
    if step == 1:
        return image, None
    blocks = np.full((-(-ny // step), -(-nx // step)), np.nan, image.dtype)
    for i, j in np.ndindex(step, step):
        part = image[i::step, j::step]
        there = blocks[: part.shape[0], : part.shape[1]]
        farther = (np.abs(part) > np.abs(there)) | np.isnan(there)
        there[farther] = part[farther]
    return blocks, (-0.5, blocks.shape[1] * step - 0.5, -0.5, blocks.shape[0] * step - 0.5)


def _panel(result, panel):
    """Title, image, unit of area, colours, and lowest and highest value and where colours become logarithmic."""
    dirty, rms = result.dirty, result.dirty.rms
    if panel == "dirty":
        # Without a PSF it is the image of CLEAN, as far as one can know.
        title, given = "Image" if dirty.psf is None else "Dirty image", dirty.data * dirty.relative_noise
        top = max(BRIGHTEST * rms, np.nanmax(given))
        return title, given, "beam", "gray", (FAINTEST * rms, top, KNEE * rms)
    if panel == "residual":
        return "Residual", result.residual.data, "beam", "RdBu_r", (-RESIDUAL * rms, RESIDUAL * rms, None)
    image = (result.image if panel == "reconstruction" else result.uncertainty).data
    finite, knee = image[np.isfinite(image)], rms / dirty.beam_area
    top = max(finite.max(initial=0), knee)
    if panel == "uncertainty":
        return "Uncertainty", image, "pixel", "viridis", (0, top, knee)
    return f"Reconstruction ({result.meta['aggregate']})", image, "pixel", "gray", (0, top, knee)


def _prefixed(scale):
    """Formatter of ticks that are in multiples of a Jansky."""
    in_jansky = EngFormatter(sep="\N{THIN SPACE}")
    return lambda value, _: in_jansky(value * scale)


def asinh_ticks(norm):
    """Ticks at 0, and at 1, 2 and 5 times powers of ten that are not too near to each other.

    Parameters
    ----------
    norm : ``matplotlib.colors.AsinhNorm``

    Returns
    -------
    list of float
        None is beyond the values of the norm.
    """
    powers = 10.0 ** np.arange(
        np.floor(np.log10(norm.linear_width)) - 1, np.log10(max(norm.vmax, norm.linear_width)) + 1
    )
    values = np.multiply.outer(powers, [1, 2, 5]).ravel()
    ticks, last = [0.0], norm(0)
    for value, place in zip(values, norm(values), strict=True):
        if value <= norm.vmax and place - last > 0.09:
            ticks.append(value)
            last = place
    if len(ticks) < 4:
        return [tick for tick in MaxNLocator(5).tick_values(norm.vmin, norm.vmax) if norm.vmin <= tick <= norm.vmax]
    return [-tick for tick in ticks[:0:-1] if -tick >= norm.vmin and norm(0) - norm(-tick) > 0.05] + ticks


def label_axes(axes, wcs):
    """Label coordinates, where the axes have them.

    Parameters
    ----------
    axes : `~matplotlib.axes.Axes`
    wcs : `~astropy.wcs.WCS`
    """
    if not hasattr(axes, "coords"):
        return
    for index, name in enumerate((wcs.wcs.lngtyp, wcs.wcs.lattyp)):
        axis = axes.coords[index]
        axis.set_axislabel(AXES.get(name, name), minpad=0.5)
        axis.set_ticks(number=4)
        if axis.get_format_unit() == u.hourangle:
            axis.set_separator(("h", "m", "s"))  # as superscripts, by default, they take a tenth of a picture's time
        axis.set_ticklabel(exclude_overlapping=True, size=8)


def _mark_sources(axes, result, labels, color):
    """Ellipses as large as the sources look, and names where there is room."""
    catalog, dirty = result.catalog, result.dirty
    scale = 3600 * proj_plane_pixel_area(dirty.wcs) ** 0.5
    sizes = catalog["major"].to_value(u.arcsec) / scale
    radii = np.maximum(1.2 * dirty.beam_pixels, 0.7 * sizes)
    for row, radius in zip(catalog, radii, strict=True):
        paint = color or reliability_color(row["reliability"]).replace("green", "lime")
        axes.add_patch(Ellipse((row["x"], row["y"]), 2 * radius, 2 * radius, fill=False, color=paint, lw=1.2))
    centres, taken = np.column_stack([catalog["x"], catalog["y"]]), []
    # Room for a name: of the picture's width and height, for letters of this size.
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    room = [0.22, 0.045] * (high - low)
    for row, centre, radius in zip(catalog, centres, radii, strict=True):
        if len(taken) == labels:
            break
        corners = centre + 0.8 * radius * SIDES
        starts = corners - np.where(SIDES < 0, room, 0)
        free = ((starts >= low) & (starts + room <= high)).all(1)
        for other in taken:
            free &= (np.abs(starts - other) >= room).any(1)
        if not free.any():
            continue
        # From the middle of each circle to the nearest of each room.
        nearest = np.clip(centres[:, None], starts, starts + room) - centres[:, None]
        crossed = (np.linalg.norm(nearest, axis=2) < radii[:, None]).sum(0)
        side = np.argmin(np.where(free, crossed, np.inf))
        taken.append(starts[side])
        axes.text(
            corners[side, 0], starts[side, 1], f"{row['source_id']} ({row['reliability']:.2f})", color="white", size=9,
            weight="bold", ha="left" if SIDES[side, 0] > 0 else "right", clip_on=True,
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )  # fmt: skip


def _draw_beam(axes, dirty):
    major, minor, angle = to_axes(dirty.beam_covariance)
    corner = axes.get_xlim()[0] + 1.5 * major, axes.get_ylim()[0] + 1.5 * major
    # Matplotlib's angles run from x to y.
    axes.add_patch(
        Ellipse(
            corner, major, minor, angle=90 - angle, facecolor="grey", edgecolor="white", lw=1,
            path_effects=[withStroke(linewidth=3, foreground="black")],  # seen on light and dark, and no source
        )
    )  # fmt: skip
