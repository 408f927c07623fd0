"""Scores of the default model on folders of simulated fields, images and catalogues: the table of docs/extended.rst.

python docs/arrays.py runs/vla runs/meerkat
"""

import argparse
import logging
from pathlib import Path

import astropy.units as u
import numpy as np
from tqdm import tqdm

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.evaluate import read_folder
from astro_ddpm_imager.evaluate.fields import true_pixels, true_snr
from astro_ddpm_imager.evaluate.images import true_brightness, true_sky

MATCHING = 0.6  # beams, or half of the true major axis where that is more


def catalogue_scores(result, truth):
    """Which true sources above 5 sigma are found, the false ones, and flux ratios above 10 sigma."""
    dirty, found = result.dirty, result.catalog
    x, y = true_pixels(truth, dirty.wcs)
    cell = np.sqrt(abs(np.linalg.det(dirty.wcs.pixel_scale_matrix))) * u.deg
    beam = np.sqrt(dirty.beam.major * dirty.beam.minor)
    flux, snr = truth["flux"].to_value(u.Jy), true_snr(truth, dirty)
    distance = np.hypot(x[:, None] - found["x"], y[:, None] - found["y"])
    reach = np.maximum(MATCHING * beam, truth["major"] / 2) / cell
    relative = distance / reach.to_value(u.one)[:, None]
    of_true = {}
    for i, j in sorted(zip(*np.nonzero(relative < 1), strict=True), key=lambda pair: relative[pair]):
        if i not in of_true and j not in of_true.values():
            of_true[i] = j
    ratios = [found["flux"][j].to_value(u.Jy) / flux[i] for i, j in of_true.items() if snr[i] > 10]
    return [i in of_true for i in np.flatnonzero(snr > 5)], len(found) - len(of_true), ratios


def image_scores(result, components):
    """Error of the image at the beam's resolution, total flux, rms and highest of the residual over the noise."""
    dirty = result.dirty
    inside = np.isfinite(dirty.data)
    image = np.where(inside, result.apparent(result.sky), 0)
    truth = true_brightness(components, dirty)[inside]
    error = dirty.convolve_beam(image)[inside] - truth
    left = result.residual.data[inside] / dirty.rms
    total = true_sky(components, dirty)[inside].sum()
    return np.sqrt((error**2).sum() / (truth**2).sum()), image.sum() / total, left.std(), np.abs(left).max()


def main():
    """Print a line for each folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="as astro-ddpm-imager simulate writes them")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    logging.getLogger("astro_ddpm_imager").setLevel(logging.ERROR)
    imager = DiffusionImager(args.model, seed=1, progress=False)
    for folder in args.folders:
        inputs, truth = read_folder(folder)
        _, components = read_folder(folder, folder / "gaussians.ecsv")
        images, catalogues = [], []
        for number, arguments in tqdm(inputs.items(), folder.name, leave=False):
            result = imager(**arguments)
            images.append(image_scores(result, components[components["field"] == number]))
            catalogues.append(catalogue_scores(result, truth[truth["field"] == number]))
        found, false, ratios = zip(*catalogues, strict=True)
        nrmse, flux, rms, peak = np.transpose(images)
        print(
            f"{folder.name}: {len(images)} fields, image error {np.median(nrmse):.3f}, flux {np.median(flux):.3f}, "
            f"residual {np.median(rms):.2f}, below 5 sigma in {np.sum(peak < 5)}; found "
            f"{np.concatenate(found).mean():.2f}, false {np.mean(false):.2f}, |flux ratio - 1| "
            f"{np.median(np.abs(np.concatenate(ratios) - 1)):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
