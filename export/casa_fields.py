"""Make fields like those of ../shared/casa_fields with CASA: Table 1 of Taran et al. 2023, noise new in each.

python -m export.casa_fields runs/casa --fields 60 --seed 40
python -m export.casa_fields runs/casa_shared --fields 60 --seed 41 --shared-noise --grid 1

With --shared-noise, CASA makes the fields without noise, and all get the one that
``astro-ddpm-imager simulate --shared-noise`` gives to its fields: the models of the paper know that one by heart.
"""

import argparse
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import vstack
from tqdm import tqdm

from astro_ddpm_imager.simulate import (
    Observation,
    SourceRecipe,
    read_array,
    simulate_fields,
    simulate_with_casa,
    thermal_rms,
    truth_table,
)

PWV, BANDWIDTH = 1.796 * u.mm, 1.872 * u.GHz


def shared_noise(observation):
    """The noise of ``simulate --shared-noise``, Jy/beam."""
    rms = thermal_rms(
        observation.array, observation.frequency, BANDWIDTH, observation.time_on_source, PWV, observation.elevations
    )
    with tempfile.TemporaryDirectory() as folder:
        simulate_fields(observation, SourceRecipe(number=(0, 0)), rms, folder, shared_noise=True)
        return fits.getdata(Path(folder) / "0000.dirty.fits")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fields", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same fields")
    parser.add_argument("--shared-noise", action="store_true", help="the same noise in all fields, whatever the seed")
    parser.add_argument("--grid", type=float, default=0.0, help="offsets are multiples of it, arcsec; 0: continuous")
    args = parser.parse_args()
    array, recipe = read_array("alma.cycle5.3"), SourceRecipe(grid=args.grid * u.arcsec)
    if args.shared_noise:
        observation, pwv = Observation(array, 150.0 * u.deg, 2.2 * u.deg), None
        noise = shared_noise(observation)
    else:
        observation = Observation(array, 150.119 * u.deg, 2.206 * u.deg, integration=10 * u.s)
        pwv, noise = PWV, None
    tables = []
    for i in tqdm(range(args.fields), unit="field"):
        sources = recipe.draw(np.random.default_rng([args.seed, i]), observation.shape, observation.cell)
        tables.append(truth_table(observation, sources, i))
        # PSF and primary beam are the same for all, and are made again with each.
        seed = 1000 * args.seed + i
        paths = simulate_with_casa(
            observation, sources, args.folder, f"{i:04d}", pwv=pwv, pblimit=-0.001 if pwv is None else 0.2, seed=seed,
            overwrite=True,
        )  # fmt: skip
        if noise is not None:
            with fits.open(paths["dirty"], mode="update") as file:
                file[0].data[...] += noise
    truth = vstack(tables)
    truth.meta = {"noise_protocol": "shared" if args.shared_noise else "independent", "seed": args.seed}
    truth.write(args.folder / "truth.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
