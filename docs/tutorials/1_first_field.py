"""
A first field
=============

From a dirty image to a list of sources with errors and reliabilities, in three lines. The field comes with the
package: twenty minutes of ALMA at 230 GHz, imaged and exported by CASA.
"""

# %%
# Three lines
# -----------
# A dirty image, its PSF and its primary beam go in, here the files that `~astro_ddpm_imager.data.demo_files` names.
# With yours: ``imager("field1.dirty.fits", psf="field1.psf.fits", pb="field1.pb.fits")``.

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.data import demo_files

imager = DiffusionImager(n_samples=20, seed=1)
result = imager(**demo_files())
figure = result.plot()

# %%
# What went in, and the sky that the model takes it for. Circles are sources, green where they are certain, red where
# they are doubtful. Below: how far the samples differ, and what the reconstruction leaves of the dirty image. That
# should look like noise, and here it does.
#
# The catalogue
# -------------
# It is an astropy `~astropy.table.QTable`: units are in the columns, and the most significant source comes first.

catalog = result.catalog
table = catalog["source_id", "ra", "dec", "flux", "flux_err", "snr", "reliability"]
table.round({"ra": 5, "dec": 5, "flux": 6, "flux_err": 6, "snr": 1, "reliability": 3})
table

# %%
# ``reliability`` is the probability that there is a source, ``flux_err`` says how well its flux is known if there is
# one. As in any table, a condition chooses rows:

for source in catalog[catalog["reliability"] > 0.9]:
    print(f"{source['flux'].to('uJy'):.0f} +- {source['flux_err'].to('uJy'):.0f}")

# %%
# This field was simulated, so the truth is known: two sources, of 436 and 296 µJy. They are the two that the model is
# sure of; the others are peaks of the noise. That happens: of ten candidates with a reliability of 0.9 one does not
# exist. :doc:`4_reliability` is about that.
#
# Samples
# -------
# The model does not give one answer. It draws skies that all explain the dirty image, and what they have in common is
# what is certain. Here are three of the twenty, zoomed in, at the resolution of the restoring beam:

import matplotlib.pyplot as plt
import numpy as np

dirty = result.dirty
window = np.s_[70:250, 50:230]  # of [y, x]
samples = [dirty.convolve_beam(np.nan_to_num(sample.value)) for sample in result.samples[:3]]
restored = dirty.convolve_beam(np.nan_to_num(result.image.data))

figure, axes = plt.subplots(
    1, 4, figsize=(12, 3.4), layout="constrained", subplot_kw={"projection": dirty.wcs[window]}
)
titles = ["one sample", "another", "a third", "the reconstruction"]
for ax, title, sky in zip(axes, titles, [*samples, restored], strict=True):
    shown = ax.imshow(1e6 * sky[window], origin="lower", cmap="inferno", vmin=0, vmax=400)
    ax.set_title(title)
    ax.coords["ra"].set_ticks(number=3)
    ax.coords["ra"].set_axislabel("RA")
    ax.coords["dec"].set_axislabel("Dec" if ax is axes[0] else " ")
    ax.coords["dec"].set_ticklabel_visible(ax is axes[0])
figure.colorbar(shown, ax=axes, label="µJy/beam", shrink=0.85)

# %%
# The two sources are in every sample. What is in one and not in the others is what that sample made of the noise.
#
# Files
# -----
# ``write`` leaves what CASA would have left, and a catalogue, regions for DS9 and the picture.

import tempfile
from pathlib import Path

folder = tempfile.TemporaryDirectory()  # yours will be a folder that stays
for path in result.write(Path(folder.name) / "field1"):
    print(path.name)

# %%
# On the command line all of this is ``astro-ddpm-imager image field1.dirty.fits --psf field1.psf.fits --pb
# field1.pb.fits``, and ``astro-ddpm-imager demo`` does it with the field of this page.

# sphinx_gallery_start_ignore
folder.cleanup()
# sphinx_gallery_end_ignore
