"""Brightness temperatures, and brightness per solid angle, as what the beam sees of them: Jy/beam."""

import logging

import astropy.units as u

from ..errors import DirtyImageError
from .beam import beam_text, header_beam
from .spectral import plane_frequency
from .units import JY_PER_BEAM, is_surface_brightness

__all__ = ["as_jy_per_beam"]

log = logging.getLogger(__name__)


def as_jy_per_beam(image, name, beam=None):
    """An image in K, or in Jy/sr and its multiples, in Jy/beam, which is said; any other as it is.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        Its header says the frequency, for K, in which images of interferometers are Rayleigh-Jeans temperatures.
    name : str or path-like
        What it is called in errors.
    beam : `~radio_beam.Beam`, optional
        Its restoring beam, by default the header's.

    Returns
    -------
    `~astropy.nddata.CCDData`
        The same; what is no floating point is left as it is.

    Raises
    ------
    DirtyImageError
        The header says no frequency, or there is no beam.
    """
    unit = image.unit
    if image.data.dtype.kind != "f" or not is_surface_brightness(unit):
        return image
    beam = header_beam(image, name) if beam is None else beam
    if beam is None:
        raise DirtyImageError(
            f"{name}: the unit is {str(unit)!r}, and without a beam in the header (BMAJ, BMIN, BPA, in degrees) it "
            "cannot be converted to Jy/beam; give beam="
        )
    equivalencies, at = u.beam_angular_area(beam.sr), ""
    if unit.is_equivalent(u.K):
        frequency = plane_frequency(image.meta)
        if frequency is None:
            raise DirtyImageError(
                f"{name}: the unit is {str(unit)!r}, and without the frequency in the header it cannot be converted to "
                "Jy/beam; set FREQ, in Hz, with astropy.io.fits.setval(path, 'FREQ', value=230e9), say, in Python also "
                "with image.meta['FREQ'] = 230e9, or give the image in Jy/beam"
            )
        equivalencies, at = u.brightness_temperature(frequency * u.Hz, beam.sr), f" and {frequency / 1e9:.6g} GHz"
    factor = float(unit.to(JY_PER_BEAM, equivalencies=equivalencies))
    log.info(
        "%s: the unit is %r; pixels are multiplied by %.4g to be in Jy/beam, with the beam, %s%s", name, str(unit),
        factor, beam_text(beam), at,
    )  # fmt: skip
    image.data, image.unit = image.data * factor, JY_PER_BEAM
    return image
