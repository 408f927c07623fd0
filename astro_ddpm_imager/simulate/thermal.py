"""Thermal noise of an observation with ALMA or the ACA, from the weather."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.constants import c, k_B
from astropy.coordinates import EarthLocation
from astropy.table import QTable

from ..errors import SimulationError
from .array import SITES, Array

__all__ = ["PWV_LIMITS", "thermal_rms"]

ATMOSPHERE = Path(__file__).parent / "atmosphere.ecsv"
PWV_LIMITS = (0.05, 20.0)  # mm

# Receivers (K) by upper edge of their bands (GHz), efficiencies and surface, as simobserve of CASA 6.7 has them.
BAND_EDGES = (50, 84, 116, 162, 211, 275, 373, 500, 720, 950)
RECEIVER = (28, 30, 40, 42, 50, 50, 72, 135, 105, 230)
SPILLOVER, TAPER, CORRELATOR = 0.95, 0.72, 0.845
HOLE, SURFACE = 0.75, 25e-6  # m
GROUND, MICROWAVE_BACKGROUND = 270.0, 2.725  # K
AIR = 260.0  # K, effective
DISHES = (7, 12)  # m
SITE = 100 * u.km  # around the centre of ALMA


def thermal_rms(
    array: Array,
    frequency: u.Quantity,
    bandwidth: u.Quantity,
    duration: u.Quantity,
    pwv: u.Quantity,
    elevation: u.Quantity,
    polarisations: int = 2,
) -> u.Quantity:
    """Noise of the naturally weighted image of ALMA or the ACA, by the radiometer equation.

    Thompson, Moran & Swenson 2017, section 6.2; receivers, efficiencies and
    opacities are those of CASA's simobserve.

    Parameters
    ----------
    array : `~astro_ddpm_imager.simulate.Array`
        Dishes of 12 or 7 m on the site of ALMA.
    frequency, bandwidth : `~astropy.units.Quantity`
        80 to 950 GHz.
    duration : `~astropy.units.Quantity`
        Time on source, evenly spread over the elevations.
    pwv : `~astropy.units.Quantity`
        Precipitable water vapour at the zenith, 0.05 to 20 mm.
    elevation : `~astropy.units.Quantity`, a scalar or of shape (n,)
        Of the source, in each integration where there are many.
    polarisations : int, optional

    Returns
    -------
    `~astropy.units.Quantity`, Jy

    Raises
    ------
    SimulationError
        ``array`` is another, ``pwv`` or ``frequency`` is out of range, the source is not above the
        horizon, bandwidth or duration are not positive or not finite, or the band begins below 0.
    """
    if not _is_alma(array):
        raise SimulationError(
            f"array={array.name!r}: its receivers, dishes and weather are not known, only those of ALMA and the ACA; "
            "give the noise, --rms"
        )
    water, ghz = pwv.to_value(u.mm), frequency.to_value(u.GHz)
    table = QTable.read(ATMOSPHERE)
    known = table["frequency"].to_value(u.GHz)
    if not PWV_LIMITS[0] <= water <= PWV_LIMITS[1]:
        raise SimulationError(f"pwv={pwv}: must lie between {PWV_LIMITS[0]} and {PWV_LIMITS[1]:g} mm")
    for name, value in (("bandwidth", bandwidth), ("duration", duration)):
        if not 0 < value.value < np.inf:
            raise SimulationError(f"{name}={value}: must be positive and finite")
    if not bandwidth < 2 * frequency:
        raise SimulationError(f"bandwidth={bandwidth}: must be below twice frequency={frequency}")
    if not (elevation > 0).all():
        raise SimulationError(f"elevation={elevation.min()}: must be above 0, the horizon")
    if not known[0] <= ghz <= known[-1]:
        raise SimulationError(
            f"frequency={frequency}: must lie between {known[0]:g} and {known[-1]:g} GHz; elsewhere give the noise, "
            "--rms"
        )
    dry, wet = (np.interp(ghz, known, table[name].value) for name in ("dry_opacity", "wet_opacity"))
    opacity = (dry + wet * water) / np.sin(elevation).value
    receiver = RECEIVER[np.searchsorted(BAND_EDGES, ghz)]
    sky = SPILLOVER * (AIR * (1 - np.exp(-opacity)) + MICROWAVE_BACKGROUND * np.exp(-opacity))
    system = np.exp(opacity) * (receiver + sky + (1 - SPILLOVER) * GROUND) * u.K
    ruze = np.exp(-((4 * np.pi * SURFACE * u.m * frequency / c).to_value(u.one) ** 2))
    efficiency = SPILLOVER * TAPER * ruze * (1 - (HOLE / array.diameter) ** 2)
    area = np.pi / 4 * (array.diameter * u.m) ** 2
    number = len(array.positions)
    samples = polarisations * number * (number - 1) / 2 * (2 * bandwidth * duration).to_value(u.one)
    # All integrations have the same weight in the image, low ones too: their variances add.
    system = np.sqrt(np.mean(system**2))
    return (2 * k_B * system / (CORRELATOR * efficiency * area) / np.sqrt(samples)).to(u.Jy)


def _is_alma(array):
    """Whether an array is ALMA or the ACA: other observatories have other receivers and weather."""
    there = u.Quantity(EarthLocation.from_geodetic(*SITES["ALMA"]).to_geocentric())
    distance = np.linalg.norm(u.Quantity(array.location.to_geocentric()) - there)
    return array.diameter in DISHES and distance < SITE
