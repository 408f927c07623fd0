"""The figures of a report."""

import itertools

import astropy.units as u
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ..errors import printable
from .run import MATCHED_FILTER, OURS, RISING_FILTER
from .scores import NOISE
from .summary import BLEND_BEAMS, FAINT_SNR

__all__ = ["STYLE", "draw_figures"]

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "astro_ddpm_imager",
}
BLUE, GREY = "#1f5f99", "0.45"
COLORS = (BLUE, "0.35", "#d9822b", "#3a8f5c", "#8a5aa8", "#b5446e")
MARKERS = ("o", "s", "^", "D", "v", "P")
RATES = {"purity": ("purity", "#d9822b"), "completeness": ("completeness", "#3a8f5c"), "f1": ("F1", BLUE)}
CAUSES = {"blend": "#c0392b", "outside half power": "#d9822b", "none of these": BLUE}


def draw_figures(summary, tables):
    """Draw all figures of a report.

    Parameters
    ----------
    summary : `~astro_ddpm_imager.evaluate.summary.Summary`
    tables : dict of `~astropy.table.Table`
        Of the report, by name.

    Returns
    -------
    dict of `~matplotlib.figure.Figure`
        By name; a figure that has nothing to show is left out.
    """
    figures = {}
    for name, (draw, table) in FIGURES.items():
        shown = summary.candidates if table == "candidates" else tables[table]
        if len(shown):
            with rc_context(STYLE):
                figures[name] = draw(summary, shown)
                figures[name].supxlabel(_protocol(summary), size=8, color=GREY, x=0.99, ha="right", parse_math=False)
    return figures


def _protocol(summary):
    n, folder = len(summary.fields), printable(summary.settings["fields_in"])
    return (
        f"{summary.settings['noise_protocol']} noise; {n} field{'s' * (n != 1)} of {folder}/, "
        f"{len(summary.truth)} sources; matching radius {summary.radius.value:.2f}″; 95% intervals"
    )


def _band(axes, x, table, name, color, label, **style):
    """A line with its interval."""
    value, low, high = (_filled(table, f"{name}{end}") for end in ("", "_low", "_high"))
    axes.plot(x, value, color=color, label=label, **style)
    axes.fill_between(x, low, high, color=color, alpha=0.15, lw=0)


def _errors(axes, x, table, name, color, label, marker="o"):
    """Points with their intervals."""
    value, low, high = (_filled(table, f"{name}{end}") for end in ("", "_low", "_high"))
    # A percentile interval of few fields need not hold the value itself.
    spread = np.clip([value - low, high - value], 0, None)
    axes.errorbar(
        x, value, np.nan_to_num(spread), fmt=marker, color=color, label=label, ms=5, lw=1.2, mfc="white", mew=1.4
    )


def _filled(table, name):
    return np.ma.filled(np.ma.asarray(table[name]).astype(float), np.nan)


def _by_snr(summary, table):
    figure = Figure(figsize=(9, 6.6), layout="constrained")
    panels = figure.subplots(2, 2)
    labels = {
        "completeness": ("Completeness", "true S/N"),
        "purity": ("Purity", "S/N in the catalogue"),
        "flux_bias_uJy": ("Median flux bias (µJy)", "true S/N"),
        "flux_rms_uJy": ("Rms flux error (µJy)", "true S/N"),
    }
    methods = list(dict.fromkeys(table["method"]))
    edges = sorted(set(table["snr_from"]) | set(table["snr_to"]))
    places = {low: k for k, low in enumerate(edges[:-1])}
    for axes, (name, (title, below)) in zip(panels.flat, labels.items(), strict=True):
        for k, method in enumerate(methods):
            rows = table[table["method"] == method]
            shift = 0.16 * (k - (len(methods) - 1) / 2)
            x = np.array([places[low] for low in rows["snr_from"]]) + shift
            _errors(axes, x, rows, name, COLORS[k], _label(method), MARKERS[k])
        axes.set_xticks(range(len(places)), [_bin(low, high) for low, high in itertools.pairwise(edges)])
        axes.set(xlabel=below, ylabel=title)
        axes.grid(axis="x", visible=False)
        if name in ("completeness", "purity"):
            axes.set_ylim(-0.03, 1.03)
        else:
            axes.axhline(0, color="0.6", lw=0.8)
    # Names of methods are long: in one row, more than three are wider than the figure.
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=min(len(methods), 3))
    return figure


def _bin(low, high):
    return f">{low:g}" if high > 1000 else f"{low:g}-{high:g}"


def _label(method):
    names = {
        OURS: "this package",
        MATCHED_FILTER: "matched filter, best threshold",
        RISING_FILTER: "matched filter, best threshold that rises with 1 - pb",
    }
    return names.get(method, method)


def _rates(axes, x, table):
    for name, (label, color) in RATES.items():
        _band(axes, x, table, name, color, label, lw=2 if name == "f1" else 1.4)
    axes.set_ylim(0, 1.02)


def _by_threshold(summary, table):
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    _rates(axes, table["reliability"], table)
    axes.axvline(summary.threshold, color=GREY, ls=":", lw=1.2)
    axes.annotate(
        " default", (summary.threshold, 1.02), xycoords=("data", "axes fraction"), color=GREY, size=9, va="bottom",
        ha="center",
    )  # fmt: skip
    axes.set(xlabel="lowest reliability in the catalogue", xlim=(0, 1))
    axes.legend(loc="lower center", ncols=3)
    return figure


def _by_samples(summary, table):
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    number = np.array(table["samples"])
    _rates(left, number, table)
    left.legend(loc="lower right", ncols=3)
    for name, label, color in (
        ("flux_rms_uJy", "rms error", BLUE),
        ("flux_bias_uJy", "median bias", "#d9822b"),
    ):
        _band(right, number, table, name, color, label, lw=1.6)
    right.axhline(0, color="0.6", lw=0.8)
    right.legend(loc="best")
    right.set(ylabel="flux (µJy)")
    for axes in (left, right):
        axes.set(xlabel="number of samples", xlim=(number[0], max(number[-1], number[0] + 1)))
        axes.xaxis.get_major_locator().set_params(integer=True)
    left.set_title("detect-aggregate, in as many samples as is best")
    return figure


def _reliability_snr(summary, candidates):
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    true = np.asarray(candidates["true"])
    snr = np.asarray(candidates["snr"], dtype=float).clip(0.05)
    reliability = np.asarray(candidates["reliability"])
    axes.scatter(
        snr[~true], reliability[~true], s=14, marker="x", color="0.6", lw=0.9, label=f"false ({(~true).sum()})",
        rasterized=True,
    )  # fmt: skip
    axes.scatter(snr[true], reliability[true], s=22, color=BLUE, ec="white", lw=0.5, label=f"true ({true.sum()})")
    axes.axhline(summary.threshold, color=GREY, ls=":", lw=1.2)
    axes.annotate(
        "default threshold", (1, summary.threshold), xycoords=("axes fraction", "data"), color=GREY, size=9,
        ha="right", va="bottom",
    )  # fmt: skip
    axes.set(xscale="log", xlabel="S/N in the catalogue", ylabel="reliability", ylim=(-0.02, 1.03))
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 1000) if snr.min() <= tick <= snr.max()]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.legend(loc="upper left", title="candidates")
    return figure


def _flux_flux(summary, sources):
    figure = Figure(figsize=(8.3, 5.4), layout="constrained")
    axes = figure.add_subplot()
    found = sources[sources["found"]]
    true, seen, error = (found[name].to_value(u.uJy) for name in ("flux", "found_flux", "found_flux_err"))
    top = 1.08 * max([*(seen + np.nan_to_num(error)), *sources["flux"].to_value(u.uJy), 2 * NOISE.to_value(u.uJy)])
    line, noise = np.array([0, top]), NOISE.to_value(u.uJy)
    axes.fill_between(line, line - noise, line + noise, color="0.9", lw=0, label=f"± {noise:g} µJy")
    axes.plot(line, line, color="0.4", lw=1)
    for cause, color in (*CAUSES.items(), (f"S/N below {FAINT_SNR:g}", "0.35")):
        chosen = np.asarray(found["cause"]) == cause
        if chosen.any():
            axes.errorbar(
                true[chosen], seen[chosen], np.nan_to_num(error[chosen]), fmt="o", ms=5, lw=0.9, color=color,
                mfc="white", mew=1.3, label=_cause(cause),
            )  # fmt: skip
    missed = sources["flux"][~sources["found"]].to_value(u.uJy)
    axes.plot(missed, np.zeros(len(missed)), "|", color="0.5", ms=9, label="not found", clip_on=False)
    axes.set(
        xlim=(0, top), ylim=(0, top), xlabel="true flux (µJy)", ylabel="catalogued flux (µJy)", aspect="equal"
    )  # fmt: skip
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure


def _cause(cause):
    labels = {"blend": f"blend (within {BLEND_BEAMS:g} beams)", "none of these": "isolated, inner field"}
    return labels.get(cause, cause)


def _flux_causes(summary, sources):
    figure = Figure(figsize=(6.8, 3.9), layout="constrained")
    axes = figure.add_subplot()
    causes = sources.meta["causes"]
    found = sources[sources["found"]]
    error = (found["found_flux"] - found["flux"]).to_value(u.uJy)
    noise = NOISE.to_value(u.uJy)
    axes.axvspan(-noise, noise, color="0.93", lw=0)
    axes.axvline(0, color="0.4", lw=1)
    rng = np.random.default_rng(0)
    for row, cause in enumerate(causes[::-1]):
        values = error[np.asarray(found["cause"]) == cause]
        axes.scatter(
            values, row + rng.uniform(-0.16, 0.16, len(values)), s=18, color=CAUSES.get(cause, "0.35"), alpha=0.65, lw=0
        )
        if len(values):
            axes.plot([np.median(values)] * 2, [row - 0.32, row + 0.32], color="black", lw=2)
    labels = [f"{_cause(cause)}\n{(np.asarray(found['cause']) == cause).sum()} found" for cause in causes[::-1]]
    axes.set_yticks(range(len(causes)), labels)
    axes.set(xlabel="catalogued minus true flux (µJy); bar: median; grey: ± 50 µJy", ylim=(-0.6, len(causes) - 0.4))
    axes.grid(axis="y", visible=False)
    return figure


def _reliability_diagram(summary, table):
    figure = Figure(figsize=(5.4, 6.4), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color="0.4", lw=1)
    _errors(axes, np.asarray(table["reliability"]), table, "true_fraction", BLUE, None)
    axes.set(ylabel="fraction that is true", ylim=(-0.03, 1.03))
    width = np.asarray(table["reliability_to"]) - np.asarray(table["reliability_from"])
    below.bar(table["reliability_from"], table["candidates"], width, align="edge", color="0.75", ec="white")
    below.set(yscale="log", ylabel="candidates", xlabel="reliability", xlim=(-0.03, 1.03))
    below.set_ylim(0.7)
    below.yaxis.set_major_formatter("{x:g}")
    below.yaxis.set_ticks([], minor=True)
    return figure


def _coverage(summary, table):
    figure = Figure(figsize=(8.2, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0.3, 1], [0.3, 1], color="0.4", lw=1)
    quantities = list(dict.fromkeys(table["quantity"]))
    colors = ("#1f5f99", "#3a8f5c", "#d9822b", "#8a5aa8", "#c0392b", "0.35", "0.6")
    for k, name in enumerate(quantities):
        rows = table[table["quantity"] == name]
        x = np.asarray(rows["level"]) + 0.006 * (k - (len(quantities) - 1) / 2)
        _errors(axes, x, rows, "coverage", colors[k % len(colors)], f"{name} ({rows['number'][0]})", "osD^v<>"[k % 7])
    axes.set(xlabel="probability of the interval", ylabel="fraction of true values inside")
    axes.set(xlim=(0.45, 1), ylim=(0, 1.03))
    axes.set_xticks([0.5, 0.68, 0.9, 0.95])
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure


def _ranks(summary, table):
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, row in zip(figure.subplots(1, len(table), squeeze=False)[0], table, strict=True):
        counts, expected = np.asarray(row["counts"]), np.asarray(row["expected"])
        places, spread = np.arange(len(counts)), np.sqrt(expected)
        edges = np.repeat(places, 2) + np.tile([-0.5, 0.5], len(places))
        low, high = (np.repeat(bound, 2) for bound in ((expected - 2 * spread).clip(0), expected + 2 * spread))
        axes.fill_between(edges, low, high, color="0.87", lw=0)
        axes.plot(edges, np.repeat(expected, 2), color="0.4", lw=1)
        axes.vlines(places, 0, counts, color=BLUE, lw=2)
        axes.plot(places, counts, "o", color=BLUE, ms=6)
        axes.set_ylim(0)
        p = "" if np.ma.is_masked(row["p"]) else f": p = {row['p']:.2g}"
        axes.set(title=f"{row['quantity']} ({row['number']}){p}", xlabel="rank of the truth")
        axes.set_xticks(places[[0, -1]], ["lowest", "highest"])
        axes.grid(axis="x", visible=False)
    return figure


#: What draws each figure, and from which table.
FIGURES = {
    "metrics_snr": (_by_snr, "by_snr"),
    "metrics_threshold": (_by_threshold, "by_threshold"),
    "metrics_samples": (_by_samples, "by_samples"),
    "reliability_snr": (_reliability_snr, "candidates"),
    "flux_flux": (_flux_flux, "sources"),
    "flux_causes": (_flux_causes, "sources"),
    "reliability_diagram": (_reliability_diagram, "reliabilities"),
    "coverage": (_coverage, "coverages"),
    "ranks": (_ranks, "ranks"),
}
