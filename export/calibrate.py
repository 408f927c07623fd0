"""Put a calibration that was fitted on simulated fields into the card of a model.

astro-ddpm-imager simulate --fields 100 --seed 31 --output-dir runs/calibration
astro-ddpm-imager evaluate runs/calibration --raw --output runs/report
python -m export.calibrate runs/report/calibration.json
python -m export.calibrate runs/report/calibration.json --errors runs/errors/calibration.json
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from astro_ddpm_imager import load_card


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("calibration", type=Path, help="calibration.json of astro-ddpm-imager evaluate --raw")
    parser.add_argument("--errors", type=Path, help="take the factors of the errors from that calibration.json")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    calibration = json.loads(args.calibration.read_text())
    if args.errors:
        errors = json.loads(args.errors.read_text())
        calibration |= {name: errors[name] for name in ("flux_err", "position_err")}
        calibration["error_fields"] = errors["fields"]
    card, path = load_card(args.model)
    replace(card, calibration=calibration, reliability=calibration["threshold"]).write(path.with_suffix(".json"))


if __name__ == "__main__":
    main()
