"""Make the picture of docs/extended.rst, and print what its table says.

python docs/extended.py
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.observation.clean import clean
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, Sources, read_array
from astro_ddpm_imager.simulate.population import power_law
from astro_ddpm_imager.simulate.shapes import disc, double

HERE = Path(__file__).parent
DEEP = 3.0  # times the noise: where CLEAN stops


def observe(array, sources, rms, seed, **options):
    """A dirty image of sources (Jy, on its pixels), and what it was made with."""
    seen = Observation(read_array(array), 150 * u.deg, **options)
    rng = np.random.default_rng(seed)
    drawn = sources(rng, seen)
    image = CCDData(seen.dirty(drawn, rms, rng), unit=u.Jy / u.beam, wcs=seen.wcs)
    return seen, drawn, image


def a_disc(rng, seen):
    """An inclined disc of seven beams with a peak of some 30 times the noise."""
    return disc(rng, 7.0, 1.0).placed(256, 256, 8.55, 16e-3)


def a_galaxy(rng, seen):
    """A double source of 100 arcsec."""
    return double(rng, 26.0, 1.0).placed(256, 256, 3.4, 25e-3)


def a_survey(rng, seen):
    """Forty points with N(>S) ~ 1 / S, from 3 to 600 times the noise."""
    x, y = rng.uniform(30, 482, (2, 40))
    return Sources(x, y, power_law(rng, 40, 90e-6, 18e-3, -2.0), *np.zeros((3, 40)))


def cleaned(observation, seen):
    """Restored image of CLEAN, and what it leaves, Jy/beam."""
    psf = replace(seen, shape=tuple(2 * n for n in seen.shape)).psf
    data = np.nan_to_num(observation.data) / observation.rms
    components, residual = clean(data, psf, DEEP, 0.1, np.isfinite(observation.data), 100_000)
    return (observation.convolve_beam(components) + residual) * observation.rms, residual * observation.rms


def main():
    """Image the three fields, and one with the PSF of another hour."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    vla = {"declination": 34 * u.deg, "frequency": 1.4 * u.GHz, "bandwidth": 0.3 * u.GHz, "channels": 5,
           "duration": 1 * u.hour, "integration": 60 * u.s, "cell": 1.2 * u.arcsec, "weighting": "briggs"}  # fmt: skip
    alma = {"declination": 2 * u.deg, "integration": 60 * u.s}
    fields = {
        "Disc, ALMA": observe("alma.cycle5.3", a_disc, 47e-6, 7, **alma),
        "Double source, VLA B": observe("vla.b", a_galaxy, 30e-6, 2, **vla),
        "40 sources, VLA B": observe("vla.b", a_survey, 30e-6, 6, **vla),
    }
    imager = DiffusionImager(seed=1, progress=False)
    figure = Figure(figsize=(12.4, 9.6), layout="constrained")
    for row, (name, (seen, drawn, image)) in enumerate(fields.items()):
        result = imager(image, seen.psf, seen.pb, beam=seen.beam)
        dirty = result.dirty
        restored, left = cleaned(prepare(image, seen.psf, seen.pb, None, seen.beam), seen)
        ours = dirty.convolve_beam(np.nan_to_num(result.image.data * dirty.pb))
        apparent = (drawn.flux * seen.primary_beam_at(drawn.x, drawn.y)).sum()
        model = np.nansum(result.image.data * dirty.pb)
        print(f"{name}: total {1e3 * apparent:.2f} mJy, ours {1e3 * model:.2f}; {len(result.catalog)} sources; residual"
              f" {np.nanstd(result.residual.data) / dirty.rms:.2f} of the noise, peak "
              f"{np.nanmax(np.abs(result.residual.data)) / dirty.rms:.1f}; CLEAN "
              f"{np.nanstd(left) / dirty.rms:.2f}, {np.nanmax(np.abs(left)) / dirty.rms:.1f}; misfit "
              f"{list(result.fit.misfits)}")  # fmt: skip
        panels = {"dirty image": image.data, "CLEAN, restored": restored, "ours, with the beam": ours,
                  "residual of ours": result.residual.data}  # fmt: skip
        top = np.nanmax(image.data) / dirty.rms
        for column, (title, data) in enumerate(panels.items()):
            axes = figure.add_subplot(3, 4, 4 * row + column + 1)
            norm = {"vmin": -5, "vmax": 5, "cmap": "RdBu_r"} if column == 3 else {
                "norm": PowerNorm(0.4, 0, top), "cmap": "inferno"}  # fmt: skip
            window = slice(100, 412) if row < 2 else slice(None)
            shown = axes.imshow(data[window, window] / dirty.rms, origin="lower", **norm)
            axes.set(xticks=[], yticks=[], title=title if row == 0 else "")
            if column == 0:
                axes.set_ylabel(name)
            if column in (2, 3):
                figure.colorbar(shown, ax=axes, shrink=0.85, label="times the noise")
    figure.savefig(HERE / "extended.png", dpi=90)
    seen, _, image = fields["Disc, ALMA"]
    later = Observation(read_array("alma.cycle5.3"), 150 * u.deg, hour_angle=2 * u.hourangle, **alma)
    print("with the PSF of two hours later:", imager(image, later.psf, seen.pb, beam=seen.beam).fit.misfits)


if __name__ == "__main__":
    main()
