"""Score a model on a folder of fields with known sources; write the scores into its card.

astro-ddpm-imager simulate --fields 100 --seed 7 --output-dir runs/table1
python -m export.score runs/table1 --name "simulated, Table 1, 100 fields"
python -m export.score ../shared/casa_fields --name "casa_fields, 60 fields"
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import vstack
from tqdm import tqdm

from astro_ddpm_imager import DiffusionImager, load_card
from astro_ddpm_imager.evaluate import (
    matched_filter,
    read_folder,
    reliability_diagram,
    score_catalog,
    scores_by_snr,
    true_snr,
)

SNR_EDGES = (0, 2, 3, 4, 5, 6, 10, 100, 10000)


def run(imager, inputs, truth):
    """Catalogues of all fields, the model's and the matched filter's, the truth with its S/N, and seconds a field."""
    catalogs, filtered, truths, seconds = [], [], [], 0.0
    shape = np.sqrt(truth["major"] * truth["minor"]).mean() if len(truth) else 0 * u.arcsec
    for number, arguments in tqdm(inputs.items(), unit="field"):
        started = time.perf_counter()
        result = imager(**arguments)
        catalog = result.catalog
        seconds += time.perf_counter() - started
        catalog.meta.clear()
        rows = truth[truth["field"] == number]
        rows["snr"] = true_snr(rows, result.dirty)
        truths.append(rows)
        for table, kept in ((catalog, catalogs), (matched_filter(result.dirty, shape), filtered)):
            table["field"] = np.full(len(table), number)
            kept.append(table)
    return vstack(catalogs), vstack(filtered), vstack(truths), seconds / len(inputs)


def best(catalog, truth, column, levels):
    """The level of a column with the best F1, and the scores there."""
    scores = [score_catalog(truth, catalog[catalog[column] >= level]) for level in levels]
    # The curve is noisy: its smoothed maximum.
    smooth = np.convolve([score["f1"] for score in scores], np.ones(3) / 3, mode="same")
    chosen = int(np.argmax(smooth))
    return float(levels[chosen]), scores[chosen]


def rounded(scores):
    """Scores with as many digits as anyone reads."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in scores.items()}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="as astro-ddpm-imager simulate writes it")
    parser.add_argument("--model", default="default")
    parser.add_argument("--fields", type=int, help="score the first fields only")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--sampler", default="dpm-solver")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--name", help="write the scores into the card under this name")
    parser.add_argument("--catalog", type=Path, help="write the catalogue, every candidate in it, as ECSV")
    args = parser.parse_args()
    inputs, truth = read_folder(args.folder)
    if args.fields:
        inputs = dict(list(inputs.items())[: args.fields])
        truth = truth[np.isin(truth["field"], list(inputs))]
    imager = DiffusionImager(
        args.model, n_samples=args.samples, steps=args.steps, sampler=args.sampler, threshold=args.threshold,
        reliability=0, seed=args.seed, device="cpu", threads=args.threads, progress=False,
    )  # fmt: skip
    candidates, filtered, truth, seconds = run(imager, inputs, truth)
    if args.catalog:
        candidates.write(args.catalog, overwrite=True)
        filtered.write(args.catalog.with_suffix(".filter.ecsv"), overwrite=True)
        truth.write(args.catalog.with_suffix(".truth.ecsv"), overwrite=True)
    card, path = load_card(args.model)
    level = card.reliability
    catalog = candidates[candidates["reliability"] >= level]
    scores = rounded(score_catalog(truth, catalog))
    scores |= {"fields": len(inputs), "seconds_per_field": round(seconds, 2)}
    scores["by_snr"] = [rounded(row) for row in scores_by_snr(truth, catalog, SNR_EDGES) if row["true"]]
    diagram = reliability_diagram(truth, candidates, np.linspace(0, 1, 6))
    scores["reliability_diagram"] = [rounded(row) for row in diagram]
    significance, scored = best(filtered, truth, "significance", np.arange(2.5, 6, 0.1))
    scores["matched_filter"] = rounded({"threshold": significance, **scored})
    print(json.dumps({"reliability": level, **scores}, indent=1))
    if args.name:
        scores["settings"] = {"n_samples": args.samples, "steps": imager.steps, "seed": args.seed, "reliability": level}
        replace(card, scores={**card.scores, args.name: scores}).write(path.with_suffix(".json"))


if __name__ == "__main__":
    main()
