"""Put a calibration that was fitted on simulated fields into the card of a model.

astro-ddpm-imager simulate --fields 100 --seed 31 --output-dir runs/calibration
astro-ddpm-imager evaluate runs/calibration --raw --output runs/report
python -m export.calibrate runs/report/calibration.json
python -m export.calibrate runs/report/calibration.json --errors runs/report/calibration.json runs/more/calibration.json
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from astro_ddpm_imager import load_card


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("calibration", type=Path, help="calibration.json of astro-ddpm-imager evaluate --raw")
    parser.add_argument("--errors", nargs="+", type=Path, help="take the factors of the errors from these, on average")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    calibration = json.loads(args.calibration.read_text())
    if args.errors:
        errors = [json.loads(path.read_text()) for path in args.errors]
        fields = [one["fields"] for one in errors]
        for name in ("flux_err", "position_err"):
            calibration[name] = float(np.exp(np.average(np.log([one[name] for one in errors]), weights=fields)))
        calibration["error_fields"] = sum(fields)
    card, path = load_card(args.model)
    replace(card, calibration=calibration, reliability=calibration["threshold"]).write(path.with_suffix(".json"))


if __name__ == "__main__":
    main()
