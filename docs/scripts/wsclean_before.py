import subprocess

import bdsf

subprocess.run(
    "wsclean -name field -size 512 512 -scale 0.1asec -weight natural -no-update-model-required "
    "-niter 10000 -mgain 0.8 -auto-threshold 3 field.ms",
    shell=True,
    check=True,
)
img = bdsf.process_image("field-image.fits", thresh_isl=3.0, thresh_pix=4.0, quiet=True)
img.write_catalog(outfile="field.srl.fits", format="fits", catalog_type="srl", clobber=True)
img.write_catalog(outfile="field.reg", format="ds9", catalog_type="srl", clobber=True)
for source in img.sources:
    ra, dec = source.posn_sky_centroid
    print(f"{source.source_id} {ra:.5f} {dec:.5f} {source.total_flux:.6f} +- {source.total_fluxE:.6f} Jy")
