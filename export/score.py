"""Score a model on simulated fields or on a folder of CASA fields; write the scores into its card.

python -m export.score --model default --simulated 200 --psf PSF.fits --name "simulated, 200 fields" --choose
python -m export.score --model default --folder ../shared/casa_fields --name "casa_fields, 60 fields"
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable, vstack
from astropy.wcs import WCS
from radio_beam import Beam
from tqdm import tqdm

from astro_ddpm_imager import DiffusionImager, load_card
from astro_ddpm_imager.evaluate import reliability_diagram, score_catalog, scores_by_snr
from astro_ddpm_imager.simulate import FieldSimulator, Instrument, Population

BEAM = 0.856 * u.arcsec
NOISE = 47.3 * u.uJy
SNR_EDGES = (0, 2, 3, 4, 5, 6, 100)


class TableOne(Population):
    """Table 1 of Taran et al. 2023 (A&A 674, A161): 1 to 5 sources inside +-10 arcsec, but continuous positions."""

    def place(self, rng, shape, pixels_per_beam, density):
        """Draw how many sources there are, and where."""
        box = (10 * u.arcsec / BEAM).to_value(u.one) * pixels_per_beam
        centre = np.array([[shape[1] // 2], [shape[0] // 2]])
        return centre + rng.uniform(-box, box, (2, rng.integers(1, 6)))


def read_instrument(path):
    """The instrument of the PSF in a FITS file, naturally weighted, at about 2.2 pixels per beam."""
    with fits.open(path) as hdus:
        hdu = next(hdu for hdu in hdus if hdu.data is not None)
        header, psf = hdu.header, np.squeeze(hdu.data).astype(float)
    per_beam = np.sqrt(header["BMAJ"] * header["BMIN"]) / abs(header["CDELT2"])
    return Instrument(psf, psf, per_beam).resampled(2 * round(len(psf) / per_beam * 2.2 / 2))


def simulated_fields(psf, number, seed):
    """Fields as Table 1 has them, with independent noise.

    Yields
    ------
    inputs : dict
        Arguments of a `DiffusionImager`.
    truth : `~astropy.table.QTable`
    """
    table1 = TableOne(bright_fraction=0, other_fraction=0)
    simulator = FieldSimulator((read_instrument(psf),), table1, noise_spread=0, pb_fwhm=(30.7, 30.8), flat_fraction=0)
    for i in range(number):
        field = simulator(np.random.default_rng([seed, i]))
        n, per_beam = len(field.dirty), field.instrument.pixels_per_beam
        pixel = BEAM / per_beam
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.crval = ["RA---SIN", "DEC--SIN"], [150.0, 2.0]
        wcs.wcs.crpix, wcs.wcs.cdelt = [n // 2 + 1] * 2, [-pixel.to_value(u.deg), pixel.to_value(u.deg)]
        inside = field.pb > 0
        dirty = CCDData(
            np.where(inside, field.dirty, np.nan) * NOISE.to_value(u.Jy), unit=u.Jy / u.beam, wcs=wcs, mask=~inside
        )
        sources, sky = field.sources, wcs.pixel_to_world(field.sources.x, field.sources.y)
        rows, columns = (np.round(p).astype(int).clip(0, n - 1) for p in (sources.y, sources.x))
        pb = np.where(inside, field.pb, 1)[rows, columns]
        widths = np.array(
            [[sources.covariance[0], sources.covariance[1]], [sources.covariance[1], sources.covariance[2]]]
        )
        beam = np.eye(2) * (per_beam**2 / (8 * np.log(2)))
        spread = np.linalg.det(np.moveaxis(widths, 2, 0) + beam) / np.linalg.det(beam)
        truth = QTable(
            {
                "ra": sky.ra,
                "dec": sky.dec,
                "flux": sources.flux / pb * NOISE.to(u.Jy),
                "snr": sources.flux / np.sqrt(spread),
            }
        )
        yield {"dirty": dirty, "psf": field.instrument.psf, "pb": field.pb, "beam": Beam(BEAM)}, truth


def casa_fields(folder):
    """Fields of a folder laid out as ``casa_fields``: NNNN.dirty.fits, psf.fits, pb.fits and truth.ecsv.

    Yields
    ------
    inputs : dict
        Arguments of a `DiffusionImager`.
    truth : `~astropy.table.QTable`
    """
    table = QTable.read(folder / "truth.ecsv")
    for path in sorted(folder.glob("*.dirty.fits")):
        rows = table[table["field"] == int(path.name.split(".")[0])]
        offset = np.hypot(rows["dx_arcsec"], rows["dy_arcsec"])
        area = np.sqrt((rows["maj_arcsec"] ** 2 + 0.856**2) * (rows["min_arcsec"] ** 2 + 0.856**2)) / 0.856**2
        apparent = rows["flux_jy"] * np.exp(-4 * np.log(2) * (offset / 26.3) ** 2) / area
        truth = QTable(
            {
                "ra": rows["ra"] * u.deg,
                "dec": rows["dec"] * u.deg,
                "flux": rows["flux_jy"] * u.Jy,
                "snr": apparent / NOISE.to_value(u.Jy),
            }
        )
        yield {"dirty": path, "psf": folder / "psf.fits", "pb": folder / "pb.fits"}, truth


def run(imager, fields):
    """Catalogues and truths of all fields, numbered in a column ``field``, and the seconds a field took."""
    catalogs, truths = [], []
    started = time.perf_counter()
    for number, (inputs, truth) in enumerate(fields):
        catalog = imager(**inputs).catalog
        catalog.meta.clear()
        for table, kept in ((catalog, catalogs), (truth, truths)):
            table["field"] = np.full(len(table), number)
            kept.append(table)
    return vstack(catalogs), vstack(truths), (time.perf_counter() - started) / len(catalogs)


def best_reliability(catalog, truth, n_samples):
    """The reliability with the best F1."""
    levels = np.arange(1, n_samples) / n_samples
    scores = [score_catalog(truth, catalog[catalog["reliability"] > level - 1e-9])["f1"] for level in levels]
    # The curve is noisy: its smoothed maximum.
    return float(levels[np.argmax(np.convolve(scores, np.ones(3) / 3, mode="same"))])


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--simulated", type=int, metavar="N", help="number of simulated fields")
    parser.add_argument("--psf", help="PSF of the simulated fields")
    parser.add_argument("--folder", type=Path, help="folder of CASA fields, instead of simulated ones")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--sampler", default="dpm-solver")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--choose", action="store_true", help="make the reliability with the best F1 the default")
    parser.add_argument("--name", help="write the scores into the card under this name")
    parser.add_argument("--catalog", type=Path, help="write the catalogue, every candidate in it, as ECSV")
    args = parser.parse_args()
    fields = casa_fields(args.folder) if args.folder else simulated_fields(args.psf, args.simulated, args.seed)
    imager = DiffusionImager(
        args.model, n_samples=args.samples, steps=args.steps, sampler=args.sampler, threshold=args.threshold,
        reliability=0, seed=args.seed, device="cpu", threads=args.threads,
        progress=False,
    )  # fmt: skip
    candidates, truth, seconds = run(imager, tqdm(fields, unit="field"))
    if args.catalog:
        candidates.write(args.catalog, overwrite=True)
    card, path = load_card(args.model)
    level = best_reliability(candidates, truth, args.samples) if args.choose else card.reliability
    catalog = candidates[candidates["reliability"] >= level - 1e-9]
    scores = score_catalog(truth, catalog)
    scores["seconds_per_field"] = seconds
    scores = {key: round(value, 4) if isinstance(value, float) else value for key, value in scores.items()}
    scores["by_snr"] = scores_by_snr(truth, catalog, SNR_EDGES)
    scores["reliability_diagram"] = reliability_diagram(truth, candidates, np.linspace(0, 1, 6))
    print(json.dumps({"reliability": level, **scores}, indent=1))
    if args.name:
        scores["settings"] = {"n_samples": args.samples, "steps": imager.steps, "seed": args.seed, "reliability": level}
        kept = level if args.choose else card.reliability
        replace(card, reliability=kept, scores={**card.scores, args.name: scores}).write(path.with_suffix(".json"))


if __name__ == "__main__":
    main()
