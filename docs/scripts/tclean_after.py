from casatasks import exportfits

import astro_ddpm_imager.compat.bdsf as bdsf
from astro_ddpm_imager.compat.casa import tclean

tclean(
    vis="field.ms",
    imagename="field",
    imsize=512,
    cell="0.1arcsec",
    weighting="natural",
    deconvolver="hogbom",
    niter=10000,
    nsigma=3.0,
    pbcor=True,
)
for product in ("image", "image.pbcor", "residual", "pb"):
    exportfits(imagename=f"field.{product}", fitsimage=f"field.{product}.fits", overwrite=True)

img = bdsf.process_image("field.image.fits", thresh_isl=3.0, thresh_pix=4.0, quiet=True)
img.write_catalog(outfile="field.srl.fits", format="fits", catalog_type="srl", clobber=True)
for source in img.sources:
    ra, dec = source.posn_sky_centroid
    print(f"{source.source_id} {ra:.5f} {dec:.5f} {source.total_flux:.6f} +- {source.total_fluxE:.6f} Jy")
