"""Simulation-based calibration where its premise holds: on crops drawn as those of the training are.

python -m export.ranks runs/instruments.npz --crops 500
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from astro_ddpm_imager.diffusion.denoiser import Denoiser
from astro_ddpm_imager.diffusion.sampling import SAMPLERS
from astro_ddpm_imager.evaluate import rank_test
from astro_ddpm_imager.evaluate.images import beam_brightness, ranks_of_beams
from astro_ddpm_imager.simulate import FieldSimulator

from .instruments import read
from .train import CLEAN


def draw_samples(denoiser, conditions, number, rng):
    """Draw samples of the sky of one crop.

    Parameters
    ----------
    denoiser : `~astro_ddpm_imager.diffusion.denoiser.Denoiser`
    conditions : 3D array of float32, shape (4, size, size)
    number : int
    rng : `numpy.random.Generator`

    Returns
    -------
    3D array, shape (number, size, size)
        Flux per pixel, in units of the noise; 0 where the image is blank.
    """
    card, shape = denoiser.card, conditions.shape[1:]

    def predict(noisy, t):
        return denoiser.predict(noisy, conditions, t)

    draw = partial(rng.standard_normal, shape, dtype=np.float32)
    skies = [SAMPLERS["unipc"](predict, draw, card.noise_schedule, card.steps) for _ in range(number)]
    return np.where(conditions[3] > 0, card.stretch.inverse(np.stack(skies)), 0)


def ranks_of_crop(denoiser, simulator, number, size, seed, index):
    """Ranks of the truth among samples of one crop of a simulated field.

    Parameters
    ----------
    denoiser : `~astro_ddpm_imager.diffusion.denoiser.Denoiser`
    simulator : `~astro_ddpm_imager.simulate.FieldSimulator`
    number : int
        Of samples.
    size : int
        Side of the crop, pixels.
    seed, index : int

    Returns
    -------
    dict of list of int
        As of `~astro_ddpm_imager.evaluate.images.true_ranks`.
    """
    rng = np.random.default_rng([seed, index])
    (conditions,), (sky,) = simulator.crops(rng, 1, size, CLEAN)
    samples = draw_samples(denoiser, conditions, number, rng)
    per_beam = denoiser.card.pixels_per_beam
    *beams, truth = beam_brightness([*samples, sky], per_beam)
    return ranks_of_beams(np.stack(beams), truth, conditions[0], conditions[3] > 0, per_beam, index)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instruments", type=Path, help="the PSFs, as export.instruments writes them")
    parser.add_argument("--crops", type=int, default=500)
    parser.add_argument("--size", type=int, default=96, help="side of a crop, pixels; a multiple of 8")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--seed", type=int, default=2026, help="another than that of the training")
    args = parser.parse_args()
    denoiser = Denoiser("default")
    one = partial(ranks_of_crop, denoiser, FieldSimulator(read(args.instruments)), args.samples, args.size, args.seed)
    with ThreadPoolExecutor(denoiser.workers) as threads:
        ranks = list(tqdm(threads.map(one, range(args.crops)), "crops", args.crops))
    for name in ranks[0]:
        values = [rank for of_crop in ranks for rank in of_crop[name]]
        counts, expected, p = rank_test(values, args.samples)
        print(json.dumps({"quantity": name, "number": len(values), "p": p, "counts": counts.tolist(),
                          "expected": expected.round(1).tolist()}))  # fmt: skip


if __name__ == "__main__":
    main()
