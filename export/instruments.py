"""Draw the observations whose PSFs a model is trained with, and keep them.

python -m export.instruments runs/instruments.npz --number 400
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from astro_ddpm_imager.simulate import OBSERVATORIES, Instrument, draw_instrument
from astro_ddpm_imager.whole_files import written_whole


def draw(seed, index):
    """One observation, always the same: of an observatory drawn by its share."""
    rng = np.random.default_rng([seed, index])
    shares = np.array([usage.share for usage in OBSERVATORIES.values()])
    return draw_instrument(rng, observatory=str(rng.choice(list(OBSERVATORIES), p=shares / shares.sum())))


def write(path, instruments):
    """Keep instruments in half precision; the file appears whole."""
    images = {
        name: np.stack([getattr(one, name) for one in instruments]).astype(np.float16)
        for name in ("psf", "noise_covariance", "error")
    }
    with written_whole(path) as part:
        np.savez_compressed(
            part,
            **images,
            pixels_per_beam=[one.pixels_per_beam for one in instruments],
            description=[one.description for one in instruments],
        )


def read(path):
    """Instruments, as `write` has kept them.

    Returns
    -------
    tuple of `~astro_ddpm_imager.simulate.Instrument`
    """
    with np.load(path) as stored:
        psf, noise, error = (stored[name].astype(float) for name in ("psf", "noise_covariance", "error"))
        columns = psf, noise, stored["pixels_per_beam"], stored["description"], error
        return tuple(Instrument(p, q, float(b), str(d), e) for p, q, b, d, e in zip(*columns, strict=True))


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--number", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2023)
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        drawn = pool.map(partial(draw, args.seed), range(args.number), chunksize=8)
        instruments = list(tqdm(drawn, "PSFs", args.number))
    write(args.output, instruments)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
