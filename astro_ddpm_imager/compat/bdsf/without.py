"""What PyBDSF makes and this package does not, and why."""

__all__ = ["ATTRIBUTES", "IMAGES_NOT_MADE", "SHAPELETS", "STARTS"]

SHAPELETS = "there are no shapelets here"
POLARISATION = "only Stokes I is analysed here"
PSF_VARIATION = "the variation of the PSF is not measured here"
IMAGES_NOT_MADE = {"shap_resid": SHAPELETS, "shap_model": SHAPELETS, "pi": POLARISATION}
IMAGES_NOT_MADE |= dict.fromkeys(("psf_major", "psf_minor", "psf_pa", "psf_ratio", "psf_ratio_aper"), PSF_VARIATION)
# Of images.
ATTRIBUTES = {
    **dict.fromkeys(("model_shap_arr", "resid_shap_arr"), SHAPELETS),
    **dict.fromkeys(("ch0_pi_arr", "ch0_Q_arr", "ch0_U_arr", "ch0_V_arr"), POLARISATION),
    **dict.fromkeys((f"psf_vary_{name}_arr" for name in ("maj", "min", "pa", "ratio", "ratio_aper")), PSF_VARIATION),
    **dict.fromkeys(("atrous_gaussians", "pyrsrcs"), "there are no wavelets, gaussians are of all scales"),
    "rms_box_bright": "boxes have one size, see rms_box",
    "bmpersrc_th": "certainty comes from the posterior samples; see reliability of the sources",
    "freq_pars": "only the collapsed image is analysed, see frequency",
}
# Of Gaussians, sources and islands: how their names begin.
STARTS = dict.fromkeys(("lpol_", "cpol_", "tpol_", "total_flux_Q", "total_flux_U", "total_flux_V"), POLARISATION)
STARTS |= {"shapelet_": SHAPELETS}
STARTS |= dict.fromkeys(
    ("spec_", "specin_"), "only the collapsed image is analysed; image_jointly of astro_ddpm_imager measures spectra"
)
