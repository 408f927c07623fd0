"""Run docs/scripts/tclean_before.py and tclean_after.py on MeasurementSets with known sources, and count.

python docs/tclean_measured.py ../shared/casa_fields/ms ../shared/casa_fields/truth.ecsv --repeat 5

This needs CASA and PyBDSF (the extras casa and evaluate). Every call draws new samples, so that the script after is
repeated.
"""

import argparse
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
    parser.add_argument("sets", type=Path, help="folder of NNNN.ms.tar.gz")
    parser.add_argument("truth", type=Path, help="table of the true sources: field, ra, dec, flux_jy")
    parser.add_argument("--repeat", type=int, default=1, help="of the script after")
    args = parser.parse_args()
    truth, archives = QTable.read(args.truth), sorted(args.sets.glob("*.ms.tar.gz"))
    for name, number in (("before", 1), ("after", args.repeat)):
        for _ in range(number):
            counts, seconds = {}, []
            for archive in archives:
                true = truth[truth["field"] == int(archive.name[:4])]
                with tempfile.TemporaryDirectory() as folder:
                    seconds.append(run(SCRIPTS / f"tclean_{name}.py", archive, Path(folder)))
                    for label, found in catalogs(Path(folder)).items():
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
    subprocess.run([sys.executable, script], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def catalogs(folder):
    """Positions and fluxes, corrected for the primary beam, of the catalogues in a folder."""
    found, pb = {}, read_image(folder / "field.pb", unit=u.one)
    if (folder / "field.srl.fits").exists():
        table = QTable.read(folder / "field.srl.fits")
        places = SkyCoord(table["RA"], table["DEC"])
        y, x = pb.wcs.world_to_array_index(places)
        found["field.srl.fits"] = (places, table["Total_flux"].to_value(u.Jy) / pb.data[y, x])
    if (folder / "field.catalog.ecsv").exists():
        table = QTable.read(folder / "field.catalog.ecsv")
        found["field.catalog.ecsv"] = (SkyCoord(table["ra"], table["dec"]), table["flux"].to_value(u.Jy))
    return found


def compare(true, places, flux):
    """Number of sources listed, of those that are true, and the errors of their fluxes."""
    rows, partners = match_positions(SkyCoord(true["ra"], true["dec"], unit="deg"), places, RADIUS)
    return len(places), len(rows), flux[partners] - np.asarray(true["flux_jy"])[rows]


if __name__ == "__main__":
    main()
