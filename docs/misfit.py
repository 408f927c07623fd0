"""How often a result finds what is wrong with its data: the table of docs/extended.rst.

python docs/misfit.py
"""

import argparse
import logging
from collections import Counter

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from tqdm import tqdm

from astro_ddpm_imager import DiffusionImager, DirtyImageError
from astro_ddpm_imager.simulate import GainErrors, Observation, Sources, read_array

SIDE, NOISE, CELL = 256, 50e-6, 0.1  # pixels, Jy/beam, arcsec
BEAM = 8.55  # pixels
ALMA = {"ra": 150 * u.deg, "declination": 2 * u.deg, "shape": (SIDE, SIDE), "integration": 60 * u.s}


def alma(array="alma.cycle5.3", **changes):
    """Twenty minutes of it."""
    return Observation(read_array(array), **ALMA | changes)


def sky(seen, rng, brightest):
    """Four sources of up to 0.6 arcsec, S/N from 5 to that of the brightest."""
    snr = np.exp(rng.uniform(np.log(5), np.log(brightest), 4))
    snr[0] = brightest
    x, y = SIDE / 2 + rng.uniform(-80, 80, (2, 4))
    axes = rng.uniform(0, 0.6 / CELL, (2, 4))
    flux = snr * NOISE / seen.primary_beam_at(x, y)
    return Sources(x, y, flux, axes.max(0), axes.min(0), rng.uniform(0, np.pi, 4))


def one_more(sources, seen, snr, fwhm):
    """The same with another round one, of some S/N in a beam, near the middle."""
    x, y = np.array([SIDE / 2 + 30.0]), np.array([SIDE / 2 - 20.0])
    flux = snr * NOISE * (1 + (fwhm / BEAM) ** 2) / seen.primary_beam_at(x, y)
    other = Sources(x, y, flux, np.array([fwhm]), np.array([0.8 * fwhm]), np.zeros(1))
    return Sources.concatenate([sources, other])


def cases(seen):
    """By name: a function of a random generator that makes a dirty image and a PSF."""

    def dirty(rng, brightest, **options):
        return seen.dirty(sky(seen, rng, brightest), NOISE, rng, **options)

    def gains(rng):
        return seen.gains(GainErrors(0.03, 10 * u.deg), rng)

    made = {"nothing, S/N up to 10": lambda rng: (dirty(rng, 10), seen.psf),
            "nothing, S/N up to 100": lambda rng: (dirty(rng, 100), seen.psf)}  # fmt: skip
    others = {"of two hours later": alma(hour_angle=2 * u.hourangle), "of robust 0.5": alma(weighting="briggs"),
              "of another configuration": alma("alma.cycle5.2")}  # fmt: skip
    for name, other in others.items():
        for snr in (10, 30, 100):
            made[f"PSF {name}, S/N up to {snr}"] = lambda rng, snr=snr, psf=other.psf: (dirty(rng, snr), psf)
    made["offset of half the noise"] = lambda rng: (dirty(rng, 10) + 0.5 * NOISE, seen.psf)
    for snr in (6, 10, 30):
        made[f"negative source of S/N {snr}"] = lambda rng, snr=snr: (
            seen.dirty(one_more(sky(seen, rng, 10), seen, -snr, 5.0), NOISE, rng), seen.psf
        )  # fmt: skip
    for snr in (5, 20):
        made[f"one of 23 beams, S/N {snr} a beam"] = lambda rng, snr=snr: (
            seen.dirty(one_more(sky(seen, rng, 10), seen, snr, 23 * BEAM), NOISE, rng), seen.psf
        )  # fmt: skip
    for snr in (100, 300):
        made[f"gains off by 3% and 10 deg, S/N up to {snr}"] = lambda rng, snr=snr: (
            dirty(rng, snr, gains=gains(rng)), seen.psf
        )  # fmt: skip
    return made


def main():
    """Print what is found in some fields of each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=10, help="of each case")
    fields = parser.parse_args().fields
    logging.getLogger("astro_ddpm_imager").setLevel(logging.ERROR)
    seen, imager = alma(), DiffusionImager(seed=1, progress=False)
    for name, make in cases(seen).items():
        found = Counter()
        for field in tqdm(range(fields), name, leave=False):
            dirty, psf = make(np.random.default_rng(field))
            image = CCDData(dirty, unit=u.Jy / u.beam, wcs=seen.wcs)
            try:
                result = imager(image, psf, seen.pb, beam=seen.beam)
            except DirtyImageError:
                found["refused"] += 1
                continue
            said = [*result.fit.misfits, *(["artefacts"] if result.dirty.artefacts is not None else [])]
            found.update(said or ["nothing"])
        print(f"{name}: {', '.join(f'{what} {number}' for what, number in found.most_common())}", flush=True)


if __name__ == "__main__":
    main()
