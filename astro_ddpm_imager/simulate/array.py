"""Antennas and where they lie in the uv plane."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation
from scipy.spatial.distance import pdist

from ..errors import SimulationError
from ..home import expanded

__all__ = ["MIN_ELEVATION", "SITES", "Array", "list_arrays", "read_array"]

SHIPPED = Path(__file__).parent / "arrays"
# CASA's positions of the observatories that its array files name (longitude and latitude in degrees, height in m).
SITES = {
    "ALMA": (-67.7549, -23.0229, 5056.8),
    "ACA": (-67.7549, -23.0229, 5056.8),
    "VLA": (-107.6184, 34.0790, 2114.9),
    "MeerKAT": (21.4439, -30.7129, 1053.0),
    "ATCA": (149.5501, -30.3129, 236.9),
    "SMA": (-155.4782, 19.8242, 4080.0),
    "WSRT": (6.6042, 52.9169, 5.0),
    "IRAM_PDB": (5.9067, 44.6337, 2616.4),
    "NGVLA": (-107.6410, 34.0830, 2126.7),
}
MIN_ELEVATION = 10 * u.deg
EARTH = (6.3e6, 6.4e6)  # radii that hold all of its surface, m


@dataclass(frozen=True, eq=False)
class Array:
    """The antennas of an interferometer.

    Parameters
    ----------
    name : str
    location : `~astropy.coordinates.EarthLocation`
        Centre of the array.
    positions : 2D array, shape (n, 3)
        East, north and up of each antenna, m.
    diameter : float
        Diameter of the dishes, m.
    path : `~pathlib.Path`, optional
        The file that it was read from, which no simulation replaces.

    Raises
    ------
    SimulationError
        There are no two antennas, two are at one place, or a number is not
        finite or not positive.
    """

    name: str
    location: EarthLocation
    positions: np.ndarray
    diameter: float
    path: Path | None = None

    def __post_init__(self):
        number = len(self.positions)
        if number < 2:
            raise SimulationError(f"array={self.name!r}: has {number} antenna(s); an interferometer needs two at least")
        if not np.isfinite(self.positions).all():
            raise SimulationError(f"array={self.name!r}: positions must be finite")
        if not 0 < self.diameter < np.inf:
            raise SimulationError(f"array={self.name!r}: diameter={self.diameter:g} m: must be positive")
        same = pdist(self.positions) == 0
        if same.any():
            first, second = (index[same][0] + 1 for index in np.triu_indices(number, 1))
            raise SimulationError(
                f"array={self.name!r}: antennas {first} and {second}, counted from 1, are at one place; remove one"
            )

    def check_kept(self, targets):
        """Check that nothing that is written takes the place of the file that the array was read from.

        Parameters
        ----------
        targets : iterable of `~pathlib.Path`

        Raises
        ------
        SimulationError
            Something would.
        """
        for target in targets:
            if self.path is not None and self.path.exists() and target.exists() and target.samefile(self.path):
                raise SimulationError(
                    f"{target}: would be replaced, but is the file of the array; choose another folder (--output-dir "
                    "on the command line)"
                )

    def uv_coverage(self, declination, hour_angles):
        """Baselines as a source sees them (Thompson, Moran & Swenson 2017, equation 4.1).

        Parameters
        ----------
        declination : `~astropy.units.Quantity`
        hour_angles : `~astropy.units.Quantity`, shape (n_times,)
            Hour angle of the source in the middle of each integration; those with it too low are left out.

        Returns
        -------
        3D array, shape (n_times_up, n_baselines, 3)
            u, v and w, m; each pair of antennas once.

        Raises
        ------
        SimulationError
            The source is never high enough.
        """
        latitude, dec = self.location.lat.to_value(u.rad), declination.to_value(u.rad)
        hour = np.atleast_1d(hour_angles.to_value(u.rad))
        elevation = np.atleast_1d(self.elevation(declination, hour_angles))
        up = elevation >= MIN_ELEVATION
        if not up.any():
            raise SimulationError(
                f"declination={declination.to_value(u.deg):g} deg: seen from {self.name} (latitude "
                f"{self.location.lat.to_value(u.deg):.1f} deg) the source is never above {MIN_ELEVATION:g} within the "
                f"hour angles given; the highest is {elevation.max().to_value(u.deg):.1f} deg"
            )
        hour = hour[up, None]
        first, second = np.triu_indices(len(self.positions), 1)
        east, north, height = (self.positions[second] - self.positions[first]).T
        x = height * np.cos(latitude) - north * np.sin(latitude)
        z = height * np.sin(latitude) + north * np.cos(latitude)
        along = np.cos(hour) * x - np.sin(hour) * east
        return np.stack(
            [
                np.sin(hour) * x + np.cos(hour) * east,
                np.cos(dec) * z - np.sin(dec) * along,
                np.sin(dec) * z + np.cos(dec) * along,
            ],
            -1,
        )

    def elevation(self, declination, hour_angles):
        """Elevation of a source, `~astropy.units.Quantity` of the shape of ``hour_angles``."""
        sine = np.sin(self.location.lat) * np.sin(declination)
        return np.arcsin(sine + np.cos(self.location.lat) * np.cos(declination) * np.cos(hour_angles)).to(u.deg)


def list_arrays(observatory: str = "") -> list[str]:
    """List the arrays that come with the package, with the positions that CASA and the observatories give.

    ALMA's 12 m array in configurations of Cycles 1, 3 and 5, the ACA, the VLA,
    MeerKAT, ATCA, the SMA, NOEMA (six antennas, as the Plateau de Bure
    interferometer), WSRT and the ngVLA.

    Parameters
    ----------
    observatory : str, optional
        First part of the names: ``"vla"`` for the configurations of the VLA.

    Returns
    -------
    list of str
        By observatory.
    """
    names = (path.stem for path in SHIPPED.glob("*.cfg"))
    chosen = (name for name in names if observatory in ("", name.split(".")[0]))
    return sorted(chosen, key=lambda name: (name.split(".")[0], len(name), name))


def read_array(name: str | PathLike[str], location: EarthLocation | None = None) -> Array:
    """Read an array from a file in CASA's format.

    Parameters
    ----------
    name : str or path-like
        One of `list_arrays`, or the path of a ``.cfg`` file: comment lines that
        begin with ``#`` and name the observatory and the coordinate system,
        ``LOC`` (local tangent plane) or ``XYZ`` (geocentric), then x, y, z and
        diameter (m) of an antenna in each line. All dishes are of one size.
    location : `~astropy.coordinates.EarthLocation`, optional
        Centre of the array, where the file names no observatory that is known.

    Returns
    -------
    `Array`

    Raises
    ------
    SimulationError
        The file cannot be used; the message says what it lacks.
    PermissionError
        It may not be read.
    """
    path = SHIPPED / f"{name}.cfg" if str(name) in list_arrays() else expanded(name, SimulationError, "name")
    if not path.is_file():
        raise SimulationError(
            f"array={str(name)!r}: there is no such file, and no such array in the package; "
            f"it has {', '.join(list_arrays())}"
        )
    header, rows = {"coordsys": "LOC"}, []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise SimulationError(
            f"array={str(name)!r}: is no text in UTF-8; give a .cfg file of CASA, or one of {', '.join(list_arrays())}"
        ) from None
    except PermissionError:
        raise PermissionError(
            f"array={str(name)!r}: this user may not read it; give another file, or change its mode"
        ) from None
    for number, line in enumerate(map(str.strip, lines), 1):
        if line.startswith("#"):
            key, _, value = line.strip("# ").partition("=")
            header[key.strip().lower()] = value.split("#")[0].split("(")[0].strip()
        elif line:
            try:
                rows.append([float(value) for value in line.split()[:4]])
                if len(rows[-1]) < 4 or not np.isfinite(rows[-1]).all():
                    raise ValueError
            except ValueError:
                raise SimulationError(
                    f"array={str(name)!r}: line {number}, {line!r}, does not begin with four numbers "
                    "(x, y, z and diameter in m)"
                ) from None
    rows = np.reshape(rows, (-1, 4))
    if location is None:
        sites = {site.upper(): place for site, place in SITES.items()}
        place = sites.get(header.get("observatory", "").upper())
        if place is None:
            raise SimulationError(
                f"array={str(name)!r}: observatory={header.get('observatory')!r} is none of {', '.join(SITES)}; "
                f"name one in a line of the file, such as # observatory={next(iter(SITES))}, or give "
                "location=EarthLocation(...)"
            )
        location = EarthLocation.from_geodetic(*place)
    positions, system = rows[:, :3], header["coordsys"].upper()
    if system not in ("LOC", "XYZ"):
        raise SimulationError(
            f"array={str(name)!r}: coordsys={header['coordsys']!r} cannot be read; give LOC (east, north, up) or XYZ"
        )
    radii, diameters = np.linalg.norm(positions, axis=1), np.unique(rows[:, 3])
    geocentric = ((radii > EARTH[0]) & (radii < EARTH[1])).all()
    if len(rows) and geocentric != (system == "XYZ"):
        better = "LOC (east, north, up)" if system == "XYZ" else "XYZ"
        raise SimulationError(
            f"array={str(name)!r}: coordsys={header['coordsys']!r}, but positions {radii.max() / 1e3:.4g} km from "
            f"0, 0, 0 are {'geocentric' if geocentric else 'not geocentric'}; give {better}"
        )
    if len(diameters) > 1:
        raise SimulationError(
            f"array={str(name)!r}: has dishes of {', '.join(f'{value:g}' for value in diameters)} m, and one diameter "
            "is all that can be simulated; make a file of each"
        )
    positions = _local(positions, location) if geocentric else positions
    return Array(path.stem, location, positions, float(diameters[0]) if len(rows) else 0.0, path.absolute())


def _local(geocentric, location):
    """East, north and up of geocentric positions (m)."""
    lon, lat = location.lon.to_value(u.rad), location.lat.to_value(u.rad)
    centre = u.Quantity(location.to_geocentric()).to_value(u.m)
    axes = np.array(
        [
            [-np.sin(lon), np.cos(lon), 0],
            [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)],
            [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)],
        ]
    )
    return (geocentric - centre) @ axes.T
