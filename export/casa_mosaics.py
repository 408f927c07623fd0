"""Linear mosaics of seven pointings by CASA, to judge on: ``python export/casa_mosaics.py FOLDER --casa PYTHON``.

``simobserve`` goes round the pointings of a hexagon, ``tclean`` makes the image with gridder="mosaic". Each sky is a
folder ``0``, ``1``, ... with CASA's own images, ``mosaic.image``, ``.psf``, ``.pb`` and ``.weight``, the same as FITS
files, and ``truth.ecsv``: points and slightly resolved sources of S/N 15 to 60 wherever the weight is more than 0.35,
with thermal noise of a seed of their own. With ``--pointing-psfs`` there are PSFs of the pointings, too,
``pointing-N.psf``. The skies take 15 s each, or 45 s.
"""

import argparse
import json
import subprocess
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from astro_ddpm_imager.simulate import Observation, Sources, casa_driver, read_array, truth_table
from astro_ddpm_imager.simulate.casa import CONFIGURATION, array_file, casa_job

SPACING = 13.0  # arcsec between pointings: half of the primary beam
FWHM = 26.0  # arcsec, of the primary beam
ROUND = 20 * u.s  # on a pointing, before the next
SIDE, CELL, RMS, PWV = 640, 0.12, 85e-6, 1.796 * u.mm  # pixels, arcsec, Jy/beam: about that of the images, millimetres
APART, LOWEST = 4.0, 0.35  # arcsec between sources; weight
PRODUCTS = ("image", "psf", "pb", "weight")


def hexagon():
    """Offsets of the pointings from the middle, arcsec."""
    angles = np.radians(60 * np.arange(6))
    return np.vstack([[0, 0], SPACING * np.column_stack([np.sin(angles), np.cos(angles)])])


def expected_weight(x, y):
    """Of a mosaic of Gaussian primary beams, arcsec from its middle."""

    def squared(x, y):
        return sum(0.5 ** (8 * ((x - a) ** 2 + (y - b) ** 2) / FWHM**2) for a, b in hexagon())

    return np.sqrt(squared(x, y) / squared(0.0, 0.0))


def drawn_sources(rng, number):
    """Two thirds points, the others up to a beam wide, all over the mosaic."""
    x, y = [], []
    while len(x) < number:
        one = rng.uniform(-32, 32, 2)
        if (
            expected_weight(*one) > LOWEST
            and np.hypot(np.subtract(x, one[0]), np.subtract(y, one[1])).min(initial=np.inf) > APART
        ):
            x.append(one[0])
            y.append(one[1])
    x, y = np.array([x, y])
    flux = RMS * rng.uniform(15, 60, number) / expected_weight(x, y)
    major = np.where(np.arange(number) % 3 == 2, rng.uniform(0.3, 0.8, number), 0.0)
    middle = SIDE // 2
    return Sources(
        middle - x / CELL, middle + y / CELL, flux * (1 + (major / 0.85) ** 2), major / CELL,
        major / CELL * rng.uniform(0.5, 1, number), rng.uniform(0, np.pi, number),
    )  # fmt: skip


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--casa", default="python", help="the Python that has casatasks")
    parser.add_argument("--skies", type=int, default=2)
    parser.add_argument("--sources", type=int, default=18)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same skies")
    parser.add_argument("--normtype", default="flatnoise", choices=["flatnoise", "flatsky"])
    parser.add_argument("--pointing-psfs", action="store_true")
    parser.add_argument("--noiseless", action="store_true")
    args = parser.parse_args()
    offsets = hexagon()
    observation = Observation(
        read_array("alma.cycle5.3"), 150.119 * u.deg, 2.206 * u.deg, duration=9 * len(offsets) * ROUND,
        integration=10 * u.s, shape=(SIDE, SIDE), cell=CELL * u.arcsec,
    )  # fmt: skip
    centre = SkyCoord(observation.ra, observation.declination)
    pointings = [
        "ICRS " + centre.spherical_offsets_by(*(offset * u.arcsec)).to_string("hmsdms", precision=6)
        for offset in offsets
    ]
    for sky in range(args.skies):
        folder = args.folder / str(sky)
        folder.mkdir(parents=True)
        sources = drawn_sources(np.random.default_rng([args.seed, sky]), args.sources)
        truth_table(observation, sources).write(folder / "truth.ecsv")
        job = casa_job(
            observation, sources, None if args.noiseless else PWV, 1.872 * u.GHz, 0.2, 1000 * args.seed + sky
        )
        job["tclean"] |= {"gridder": "mosaic", "normtype": args.normtype, "usepointing": False}
        job["images"] = {"mosaic": {}}
        if args.pointing_psfs:
            job["images"] |= {f"pointing-{n}": {"phasecenter": place} for n, place in enumerate(pointings)}
        job["exports"] = {f"{name}.{kind}": f"{name}.{kind}.fits" for name in job["images"] for kind in PRODUCTS}
        (folder / "array.cfg").write_text(array_file(observation.array))
        (folder / "pointing.txt").write_text("".join(f"{place} {ROUND.value:g}\n" for place in pointings))
        (folder / "job.json").write_text(json.dumps(job))
        (folder / "config.py").write_text(CONFIGURATION.format(folder=str(folder.absolute()), log="casa.log"))
        driver = [casa_driver.__file__, "job.json", "--nositeconfig", "--configfile", "config.py"]
        subprocess.run([args.casa, "-P", *driver], cwd=folder, check=True)


if __name__ == "__main__":
    main()
