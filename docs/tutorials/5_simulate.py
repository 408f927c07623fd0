"""
Simulating an observation
=========================

From a list of antennas to a dirty image: what would a telescope see, and would the source be found? This needs
``pip install ".[simulate]"``.
"""

# %%
# An observation
# --------------
# An array, a place on the sky, a time. `~astro_ddpm_imager.simulate.list_arrays` names the arrays that come with the
# package; a configuration file of CASA will do as well.

import astropy.units as u
import numpy as np

from astro_ddpm_imager.simulate import (
    Observation,
    SourceRecipe,
    list_arrays,
    read_array,
    sky_pixels,
    thermal_rms,
)

print(*list_arrays()[::8])
array = read_array("alma.cycle5.3")
observation = Observation(
    array,
    ra=150 * u.deg,
    declination=-35 * u.deg,
    duration=3 * u.hour,
    integration=60 * u.s,
    shape=(320, 320),
)
beam = observation.beam
print(f"beam {beam.major.to('arcsec'):.2f} x {beam.minor.to('arcsec'):.2f}")

# %%
# The noise follows from the weather (here 1.8 mm of water), the sources from a recipe.

rms = thermal_rms(
    array,
    230 * u.GHz,
    1.875 * u.GHz,
    observation.time_on_source,
    1.8 * u.mm,
    observation.elevations,
)
recipe = SourceRecipe(
    number=(14, 14),
    flux=[0.2, 2] * u.mJy,
    slope=-1,
    size=[0.3, 2] * u.arcsec,
    reach=13 * u.arcsec,
)
sources = recipe.draw(np.random.default_rng(3), observation.shape, observation.cell)
dirty = observation.dirty(sources, rms.to_value(u.Jy), np.random.default_rng(1))
print(f"noise {rms.to('uJy'):.1f}")

# %%
# What it sees
# ------------
# Where the antennas sample the uv plane, the PSF that follows, the dirty image with its noise, and the truth. The
# ellipse is the restoring beam; the dotted circle is where the primary beam is one half.

import matplotlib.pyplot as plt
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.patches import Circle, Ellipse

truth = sky_pixels(sources, observation.shape) / observation.cell.value**2  # Jy / arcsec^2

figure, axes = plt.subplots(2, 2, figsize=(10, 8.6), layout="constrained")
coverage = observation.uv[:, :2].T / 1e3
for sign in (1, -1):
    axes[0, 0].plot(*sign * coverage, ",", color="0.1", alpha=0.35)
axes[0, 0].set(
    title="uv coverage",
    xlabel=r"u (k$\lambda$)",
    ylabel=r"v (k$\lambda$)",
    aspect="equal",
    box_aspect=1,
)
axes[0, 0].invert_xaxis()
for ax, title, image, unit, cmap, norm in (
    (axes[0, 1], "PSF", observation.psf, "", "gray", Normalize(-0.05, 0.15)),
    (
        axes[1, 0],
        "dirty image",
        1e3 * dirty,
        "mJy/beam",
        "inferno",
        AsinhNorm(0.1, -0.1, 1e3 * dirty.max()),
    ),
    (
        axes[1, 1],
        "truth",
        1e3 * truth,
        r"mJy arcsec$^{-2}$",
        "inferno",
        AsinhNorm(0.1, 0, 1e3 * truth.max()),
    ),
):
    shown = ax.imshow(image, cmap=cmap, norm=norm, extent=(16, -16, -16, 16), origin="lower")
    bar = figure.colorbar(
        shown, ax=ax, label=unit, extend="both" if title == "PSF" else "neither", shrink=0.9
    )
    if title != "PSF":
        bar.set_ticks(
            [tick for tick in (-0.1, 0, 0.1, 0.3, 1, 3) if norm.vmin <= tick <= norm.vmax]
        )
        bar.set_ticks([], minor=True)
        bar.ax.yaxis.set_major_formatter("{x:g}")
    ax.set(
        title=title,
        xlabel="relative right ascension (arcsec)",
        ylabel="relative declination (arcsec)",
    )
half_power = np.flatnonzero(observation.pb[160, 160:] < 0.5)[0] * 0.1
for ax in axes[1]:
    ax.add_patch(Circle((0, 0), half_power, fill=False, ec="w", ls=":"))
# The x axis grows to the left, so that the angle from north through east is one from y towards x.
axes[1, 0].add_patch(
    Ellipse(
        (14, -14),
        beam.minor.to_value("arcsec"),
        beam.major.to_value("arcsec"),
        angle=-beam.pa.to_value("deg"),
        fc="w",
    )
)

# %%
# Would they be found?
# --------------------

from astropy.nddata import CCDData

from astro_ddpm_imager import DiffusionImager

image = CCDData(dirty, unit="Jy/beam", wcs=observation.wcs)
result = DiffusionImager(n_samples=10, seed=1)(
    image, observation.psf, observation.pb, beam=beam
)
print(f"{len(result.catalog)} of {len(sources)} sources in the catalogue")
figure = result.plot()

# %%
# Nine of them peak at 6 to 36 times the noise, and these are found. The other five peak below four times the noise.
#
# Many fields at once, as files with the truth beside them, come from
# `~astro_ddpm_imager.simulate.simulate_fields` or from ``astro-ddpm-imager simulate``. What is simulated, what is not,
# and how well it agrees with CASA is in :doc:`/simulator`.
