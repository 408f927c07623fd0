"""Put the scores of a report into the card of the model it is about.

astro-ddpm-imager evaluate ../shared/casa_fields --radius 0.45 --noise-protocol independent --output runs/casa_fields
python -m export.score runs/casa_fields --name "casa_fields"
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from astro_ddpm_imager import load_card
from astro_ddpm_imager.errors import EvaluationError
from astro_ddpm_imager.evaluate import MATCHED_FILTER, OURS, RISING_FILTER

COUNTS = ("true", "found", "matched")
SCORES = ("purity", "completeness", "f1", "flux_within_noise", "flux_bias_uJy", "flux_rms_uJy", "position_error_arcsec")
BY_SNR = (
    "snr_from",
    "snr_to",
    "true",
    "matched",
    "completeness",
    "flux_bias_uJy",
    "flux_rms_uJy",
    "catalogued",
    "purity",
)
SETTINGS = ("n_samples", "steps", "seed", "default_reliability", "provider")
DIAGRAM = ("reliability_from", "reliability_to", "candidates", "reliability", "true_fraction")


def chosen(row, names):
    """Some scores of a row, with as many digits as anyone reads."""
    return {name: round(row[name], 4) if isinstance(row[name], float) else row[name] for name in names}


def scores_of(report):
    """What the card says of a report: scores of the model and of the matched filter on the same fields.

    Parameters
    ----------
    report : dict
        ``report.json`` of `~astro_ddpm_imager.evaluate.write_report`.

    Returns
    -------
    dict
    """
    settings = report["settings"]
    at_radius = [row for row in report["scores"] if row["radius_arcsec"] == settings["radius_arcsec"]]
    rows = {row["method"]: row for row in at_radius}
    ours, theirs, rising = rows[OURS], rows[MATCHED_FILTER], rows.get(RISING_FILTER)
    return {
        "fields": settings["fields"],
        "radius_arcsec": settings["radius_arcsec"],
        "noise_protocol": settings["noise_protocol"],
        **chosen(ours, (*COUNTS, *SCORES, "f1_low", "f1_high")),
        "by_snr": [chosen(row, BY_SNR) for row in report["by_snr"] if row["method"] == OURS],
        "reliability_diagram": [chosen(row, DIAGRAM) for row in report["reliabilities"]],
        "matched_filter": {
            "threshold": settings["matched_filter_significance"],
            **chosen(theirs, (*COUNTS, *SCORES)),
        },
        "rising_filter": rising
        and {
            "threshold": settings["rising_filter_significance"],
            "slope": settings["rising_filter_slope"],
            **chosen(rising, (*COUNTS, *SCORES)),
        },
        "settings": {name: settings[name] for name in SETTINGS},
    }


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="folder that astro-ddpm-imager evaluate has written")
    parser.add_argument("--name", required=True, help="of the fields, in the card")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    report = json.loads((args.report / "report.json").read_text())
    card, path = load_card(args.model)
    for name, value in (("model_sha256", card.sha256), ("default_reliability", card.reliability), ("calibrated", True)):
        if report["settings"][name] != value:
            raise EvaluationError(f"report={str(args.report)!r}: {name} {report['settings'][name]!r} is not {value!r}")
    scores = scores_of(report)
    replace(card, scores={**card.scores, args.name: scores}).write(path.with_suffix(".json"))
    print(json.dumps({key: value for key, value in scores.items() if not isinstance(value, list)}, indent=1))


if __name__ == "__main__":
    main()
