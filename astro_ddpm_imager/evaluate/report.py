"""The report: one self-contained HTML file, and its numbers as ECSV and JSON."""

import base64
import io
import json
from html import escape
from os import PathLike
from pathlib import Path
from string import Template

import astropy.units as u
import numpy as np
from astropy.table import Column
from matplotlib import rc_context

from ..errors import EvaluationError
from ..home import expanded
from ..products.catalog_files import write_ecsv
from ..products.folders import scratch_folder
from ..products.writing import check_kept
from ..whole_files import made_folder, saying_where
from . import calibration_tables
from .figures import STYLE, draw_figures
from .finders import DEPTH, THRESH_ISL, THRESH_PIX
from .run import Evaluation
from .scores import NOISE
from .summary import AUTHORS_RADIUS, BLEND_BEAMS, FAINT_SNR, Summary

__all__ = ["SECTIONS", "make_tables", "rounded", "write_report"]

#: Of the report, in order: title, what it says, figures, tables.
SECTIONS = (
    (
        "Scores",
        "Purity, completeness and F1 of the published catalogues; of the matched sources the fraction of fluxes within "
        f"{NOISE.value:g} µJy of the truth, the noise of Drozdova et al. 2024 (flux within noise), the median, half of "
        "the central 68% and the root mean square of the flux errors, and the median position error. The "
        "matched filter knows PSF, noise and mean source shape, and has "
        "the threshold that is best on these very fields; it is not told that sources are more likely near the "
        "pointing centre, which the model has learnt. With a threshold that rises with 1 - pb, pb being the primary "
        f"beam, and the best slope on these very fields, it is. Where they are installed, PyBDSF has "
        f"thresh_pix={THRESH_PIX:g} and thresh_isl={THRESH_ISL:g}; tclean and WSClean clean the MeasurementSet, "
        f"naturally weighted and without a mask, down to {DEPTH:g} times the noise, before it looks at their restored "
        "images. Programs that ran on some of the fields only have a row of this package on the same fields beside "
        "them.",
        (),
        ("scores", "seconds"),
    ),
    (
        "Against S/N",
        "S/N is the peak in the noiseless dirty image over the noise. The number catalogued, and how many of them are "
        f"true, are in bins of the S/N that each catalogue itself gives. The first table has all above {FAINT_SNR}.",
        ("metrics_snr",),
        ("above_snr", "by_snr"),
    ),
    (
        "Against the reliability threshold",
        "Which sources of this package are kept.",
        ("metrics_threshold", "reliability_snr"),
        ("by_threshold",),
    ),
    (
        "Against the number of samples",
        "The first samples of the same draw. A source counts if it is in so many of them as is needed for the best F1 "
        "on these very fields; the catalogue itself knows more than this fraction.",
        ("metrics_samples",),
        ("by_samples",),
    ),
    (
        "Aggregation",
        "Single: sources detected in one sample; mean and median: detected in the aggregate, with fluxes and "
        "reliabilities from the samples; detect-aggregate: detected in each sample and merged. MSE, in (µJy/pixel)², "
        "PSNR and SSIM are those of the aggregated image. Of it at the resolution of the beam, times the primary beam, "
        "the report has nrmse, the root of the mean squared error over that of the mean squared truth, too, and "
        "flux_ratio, that of the totals.",
        (),
        ("aggregation",),
    ),
    (
        "Fluxes",
        f"A blend is a true source with another one within {BLEND_BEAMS:g} beams; each source is counted under the "
        "first cause that holds.",
        ("flux_flux", "flux_causes"),
        ("causes", "blends"),
    ),
    (
        "Calibration",
        "Of the candidates with a reliability of 0.8, eight in ten should exist; the truth should lie in the 68% "
        "interval of flux and position in 68% of the cases. The calibration error of few candidates is not 0 by chance "
        "alone. Pixels: brightness in a beam, wherever the samples differ by more than a tenth of the noise, in "
        "quantiles of the samples, and in their standard deviations from their mean, which are wider: most of these "
        "pixels are empty in most samples, which is far from Gaussian.",
        ("reliability_diagram", "coverage"),
        ("calibration_errors", "reliabilities", "coverages"),
    ),
    (
        "Rank test",
        "If the samples follow the posterior, and the fields what the model was trained on, then every rank of the "
        "truth among the samples is as likely as any other (simulation-based calibration). Peaks are the five highest "
        "of each dirty image, which go together a little. Grey: two standard deviations. There is a p where a "
        "chi-squared test has enough fields. Fields of one recipe are narrower than what the model was trained on, and "
        "fail the test if there are enough of them.",
        ("ranks",),
        ("ranks",),
    ),
)
PAGE = Template(
    """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title><style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { font-weight: 600; line-height: 1.2; } h2 { margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1rem; }
p { max-width: 48rem; } img { max-width: 100%; display: block; margin: 1rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; white-space: nowrap; }
th, td { padding: 2px 9px; text-align: right; border-bottom: 1px solid #eee; } th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; } td span { color: #888; font-size: 11px; }
summary { cursor: pointer; color: #1f5f99; } code { background: #f4f4f4; padding: 1px 4px; }
</style></head><body><h1>$title</h1>$body</body></html>
"""
)
INTERVAL, NOT_DEFINED = " [", "\N{EM DASH}"
ON = ("threads", "provider")
LONG_TABLE = 14  # rows; longer ones are folded


def make_tables(summary):
    """All tables of a report.

    Parameters
    ----------
    summary : `~astro_ddpm_imager.evaluate.summary.Summary`

    Returns
    -------
    dict of `~astropy.table.Table`
    """
    names = ("scores", "seconds", "aggregation", "above_snr", "by_snr", "by_threshold", "by_samples")
    tables = {name: getattr(summary, name)() for name in (*names, "causes", "blends", "sources")}
    for name in ("reliabilities", "calibration_errors", "coverages", "ranks"):
        tables[name] = getattr(calibration_tables, name)(summary)
    return tables


def write_report(evaluation: Evaluation, output: str | PathLike[str], radius: u.Quantity | None = None) -> Path:
    """Write the report of an evaluation.

    ``report.html`` with all figures and tables, ``report.json`` with all
    numbers, ``TABLE.ecsv`` for each table, ``candidates.ecsv`` with every
    candidate and whether it is true, without calibration ``calibration.json`` as
    `~astro_ddpm_imager.evaluate.fit_calibration` fits it, and the figures as
    ``figures/NAME.svg``.

    Parameters
    ----------
    evaluation : `~astro_ddpm_imager.evaluate.Evaluation`
    output : path-like
        Folder, made if needed; what is there is replaced.
    radius : `~astropy.units.Quantity`, optional
        Matching radius; by default half of the mean beam. The scores are also
        given for half of the mean beam and for 0.18 arcsec, that of Drozdova
        et al. 2024.

    Returns
    -------
    `~pathlib.Path`
        Of ``report.html``.

    Raises
    ------
    EvaluationError
        The radius is no positive angle.
    SettingError
        A table would replace that of the truth; a kind of `ValueError`.
    """
    output, summary = expanded(output, EvaluationError, "output"), Summary(evaluation, radius)
    made_folder(output)
    with saying_where(output), scratch_folder(output) as scratch:
        _write_parts(summary, evaluation.settings, scratch)
        (output / "figures").mkdir(exist_ok=True)
        written = {path: output / path.relative_to(scratch) for path in sorted(scratch.rglob("*.*"))}
        check_kept(written.values(), [] if evaluation.truth_path is None else [evaluation.truth_path])
        for path, target in written.items():  # all of them, once there are no more to be made
            path.replace(target)
    return output / "report.html"


def _write_parts(summary, settings, output):
    (output / "figures").mkdir()
    tables = make_tables(summary)
    for name, table in {**tables, "candidates": summary.candidates}.items():
        write_ecsv(table, output / f"{name}.ecsv")
    about = {**settings, **_about(summary)}
    numbers = {"settings": about, **{name: _rows(table) for name, table in tables.items() if name != "sources"}}
    (output / "report.json").write_text(json.dumps(numbers, indent=1) + "\n")
    if not summary.settings["calibrated"]:
        fitted = calibration_tables.fit_calibration(summary)
        (output / "calibration.json").write_text(json.dumps(fitted, indent=1) + "\n")
    pictures = {}
    for name, figure in draw_figures(summary, tables).items():
        picture = io.BytesIO()
        with rc_context(STYLE):
            figure.savefig(picture, format="svg", metadata={"Date": None})
        pictures[name] = picture.getvalue()
        (output / "figures" / f"{name}.svg").write_bytes(pictures[name])
    (output / "report.html").write_text(_html(about, tables, pictures), encoding="utf-8")


def _about(summary):
    return {
        "fields": len(summary.fields),
        "failed": summary.evaluation.failures.names,
        "sources": len(summary.truth),
        "radius_arcsec": float(summary.radius.value),
        "beam_arcsec": float(summary.beam.value),
        "matched_filter_significance": round(float(summary.significance), 2),
        "rising_filter_significance": None if summary.slope is None else round(float(summary.rising_significance), 2),
        "rising_filter_slope": None if summary.slope is None else float(summary.slope),
        **{name: _all_of(measured[name] for measured in summary.evaluation.measured.values()) for name in ON},
    }


def _all_of(values):
    """What differs from field to field where a run was resumed."""
    return " and ".join(sorted({str(value) for value in values}))


def _rows(table):
    """A table as a list of dicts with None for what is masked."""
    return [
        {name: None if np.ma.is_masked(row[name]) else np.asarray(row[name]).tolist() for name in table.colnames}
        for row in table
    ]  # fmt: skip


def _html(about, tables, pictures):
    settings = ", ".join(f"{escape(str(key))} <code>{escape(str(value))}</code>" for key, value in about.items())
    body = [
        f"<p>{about['fields']} fields with {about['sources']} sources, under <b>{escape(about['noise_protocol'])} "
        f"noise</b>; every figure and number is. Matching radius {about['radius_arcsec']:.3g}″, where nothing else is "
        f"said; half a beam and that of the paper, {AUTHORS_RADIUS.value:g}″, are among the scores. Intervals are 95%, "
        f"from drawing the fields again (bootstrap), or Wilson's for fractions in bins, which hold few. A dash is "
        f"what is not defined.{_failed(about)}</p><details><summary>Settings</summary><p>{settings}</p></details>"
    ]
    for title, text, figures, shown in SECTIONS:
        body.append(f"<h2>{title}</h2><p>{escape(text)}</p>")
        for name in figures:
            if name in pictures:
                code = base64.b64encode(pictures[name]).decode()
                body.append(f'<img alt="{escape(title)}" src="data:image/svg+xml;base64,{code}">')
        for name in shown:
            table = _html_table(tables[name])
            caption = f"{name.replace('_', ' ')}, {len(tables[name])} rows"
            folded = len(tables[name]) > LONG_TABLE
            body.append(f"<details><summary>{caption}</summary>{table}</details>" if folded else table)
    return PAGE.substitute(title=f"How good the sources in {escape(about['fields_in'])}/ are", body="\n".join(body))


def _failed(about):
    return f" <b>Fields that could not be used are left out: {escape(about['failed'])}.</b>" if about["failed"] else ""


def _html_table(table):
    if not len(table):
        return "<p>None.</p>"
    columns = rounded(table)
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
    rows = zip(*columns.values(), strict=True)
    body = "".join(f"<tr>{''.join(f'<td>{_small(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _small(cell):
    value, bracket, interval = escape(cell).partition(INTERVAL)
    return f"{value} <span>[{interval}</span>" if bracket else value


def rounded(table):
    """The cells of a table as anyone reads them.

    Parameters
    ----------
    table : `~astropy.table.Table`

    Returns
    -------
    dict of list of str
        By column; intervals stand in brackets behind their values, and a dash
        for what is not defined.
    """
    columns = {}
    for name in table.colnames:
        if name.endswith(("_low", "_high")) and name.rsplit("_", 1)[0] in table.colnames:
            continue
        ends = [table[f"{name}{end}"] for end in ("_low", "_high") if f"{name}{end}" in table.colnames]
        cells = [_degrees(value) if name.endswith("_deg") else _cell(value) for value in table[name]]
        if ends:
            pairs = zip(cells, *ends, strict=True)
            cells = [
                text if np.ma.is_masked(low) else f"{text}{INTERVAL}{_cell(low)}, {_cell(high)}]"
                for text, low, high in pairs
            ]  # fmt: skip
        columns[name] = cells
    return columns


def _degrees(value):
    return f"{value:.5f}"


def _cell(value):
    if np.ma.is_masked(value):
        return NOT_DEFINED
    if isinstance(value, np.ndarray | Column):
        return " ".join(f"{item:.3g}" for item in np.asarray(value))
    if isinstance(value, float | np.floating):
        if value == 0 or 1e-3 <= abs(value) <= 1:
            return f"{value:.3f}"
        return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"
    return str(value)
