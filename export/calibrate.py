"""Put a calibration that was fitted on simulated fields into the card of a model.

astro-ddpm-imager simulate --fields 100 --seed 31 --output-dir runs/calibration
astro-ddpm-imager evaluate runs/calibration --raw --output runs/report
python -m export.calibrate runs/report/calibration.json
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
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    calibration = json.loads(args.calibration.read_text())
    card, path = load_card(args.model)
    replace(card, calibration=calibration, reliability=calibration["threshold"]).write(path.with_suffix(".json"))


if __name__ == "__main__":
    main()
