"""
A cube
======

A line in twelve channels: each is reconstructed for itself. Continuum sources are found in all channels together.
"""

# %%
# Twelve channels
# ---------------
# A galaxy whose two halves move towards us and away from us, and two companions beside it that have no line; one of
# them is faint. Each channel is an observation with noise of its own. (Yours comes from
# ``tclean(specmode="cube", niter=0)`` or from WSClean.)

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
    """A line of 1.5 mJy, 106 km/s wide (FWHM)."""
    return 1.5e-3 * np.exp(-0.5 * ((velocity - centre) / 45) ** 2)


def flat(flux):
    """The same flux in all channels."""
    return np.full(velocity.shape, flux)


lines = [line(-80), line(80), flat(0.4e-3), flat(0.15e-3)]
x, y = np.array([60.0, 66.0, 86.0, 40.0]), np.array([62.0, 68.0, 44.0, 92.0])
size = np.array([6.0, 6.0, 0.0, 0.0])  # FWHM, pixels
rng = np.random.default_rng(4)
planes = [
    observation.dirty(Sources(x, y, np.array(flux), size, size, np.zeros(4)), 60e-6, rng)
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
    RESTFRQ=230.538e9,
)
path = Path(folder.name) / "cube.dirty.fits"
fits.writeto(path, np.array(planes, dtype=np.float32), header)

# %%
# Channel by channel
# ------------------
# `~astro_ddpm_imager.image_cube` reconstructs all channels, or some with ``channels=slice(2, 8)``, and writes cubes as
# it goes: one channel at a time is in memory. PSF and primary beam may be cubes; here one serves all channels. On the
# command line ``astro-ddpm-imager image cube.dirty.fits --psf psf.fits --pb pb.fits`` does the same.

from astro_ddpm_imager import DiffusionImager, image_cube

imager = DiffusionImager(n_samples=10, seed=1)
result = image_cube(
    imager, path, Path(folder.name) / "cube", psf=observation.psf, pb=observation.pb
)
table = result.catalog["channel", "velocity", "ra", "dec", "flux", "flux_err", "reliability"]
table.round({"ra": 5, "dec": 5, "flux": 6, "flux_err": 6, "reliability": 2})
table

# %%
# Channels and noise are in a table of their own, and ``cube.png`` is a first look at all of it.

channels = result.channels["channel", "velocity", "frequency", "rms", "n_sources", "note"]
channels.round({"frequency": 4, "rms": 7})
channels

# %%
# Maps
# ----
# The products are cubes, for CARTA, CASA and spectral-cube. Here are the reconstructions at the resolution of the beam,
# without noise.

import matplotlib.pyplot as plt

restored, residual = (
    fits.getdata(Path(folder.name) / f"cube.{name}.fits") for name in ("image", "residual")
)
figure, axes = plt.subplots(
    3, 4, figsize=(10, 7.6), layout="constrained", sharex=True, sharey=True
)
window = np.s_[24:104, 24:104]
for ax, sky, v in zip(axes.flat, restored - residual, velocity, strict=True):
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
# The flux of the line: of the model within an aperture, and of all sources that the catalogue has there, with their
# errors. Channels know nothing of each other: nothing makes the spectrum smooth, and nothing hides a narrow line.

model = fits.getdata(Path(folder.name) / "cube.model.fits")
ny, nx = np.mgrid[:128, :128]
aperture = np.hypot(nx - 63, ny - 65) < 13
in_aperture = 1e3 * np.nansum(model[:, aperture], axis=1)

catalog = result.catalog
within = catalog[np.hypot(catalog["x"] - 63, catalog["y"] - 65) < 13]
flux, error = np.zeros((2, len(velocity)))
for channel in range(len(velocity)):
    here = within[within["channel"] == channel]
    flux[channel] = here["flux"].to_value(u.mJy).sum()
    error[channel] = np.sqrt(np.sum(here["flux_err"].to_value(u.mJy) ** 2))

figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
truth = 1e3 * (lines[0] + lines[1])
ax.plot(velocity, truth, color="C0", alpha=0.5, drawstyle="steps-mid", label="truth")
found = flux > 0
ax.errorbar(
    velocity[found],
    flux[found],
    error[found],
    fmt="o",
    color="C0",
    capsize=3,
    label="catalogue",
)
ax.plot(velocity + 6, in_aperture, "x", color="black", label="model")
ax.axhline(0, color="grey", lw=0.8)
ax.set(xlabel="velocity (km/s)", ylabel="flux (mJy)")
ax.legend()

# %%
# Continuum sources
# -----------------
# The faint companion has a S/N of 2.2 in each channel, where it is found now and then only, and when the noise lifts
# it; in all of them together it has one of 8. `~astro_ddpm_imager.image_jointly` finds the sources in the mean of the
# channels, and measures each in every channel at that place: also where it is below the noise, with errors that are
# right there. ``--joint`` does it on the command line.

from astro_ddpm_imager import image_jointly

joint = image_jointly(imager, path, observation.psf, observation.pb)
figure, axes = plt.subplots(2, 1, figsize=(8, 6), layout="constrained", sharex=True)
for ax, source, name, color in zip(
    axes, (2, 3), ("companion", "faint companion"), ("C1", "C2"), strict=True
):
    alone = catalog[np.hypot(catalog["x"] - x[source], catalog["y"] - y[source]) < 3]
    row = joint.spectra[
        np.argmin(np.hypot(joint.spectra["x"] - x[source], joint.spectra["y"] - y[source]))
    ]
    ax.errorbar(
        velocity, row["flux"].to_value(u.mJy), row["flux_err"].to_value(u.mJy), fmt="o", color=color, capsize=3,
        label="together",
    )  # fmt: skip
    ax.plot(
        alone["velocity"].value + 8,
        alone["flux"].to_value(u.mJy),
        "x",
        color="black",
        label="each channel alone",
    )
    ax.axhline(1e3 * lines[source][0], color=color, alpha=0.5, label="truth")
    ax.axhline(0, color="grey", lw=0.8)
    ax.set(ylabel="flux (mJy)", title=name)
    ax.legend(ncols=3, loc="lower right")
axes[-1].set_xlabel("velocity (km/s)")

# sphinx_gallery_start_ignore
folder.cleanup()
# sphinx_gallery_end_ignore
