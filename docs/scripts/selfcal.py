"""Image, calibrate with the image as the model, image again: python selfcal.py FIELD.ms."""

import sys

from casatasks import applycal, gaincal, imstat

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.compat.casa import tclean

vis = sys.argv[1]
image = {"imsize": 512, "cell": "1arcsec", "weighting": "briggs", "robust": 0.0, "niter": 1000, "pblimit": -0.01}
imager = DiffusionImager(n_samples=8, seed=1)

# The first models hold only what is certain: what gain errors make of bright sources is fainter.
for number, (nsigma, interval) in enumerate([(20, "inf"), (7, "600s"), (3, None)]):
    name = f"selfcal{number}"
    result = tclean(vis, imagename=name, savemodel="modelcolumn", nsigma=nsigma, imager=imager, **image)
    residual = imstat(f"{name}.residual")
    print(f"{name}: {len(result['catalog'])} sources, residual rms {1e6 * residual['rms'][0]:.1f} uJy/beam", flush=True)
    if interval is not None:
        # Gains are solved for DATA, which stay as they are; corrected data are imaged.
        gaincal(vis, caltable=f"{name}.gains", solint=interval, calmode="p", gaintype="T", minsnr=3)
        applycal(vis, gaintable=[f"{name}.gains"], applymode="calonly")
