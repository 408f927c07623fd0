"""
A cube
======

A line in twelve channels: each is reconstructed for itself, and together they give a spectrum with errors.
"""

# %%
# Twelve channels
# ---------------
# A galaxy whose two halves move towards us and away from us, and a companion beside it that has no line. Each channel
# is an observation with noise of its own. (Yours comes from ``tclean(specmode="cube", niter=0)`` or from WSClean.)

import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits

from astro_ddpm_imager.simulate import Observation, Sources, read_array

folder = tempfile.TemporaryDirectory()
observation = Observation(
    read_array("alma.cycle5.3"),
    ra=150 * u.deg,
    declination=-20 * u.deg,
    integration=60 * u.s,
    shape=(128, 128),
    cell=0.15 * u.arcsec,
)
velocity = np.linspace(-220, 220, 12)  # km/s


def line(centre):
    """A line of 1.5 mJy and 90 km/s."""
    return 1.5e-3 * np.exp(-0.5 * ((velocity - centre) / 45) ** 2)


lines = [line(-80), line(80), np.full(velocity.shape, 0.4e-3)]
x, y = np.array([60.0, 66.0, 86.0]), np.array([62.0, 68.0, 44.0])
size = np.array([6.0, 6.0, 0.0])  # FWHM, pixels
rng = np.random.default_rng(4)
planes = [
    observation.dirty(Sources(x, y, np.array(flux), size, size, np.zeros(3)), 60e-6, rng)
    for flux in zip(*lines, strict=True)
]

beam = observation.beam
header = observation.wcs.to_header()
header.update(
    BUNIT="Jy/beam",
    BMAJ=beam.major.to_value("deg"),
    BMIN=beam.minor.to_value("deg"),
    BPA=beam.pa.value,
)
header.update(
    CTYPE3="VRAD",
    CUNIT3="km/s",
    CRVAL3=velocity[0],
    CRPIX3=1.0,
    CDELT3=velocity[1] - velocity[0],
)
path = Path(folder.name) / "cube.fits"
fits.writeto(path, np.array(planes, dtype=np.float32), header)

# %%
# Channel by channel
# ------------------
# `~astro_ddpm_imager.read_image` takes one plane of a cube, `~astro_ddpm_imager.read_companion` the same plane of a
# PSF or primary beam; here one PSF serves all channels. The model is loaded once. With ``--channel 3`` the command
# line does the same for one plane.

from astro_ddpm_imager import DiffusionImager, read_image

imager = DiffusionImager(n_samples=10, seed=1)
results = [
    imager(read_image(path, channel=i), observation.psf, observation.pb)
    for i in range(len(velocity))
]

# %%
# Maps
# ----
# The reconstructions at the resolution of the beam, without noise.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(
    3, 4, figsize=(10, 7.6), layout="constrained", sharex=True, sharey=True
)
window = np.s_[24:104, 24:104]
for ax, result, v in zip(axes.flat, results, velocity, strict=True):
    sky = result.restored.data - result.residual.data
    shown = ax.imshow(
        1e3 * sky[window], origin="lower", cmap="inferno", vmin=0, vmax=1, extent=(6, -6, -6, 6)
    )
    ax.text(0.05, 0.9, f"{v:+.0f} km/s", color="white", transform=ax.transAxes)
figure.colorbar(shown, ax=axes, label="mJy/beam", shrink=0.7)
figure.supxlabel("relative right ascension (arcsec)")
figure.supylabel("relative declination (arcsec)")

# %%
# A spectrum
# ----------
# The flux within an aperture, in each sample; the spread of the samples is its error. That is better than to add up the
# uncertainty map: neighbouring pixels are not independent, and the samples know how they belong together.

ny, nx = np.mgrid[:128, :128]
apertures = {
    "galaxy": np.hypot(nx - 63, ny - 65) < 13,
    "companion": np.hypot(nx - 86, ny - 44) < 9,
}
truth = {"galaxy": lines[0] + lines[1], "companion": lines[2]}

figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
for (name, aperture), color in zip(apertures.items(), ("C0", "C1"), strict=True):
    fluxes = np.array(
        [np.nansum(result.samples.value[:, aperture], axis=1) for result in results]
    )  # (channel, sample)
    ax.plot(
        velocity,
        1e3 * truth[name],
        color=color,
        alpha=0.5,
        drawstyle="steps-mid",
        label=f"{name}, truth",
    )
    mean, error = fluxes.mean(1), fluxes.std(1, ddof=1)
    ax.errorbar(velocity, 1e3 * mean, 1e3 * error, fmt="o", color=color, capsize=3, label=name)
ax.axhline(0, color="grey", lw=0.8)
ax.set(xlabel="velocity (km/s)", ylabel="flux (mJy)")
ax.legend()

# %%
# Channels know nothing of each other: nothing makes the spectrum smooth, and nothing hides a narrow line. Where a
# source is below the noise of one channel, first average channels.

# sphinx_gallery_start_ignore
folder.cleanup()
# sphinx_gallery_end_ignore
