"""What any method could reach on Table 1: scores of the exact posterior, which knows how the fields were drawn.

python -m export.optimum ../shared/casa_fields
"""

import argparse
import json
import math
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from astropy.table import QTable, vstack
from astropy.wcs.utils import proj_plane_pixel_scales
from scipy.ndimage import map_coordinates
from tqdm import tqdm

from astro_ddpm_imager.evaluate import read_folder, score_catalog
from astro_ddpm_imager.evaluate.matched_filter import convolve_gaussian
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.sources.aggregation import Detections, merge

FLUX = np.arange(62.5, 500, 25) * 1e-6  # Jy, for 50 to 500 uJy
REACH, STEP = 10.0, 0.2  # arcsec: largest offset, and the raster of positions, for continuous ones
FWHM = 0.6  # arcsec, for 0.4 to 0.8 on either axis
MOST = 5  # sources a field; 1 to 5 are equally likely
SWEEPS, FIRST, THINNING = 400, 80, 4  # sweeps over the sources, of which every fourth from the 80th is kept
MERGING = 0.5  # arcsec


def draw_sources(dirty, rng):
    """Draw sources from the posterior by Gibbs sampling: one source at a time, given the others.

    With natural weighting the noise has the covariance rms^2 PSF, and the
    likelihood of a sky s given the dirty image d is exp((s.d - s.PSF s / 2) / rms^2).

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
        Naturally weighted, the pointing centre in the middle.
    rng : `numpy.random.Generator`

    Returns
    -------
    `~astro_ddpm_imager.sources.aggregation.Detections`
        Offsets in arcsec from the middle pixel, fluxes in Jy before the primary beam.
    """
    ny, nx = dirty.shape
    cell = proj_plane_pixel_scales(dirty.wcs)[0] * 3600
    sigma = FWHM * gaussian_fwhm_to_sigma / cell
    filtered = convolve_gaussian(np.nan_to_num(dirty.data), sigma)
    template = convolve_gaussian(dirty.covering_psf, math.sqrt(2) * sigma)
    offset = np.arange(-REACH, REACH + STEP / 2, STEP)
    n = len(offset)
    places = np.stack(np.meshgrid(ny // 2 + offset / cell, nx // 2 + offset / cell, indexing="ij"))
    lags = np.arange(1 - n, n) * STEP / cell
    response = map_coordinates(template, np.meshgrid(ny + lags, nx + lags, indexing="ij"), order=3)
    pb = map_coordinates(np.nan_to_num(dirty.pb), places, order=1).ravel()
    left = map_coordinates(filtered, places, order=3).ravel()
    apparent = pb[:, None] * FLUX
    energy = apparent**2 * template[ny, nx] / 2

    def seen(place, k):
        """A source in the filtered image."""
        row, column = divmod(place, n)
        return apparent[place, k] * response[n - 1 - row : 2 * n - 1 - row, n - 1 - column : 2 * n - 1 - column].ravel()

    # A number of sources fills the places for them in so many ways.
    prior = [0] + [1 / math.comb(MOST, number) for number in range(1, MOST + 1)]
    sources, drawn = [None] * MOST, []
    for sweep in range(SWEEPS):
        for i in range(MOST):
            if sources[i]:
                left += seen(*sources[i])
            others = sum(source is not None for j, source in enumerate(sources) if j != i)
            gain = (left[:, None] * apparent - energy) / dirty.rms**2
            weight = np.exp(gain - gain.max())
            by_place = weight.sum(1)
            odds = prior[others + 1] * by_place.sum() / weight.size
            none = prior[others] * np.exp(-gain.max())
            sources[i] = None
            if rng.random() * (odds + none) < odds:
                place = rng.choice(n**2, p=by_place / by_place.sum())
                sources[i] = place, rng.choice(len(FLUX), p=weight[place] / by_place[place])
                left -= seen(*sources[i])
        if sweep >= FIRST and (sweep - FIRST) % THINNING == 0:
            sample = (sweep - FIRST) // THINNING
            drawn += [(sample, offset[p % n], offset[p // n], FLUX[k]) for p, k in filter(None, sources)]
    sample, x, y, flux = np.transpose(drawn)
    return Detections(
        sample.astype(int), x, y, flux, np.zeros((len(x), 2, 2)), np.zeros((len(x), 3)), np.arange(len(x)), flux
    )


def catalogue(dirty, rng):
    """Sources merged from the samples, every candidate: a table with ``ra``, ``dec``, ``flux`` and ``reliability``."""
    merged = merge(draw_sources(dirty, rng), len(range(FIRST, SWEEPS, THINNING)), MERGING)
    cell = proj_plane_pixel_scales(dirty.wcs)[0] * 3600
    ny, nx = dirty.shape
    sky = dirty.wcs.pixel_to_world(nx // 2 + merged.x / cell, ny // 2 + merged.y / cell)
    return QTable({"ra": sky.ra, "dec": sky.dec, "flux": merged.flux * u.Jy, "reliability": merged.reliability})


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="fields as in Table 1, naturally weighted")
    parser.add_argument("--reliability", type=float, nargs="+", default=(0.2, 0.25, 0.3, 0.35, 0.4, 0.5))
    args = parser.parse_args()
    inputs, truth = read_folder(args.folder, noise_protocol="independent")
    tables = []
    for number, arguments in tqdm(inputs.items(), unit="field"):
        tables.append(catalogue(prepare(**arguments), np.random.default_rng([1, number])))
        tables[-1]["field"] = np.full(len(tables[-1]), number)
    candidates = vstack(tables)
    for level in args.reliability:
        scores = score_catalog(truth, candidates[candidates["reliability"] >= level])
        print(json.dumps({"reliability": level, **scores}))


if __name__ == "__main__":
    main()
