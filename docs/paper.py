"""Make docs/paper.rst: the tables of Drozdova et al. 2024, measured again, under shared and under independent noise.

python -m export.casa_fields runs/paper/casa_grid --fields 60 --seed 41 --shared-noise --grid 1
python docs/paper.py --shared runs/paper/casa_grid --independent ../shared/casa_fields

An interrupted run goes on from there. What is kept of the reports lies in docs/paper; without folders the page is made
of that. What other programs find is measured once; remove docs/paper/*_others.json to have it again.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable, vstack

from astro_ddpm_imager.cli import main as command_line
from astro_ddpm_imager.evaluate import OURS, scores_with_intervals
from astro_ddpm_imager.evaluate.bootstrap import FieldBootstrap
from astro_ddpm_imager.evaluate.fields import read_folder
from astro_ddpm_imager.evaluate.finders import FINDERS
from astro_ddpm_imager.evaluate.images import true_sky
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields
from astro_ddpm_imager.sources.detection import SHARP, detect

HERE = Path(__file__).parent
KEPT, TEXT, PAGE = HERE / "paper", HERE / "paper.txt", HERE / "paper.rst"
GAMMAS = (1, 2, 10, 20, 30)
RADIUS = 0.18 * u.arcsec  # of the paper
THRESHOLD = 0.2  # of the models, in units of the noise
PYBDSF = FINDERS[0].name
PWV, VAPOUR = 1.796, (1, 2, 3)  # mm, and multiples of it
VAPOUR_PAPER = {1: 95.0, 3: 75.0}  # completeness, %
FIGURES = {
    "metrics_threshold": "Scores against the threshold of reliability, gamma = 2",
    "reliability_snr": "Reliability against S/N, gamma = 2",
    "metrics_samples": "Scores against the number of runs, gamma = 2",
    "flux_flux": "Flux against flux, gamma = 2",
    "flux_causes": "Flux errors by cause, gamma = 2",
    "metrics_snr": "Scores against S/N, gamma = 2",
}
# Purity, completeness and F1 in %, and the fraction of the fluxes within 50 uJy, of their table.
PAPER = {
    (1, "single"): (100.00, 44.97, 62.04, 0.048), (1, "detect-aggregate"): (100.00, 53.52, 69.72, 0.015),
    (1, "mean"): (99.60, 93.11, 96.24, 0.85), (1, "median"): (99.83, 90.84, 95.12, 0.66),
    (2, "single"): (97.45, 96.71, 97.08, 0.88), (2, "detect-aggregate"): (98.33, 97.88, 98.10, 0.97),
    (2, "mean"): (97.88, 97.80, 97.84, 0.96), (2, "median"): (99.30, 97.05, 98.16, 0.97),
    (10, "single"): (98.66, 94.66, 96.62, 0.71), (10, "detect-aggregate"): (98.90, 95.69, 97.27, 0.89),
    (10, "mean"): (98.51, 95.23, 96.84, 0.92), (10, "median"): (99.29, 94.78, 96.98, 0.93),
    (20, "single"): (98.26, 94.43, 95.81, 0.53), (20, "detect-aggregate"): (99.52, 94.70, 97.05, 0.72),
    (20, "mean"): (99.52, 93.64, 96.49, 0.82), (20, "median"): (99.52, 93.79, 96.57, 0.83),
    (30, "single"): (98.58, 93.46, 94.93, 0.47), (30, "detect-aggregate"): (99.20, 94.10, 96.58, 0.66),
    (30, "mean"): (98.80, 93.41, 96.03, 0.74), (30, "median"): (98.81, 94.25, 96.47, 0.75),
}  # fmt: skip
OTHERS = {
    PYBDSF: (72.18, 20.82, 32.31, None),
    "PyBDSF, noiseless dirty image": (99.04, 77.82, 87.16, None),
    "photutils, true sky": (99.70, 99.10, 99.40, None),
    "uv-plane network, Taran et al. 2023": (91.02, 74.14, 81.72, None),
}
LABELS = {
    "single": "single",
    "detect-aggregate": "detect-aggregate, fraction of samples",
    "mean": "mean",
    "median": "median",
}


def evaluate(name, folder, protocol, model, reports, options):
    """Measure one model on a folder of fields, and keep what the tables need."""
    report, sampler = reports / name, "unipc" if model == "default" else "ddpm"
    status = command_line([
        "evaluate", str(folder), "--model", model, "--sampler", sampler, "--insist", "--quiet",
        "--radius", str(RADIUS.value), "--noise-protocol", protocol, "--output", str(report), *options,
    ])  # fmt: skip
    if status:
        sys.exit(status)
    whole = json.loads((report / "report.json").read_text())
    ours = [row for row in whole["scores"] if row["method"] == OURS and row["radius_arcsec"] == RADIUS.value]
    by_snr = [row for row in whole["by_snr"] if row["method"] == OURS]
    noise = QTable.read(folder / "truth.ecsv").meta.get("rms_uJy")
    parts = {part: whole[part] for part in ("settings", "aggregation")}
    write(name, parts | {"scores": ours[0], "by_snr": by_snr, "rms_uJy": noise})
    if name == "shared_gamma2":
        for figure in FIGURES:
            shutil.copyfile(report / "figures" / f"{figure}.svg", KEPT / f"{figure}.svg")


def measure_vapour(reports, options):
    """Gamma 2 on fields with more water vapour than those of the training: the same noise, but louder."""
    for factor in VAPOUR:
        folder = reports / f"fields_vapour{factor}"
        if not (folder / "truth.ecsv").exists():
            status = command_line([
                "simulate", "--shared-noise", "--grid", "1", "--fields", "30", "--seed", "43", "--quiet",
                "--pwv", str(factor * PWV), "--output-dir", str(folder),
            ])  # fmt: skip
            if status:
                sys.exit(status)
        evaluate(f"vapour{factor}_gamma2", folder, "shared", "paper-gamma2", reports, options)


def write(name, content):
    """Keep a part of a report, without the digits that nobody reads."""
    text = json.dumps(json.loads(json.dumps(content), parse_float=lambda digits: float(f"{float(digits):.6g}")))
    (KEPT / f"{name}.json").write_text(text + "\n")


def read(name):
    """What is kept of a report, or None."""
    path = KEPT / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def measure_others(folder, protocol, fields):
    """PyBDSF with and, where it is known, without the noise, and photutils on the true sky."""
    inputs, truth = read_folder(folder, noise_protocol=protocol)
    inputs = dict(list(inputs.items())[:fields])
    truth = truth[np.isin(truth["field"], list(inputs))]
    with tempfile.TemporaryDirectory() as work:
        catalogs = {"photutils, true sky": [on_true_sky(files, truth, number) for number, files in inputs.items()]}
        if FINDERS[0].missing() is None:
            with FINDERS[0].started(0.2) as find:
                catalogs[PYBDSF] = [of_field(find(files, None), number) for number, files in inputs.items()]
                if protocol == "shared":
                    noise = shared_noise(Path(work))
                    catalogs["PyBDSF, noiseless dirty image"] = [
                        of_field(find(without(files, noise, Path(work)), None), number)
                        for number, files in inputs.items()
                    ]
        else:
            print(f"PyBDSF is left out: {FINDERS[0].missing()}")
    bootstrap = FieldBootstrap(list(inputs))
    write(
        f"{protocol}_others",
        {
            name: scores_with_intervals(truth, vstack(tables), RADIUS, bootstrap)
            for name, tables in catalogs.items()
        },
    )  # fmt: skip


def of_field(table, number):
    """A catalogue with the number of its field."""
    table = QTable(table[["ra", "dec", "flux"]], copy=False)
    table.meta = {}
    table["field"] = np.full(len(table), number)
    return table


def on_true_sky(files, truth, number):
    """This package's detection, which is photutils', on the pixels of the true sky."""
    dirty = prepare(**files)
    found = detect(
        true_sky(truth[truth["field"] == number], dirty) / dirty.rms, THRESHOLD, dirty.beam_pixels, resolution=SHARP
    )
    sky = dirty.wcs.pixel_to_world(found.x, found.y)
    flux = found.flux * dirty.rms / dirty.primary_beam_at(found.x, found.y)
    return of_field(QTable({"ra": sky.ra, "dec": sky.dec, "flux": flux * u.Jy}), number)


def shared_noise(folder):
    """The noise of ``simulate --shared-noise``, in units of its rms."""
    observation = Observation(read_array("alma.cycle5.3"), 150.0 * u.deg, 2.2 * u.deg)
    simulate_fields(observation, SourceRecipe(number=(0, 0)), 1 * u.Jy, folder / "noise", shared_noise=True)
    return fits.getdata(folder / "noise" / "0000.dirty.fits")


def without(files, noise, folder):
    """The files of a field without its noise."""
    with fits.open(files["dirty"]) as file:
        # What of the noise is there: its least-squares amplitude, for the sources are few.
        amplitude = np.nansum(file[0].data * noise) / np.sum(noise**2)
        file[0].data = file[0].data - amplitude * noise
        file.writeto(folder / "noiseless.fits", overwrite=True)
    return files | {"dirty": folder / "noiseless.fits"}


def percent(row, name, theirs):
    """A score in percent with its interval, and the paper's."""
    interval = (
        "" if row[f"{name}_low"] is None else f" ({100 * row[f'{name}_low']:.1f}-{100 * row[f'{name}_high']:.1f})"
    )
    return f"{100 * row[name]:.1f}{interval}" + ("" if theirs is None else f" / {theirs:.1f}")


def cells(label, row, theirs):
    """A row of a table: our figures, with intervals, / the paper's."""
    theirs = theirs or (None,) * 4
    scores = [percent(row, name, value) for name, value in zip(("purity", "completeness", "f1"), theirs, strict=False)]
    flux = row["flux_within_noise"]
    flux = "-" if flux is None else f"{flux:.2f}"
    flux += "" if theirs[3] is None else f" / {theirs[3]:g}"
    images = [f"{row[name]:.3g}" if row.get(name) is not None else "-" for name in ("psnr", "mse")]
    return [label, *scores, flux, *images]


def csv_table(rows, title=""):
    """A table in reStructuredText, the first row its header."""
    # A cell that begins with a dash, or is one, would be a list.
    escaped = [[f"\\{cell}" if f"{cell} ".startswith("- ") else cell for cell in row] for row in rows]
    lines = "\n".join("   " + ", ".join(f'"{cell}"' for cell in row) for row in escaped)
    return f".. csv-table::{title}\n   :header-rows: 1\n\n{lines}\n"


def table(protocol):
    """The table of one protocol in reStructuredText."""
    rows = [["model", "purity, %", "completeness, %", "F1, %", "flux within 50 uJy", "PSNR, dB", "MSE, (uJy/pixel)^2"]]
    fields = {}
    for gamma in GAMMAS:
        report = read(f"{protocol}_gamma{gamma}")
        if report is None:
            continue
        measured_on = tuple(report["settings"][name] for name in ("fields", "sources", "n_samples", "steps"))
        fields.setdefault(measured_on, []).append(gamma)
        by_label = {row["aggregate"]: row for row in report["aggregation"]}
        for name, label in LABELS.items():
            theirs = PAPER[gamma, name] if protocol == "shared" else None
            rows.append(cells(f"gamma {gamma}, {name}", by_label[label], theirs))
    default = read(f"{protocol}_default")
    if default is not None:
        rows.append(cells("the package's default model", default["scores"], None))
    for name, row in (read(f"{protocol}_others") or {}).items():
        rows.append(cells(name, row, OTHERS[name] if protocol == "shared" else None))
    if protocol == "shared":
        name = "uv-plane network, Taran et al. 2023"
        rows.append([f"{name} (theirs)", *(f"- / {value:.1f}" for value in OTHERS[name][:3]), "-", "-", "-"])
    title = f"{protocol.capitalize()} noise"
    said = "; ".join(
        f"gamma {', '.join(map(str, gammas))}: {{}} fields, {{}} sources, {{}} runs of {{}} steps".format(*measured_on)
        for measured_on, gammas in fields.items()
    )
    said = said or "not measured yet"
    return f"{title}\n{'-' * len(title)}\n\n{said[:1].upper()}{said[1:]}.\n\n{csv_table(rows)}"


def completeness():
    """Completeness of detect-aggregate against S/N, under shared noise, in reStructuredText."""
    reports = {gamma: read(f"shared_gamma{gamma}") for gamma in GAMMAS}
    reports = {gamma: report["by_snr"] for gamma, report in reports.items() if report is not None}
    # Of fewer fields, the bins of the brightest sources may be missing.
    bins = {
        gamma: {(row["snr_from"], row["snr_to"]): row for row in report if row["true"]}
        for gamma, report in reports.items()
    }
    rows = [["true S/N", *(f"gamma {gamma}" for gamma in bins)]]
    for low, high in max(bins.values(), key=len):
        found = (of_gamma.get((low, high)) for of_gamma in bins.values())
        rows.append(
            [f"{low} to {high}", *(f"{row['completeness']:.2f} of {row['true']}" if row else "-" for row in found)]
        )
    return csv_table(rows, " Completeness of detect-aggregate, shared noise")


def vapour():
    """Scores against the water vapour, in reStructuredText."""
    rows = [["water vapour, mm", "noise, uJy/beam", "purity, %", "completeness, %", "F1, %", "flux within 50 uJy"]]
    for factor in VAPOUR:
        report = read(f"vapour{factor}_gamma2")
        if report is not None:
            scores, noise = report["scores"], report["rms_uJy"]
            of_each = cells(f"{factor * PWV:.3g}", scores, (None, VAPOUR_PAPER.get(factor), None, None))
            rows.append([of_each[0], f"{noise:.3g}", *of_each[1:5]])
    return csv_table(rows, " Detect-aggregate of gamma 2, shared noise of other weather")


def page():
    """The text of the page."""
    commands = "\n   ".join(__doc__.splitlines()[2:4])
    figures = "\n".join(
        f".. figure:: {KEPT.name}/{name}.svg\n   :alt: {title}\n\n   {title}\n"
        for name, title in FIGURES.items()
        if (KEPT / f"{name}.svg").exists()
    )
    return (
        TEXT.read_text()
        .replace("|commands|", commands)
        .replace("|tables|", table("shared") + "\n" + table("independent"))
        .replace("|completeness|", completeness())
        .replace("|vapour|", vapour())
        .replace("|figures|", figures)
    )


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, help="fields with the noise that the models know")
    parser.add_argument("--independent", type=Path, help="fields with other noise")
    parser.add_argument("--gammas", type=int, nargs="+", default=GAMMAS)
    parser.add_argument("--steps", type=int, default=250, help="of ancestral sampling")
    parser.add_argument("--fields", type=int, help="only the first so many")
    parser.add_argument("--reports", type=Path, default=Path("runs/paper/reports"), help="folder of the reports")
    args, options = parser.parse_known_args()
    KEPT.mkdir(exist_ok=True)
    options += [] if args.fields is None else ["--fields", str(args.fields)]
    for protocol in ("shared", "independent"):
        folder = getattr(args, protocol)
        if folder is not None:
            for gamma in args.gammas:
                steps = ["--steps", str(args.steps)]
                model = f"paper-gamma{gamma}"
                evaluate(f"{protocol}_gamma{gamma}", folder, protocol, model, args.reports, [*options, *steps])
            evaluate(f"{protocol}_default", folder, protocol, "default", args.reports, options)
            if read(f"{protocol}_others") is None:
                measure_others(folder, protocol, args.fields)
    if args.shared is not None and 2 in args.gammas:
        measure_vapour(args.reports, [*options, "--steps", str(args.steps)])
    PAGE.write_text(page())
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
