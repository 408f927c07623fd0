"""Scores of the default model on folders of simulated fields, images and catalogues: the table of docs/extended.rst.

python docs/arrays.py runs/vla runs/meerkat

With --clean a line for CASA's multiscale CLEAN of each folder's images and what PyBDSF finds in them follows (extra
casa, bdsf). With --card the scores go into the card of the model, too, from where docs/scores.py takes them.
"""

import argparse
import json
import logging
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.stats import mad_std
from astropy.table import QTable
from tqdm import tqdm

from astro_ddpm_imager import DiffusionImager, load_card
from astro_ddpm_imager.evaluate import read_folder
from astro_ddpm_imager.evaluate.fields import true_pixels, true_snr
from astro_ddpm_imager.evaluate.images import true_brightness, true_sky
from astro_ddpm_imager.observation.preparation import prepare

MATCHING = 0.6  # beams, or half of the true major axis where that is more
DEPTH = 3  # times the noise, where CLEAN ends
SETTLED = 0.99  # of the noise before: it falls no further
THRESH_PIX, THRESH_ISL = 5, 3  # PyBDSF's defaults
KINDS = {
    "peaks_ellipse": "ALMA, ellipses that peak at 4 to 60 sigma",
    "peaks_disc": "ALMA, discs, likewise",
    "peaks_double": "ALMA, double sources, likewise",
    "peaks_clumps": "ALMA, clumps, likewise",
    "alma_ellipse": "ALMA, ellipses of 1 to 40 mJy",
    "alma_disc": "ALMA, discs of 1 to 40 mJy",
    "alma_double": "ALMA, double sources of 1 to 40 mJy",
    "alma_clumps": "ALMA, clumps of 1 to 40 mJy",
    "vla": "VLA B, survey",
    "vla_gains": "VLA B, gains off by 1%",
    "meerkat": "MeerKAT, survey",
    "atca": "ATCA 6A, survey",
    "sma": "SMA compact",
}  # folders whose commands are in docs/extended.rst


def catalogue_scores(dirty, found, truth, components):
    """Which true sources above 5 sigma are found, parts of extended ones, false ones, and flux ratios above 10 sigma.

    A part is a row that is no true source, but lies on a Gaussian of an extended one: a lobe, or a knot.
    """
    flux, snr = truth["flux"].to_value(u.Jy), true_snr(truth, dirty)
    relative = distances(found, truth, dirty)
    of_true = {}
    for i, j in sorted(zip(*np.nonzero(relative < 1), strict=True), key=lambda pair: relative[pair]):
        if i not in of_true and j not in of_true.values():
            of_true[i] = j
    ratios = [found["flux"][j].to_value(u.Jy) / flux[i] for i, j in of_true.items() if snr[i] > 10]
    left = found[[j not in of_true.values() for j in range(len(found))]]
    parts = (distances(left, components[components["major"] > 0], dirty) < 1).any(0).sum()
    return [i in of_true for i in np.flatnonzero(snr > 5)], parts, len(left) - parts, ratios


def distances(found, truth, dirty):
    """Of the sources of a catalogue (columns) from true ones (rows), relative to how far they may be apart."""
    x, y = true_pixels(truth, dirty.wcs)
    cell = np.sqrt(abs(np.linalg.det(dirty.wcs.pixel_scale_matrix))) * u.deg
    beam = np.sqrt(dirty.beam.major * dirty.beam.minor)
    reach = (np.maximum(MATCHING * beam, truth["major"] / 2) / cell).to_value(u.one)
    return np.hypot(x[:, None] - found["x"], y[:, None] - found["y"]) / reach[:, None]


def image_scores(dirty, sky, residual, components):
    """Error of the image at the beam's resolution, total flux, rms and highest of the residual over the noise.

    ``sky`` and ``residual`` are on the pixels of the image, Jy/pixel and Jy/beam, not corrected for the primary beam.
    """
    inside = np.isfinite(dirty.data)
    image = np.where(inside, sky, 0)
    truth = true_brightness(components, dirty)[inside]
    error = dirty.convolve_beam(image)[inside] - truth
    left = residual[inside] / dirty.rms
    total = true_sky(components, dirty)[inside].sum()
    return np.sqrt((error**2).sum() / (truth**2).sum()), image.sum() / total, left.std(), np.abs(left).max()


def summary(images, catalogues):
    """Medians of what `image_scores`, and what `catalogue_scores` give of fields."""
    nrmse, flux, rms, peak = np.transpose(images)
    found, parts, false, ratios = zip(*catalogues, strict=True)
    scores = {
        "image_error": np.median(nrmse),
        "flux": np.median(flux),
        "residual": np.median(rms),
        "below_5_sigma": np.sum(peak < 5),
        "found": np.concatenate(found).mean(),
        "parts": np.mean(parts),
        "false": np.mean(false),
        "flux_error": np.median(np.abs(np.concatenate(ratios) - 1)),
    }
    return {"fields": len(images)} | {name: round(value.item(), 4) for name, value in scores.items()}


def into_card(model, name, ours, clean):
    """Put scores into the card of a model that lies beside it; those of CLEAN stay where they are not measured."""
    card, path = load_card(model)
    clean = clean or card.image_scores.get(name, {}).get("clean")
    scores = card.image_scores | {name: ours | ({"clean": clean} if clean else {})}
    replace(card, image_scores=scores).write(path.with_suffix(".json"))


def cleaned(arguments, dirty, scales):
    """The model, Jy/pixel, and the residual of CASA's task deconvolve with scales in beams."""
    given, sys.argv = sys.argv, sys.argv[:1]  # casatools reads it
    from casatasks import deconvolve, exportfits, importfits

    sys.argv = given
    beam = np.sqrt(dirty.beam.major * dirty.beam.minor).to_value("arcsec")
    cell = np.sqrt(abs(np.linalg.det(dirty.wcs.pixel_scale_matrix))) * 3600
    with tempfile.TemporaryDirectory() as folder:
        name = f"{folder}/field"
        for kind, path in (("residual", arguments["dirty"]), ("psf", arguments["psf"])):
            importfits(str(path), f"{name}.{kind}", defaultaxes=True, defaultaxesvalues=["", "", "", "I"])
        noise, before = mad_std(dirty.data, ignore_nan=True), np.inf
        while noise < SETTLED * before:  # as major cycles measure it, with what sidelobes are left
            deconvolve(
                name,
                deconvolver="multiscale",
                scales=[round(scale * beam / cell) for scale in scales],
                niter=100_000,
                threshold=f"{DEPTH * noise}Jy",
                restoration=False,
            )
            for kind in ("model", "residual"):
                exportfits(f"{name}.{kind}", f"{name}.{kind}.fits", overwrite=True)
            model, residual = (np.squeeze(fits.getdata(f"{name}.{kind}.fits")) for kind in ("model", "residual"))
            before, noise = noise, mad_std(residual, ignore_nan=True)
        return model, residual


def found_in(restored, dirty):
    """What PyBDSF finds in a restored image, Jy/beam, as a catalogue corrected for the primary beam."""
    import bdsf

    np.seterr(all="ignore")  # it makes every division by zero an error, and stumbles over boxes of blank pixels
    with tempfile.TemporaryDirectory() as folder:
        name = f"{folder}/restored.fits"
        header = dirty.wcs.to_header()
        header["BUNIT"] = "Jy/beam"
        fits.PrimaryHDU(restored.astype("float32"), header).writeto(name)
        beam = [axis.to_value(u.deg) for axis in (dirty.beam.major, dirty.beam.minor, dirty.beam.pa)]
        made = bdsf.process_image(
            name, beam=beam, frequency=1e9, thresh_pix=THRESH_PIX, thresh_isl=THRESH_ISL, outdir=folder, quiet=True
        )
    x, y = dirty.wcs.world_to_pixel_values(*np.reshape([s.posn_sky_centroid for s in made.sources], (-1, 2)).T)
    pb = dirty.primary_beam_at(x, y)
    found = QTable({"x": x, "y": y, "flux": [s.total_flux for s in made.sources] / pb * u.Jy})
    return found[np.isfinite(pb)]  # where the image is not blank


def main():
    """Print a line for each folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="as astro-ddpm-imager simulate writes them")
    parser.add_argument("--model", default="default")
    parser.add_argument(
        "--clean",
        type=float,
        nargs="+",
        metavar="SCALE",
        help="and multiscale CLEAN and PyBDSF, with these scales, beams",
    )
    parser.add_argument(
        "--peaks", type=float, nargs=2, metavar=("LOW", "HIGH"), help="fields with such peaks only, sigma"
    )
    parser.add_argument("--card", action="store_true", help="put the scores into the card of the model")
    args = parser.parse_args()
    unknown = [folder.name for folder in args.folders if folder.name not in KINDS]
    if args.card and unknown:
        parser.error(f"--card: fields of {unknown} have no name here; there are {list(KINDS)}")
    logging.getLogger("astro_ddpm_imager").setLevel(logging.ERROR)
    imager = DiffusionImager(args.model, seed=1, progress=False)
    for folder in args.folders:
        inputs, truth = read_folder(folder)
        _, components = read_folder(folder, folder / "gaussians.ecsv")
        ours, by_clean = [], []
        for number, arguments in tqdm(inputs.items(), folder.name, leave=False):
            of_field = components[components["field"] == number]
            if args.peaks:
                dirty = prepare(**arguments)
                if not args.peaks[0] < true_brightness(of_field, dirty).max() / dirty.rms < args.peaks[1]:
                    continue
            result = imager(**arguments)
            dirty, of_truth = result.dirty, truth[truth["field"] == number]
            sky = result.apparent(result.sky)
            ours.append(
                (
                    image_scores(dirty, sky, result.residual.data, of_field),
                    catalogue_scores(dirty, result.catalog, of_truth, of_field),
                )
            )
            if args.clean:
                model, residual = cleaned(arguments, dirty, args.clean)
                found = found_in(dirty.convolve_beam(model) + residual, dirty)
                by_clean.append(
                    (
                        image_scores(dirty, model, residual, of_field),
                        catalogue_scores(dirty, found, of_truth, of_field),
                    )
                )
        scores = summary(*zip(*ours, strict=True))
        print(f"{folder.name}: {json.dumps(scores)}", flush=True)
        clean = summary(*zip(*by_clean, strict=True)) if by_clean else None
        if clean:
            print(f"    multiscale CLEAN and PyBDSF: {json.dumps(clean)}", flush=True)
        if args.card:
            into_card(args.model, KINDS[folder.name], scores, clean)


if __name__ == "__main__":
    main()
