"""Fit how certain PyBDSF is of what it finds: the constants of astro_ddpm_imager/compat/bdsf/certainty.py.

astro-ddpm-imager simulate --fields 40 --seed 41 --integration 60 --output-dir runs/certainty
python docs/certainty.py runs/certainty

Needs the real PyBDSF. The fields must not be those that catalogues are judged on.
"""

import argparse
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from scipy.optimize import minimize

from astro_ddpm_imager.evaluate import match_positions

RADIUS = 0.45 * u.arcsec  # half of the beam


def found(path, truth):
    """Peak of the island over its rms of each Gaussian in a field, and whether it is true."""
    import bdsf  # here, so that the help does not need it

    with tempfile.TemporaryDirectory() as outdir:
        image = bdsf.process_image(str(path), thresh_pix=3, quiet=True, ncores=1, outdir=outdir)
    islands = [image.islands[gaussian.island_id] for gaussian in image.gaussians]
    peaks = np.array([island.max_value / island.rms for island in islands])
    positions = np.reshape([gaussian.centre_sky for gaussian in image.gaussians], (-1, 2)) * u.deg
    true = np.zeros(len(peaks), dtype=bool)
    true[match_positions(SkyCoord(truth["ra"], truth["dec"], unit="deg"), SkyCoord(*positions.T), RADIUS)[1]] = True
    return peaks, true


def fit(peaks, true):
    """Where a logistic function of the peak is a half, and its width, by maximum likelihood."""

    def minus_log_likelihood(parameters):
        half, log_width = parameters
        return np.logaddexp(0, np.where(true, -1, 1) * (peaks - half) / np.exp(log_width)).sum()

    half, log_width = minimize(minus_log_likelihood, [np.median(peaks), -1], method="Nelder-Mead").x
    return half, np.exp(log_width)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="as astro-ddpm-imager simulate writes it")
    folder = parser.parse_args().folder
    np.seterr(all="ignore")  # PyBDSF makes every division by zero an error, and then stumbles
    truth = QTable.read(folder / "truth.ecsv")
    fields = [found(path, truth[truth["field"] == int(path.name[:4])]) for path in sorted(folder.glob("*.dirty.fits"))]
    peaks, true = (np.concatenate(values) for values in zip(*fields, strict=True))
    rng = np.random.default_rng(1)
    drawn = [rng.integers(len(peaks), size=len(peaks)) for _ in range(200)]
    spread = np.std([fit(peaks[rows], true[rows]) for rows in drawn], axis=0)
    print(f"{len(fields)} fields, {len(peaks)} Gaussians, {true.sum()} of them true; lowest peaks {np.sort(peaks)[:4]}")
    for name, value, error in zip(("HALF_TRUE", "WIDTH"), fit(peaks, true), spread, strict=True):
        print(f"{name} = {value:.3f} +- {error:.3f}")


if __name__ == "__main__":
    main()
