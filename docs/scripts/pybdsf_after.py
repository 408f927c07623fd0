import astro_ddpm_imager.compat.bdsf as bdsf

img = bdsf.process_image(
    "field.fits",
    thresh_isl=3.0,
    thresh_pix=4.0,
    rms_box=(100, 30),
    rms_map=True,
    mean_map="zero",
    adaptive_rms_box=True,
    group_by_isl=False,
    output_all=True,
    outdir="products",
    quiet=True,
)
img.write_catalog(outfile="field.srl.fits", format="fits", catalog_type="srl", clobber=True)
img.write_catalog(outfile="field.reg", format="ds9", catalog_type="srl", clobber=True)
img.export_image(outfile="field.resid.fits", img_type="gaus_resid", clobber=True)
for source in img.sources:
    ra, dec = source.posn_sky_centroid
    print(f"{source.source_id} {ra:.5f} {dec:.5f} {source.total_flux:.6f} +- {source.total_fluxE:.6f} Jy {source.code}")
print(f"{img.nsrc} sources, {img.total_flux_gaus:.6f} Jy, noise {img.clipped_rms:.2e} Jy/beam")
