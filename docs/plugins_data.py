"""Make the MeasurementSets of docs/plugins.rst, with exact visibilities.

python docs/plugins_data.py FOLDER [NAME ...]

This needs CASA (the extra casa). vla: 40 sources of up to 600 times the noise and two double ones; wide: the same in a
field where w terms matter; disc: a disc and three points seen with ALMA; gains: vla with errors of gains; channels: vla
in four channels, with spectra. There is no primary beam: fluxes are apparent. Each NAME.ms comes with NAME.ecsv, and
with NAME-noise.ms, which holds the same noise and nothing else.
"""

import argparse
import copy
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from scipy.special import j1

from astro_ddpm_imager.simulate import read_array

CENTRE = SkyCoord(150 * u.deg, 10 * u.deg)
FAINTEST, BRIGHTEST = 6, 600  # times the noise of a naturally weighted image
FIELDS = {
    "vla": {"array": "vla.c", "GHz": 5.0, "hours": (-1.5, 1.5), "reach": 200 * u.arcsec},
    "wide": {"array": "vla.c", "GHz": 0.33, "hours": (1.5, 3.0), "reach": 1.2 * u.deg},
    "disc": {"array": "alma.cycle5.3", "GHz": 230.0, "hours": (-0.5, 0.5), "reach": 12 * u.arcsec},
    "gains": {"array": "vla.c", "GHz": 5.0, "hours": (-1.5, 1.5), "reach": 200 * u.arcsec, "phase": 20 * u.deg},
    "channels": {"array": "vla.c", "GHz": 4.0, "hours": (-1.5, 1.5), "reach": 200 * u.arcsec, "channels": 4},
}
INTEGRATION = 120  # s
NOISE = 0.02  # Jy, of the real and the imaginary part of a visibility
CHANNEL = 0.5e9  # Hz


def main():
    """Make the MeasurementSets that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where they are made")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(FIELDS)} (default: all)")
    args = parser.parse_args()
    for number, name in enumerate(FIELDS):
        if not args.names or name in args.names:
            make(args.folder, name, np.random.default_rng([20, number]), **FIELDS[name])


def make(folder, name, rng, array, GHz, hours, reach, channels=1, phase=0 * u.deg):  # noqa: N803
    """Make one MeasurementSet and the table of its sources."""
    frequencies = GHz * 1e9 + CHANNEL * np.arange(channels)
    rows = observe(folder / f"{name}.ms", array, frequencies, hours)
    rms = NOISE / np.sqrt(2 * channels * rows)  # of two polarizations
    beam = c.value / frequencies.mean() / {"vla.c": 3400, "alma.cycle5.3": 300}[array]
    sources = sky(name, rng, rms, reach.to_value(u.rad), beam)
    observe(folder / f"{name}-noise.ms", array, frequencies, hours)
    for ending, factor, numbers in (("-noise", 0, copy.deepcopy(rng)), ("", 1, rng)):
        seen = sources | {"flux": factor * sources["flux"]}
        fill(folder / f"{name}{ending}.ms", seen, frequencies, phase.to_value(u.rad), numbers)
    offset = CENTRE.skyoffset_frame()
    x, y = np.arcsin(sources["l"]), np.arcsin(sources["m"] / np.cos(np.arcsin(sources["l"])))
    places = SkyCoord(x * u.rad, y * u.rad, frame=offset).icrs
    truth = QTable({"ra": places.ra, "dec": places.dec, "flux": sources["flux"] * u.Jy, "alpha": sources["alpha"]})
    truth.meta = {"rms": float(rms)}
    truth.write(folder / f"{name}.ecsv", overwrite=True)
    print(f"{name}: {rows} rows, {len(truth)} sources, {rms:.3g} Jy/beam")


def sky(name, rng, rms, reach, beam):
    """Sources: direction cosines, flux (Jy), FWHM or minus the diameter of a disc (radians), spectral index."""
    number = 3 if name == "disc" else 40
    flux = rms * np.exp(rng.uniform(np.log(FAINTEST), np.log(BRIGHTEST), number))
    flux[0] = rms * (100 if name == "disc" else BRIGHTEST)
    place = rng.uniform(-reach, reach, (2, number))
    size = np.where(rng.random(number) < 0.5, 0, rng.uniform(0.3, 0.8, number) * beam)
    if name == "disc":
        place, size = np.c_[place, [0, 0]], np.r_[size, -4 * beam]
        flux = np.r_[flux, 400 * rms]
    else:  # two double sources, 2.5 beams apart
        place = np.c_[place, place[:, 1:3] + 2.5 * beam]
        flux, size = np.r_[flux, 0.7 * flux[1:3]], np.r_[size, size[1:3]]
    return {"l": place[0], "m": place[1], "flux": flux, "size": size, "alpha": rng.uniform(-1.2, 0, len(flux))}


def observe(path, name, frequencies, hours):
    """An empty MeasurementSet; returns its number of rows."""
    from casatasks.private.simutil import simutil  # here, so that the help needs no CASA
    from casatools import measures, simulator, table

    array, tool, measure = read_array(name), simulator(), measures()
    observatory = "ALMA" if "alma" in name else "VLA"
    place = measure.observatory(observatory)
    x, y, z = simutil().locxyz2itrf(
        array.location.lat.deg, array.location.lon.deg, array.location.height.to_value(u.m), *array.positions.T
    )
    tool.open(str(path))
    tool.setconfig(
        telescopename=observatory, x=list(x), y=list(y), z=list(z), dishdiameter=[array.diameter] * len(x),
        mount=["alt-az"] * len(x), antname=[f"A{i:02d}" for i in range(len(x))], coordsystem="global",
        referencelocation=place,
    )  # fmt: skip
    width = f"{CHANNEL}Hz"
    tool.setspwindow(
        spwname="band", freq=f"{frequencies[0]}Hz", deltafreq=width, freqresolution=width, nchannels=len(frequencies),
        stokes="RR LL",
    )  # fmt: skip
    tool.setfeed(mode="perfect R L", pol=[""])
    tool.setfield(
        sourcename="field", sourcedirection=measure.direction("J2000", f"{CENTRE.ra.deg}deg", f"{CENTRE.dec.deg}deg")
    )
    tool.setlimits(shadowlimit=0.001, elevationlimit="8deg")
    tool.setauto(autocorrwt=0.0)
    tool.settimes(
        integrationtime=f"{INTEGRATION}s", usehourangle=True, referencetime=measure.epoch("TAI", "2000/01/01")
    )
    tool.observe("field", "band", starttime=f"{hours[0]}h", stoptime=f"{hours[1]}h")
    tool.close()
    opened = table()
    opened.open(str(path))
    rows = opened.nrows()
    opened.close()
    return rows


def fill(path, sources, frequencies, phase, rng):
    """Write the visibilities, with noise and, as far as wanted, errors of the phases of antennas that drift."""
    from casatools import table

    opened = table()
    opened.open(str(path), nomodify=False)
    uvw, one, other, times = (opened.getcol(column) for column in ("UVW", "ANTENNA1", "ANTENNA2", "TIME"))
    visibilities = np.zeros((len(frequencies), uvw.shape[1]), complex)
    for l, m, flux, size, alpha in zip(*(sources[key] for key in ("l", "m", "flux", "size", "alpha")), strict=True):  # noqa: E741
        for channel, frequency in enumerate(frequencies):
            u_, v, w = uvw * frequency / c.value
            baseline = np.hypot(u_, v)
            shape = np.exp(-((np.pi * size * baseline) ** 2) / (4 * np.log(2)))
            if size < 0:
                shape = 2 * j1(np.pi * -size * baseline) / (np.pi * -size * baseline)
            spectrum = flux * (frequency / frequencies.mean()) ** alpha
            turned = np.exp(2j * np.pi * (u_ * l + v * m + w * (np.sqrt(1 - l**2 - m**2) - 1)))
            visibilities[channel] += spectrum * shape * turned
    if phase:
        moments, at = np.unique(times, return_inverse=True)
        nodes = rng.standard_normal((4, max(other) + 1)) * phase
        along = np.linspace(0, 3, len(moments))
        drift = np.stack([np.interp(along, range(4), antenna) for antenna in nodes.T], 1)
        visibilities = visibilities * np.exp(1j * (drift[at, one] - drift[at, other]))
    data = np.repeat(visibilities[None], 2, 0)
    data = data + NOISE * (rng.standard_normal(data.shape) + 1j * rng.standard_normal(data.shape))
    opened.putcol("DATA", data)
    if "CORRECTED_DATA" in opened.colnames():
        opened.putcol("CORRECTED_DATA", data)
    opened.putcol("WEIGHT", np.full(opened.getcol("WEIGHT").shape, NOISE**-2))
    opened.putcol("SIGMA", np.full(opened.getcol("SIGMA").shape, NOISE))
    opened.close()


if __name__ == "__main__":
    main()
