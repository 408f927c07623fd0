"""Run the scripts of docs/scripts, before and after, on MeasurementSets with known sources, and count.

python docs/scripts_measured.py tclean ../shared/casa_fields --repeat 5
python docs/scripts_measured.py wsclean ../shared/casa_fields --repeat 5

This needs PyBDSF, and CASA or WSClean (the extras evaluate and casa; Debian's wsclean). Every call draws new samples,
so that the script after is repeated. The primary beam is that of the folder: WSClean may have none.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from astro_ddpm_imager import read_image
from astro_ddpm_imager.evaluate.matching import match_positions

SCRIPTS = Path(__file__).parent / "scripts"
RADIUS = 0.45 * u.arcsec  # half a beam


def main():
    """Print a line for each repetition and catalogue."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("imager", choices=("tclean", "wsclean"))
    parser.add_argument("folder", type=Path, help="ms/NNNN.ms.tar.gz, pb.fits, and truth.ecsv: field, ra, dec, flux_jy")
    parser.add_argument("--repeat", type=int, default=1, help="of the script after")
    args = parser.parse_args()
    truth, archives = QTable.read(args.folder / "truth.ecsv"), sorted(args.folder.glob("ms/*.ms.tar.gz"))
    pb = read_image(args.folder / "pb.fits", unit=u.one)
    for name, number in (("before", 1), ("after", args.repeat)):
        for _ in range(number):
            counts, seconds = {}, []
            for archive in archives:
                true = truth[truth["field"] == int(archive.name[:4])]
                with tempfile.TemporaryDirectory() as folder:
                    seconds.append(run(SCRIPTS / f"{args.imager}_{name}.py", archive, Path(folder)))
                    for label, found in catalogs(Path(folder), pb).items():
                        counts.setdefault(label, []).append(compare(true, *found))
            for label, fields in counts.items():
                listed, matched = np.sum([field[:2] for field in fields], axis=0)
                errors = 1e6 * np.concatenate([field[2] for field in fields])
                print(
                    f"{name}, {label}: {listed} listed, {matched} of them true; median flux error "
                    f"{np.median(errors):+.0f} uJy; {np.mean(seconds):.1f} s a field",
                    flush=True,
                )


def run(script, archive, folder):
    """Seconds that a script takes with the MeasurementSet of an archive as field.ms."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    (folder / archive.name.removesuffix(".tar.gz")).rename(folder / "field.ms")
    started = time.perf_counter()
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([sys.executable, script], cwd=folder, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def catalogs(folder, pb):
    """Positions and fluxes, corrected for the primary beam, of the catalogues in a folder."""
    found = {}
    image = folder / "field-image.fits"
    wcs = read_image(image if image.exists() else folder / "field.image").wcs  # that of pb is of another field
    for path in sorted([*folder.glob("field.srl.fits"), *folder.glob("field*catalog.ecsv")]):
        table = QTable.read(path)
        bdsf = path.suffix == ".fits"
        places = SkyCoord(*(table[name] for name in (("RA", "DEC") if bdsf else ("ra", "dec"))))
        y, x = wcs.world_to_array_index(places)
        corrected = 1 if bdsf else table["pb"]  # for so much of it
        found[path.name] = (places, table["Total_flux" if bdsf else "flux"].to_value(u.Jy) * corrected / pb.data[y, x])
    return found


def compare(true, places, flux):
    """Number of sources listed, of those that are true, and the errors of their fluxes."""
    rows, partners = match_positions(SkyCoord(true["ra"], true["dec"], unit="deg"), places, RADIUS)
    return len(places), len(rows), flux[partners] - np.asarray(true["flux_jy"])[rows]


if __name__ == "__main__":
    main()
