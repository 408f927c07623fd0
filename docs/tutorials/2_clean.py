"""
Comparing with CLEAN
====================

A field with sidelobes everywhere, seen with the VLA: what CLEAN makes of it, and what this package makes of it, both
against the truth.
"""

# %%
# A field
# -------
# Twenty points and a radio galaxy in an hour of the VLA's B configuration at 1.4 GHz. (:doc:`5_simulate` explains
# these lines.)

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array

rms = 30 * u.uJy
observation = Observation(
    read_array("vla.b"),
    ra=150 * u.deg,
    declination=34 * u.deg,
    duration=1 * u.hour,
    integration=60 * u.s,
    frequency=1.4 * u.GHz,
    bandwidth=0.3 * u.GHz,
    channels=4,
    weighting="briggs",
    robust=0.5,
    cell=1.2 * u.arcsec,
    shape=(256, 256),
)
recipe = SourceRecipe(
    number=(20, 20),
    flux=[0.15, 10] * u.mJy,
    slope=-1.6,
    size=[0, 0] * u.arcsec,
    reach=125 * u.arcsec,
    extended=["double"],
    extended_flux=[30, 30] * u.mJy,
    extended_size=[50, 50] * u.arcsec,
)
sky = recipe.draw(np.random.default_rng(8), observation.shape, observation.cell)
data = observation.dirty(sky, rms.to_value(u.Jy), np.random.default_rng(1))
dirty = CCDData(data, unit="Jy/beam", wcs=observation.wcs)

# %%
# CLEAN
# -----
# The package has a Högbom CLEAN of its own. Here it goes down to three times the noise.

from dataclasses import replace

from astro_ddpm_imager.observation.clean import clean
from astro_ddpm_imager.observation.preparation import prepare

checked = prepare(dirty, observation.psf, observation.pb, None, observation.beam)
noise = checked.rms
wide = replace(observation, shape=(512, 512))  # a PSF that reaches from any source to any pixel
components, left = clean(
    data, wide.psf, 3 * noise, gain=0.1, weight=np.ones(data.shape), max_iterations=50_000
)
cleaned = checked.convolve_beam(components) + left

# %%
# The same with a model
# ---------------------
# One call. ``result.plot`` draws all images, or one of them on axes of yours:

import matplotlib.pyplot as plt

from astro_ddpm_imager import DiffusionImager

result = DiffusionImager(n_samples=10, seed=1)(
    dirty, psf=observation.psf, pb=observation.pb, beam=observation.beam
)
figure = plt.figure(figsize=(13, 4), layout="constrained")
for number, panel in enumerate(("dirty", "reconstruction", "uncertainty"), 1):
    result.plot(figure.add_subplot(1, 3, number, projection=observation.wcs), panel, labels=0)

# %%
# Side by side
# ------------
# The truth is the sky as the restoring beam shows it, without noise, and so is the reconstruction: the restored image
# without the residual. All four panels have the same scale.

from astropy.visualization import AsinhStretch, ImageNormalize

from astro_ddpm_imager.simulate import sky_pixels

reconstructed = result.restored.data - result.residual.data
truth = checked.convolve_beam(sky_pixels(sky, data.shape) * observation.pb)
norm = ImageNormalize(vmin=0, vmax=1e3 * truth.max(), stretch=AsinhStretch(0.02))
figure, axes = plt.subplots(
    2,
    2,
    figsize=(10, 8.6),
    layout="constrained",
    sharex=True,
    sharey=True,
    subplot_kw={"projection": observation.wcs},
)
panels = {
    "dirty image": data,
    "CLEAN": cleaned,
    "reconstruction": reconstructed,
    "truth": truth,
}
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    shown = ax.imshow(1e3 * image, origin="lower", cmap="inferno", norm=norm)
    ax.set_title(title)
    ax.coords["ra"].set_axislabel("RA")
    ax.coords["dec"].set_axislabel("Dec")
    ax.label_outer()
ticks = [0, 0.03, 0.1, 0.3, 1, 3]
figure.colorbar(shown, ax=axes, label="mJy/beam", shrink=0.7, ticks=ticks, format="{x:g}")

# %%
# Numbers
# -------
# How far is each image from the truth, where there is something? And how much of the flux is in the model?

there = truth > noise
apparent = sky.flux * observation.primary_beam_at(sky.x, sky.y)
models = {
    "CLEAN": components,
    "reconstruction": np.nan_to_num(result.image.data * observation.pb),
}
print(f"truth: {1e3 * apparent.sum():.1f} mJy")
for name, model in models.items():
    error = np.sqrt(np.mean((panels[name] - truth)[there] ** 2) / np.mean(truth[there] ** 2))
    print(f"{name}: {1e3 * model.sum():.1f} mJy, error of the image {error:.3f}")

# %%
# CLEAN leaves the flux of the radio galaxy that is below its threshold in the residual; the reconstruction gives it to
# the source. For a figure that is fair to CLEAN, with multiscale components and many fields, see :doc:`/extended`.
#
# The catalogue
# -------------
# CLEAN needs a source finder now. Here the catalogue is there already:

table = result.catalog["ra", "dec", "flux", "flux_err", "major", "n_components", "reliability"]
table.round({"ra": 4, "dec": 4, "flux": 6, "flux_err": 6, "major": 1, "reliability": 2})
table
