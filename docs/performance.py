"""Make docs/performance.rst: evaluate folders of fields and put tables and figures on the page.

astro-ddpm-imager simulate --fields 500 --seed 32 --integration 60 --imsize 256 --output-dir runs/simulated
python docs/performance.py ../shared/casa_fields runs/simulated --radius 0.45 --noise-protocol independent

The reports are kept in runs/performance; an interrupted run goes on from there. Without folders the page has its text
only. Options that are not this script's are handed to astro-ddpm-imager evaluate.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from textwrap import indent

from astropy.table import Table

from astro_ddpm_imager.cli import main as command_line
from astro_ddpm_imager.evaluate.report import LONG_TABLE, SECTIONS, rounded

INTRODUCTION = """\
Performance
===========

Catalogues of simulated fields, whose sources are known, beside those of a matched filter. Intervals in brackets are
95%, from drawing the fields again; in bins of few sources, Wilson's.

``casa_fields`` are 60 fields that CASA 6.7 made after Table 1 of Taran et al. 2023 (``simobserve`` with a seed of its
own for each field, then ``tclean(niter=0)``), and MeasurementSets of three of them. They are kept beside the
repository, not in it. Others like them are made by ``python -m export.casa_fields FOLDER``, and, without CASA, by
``astro-ddpm-imager simulate`` (:doc:`simulator`).

.. dropdown:: The commands that make this page

   The second one takes up an interrupted run again, and puts everything on this page:

   .. code-block:: sh

      {commands}

   For each folder it also leaves a report in one HTML file, with all numbers as ECSV and JSON. The rows of PyBDSF need
   ``pip install ".[evaluate]"``, those of tclean ``".[casa]"`` besides, those of WSClean the Debian package
   ``wsclean``; where one is missing the command says so, and leaves its rows out.

Which noise
-----------

``simobserve`` of CASA draws thermal noise from one fixed seed (11111) unless it is told otherwise. So fields
simulated in a loop all have the *same* noise. The published sample that Drozdova et al. 2024 and Taran et al. 2023
worked with was made that way; it is easily overlooked, and nothing in one image shows it. A network trained on such
fields can learn the noise itself and subtract it, and so find sources far below what the noise allows: a completeness
of 97% at S/N from 1 to 10 says what can be done with known noise, and it is no flaw of the method. On the sky the
noise is new every time.

* **Independent noise**: a new realisation per field. The default model is trained and judged so.
* **Shared noise**: one realisation for all fields, training and test; it serves to reproduce the paper's tables.

Every section below names the protocol of its fields; figures of different protocols cannot be compared. To check a
sample of one's own, or the public one, correlate dirty images with different sources; among independent ones the
correlation is 0 within its scatter, which the number of beams in the image sets, and among the public ones it is 0.85:

.. code-block:: python

   import itertools
   import numpy as np
   from astropy.io import fits

   images = [np.squeeze(fits.getdata(f"{{i:04d}}.dirty.fits")) for i in range(10)]
   # Without bright sources.
   noise = [np.where(image < 4 * np.nanmedian(abs(image)), image, np.nan) for image in images]
   for a, b in itertools.combinations(noise, 2):
       both = np.isfinite(a) & np.isfinite(b)
       print(np.corrcoef(a[both], b[both])[0, 1])

``astro-ddpm-imager simulate`` makes both kinds: independent noise, or shared with ``--shared-noise``.
"""
#: Columns of the tables that are too wide for a page; the reports have all.
SCORES = ("purity", "completeness", "f1", "flux_within_noise", "flux_bias_uJy", "flux_scatter_uJy", "flux_rms_uJy")
COLUMNS = {
    "scores": ("method", "radius_arcsec", "fields", "true", "found", *SCORES, "position_error_arcsec"),
    "aggregation": ("aggregate", "found", *SCORES, "mse", "psnr", "ssim"),
    "by_snr": (
        "method",
        "snr_from",
        "snr_to",
        "true",
        "completeness",
        "flux_bias_uJy",
        "flux_rms_uJy",
        "catalogued",
        "purity",
    ),
    "above_snr": ("method", "snr_from", "true", "matched", "completeness", *SCORES[3:], "catalogued", "purity"),
    "by_threshold": ("reliability", "found", "purity", "completeness", "f1"),
    "by_samples": ("samples", "needed", *SCORES),
}
TIMES = "seconds"  # beside whatever else ran: docs/speed.rst has them side by side


def page(reports, commands, figures):
    """The text of the page; the figures are copied to a folder beside it."""
    parts = [INTRODUCTION.format(commands="\n      ".join(commands))]
    for report in reports:
        settings = json.loads((report / "report.json").read_text())["settings"]
        title = f"{settings['fields_in']}: {settings['fields']} fields, {settings['noise_protocol']} noise"
        parts.append(f"{title}\n{'-' * len(title)}\n")
        parts.append(
            f"{settings['sources']} sources; model ``{settings['model']}`` (SHA-256 "
            f"``{settings['model_sha256'][:12]}``), {settings['n_samples']} samples of {settings['steps']} steps, seed "
            f"{settings['seed']}; {settings['threads']} thread(s), {settings['provider']}; matching radius "
            f"{settings['radius_arcsec']:.3f} arcsec.\n"
        )
        for heading, text, pictures, tables in SECTIONS:
            parts.append(f"{heading}\n{'~' * len(heading)}\n\n{text}\n")
            for name in pictures:
                source = report / "figures" / f"{name}.svg"
                if source.exists():
                    target = figures / f"{report.name}_{name}.svg"
                    shutil.copyfile(source, target)
                    parts.append(f".. image:: {figures.name}/{target.name}\n   :alt: {heading}, {title}\n")
            parts += [csv_table(name, Table.read(report / f"{name}.ecsv")) for name in tables if name != TIMES]
    return "\n".join(parts)


def csv_table(name, table):
    """A table of the report in reStructuredText."""
    if not len(table):
        return f"*{name.replace('_', ' ')}: none*\n"
    cells = rounded(table)
    chosen = [column for column in COLUMNS.get(name, cells) if column in cells]
    quoted = [[f'"{cell}"' for cell in row] for row in zip(*(cells[column] for column in chosen), strict=True)]
    head = [f'"{column.replace("_", " ")}"' for column in chosen]
    rows = "\n".join("   " + ", ".join(row) for row in [head, *quoted])
    title = name.replace("_", " ")
    if len(table) <= LONG_TABLE or name == "scores":  # what a reader comes for
        return f".. csv-table:: {title}\n   :header-rows: 1\n\n{rows}\n"
    folded = indent(f".. csv-table::\n   :header-rows: 1\n\n{rows}\n", "   ")
    return f".. dropdown:: Table: {title}\n\n{folded}"


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="as astro-ddpm-imager evaluate takes them")
    parser.add_argument("--reports", type=Path, default=Path("runs/performance"), help="folder of the reports")
    parser.add_argument(
        "--page", type=Path, default=Path(__file__).with_suffix(".rst"), help="default: beside this file"
    )
    args, options = parser.parse_known_args()
    reports = [args.reports / folder.name for folder in args.folders]
    for folder, report in zip(args.folders, reports, strict=True):
        status = command_line(["evaluate", str(folder), "--output", str(report), *options])
        if status:
            return status
    figures = args.page.with_suffix("")
    if reports:
        figures.mkdir(parents=True, exist_ok=True)
    commands = __doc__.splitlines()[2:4]
    if args.folders:
        commands[1] = " ".join(["python docs/performance.py", *map(str, args.folders), *options])
    args.page.write_text(page(reports, commands, figures))
    print(f"wrote {args.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
