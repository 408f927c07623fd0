"""A picture of a cube: its sky at a glance, and the spectra of its brightest sources."""

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area
from matplotlib.colors import AsinhNorm
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from .plotting import FAINTEST, KNEE, asinh_ticks, frame_image, label_axes, result_figure
from .summary import fitting_unit

__all__ = ["plot_cube"]

SPECTRA = 4  # of how many sources
APART = 2.0  # beams between them
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7")  # Okabe & Ito (2008), told apart by all


def plot_cube(catalog, channels, model, restored):
    """Highest brightness and sum over the channels, and the spectra of the brightest sources.

    The cubes are read plane by plane.

    Parameters
    ----------
    catalog, channels : `~astropy.table.QTable`
        As of `~astro_ddpm_imager.CubeResult`.
    model, restored : path-like
        The products of these names.

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    with fits.open(restored, memmap=False) as cube:
        wcs = WCS(cube[0].header).celestial
        scale = 3600 * proj_plane_pixel_area(wcs) ** 0.5
        beam = np.nanmedian(np.sqrt((channels["beam_major"] * channels["beam_minor"]).value)) / scale
        places = _brightest(catalog, APART * beam)
        pixels = tuple(np.round([catalog[name][places] for name in ("y", "x")]).astype(int))
        highest, spectra = _highest(cube[0], pixels)
    with fits.open(model, memmap=False) as cube:
        total = _total(cube[0])
    rms = float(np.nanmedian(channels["rms"].value))
    figure = result_figure((13, 7.4))
    grid = figure.add_gridspec(2, 1, left=0.07, right=0.36, bottom=0.07, top=0.9, hspace=0.24)
    shown = (
        ("Highest of the channels", highest, "beam", rms),
        ("Reconstruction, sum of the channels", total, "pixel", rms * np.sqrt(len(channels)) / (1.133 * beam**2)),
    )
    for cell, (title, image, per, noise) in zip(grid, shown, strict=True):
        axes = figure.add_subplot(cell, projection=wcs)
        _draw_image(axes, image, per, noise, wcs)
        axes.set_title(title)
        for color, place in zip(COLORS, places, strict=False):
            at = catalog["x"][place], catalog["y"][place]
            axes.add_patch(Circle(at, 1.5 * beam, fill=False, color=color, lw=1.5))
    _draw_spectra(figure, channels, spectra, [catalog[place] for place in places])
    found, number, blank = len(catalog), len(channels), int(np.count_nonzero(channels["note"] != ""))
    title = f"{found} detection{'s' * (found != 1)} in {number} channel{'s' * (number != 1)}"
    figure.suptitle(title + (f", {blank} of them blank" if blank else ""))
    return figure


def _brightest(catalog, apart):
    """Rows of a catalogue, by falling S/N, that are some pixels from each other."""
    chosen = []
    for row in np.argsort(-np.asarray(catalog["snr"]), kind="stable"):
        x, y = catalog["x"][row], catalog["y"][row]
        if all(np.hypot(x - catalog["x"][other], y - catalog["y"][other]) > apart for other in chosen):
            chosen.append(int(row))
        if len(chosen) == SPECTRA:
            break
    return chosen


def _planes(hdu):
    """The planes of a cube, one at a time."""
    lengths = hdu.shape[:-2]
    for index in np.ndindex(*lengths):
        yield hdu.section[(*index, slice(None), slice(None))]


def _highest(hdu, pixels):
    """The highest of all channels in each pixel, and all channels of some pixels, shape (channels, n)."""
    highest, spectra = np.full(hdu.shape[-2:], np.nan, np.float32), []
    for plane in _planes(hdu):
        highest = np.fmax(highest, plane)
        spectra.append(plane[pixels])
    return highest, np.array(spectra)


def _total(hdu):
    """The sum of all channels; NaN where all are blank."""
    total, known = np.zeros(hdu.shape[-2:]), np.zeros(hdu.shape[-2:], bool)
    for plane in _planes(hdu):
        known |= np.isfinite(plane)
        total += np.nan_to_num(plane)
    return np.where(known, total, np.nan)


def _draw_image(axes, image, per, noise, wcs):
    low, top = (FAINTEST * noise if per == "beam" else 0), max(np.nanmax(image), 5 * noise)
    scale, unit = fitting_unit(top)
    norm = AsinhNorm(KNEE * noise / scale, low / scale, top / scale)
    shown = axes.imshow(image / scale, origin="lower", norm=norm, cmap="gray", interpolation="nearest")
    bar = frame_image(axes, shown, np.isfinite(image), f"{unit}/{per}")
    bar.set_ticks(asinh_ticks(norm))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    label_axes(axes, wcs)


def _draw_spectra(figure, channels, spectra, sources):
    """The brightness of some places in all channels, one above the other, and how many sources there are in each."""
    velocity = "velocity" in channels.colnames
    along = channels["velocity" if velocity else "frequency"]
    rms, edges = channels["rms"].value, _edges(along.value)
    grid = figure.add_gridspec(len(sources) + 1, 1, left=0.47, right=0.98, bottom=0.09, top=0.9, hspace=0.3)
    first = None
    for number, (row, color) in enumerate(zip(sources, COLORS, strict=False)):
        axes = figure.add_subplot(grid[number], sharex=first)
        first = first or axes
        values = spectra[:, number]
        scale, unit = fitting_unit(np.nanmax(np.abs(values)))
        axes.stairs(rms / scale, edges, baseline=-rms / scale, fill=True, color="0.88", lw=0)
        axes.axhline(0, color="0.5", lw=0.8)
        axes.stairs(values / scale, edges, baseline=None, color=color, lw=1.6)
        axes.set_ylabel(f"{unit}/beam")
        axes.set_title(f"{row['ra'].value:.5f}, {row['dec'].value:+.5f} deg", loc="left", size=9, pad=3)
        axes.tick_params(labelbottom=False)
    axes = figure.add_subplot(grid[-1], sharex=first)
    axes.stairs(channels["n_sources"], edges, baseline=None, color="black")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set(ylabel="sources", xlabel=f"{'velocity' if velocity else 'frequency'} ({along.unit})", ylim=(0, None))


def _edges(middles):
    """Where channels begin and end."""
    if len(middles) == 1:
        return middles[0] + np.array([-0.5, 0.5])
    inner = (middles[1:] + middles[:-1]) / 2
    return np.concatenate([[2 * middles[0] - inner[0]], inner, [2 * middles[-1] - inner[-1]]])
