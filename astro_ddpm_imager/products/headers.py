"""FITS headers of the products."""

from contextlib import suppress

import numpy as np
from astropy.io import fits

from ..observation.reading import JY_PER_BEAM

__all__ = ["product_header", "to_hdu"]

CARRIED = (
    "OBJECT", "TELESCOP", "INSTRUME", "OBSERVER", "DATE-OBS", "TIMESYS", "RESTFRQ", "OBSRA", "OBSDEC",
)  # fmt: skip
PROVENANCE = {
    "ORIGIN": "software", "DMODEL": "model", "DSHA256": "model_sha256", "DNOISE": "noise_protocol",
    "DNSAMP": "n_samples", "DSTEPS": "steps", "DSAMPLER": "sampler", "DAGGREG": "aggregate", "DCATALOG": "catalog",
    "DTHRESH": "threshold", "DRELIAB": "reliability", "DCALIB": "calibrated", "DPBLIMIT": "pblimit", "DSEED": "seed",
    "DCHI2": "chi2", "DMISFIT": "misfit",
}  # fmt: skip


def product_header(dirty, meta):
    """Header of a product: what it keeps of the input's, its beam and its provenance.

    Parameters
    ----------
    dirty : `~astro_ddpm_imager.observation.dirty.DirtyImage`
    meta : dict
        Provenance.

    Returns
    -------
    `~astropy.io.fits.Header`
    """
    header = fits.Header()
    for key in CARRIED:
        if key in dirty.meta:
            # FITS has no line ends and no letters beyond ASCII; metadata in memory may have both.
            with suppress(ValueError):
                header[key] = dirty.meta[key]
    for axis in range(3, 6):
        frequency = dirty.meta.get(f"CRVAL{axis}")
        if str(dirty.meta.get(f"CTYPE{axis}", "")).startswith("FREQ") and isinstance(frequency, int | float):
            # FITS has no NaN; metadata in memory may.
            with suppress(ValueError):
                header["FREQ"] = (frequency, "Hz")
    header["BMAJ"], header["BMIN"] = dirty.beam.major.to_value("deg"), dirty.beam.minor.to_value("deg")
    header["BPA"] = dirty.beam.pa.to_value("deg")
    header["NOISE"] = (dirty.rms, "Jy/beam, of the dirty image")
    for key, name in PROVENANCE.items():
        header[key] = (meta[name], name if key != "DSHA256" else None)  # a checksum fills its card
    return header


def to_hdu(image):
    """A product as a FITS HDU.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`

    Returns
    -------
    `~astropy.io.fits.PrimaryHDU`, pixels of float32
    """
    header = image.wcs.to_header()
    # astropy writes the place as X, Y, Z only, and then warns of it each time the file is read.
    for key, value in zip(("OBSGEO-L", "OBSGEO-B", "OBSGEO-H"), image.wcs.wcs.obsgeo[3:], strict=True):
        if np.isfinite(value):
            header[key] = value
    header.update(image.meta)
    header["BUNIT"] = "Jy/beam" if image.unit == JY_PER_BEAM else "Jy/pixel"
    header["BTYPE"] = "Intensity"
    return fits.PrimaryHDU(image.data.astype("float32"), header)
