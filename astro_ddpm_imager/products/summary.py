"""What is shown of a result at a glance: on a terminal and in a notebook."""

from html import escape

import astropy.units as u

from ..sources.catalog import SPECTRAL_COLUMNS

__all__ = ["brightness", "fitting_unit", "html_table", "result_html", "summary_table"]

SHOWN = ("source_id", "ra", "dec", "flux", "flux_err", "snr", "reliability", "x", "y", "flags")
FORMATS = {"ra": "%.6f", "dec": "%.6f", "reliability": "%.2f", "frequency": "%.6f"}  # else one decimal
ROWS = 15  # of a catalogue in a notebook
PREFIXES = {1e-9: "nJy", 1e-6: "µJy", 1e-3: "mJy", 1.0: "Jy", 1e3: "kJy"}


def brightness(value):
    """A brightness as people write it.

    Parameters
    ----------
    value : float
        Jy/beam.

    Returns
    -------
    str
        Such as ``47.1 µJy/beam``.
    """
    from matplotlib.ticker import EngFormatter  # here, because it takes a third of a second

    return EngFormatter("Jy/beam", places=1)(value)


def fitting_unit(value):
    """The multiple of a Jansky in which a value is from 1 to 1000.

    Parameters
    ----------
    value : float
        Jy.

    Returns
    -------
    scale : float
    unit : str
    """
    fitting = [scale for scale in PREFIXES if scale <= value] or [min(PREFIXES)]
    return max(fitting), PREFIXES[max(fitting)]


def summary_table(catalog):
    """The columns of a catalogue that are looked at first, rounded.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`

    Returns
    -------
    `~astropy.table.QTable`
        Fluxes in the unit that fits the brightest; of a cube, with channel, frequency and velocity.
    """
    table = catalog[[name for name in catalog.colnames if name in (*SPECTRAL_COLUMNS, *SHOWN)]]
    _, unit = fitting_unit(table["flux"].to_value(u.Jy).max(initial=0) / 100)
    for name in ("flux", "flux_err"):
        table[name] = table[name].to(u.Unit(unit))
    for name in (*SHOWN[1:-1], *({"frequency", "velocity"} & set(table.colnames))):
        table[name].info.format = FORMATS.get(name, "%.1f")
    return table


def html_table(title, rows):
    """A table of names and values for a notebook.

    Parameters
    ----------
    title : str
    rows : dict

    Returns
    -------
    str
    """
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(str(name))}</th><td style='text-align:left'>{escape(str(value))}"
        "</td></tr>"
        for name, value in rows.items()
    )
    return f"<div><b>{escape(title)}</b><table>{cells}</table></div>"


def result_html(result):
    """A result for a notebook: what was made of what, and the first sources.

    Parameters
    ----------
    result : `~astro_ddpm_imager.result.ImagingResult`

    Returns
    -------
    str
    """
    dirty, meta, catalog = result.dirty, result.meta, result.catalog
    (ny, nx), beam = dirty.shape, dirty.beam
    major, minor = (axis.to_value(u.arcsec) for axis in (beam.major, beam.minor))
    residual = f"not noise: {', '.join(result.fit.misfits)}" if result.fit.misfits else "noise"
    rows = {
        "image": f"{meta['input']}, {nx} x {ny} pixels",
        "PSF, primary beam": f"{meta['psf']}, {meta['pb']}",
        "beam": f"{major:.3g} x {minor:.3g} arcsec at {beam.pa.to_value(u.deg):.0f} deg",
        "noise": brightness(dirty.rms),
        "samples": f"{meta['n_samples']} of model {meta['model']}, seed {meta['seed']}",
        "residual": f"{residual} (reduced χ² {result.fit.chi2:.3g})",
        "sources": len(catalog),
    }
    first = summary_table(catalog[:ROWS])._repr_html_() if len(catalog) else ""
    more = f"<p>{len(catalog) - ROWS} more in <code>result.catalog</code></p>" if len(catalog) > ROWS else ""
    return html_table("ImagingResult", rows) + first + more
