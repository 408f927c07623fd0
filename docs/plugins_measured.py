"""Run WSClean with the plugin, with its own CLEAN + PyBDSF, and alone, on MeasurementSets with known sources.

python docs/plugins_measured.py FOLDER [NAME ...]

FOLDER holds NAME.ms and NAME.ecsv, as docs/plugins_data.py makes them. A line for each way: rms and peak of the
residual, sources found and false ones, fluxes in units of the true ones, seconds. WSClean and PyBDSF are needed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable

from astro_ddpm_imager.evaluate.matching import match_positions

SIZE = "-size 512 512 -scale 1asec -weight briggs 0"
OPTIONS = {
    "vla": SIZE,
    "gains": SIZE,
    "channels": f"{SIZE} -channels-out 4 -join-channels -fit-spectral-log-pol 2",
    "wide": "-size 640 640 -scale 14asec -weight briggs 0 -use-wgridder",
    "disc": "-size 400 400 -scale 0.1asec -weight natural",
}
ALMA = "-size 512 512 -scale 0.1asec -weight natural"  # of other names
CLEAN = "-niter 100000 -mgain 0.8 -auto-mask 4 -auto-threshold 1"
SAMPLES = "6"
COMMAND = [sys.executable, "-m", "astro_ddpm_imager"]
FIND = "import bdsf, sys; bdsf.process_image(sys.argv[1], thresh_pix=5, thresh_isl=3, quiet=True).write_catalog(\
outfile='found.fits', format='fits', catalog_type='srl', clobber=True)"


def main():
    """Print a line for each MeasurementSet and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="as docs/plugins_data.py makes it")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of fields (default: {', '.join(OPTIONS)})")
    args = parser.parse_args()
    for name in args.names or OPTIONS:
        table = QTable.read(args.folder / f"{name}.ecsv")
        measurement_set = (args.folder / f"{name}.ms").absolute()
        for way in (plugin, standalone, clean):
            with tempfile.TemporaryDirectory() as scratch:
                started = time.perf_counter()
                catalog, residual = way(measurement_set, OPTIONS.get(name, ALMA).split(), Path(scratch))
                seconds = time.perf_counter() - started
                print(f"{name:8} {way.__name__:10}", *scores(table, catalog, residual), f"{seconds:5.0f} s", flush=True)


def call(words, folder, **variables):
    """Run a program."""
    environment = os.environ | {f"ASTRO_DDPM_IMAGER_{key}": value for key, value in variables.items()}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


def wsclean(measurement_set, options, folder):
    """Run WSClean; returns the start of the names of its images of all channels."""
    call(["wsclean", *options, "-name", "x", "-no-update-model-required", measurement_set], folder)
    return folder / ("x-MFS" if "-channels-out" in options else "x")


def plugin(measurement_set, options, folder):
    """WSClean with the deconvolver of this package."""
    os.environ |= {"ASTRO_DDPM_IMAGER_SAMPLES": SAMPLES, "ASTRO_DDPM_IMAGER_SEED": "1"}
    path = call([*COMMAND, "plugin", "wsclean"], folder).strip()
    more = f"-python-deconvolution {path} -niter 1000 -mgain 0.8 -auto-threshold 3".split()
    start = wsclean(measurement_set, [*options, *more], folder)
    return ours(f"{start}-catalog.ecsv"), f"{start}-residual.fits"


def standalone(measurement_set, options, folder):
    """WSClean's dirty image, and the command image on it."""
    start = wsclean(measurement_set, [*options, "-niter", "0", "-make-psf"], folder)
    if "-channels-out" in options:  # the image of all channels only
        for path in folder.glob("x-0*.fits"):
            path.unlink()
    call([*COMMAND, "image", "--wsclean", "x", "--samples", SAMPLES, "--seed", "1", "--quiet"], folder)
    return ours(f"{start}-catalog.ecsv"), f"{start}-residual.fits"


def clean(measurement_set, options, folder):
    """WSClean's CLEAN, and PyBDSF."""
    multiscale = ["-multiscale"] if measurement_set.stem == "disc" else []
    start = wsclean(measurement_set, [*options, *CLEAN.split(), *multiscale], folder)
    call([sys.executable, "-c", FIND, f"{start}-image.fits"], folder)
    if not (folder / "found.fits").exists():  # PyBDSF writes none without sources
        return (SkyCoord([], [], unit="deg"), np.array([])), f"{start}-residual.fits"
    found = QTable.read(folder / "found.fits")
    return (SkyCoord(found["RA"], found["DEC"]), found["Total_flux"].to_value(u.Jy)), f"{start}-residual.fits"


def ours(path):
    """Places and fluxes of a catalogue of this package."""
    found = QTable.read(path)
    return SkyCoord(found["ra"], found["dec"]), found["flux"].to_value(u.Jy)


def scores(true, found, residual):
    """What is printed."""
    with fits.open(residual) as hdus:
        left, radius = hdus[0].data.squeeze(), hdus[0].header["BMAJ"] / 2 * u.deg
    places, flux = found
    rows, partners = match_positions(SkyCoord(true["ra"], true["dec"]), places, radius)
    ratio = flux[partners] / true["flux"].to_value(u.Jy)[rows]
    return (
        f"rms {1e6 * left.std():6.1f} uJy/beam", f"peak {np.abs(left).max() / left.std():5.2f} rms",
        f"{len(rows)} of {len(true)} true, {len(flux) - len(rows)} false",
        f"flux {np.median(ratio):.3f} +- {1.4826 * np.median(np.abs(ratio - np.median(ratio))):.3f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
