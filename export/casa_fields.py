"""Make fields like those of ../shared/casa_fields with CASA: Table 1 of Taran et al. 2023, noise new in each.

python -m export.casa_fields runs/casa --fields 60 --seed 40
"""

import argparse
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import vstack
from tqdm import tqdm

from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_with_casa, truth_table

PWV = 1.796 * u.mm


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fields", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same fields")
    args = parser.parse_args()
    observation = Observation(
        read_array("alma.cycle5.3"), 150.119 * u.deg, 2.206 * u.deg, duration=20 * u.min, integration=10 * u.s
    )
    tables = []
    for i in tqdm(range(args.fields), unit="field"):
        sources = SourceRecipe().draw(np.random.default_rng([args.seed, i]), observation.shape, observation.cell)
        tables.append(truth_table(observation, sources, i))
        # PSF and primary beam are the same for all, and are made again with each.
        seed = 1000 * args.seed + i
        simulate_with_casa(observation, sources, args.folder, f"{i:04d}", pwv=PWV, seed=seed, overwrite=True)
    truth = vstack(tables)
    truth.meta = {"noise_protocol": "independent", "seed": args.seed}
    truth.write(args.folder / "truth.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
