"""
Choosing a reliability
======================

A catalogue that misses little, or one in which all is real? Both come from the same samples, and one number chooses.
"""

# %%
# Fields whose sources are known
# ------------------------------
# Twelve faint fields, after Table 1 of Taran et al. 2023: some sources of 50 to 500 µJy in a noise of some 50.

import tempfile

import astropy.units as u
import numpy as np

from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields

folder = tempfile.TemporaryDirectory()
observation = Observation(
    read_array("alma.cycle5.3"),
    ra=150 * u.deg,
    declination=2.2 * u.deg,
    integration=60 * u.s,
    shape=(224, 224),
)
recipe = SourceRecipe(number=(2, 6), flux=[50, 500] * u.uJy)
_ = simulate_fields(observation, recipe, rms=48 * u.uJy, folder=folder.name, number=12, seed=5)

# %%
# With ``reliability=0`` the catalogue keeps every candidate. What is real is known here, so each is either true or not.

from astropy.table import vstack

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.evaluate import match_catalogs, read_folder, score_catalog

inputs, truth = read_folder(folder.name)
imager = DiffusionImager(reliability=0, seed=1)
catalogs = []
for field, files in inputs.items():
    catalog = imager(**files).catalog
    catalog["field"] = field
    catalogs.append(catalog)
candidates = vstack(catalogs, metadata_conflicts="silent")
_, matched = match_catalogs(truth, candidates, radius=0.45 * u.arcsec, most_reliable_first=True)
real = np.isin(np.arange(len(candidates)), matched)
print(f"{len(truth)} sources, {len(candidates)} candidates, {real.sum()} of them real")

# %%
# What separates them
# -------------------
# A cut in signal to noise would be a vertical line in this picture. The reliability knows more: shapes, the primary
# beam, and how crowded the field is. (A candidate counts as real within half a beam of a true source.)

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
for kind, color, name in ((~real, "0.6", "noise"), (real, "C3", "real")):
    ax.plot(
        candidates["snr"][kind],
        candidates["reliability"][kind],
        "o",
        color=color,
        ms=4,
        alpha=0.7,
        label=name,
    )
ax.axhline(imager.card.reliability, color="k", ls=":", lw=1)
ax.text(ax.get_xlim()[1], imager.card.reliability, "default ", ha="right", va="bottom")
ax.set(xlabel="S/N of the candidate", ylabel="reliability")
ax.legend(loc="lower right")

# %%
# What a threshold does
# ---------------------
# Purity is the fraction of the catalogue that is real, completeness the fraction of the sources that is in it. F1 is
# their harmonic mean; the default is chosen for it, on other fields.

thresholds = np.linspace(0.05, 0.95, 19)
scores = [
    score_catalog(truth, candidates[candidates["reliability"] >= level]) for level in thresholds
]

figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
for name in ("purity", "completeness", "f1"):
    ax.plot(thresholds, [score[name] for score in scores], label=name)
ax.axvline(imager.card.reliability, color="k", ls=":", lw=1)
ax.set(xlabel="lowest reliability in the catalogue", ylim=(0, 1))
ax.legend()

# %%
# Completeness ends at about one half because the rest is below what any method can find: half of these sources are
# fainter than three times the noise.
#
# What to take
# ------------
# =========================  =========================================================================================
# for                        take
# =========================  =========================================================================================
# a survey, counts           the default, or ``reliability=0`` and the column ``reliability`` as a weight
# a follow-up proposal       ``purity=0.95``: 95% of such a catalogue exist
# one source, known before   ``reliability=0``, and the candidate at its position
# a self-calibration model   ``purity=0.99``
# =========================  =========================================================================================
#
# The reliabilities of ``purity`` were measured on fields like these. Among a dozen sources, one false one more or less
# makes a difference of 0.08, so do not read too much into the last column:

for purity in (0.8, 0.9, 0.95, 0.99):
    level = DiffusionImager(purity=purity).reliability
    kept = candidates["reliability"] >= level
    print(
        f"purity={purity}: reliability {level:.2f}, {kept.sum()} sources, {real[kept].mean():.2f} of them real here"
    )

# %%
# On fields of your own kind, ``astro-ddpm-imager evaluate FOLDER`` measures all of this page and more
# (:doc:`/performance`).

# sphinx_gallery_start_ignore
folder.cleanup()
# sphinx_gallery_end_ignore
