"""The same observation with CASA: an optional second opinion on the simulator."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from importlib.util import find_spec
from os import PathLike
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation, SkyCoord

from ..errors import SimulationError
from ..home import expanded
from ..whole_files import check_folder, written_whole
from .array import SITES
from .files import truth_table
from .observation import Observation
from .sky import Sources
from .thermal import PWV_LIMITS

__all__ = ["CONFIGURATION", "array_file", "casa_job", "simulate_with_casa"]

PRODUCTS = ("dirty", "psf", "pb")
SIDEREAL = 0.99727  # a sidereal day, in days
# Of Greenwich at 0h UT on 1 January 2000, and its advance in a day (hours).
SIDEREAL_TIME, ADVANCE = 6.66452, 0.0657098
# simobserve sees the source late: by TAI-UTC (32 s in 2000), and by the difference of sidereal from solar time between
# 0h UT and the transit. The two cancel for a transit so long before 0h (hours).
TRANSIT = 32 / 9.83
CONFIGURATION = """\
import casadata
measurespath = casadata.datapath
measures_auto_update = data_auto_update = False
nogui = agg = nologger = True
cachedir = {folder!r}
logfile = {log!r}
"""


def simulate_with_casa(
    observation: Observation,
    sources: Sources,
    folder: str | PathLike[str],
    name: str = "casa",
    pwv: u.Quantity | None = None,
    bandwidth: u.Quantity = 1.872 * u.GHz,
    pblimit: float = 0.2,
    seed: int = 1,
    overwrite: bool = False,
) -> dict[str, Path]:
    """Simulate and image one field with the tasks of CASA.

    ``simobserve`` predicts the visibilities of one pointing and adds noise,
    ``tclean`` makes the dirty image, ``exportfits`` the files, with CASA's four
    axes: ``NAME.dirty.fits``, ``psf.fits`` and ``pb.fits``. This needs the
    extra ``casa``; CASA runs in a process and a temporary folder of its own and
    leaves no logs. A field of 512 x 512 pixels takes about 6 s.

    The sources go to CASA as a list of components: their Fourier transform is
    then exact, while an image of the sky would have to be regridded.

    Parameters
    ----------
    observation : `Observation`
        Its array must be at one of the observatories CASA knows.
    sources : `Sources`
        On the pixels of the image, fluxes in Jy.
    folder : path-like
        Made if needed.
    name : str, optional
        Begin of the name of the dirty image.
    pwv : `~astropy.units.Quantity`, optional
        Precipitable water vapour, for the thermal noise; by default there is
        no noise.
    bandwidth : `~astropy.units.Quantity`, optional
        Of the one channel.
    pblimit : float, optional
        Where the primary beam is less, CASA blanks the image; -0.001 blanks
        nothing.
    seed : int, optional
        Of the noise; fields with independent noise need one each.
    overwrite : bool, optional

    Returns
    -------
    dict
        Paths of the files, with keys ``dirty``, ``psf`` and ``pb``: arguments
        of a `~astro_ddpm_imager.DiffusionImager`.

    Raises
    ------
    SimulationError
        CASA is not installed, does not know the observatory or has failed;
        ``pwv``, ``seed`` or ``bandwidth`` is out of range; the file of the array would be replaced.
    FileExistsError
        A file exists and ``overwrite`` is False; nothing is written.
    OSError
        The folder cannot be made or written to, which is seen before CASA runs.
    """
    folder = expanded(folder, SimulationError, "folder").absolute()
    paths = {"dirty": folder / f"{name}.dirty.fits", "psf": folder / "psf.fits", "pb": folder / "pb.fits"}
    existing = [path for path in paths.values() if path.exists()]
    observation.array.check_kept(existing)
    if existing and not overwrite:
        raise FileExistsError(f"{existing[0]}: exists already; remove it, or give overwrite=True")
    missing = [module for module in ("casatasks", "casadata", "six") if find_spec(module) is None]
    if missing:
        raise SimulationError(
            f"CASA is needed for this, and {', '.join(missing)} cannot be imported: pip install casatasks casatools "
            "casadata six"
        )
    if pwv is not None and not PWV_LIMITS[0] <= pwv.to_value(u.mm) <= PWV_LIMITS[1]:
        raise SimulationError(f"pwv={pwv}: must lie between {PWV_LIMITS[0]} and {PWV_LIMITS[1]:g} mm, or be None")
    if not seed >= 0:
        raise SimulationError(f"seed={seed}: must not be negative")
    if not 0 < bandwidth.to_value(u.Hz) < np.inf:
        raise SimulationError(f"bandwidth={bandwidth}: must be positive and finite")
    check_folder(folder)
    with tempfile.TemporaryDirectory(prefix="astro_ddpm_imager") as work:
        work = Path(work)
        (work / "array.cfg").write_text(array_file(observation.array))
        (work / "pointing.txt").write_text(f"{_direction(observation)} {observation.duration.to_value(u.s):.6f}\n")
        (work / "job.json").write_text(json.dumps(casa_job(observation, sources, pwv, bandwidth, pblimit, seed)))
        _run(work)
        folder.mkdir(parents=True, exist_ok=True)
        for product, path in paths.items():
            with written_whole(path) as part:
                shutil.copyfile(work / f"{product}.fits", part)
    return paths


def casa_job(observation, sources, pwv, bandwidth, pblimit, seed):
    """Arguments of the tasks, as ``casa_driver.py`` takes them.

    Parameters
    ----------
    observation : `~astro_ddpm_imager.simulate.Observation`
    sources : `~astro_ddpm_imager.simulate.Sources`
    pwv : `~astropy.units.Quantity` or None
        None for no noise.
    bandwidth : `~astropy.units.Quantity`
    pblimit : float
    seed : int

    Returns
    -------
    dict
    """
    ny, nx = observation.shape
    frequency = f"{observation.frequency.to_value(u.GHz):.9f}GHz"
    cell = observation.cell.to_value(u.arcsec)
    seconds = observation.duration.to_value(u.s)
    number = len(observation.hour_angles)
    reach = 2 * max(
        np.abs(sources.x - nx // 2).max(initial=nx / 2), np.abs(sources.y - ny // 2).max(initial=ny / 2)
    )  # fmt: skip
    noise = {"thermalnoise": ""}
    if pwv is not None:
        noise = {"thermalnoise": "tsys-atm", "user_pwv": float(pwv.to_value(u.mm)), "seed": int(seed)}
    return {
        "components": _components(observation, sources, frequency),
        "simobserve": {
            "project": "p",
            "compwidth": f"{bandwidth.to_value(u.GHz):.9f}GHz",
            # simobserve makes a mosaic unless told where to point.
            "setpointings": False,
            "ptgfile": "pointing.txt",
            "mapsize": f"{reach * cell:.6f}arcsec",
            "integration": f"{seconds / number:.6f}s",
            "totaltime": f"{seconds:.6f}s",
            "hourangle": f"{observation.hour_angle.to_value(u.hourangle) * SIDEREAL:.9f}h",
            "refdate": _date(observation).strftime("%Y/%m/%d"),
            "obsmode": "int",
            "antennalist": "array.cfg",
            "graphics": "none",
            # Only then does simobserve leave out what is below 10 degrees.
            "verbose": True,
            **noise,
        },
        "tclean": {
            "imsize": [nx, ny],
            "cell": f"{cell:.9f}arcsec",
            "phasecenter": _direction(observation),
            "stokes": "I",
            "specmode": "mfs",
            "gridder": "standard",
            "datacolumn": "data",
            "weighting": observation.weighting,
            "robust": observation.robust,
            "pblimit": pblimit,
            "niter": 0,
        },
        "images": {"field": {}},
        "exports": {"field.image": "dirty.fits", "field.psf": "psf.fits", "field.pb": "pb.fits"},
    }


def _components(observation, sources, frequency):
    """Arguments of CASA's ``componentlist.addcomponent`` for each source."""
    table = truth_table(observation, sources)
    components = [
        {
            "flux": row["flux_jy"],
            "dir": f"ICRS {row['ra']:.10f}deg {row['dec']:.10f}deg",
            "freq": frequency,
            "shape": "Gaussian" if row["maj_arcsec"] > 0 else "point",
        }
        | (
            {
                "majoraxis": f"{row['maj_arcsec']:.6f}arcsec",
                # CASA takes no axis of zero.
                "minoraxis": f"{max(row['min_arcsec'], 1e-3 * row['maj_arcsec']):.6f}arcsec",
                "positionangle": f"{row['pa_deg']:.6f}deg",
            }
            if row["maj_arcsec"] > 0
            else {}
        )
        for row in table
    ]
    # simobserve takes no empty list.
    return components or [{"flux": 0.0, "dir": _direction(observation), "freq": frequency, "shape": "point"}]


def _date(observation):
    """A day of 2000, when no precession turns the sky against the uv plane, with the right time of the transit."""
    sidereal = SIDEREAL_TIME + observation.array.location.lon.to_value(u.hourangle)
    return date(2000, 1, 1) + timedelta(
        days=round((observation.ra.to_value(u.hourangle) + TRANSIT - sidereal) % 24 / ADVANCE)
    )


def _direction(observation):
    """Pointing and phase centre, as CASA writes it."""
    return "ICRS " + SkyCoord(observation.ra, observation.declination).to_string("hmsdms", precision=6)


def array_file(array):
    """An array in CASA's format, with the name of an observatory that CASA has a primary beam for.

    Parameters
    ----------
    array : `~astro_ddpm_imager.simulate.Array`

    Returns
    -------
    str

    Raises
    ------
    SimulationError
        It is at none of these observatories.
    """

    def distance(site):
        there = EarthLocation.from_geodetic(*SITES[site])
        difference = u.Quantity(there.to_geocentric()) - u.Quantity(array.location.to_geocentric())
        return np.linalg.norm(difference.to_value(u.km))

    site = min(SITES, key=distance)
    if distance(site) > 20:
        raise SimulationError(
            f"array={array.name!r}: lies at none of the observatories {', '.join(SITES)}, whose primary beams CASA has"
        )
    for larger, smaller, diameter in (("ALMA", "ACA", 10), ("VLA", "NGVLA", 20)):  # both at one place
        if site in (larger, smaller):
            site = smaller if array.diameter < diameter else larger
    rows = "".join(
        f"{east:.6f} {north:.6f} {up:.6f} {array.diameter:.3f} A{i:03d}\n"
        for i, (east, north, up) in enumerate(array.positions)
    )
    return f"# observatory={site}\n# coordsys=LOC\n# x y z diam pad\n{rows}"


def _run(work):
    """Run the driver in a folder; its log and its settings stay there."""
    configuration, log = work / "config.py", work / "casa.log"
    configuration.write_text(CONFIGURATION.format(folder=str(work), log=str(log)))
    # With -P, the modules beside the driver do not hide those of Python ("array").
    command = [
        sys.executable, "-P", str(Path(__file__).with_name("casa_driver.py")), "job.json",
        "--nositeconfig", "--configfile", str(configuration),
    ]  # fmt: skip
    # Settings of the caller's matplotlib may need what a process without a screen has not.
    environment = os.environ | {"MPLBACKEND": "agg", "MPLCONFIGDIR": str(work)}
    done = subprocess.run(
        command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    lacking = [product for product in PRODUCTS if not (work / f"{product}.fits").exists()]
    if done.returncode or lacking:
        text = done.stdout + (log.read_text(errors="replace") if log.exists() else "")
        severe = [line for line in text.splitlines() if "SEVERE" in line or "Error" in line]
        raise SimulationError(
            f"CASA has failed (status {done.returncode}); its last words: {' / '.join(severe[-5:]) or text[-500:]}"
        )
