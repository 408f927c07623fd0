"""Make docs/speed.rst of docs/speed.json, which benchmarks/speed.py measures."""

import argparse
import csv
import io
import json
from pathlib import Path
from textwrap import indent

DOCS = Path(__file__).parent

PAGE = """\
Speed
=====

Whole commands, from the shell's prompt to the shell's prompt, on {machine}, in one run that took {minutes:.0f} minutes
(version {version}, Python {python}; at its beginning {load:.1f} other processes were running, on the average).

.. dropdown:: The command that makes this page

   .. code-block:: sh

      python benchmarks/speed.py ../shared/casa_fields --casa python3

   ``python docs/speed.py`` makes the page again of ``docs/speed.json``, in which the figures are.

{missing}Images to catalogues
--------------------

Simulated fields of 512 x 512 pixels, with PSF and primary beam: 20 samples, all products written, the pictures as well.

{fields}

Visibilities to catalogues
--------------------------

Seconds a field of 512 x 512 pixels, for the MeasurementSets of {n_sets} fields that CASA simulated: imaging (and
CLEAN, down to three times the noise, where it is CLEANed), then sources. WSClean is started for each field; tclean,
PyBDSF and this package are started once for all of them.

{visibilities}

Growth with size
----------------

One field, one command.

{sizes}

Growth with channels
--------------------

One cube of channels of 256 x 256 pixels, one command.

{channels}

Before anything is done
-----------------------

{starts}

Workers of a cluster
--------------------

Dask workers of one thread each, on this machine (:doc:`clusters`), beside one command with as many threads. What the
cluster costs is the difference; on this machine workers and threads share the same cores.

{workers}

On a GPU
--------

Processes side by side, each with a share of the fields, on one GPU, and likewise on the CPU, start and end included;
rows of the catalogues that only one of both has, and the largest difference of a flux, in its errors.

{gpu}
"""


def table(rows, columns):
    """Rows as a table of the page; columns are names of theirs, with titles and formats."""
    if not rows:
        return "Not measured."
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow([title for title, _ in columns.values()])
    writer.writerows([[format(row[name], how) for name, (_, how) in columns.items()] for row in rows])
    return f".. csv-table::\n   :header-rows: 1\n\n{indent(text.getvalue().rstrip(), '   ')}"


def page(found):
    """The page."""
    fields = [row | {"each": row["wall"] / row["fields"], "cpu": row["cpu"] / row["fields"]} for row in found["fields"]]
    chains = [row | {"both": row["first"] + row["second"]} for row in found["visibilities"]]
    sizes = [row | {"size": f"{row['pixels']} x {row['pixels']}"} for row in found["sizes"]]
    workers = [
        row | {"each": row["wall"] / row["fields"], "alone": row["here"] / row["fields"]} for row in found["workers"]
    ]
    gpu = [row | {f"{name}_each": row["fields"] / row[name] for name in ("cuda", "cpu")} for row in found["gpu"]]
    missing = f"Not installed, and so left out: {', '.join(found['missing'])}.\n\n" if found["missing"] else ""
    resources = {"cpu": ("CPU, s", ".1f"), "megabytes": ("most memory, MB", ".0f")}
    return PAGE.format(
        **{name: found[name] for name in ("machine", "minutes", "version", "python", "load")},
        missing=missing,
        n_sets=chains[0]["fields"] if chains else "no",
        fields=table(
            fields,
            {"fields": ("fields", "d"), "wall": ("all, s", ".1f"), "each": ("a field, s", ".2f"),
             "cpu": ("CPU a field, s", ".2f"), "megabytes": resources["megabytes"]},
        ),
        visibilities=table(
            chains,
            {"chain": ("programs", ""), "first": ("imaging, s", ".2f"), "second": ("sources, s", ".2f"),
             "both": ("both, s", ".2f"), "cpu": ("CPU, s", ".2f")},
        ),
        sizes=table(sizes, {"size": ("pixels", ""), "wall": ("seconds", ".1f")} | resources),
        channels=table(
            found["channels"], {"channels": ("channels", "d"), "wall": ("seconds", ".1f")} | resources
        ),
        starts=table(found["starts"], {"command": ("command", ""), "wall": ("seconds", ".2f")}),
        workers=table(
            workers,
            {"workers": ("workers", "d"), "each": ("a field, s", ".2f"),
             "alone": ("as many threads, without a cluster, s", ".2f")},
        ),
        gpu=table(
            gpu,
            {"processes": ("processes", "d"), "cuda_each": ("fields a second", ".2f"),
             "cpu_each": ("on the CPU", ".2f"), "lonely": ("rows of one", "d"),
             "farthest": ("largest difference", ".3f")},
        ) if gpu else "Not measured: ONNX Runtime found no GPU.",
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path, nargs="?", default=DOCS / "speed.json", help="default: docs/speed.json")
    measured = parser.parse_args().figures
    measured.with_suffix(".rst").write_text(page(json.loads(measured.read_text())))
