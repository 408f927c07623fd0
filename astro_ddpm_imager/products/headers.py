"""FITS headers of the products: what they keep of the input's, and how they were made."""

from contextlib import suppress

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from ..ignored_warnings import ignored
from ..observation.headers import as_card
from ..observation.history import history_lines
from ..observation.spectral import plane_frequency
from ..observation.units import JY_PER_BEAM

__all__ = ["PROVENANCE", "channels_text", "cube_header", "product_header", "to_hdu"]

CARRIED = (
    "OBJECT", "TELESCOP", "INSTRUME", "OBSERVER", "DATE-OBS", "TIMESYS", "RESTFRQ", "OBSRA", "OBSDEC",
)  # fmt: skip
PROVENANCE = {
    "DATE": "date", "ORIGIN": "software",
    "DINPUT": "input", "DINPSHA": "input_sha256", "DPSF": "psf", "DPSFSHA": "psf_sha256",
    "DPB": "pb", "DPBSHA": "pb_sha256", "DMASK": "mask", "DMASKSHA": "mask_sha256",
    "DNOISEMP": "noise_map", "DNMAPSHA": "noise_map_sha256", "DTILES": "tiles", "DTILE": "tile",
    "DMODEL": "model", "DSHA256": "model_sha256", "DNOISE": "noise_protocol",
    "DNSAMP": "n_samples", "DSTEPS": "steps", "DSAMPLER": "sampler", "DAGGREG": "aggregate", "DCATALOG": "catalog",
    "DTHRESH": "threshold", "DRELIAB": "reliability", "DCALIB": "calibrated", "DPBLIMIT": "pblimit", "DSEED": "seed",
    "DCHI2": "chi2", "DMISFIT": "misfit", "DPROTOC": "protocol", "DCHANS": "channels", "DOPTIONS": "options",
}  # fmt: skip
AXIS = ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT")
OF_AXES = ("SPECSYS", "VELREF")
OF_CHANNELS = ("FREQ", "BMAJ", "BMIN", "BPA", "NOISE", "DCHI2", "DMISFIT")  # not of a cube


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
        _carry(header, dirty.meta, key)
    _carry_place(header, dirty.meta)
    frequency = plane_frequency(dirty.meta)
    if frequency is not None:
        header["FREQ"] = (frequency, "Hz")
    header["BMAJ"], header["BMIN"] = dirty.beam.major.to_value("deg"), dirty.beam.minor.to_value("deg")
    header["BPA"] = dirty.beam.pa.to_value("deg")
    header["NOISE"] = (dirty.rms, "Jy/beam, of the dirty image")
    for key, name in PROVENANCE.items():
        if name in meta:
            value = as_card(meta[name])
            # A checksum fills its card, and so does the name of a file of an archive.
            alone = len(str(fits.Card(key, value)).rstrip()) + len(f" / {name}") > fits.Card.length
            header[key] = (value, None if alone else name)
    for line in history_lines(dirty.meta):
        header.add_history(as_card(line))
    made_of = {name: as_card(value) for name, value in {"input": "in memory", **meta}.items()}
    header.add_history("{software}: model {model} on {input}".format_map(made_of))
    return header


def _carry(header, meta, key, to=None):
    """Copy a card; metadata in memory may be no value that FITS has."""
    if key in meta:
        with suppress(ValueError):
            header[to or key] = as_card(meta[key])


def _carry_place(header, meta):
    """Copy where the observatory is, in both ways in which FITS says it: astropy warns where there is one of them."""
    keys = [f"OBSGEO-{axis}" for axis in "XYZLBH"]
    given = {key: meta[key] for key in keys if isinstance(meta.get(key), int | float) and np.isfinite(meta[key])}
    if not given:
        return
    with ignored(FITSFixedWarning):
        place = WCS(fits.Header({"WCSAXES": 2, **given})).wcs.obsgeo
    header.update({key: value for key, value in zip(keys, place.tolist(), strict=True) if np.isfinite(value)})


def to_hdu(image, axes=None):
    """A product as a FITS HDU.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    axes : dict-like, optional
        Header whose axes beyond the sky, frequency and Stokes, the product
        gets, too, with a length of 1.

    Returns
    -------
    `~astropy.io.fits.PrimaryHDU`, pixels of float32
    """
    header, data = image.wcs.to_header(), image.data.astype("float32", copy=False)
    if axes is not None:
        data = _add_axes(header, data, axes)
    header.extend(image.meta, update=True)
    header["BUNIT"] = "Jy/beam" if image.unit == JY_PER_BEAM else "Jy/pixel"
    header["BTYPE"] = "Intensity"
    return fits.PrimaryHDU(data, header)


def channels_text(channels):
    """Channels as headers and tables say them.

    Parameters
    ----------
    channels : range

    Returns
    -------
    str
        Such as ``10 to 19``.
    """
    return f"{channels.start} to {channels.stop - 1}"


def cube_header(wcs, header, meta, axis, channels, keep_axes=False):
    """Header of a cube, for which there is no beam yet: it gets that, or a table of beams, when all channels are done.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes.
    header : `~astropy.io.fits.Header`
        Product header of one channel, see `product_header`.
    meta : `~astropy.io.fits.Header` or dict
        Of the cube that was given.
    axis : dict
        Cards of the spectral axis, see `~astro_ddpm_imager.observation.spectral.SpectralAxis`.
    channels : range
        Those of the product.
    keep_axes : bool, optional
        Keep the Stokes axis, with a length of 1, where the input has one.

    Returns
    -------
    header : `~astropy.io.fits.Header`
        Without NAXIS.
    shape : tuple of int
        Of the axes beyond the sky, in the order of arrays.
    """
    cube, shape, spectral = wcs.to_header(), [len(channels)], 3
    if keep_axes:
        others = [number for number in range(3, 6) if str(meta.get(f"CTYPE{number}", "")).startswith("STOKES")]
        for number in others[:1]:
            spectral = 4 if number == 3 else 3
            for key in AXIS:
                _carry(cube, meta, f"{key}{number}", f"{key}{7 - spectral}")
            shape.insert(0 if number > spectral else 1, 1)
    for key, value in axis.items():
        cube[f"{key}{spectral}"] = value - channels.start if key == "CRPIX" else value
    cube["WCSAXES"] = 2 + len(shape)
    for key in OF_AXES:
        _carry(cube, meta, key)
    cube.update(header)
    for key in OF_CHANNELS:
        cube.remove(key, ignore_missing=True)
    cube["DCHANS"] = (channels_text(channels), PROVENANCE["DCHANS"])
    return cube, tuple(shape)


def _add_axes(header, data, meta):
    """Give an image the axes beyond the sky that its input has; returns the data with them."""
    axis = 3
    while f"CTYPE{axis}" in meta:
        for key in AXIS:
            _carry(header, meta, f"{key}{axis}")
        axis += 1
    for key in OF_AXES:
        _carry(header, meta, key)
    header["WCSAXES"] = axis - 1
    return data.reshape((1,) * (axis - 3) + data.shape)
