"""Simulation-based calibration where its premise holds: on fields drawn as those of the training are.

python -m export.ranks runs/instruments.npz --fields 500
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from tqdm import tqdm

from astro_ddpm_imager.diffusion.denoiser import Denoiser
from astro_ddpm_imager.diffusion.drawing import draw_samples
from astro_ddpm_imager.evaluate import rank_test
from astro_ddpm_imager.evaluate.images import beam_brightness, ranks_of_beams
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.simulate import FieldSimulator

from .instruments import read


def gridded(field):
    """A simulated field as an observation on the pixels of a model."""
    # The fields are periodic, and so are the sidelobes in them.
    psf = np.tile(np.fft.ifftshift(field.instrument.psf), (2, 2))
    beam = np.eye(2) * (field.instrument.pixels_per_beam * gaussian_fwhm_to_sigma) ** 2
    return GriddedObservation(field.dirty, psf, field.pb, beam)


def ranks_of_field(denoiser, simulator, number, seed, index):
    """Ranks of the truth among samples of one simulated field.

    Parameters
    ----------
    denoiser : `~astro_ddpm_imager.diffusion.denoiser.Denoiser`
    simulator : `~astro_ddpm_imager.simulate.FieldSimulator`
    number : int
        Of samples.
    seed, index : int

    Returns
    -------
    dict of list of int
        As of `~astro_ddpm_imager.evaluate.images.true_ranks`, and of the ``distance`` from a sky that is drawn
        without looking at the data (TARP: Lemos et al. 2023, arXiv:2302.03026, algorithm 2): a test of all pixels at
        once.
    """
    rng = np.random.default_rng([seed, index])
    field, other = simulator(rng), simulator(rng)
    card = denoiser.card
    samples = draw_samples(gridded(field), denoiser, number, card.steps, "unipc", index, lambda _: None).samples
    inside = field.pb > 0
    *beams, truth, reference = beam_brightness([*samples, field.sky * inside, other.sky * inside], card.pixels_per_beam)
    ranks = ranks_of_beams(np.stack(beams), truth, field.dirty, inside, card.pixels_per_beam, index)
    # Of the square root, or the brightest source is all that counts.
    of_truth, *distances = (((np.sqrt(sky) - np.sqrt(reference)) ** 2).sum() for sky in (truth, *beams))
    return ranks | {"distance": [sum(bool(distance < of_truth) for distance in distances)]}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instruments", type=Path, help="the PSFs, as export.instruments writes them")
    parser.add_argument("--model", default="default")
    parser.add_argument("--fields", type=int, default=500)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--seed", type=int, default=2026, help="another than that of the training")
    args = parser.parse_args()
    one = partial(ranks_of_field, Denoiser(args.model), FieldSimulator(read(args.instruments)), args.samples, args.seed)
    ranks = [one(index) for index in tqdm(range(args.fields), "fields")]
    for name in ranks[0]:
        values = [rank for of_field in ranks for rank in of_field[name]]
        counts, expected, p = rank_test(values, args.samples)
        print(json.dumps({"quantity": name, "number": len(values), "p": p if np.isfinite(p) else None,
                          "counts": counts.tolist(), "expected": expected.round(1).tolist()}))  # fmt: skip


if __name__ == "__main__":
    main()
