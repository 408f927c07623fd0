"""From visibilities to images: weights, PSF, dirty image, restoring beam and primary beam."""

import astropy.units as u
import numpy as np
from astropy.constants import c
from radio_beam import Beam
from scipy.special import j1

from ..errors import SimulationError, shown
from ..observation.main_lobe import main_lobe

__all__ = ["WEIGHTINGS", "check_weighting", "fit_beam", "image_visibilities", "imaging_weights", "primary_beam"]

WEIGHTINGS = ("natural", "uniform", "briggs")
EFFECTIVE_DIAMETER = 10.7 / 12  # of a 12 m ALMA dish, as CASA has it, with a hole of 0.75 m
BLOCKED = 0.75 / 10.7


def check_weighting(weighting, robust):
    """Refuse a weighting that does not exist.

    Parameters
    ----------
    weighting : str
    robust : float

    Raises
    ------
    SimulationError
        An argument is unknown or out of range.
    """
    if weighting not in WEIGHTINGS:
        raise SimulationError(f"weighting={weighting!r}: choose one of {', '.join(map(repr, WEIGHTINGS))}")
    if weighting == "briggs" and not -2 <= robust <= 2:
        raise SimulationError(f"robust={shown(robust)}: must lie between -2 and 2")


def imaging_weights(
    uv: np.ndarray, weighting: str, shape: tuple[int, int], cell: float, robust: float = 0.5
) -> np.ndarray:
    """Weights of visibilities of equal noise.

    Parameters
    ----------
    uv : 2D array, shape (n, 2 or 3)
        Baselines, wavelengths.
    weighting : {"natural", "uniform", "briggs"}
    shape : tuple of int, (ny, nx)
        Of the image: a cell of the uv plane is the reciprocal of the field.
    cell : float
        Pixel, radians.
    robust : float, optional
        From -2 (almost uniform) to 2 (almost natural), for ``"briggs"``
        (Briggs 1995, PhD thesis, section 3.2.4).

    Returns
    -------
    1D array, shape (n,)

    Raises
    ------
    SimulationError
        An argument is unknown or out of range.
    """
    check_weighting(weighting, robust)
    if weighting == "natural":
        return np.ones(len(uv))
    ny, nx = shape
    # The cells of each visibility and of its conjugate; CASA's have integers for edges.
    cells = [
        [np.floor(sign * uv[:, axis] * n * cell).astype(int) % n for axis, n in ((1, ny), (0, nx))] for sign in (1, -1)
    ]
    gridded = np.zeros((ny, nx))
    for row, column in cells:
        np.add.at(gridded, (row, column), 1)
    density = gridded[*cells[0]]
    if weighting == "uniform":
        return 1 / density
    squared = (5 * 10.0**-robust) ** 2 / ((gridded**2).sum() / (2 * len(uv)))
    return 1 / (1 + density * squared)


def image_visibilities(
    uv: np.ndarray, visibilities: np.ndarray, weights: np.ndarray, shape: tuple[int, int], cell: float
) -> np.ndarray:
    """Weighted Fourier transform of visibilities, by ducc0.

    Parameters
    ----------
    uv : 2D array, shape (n, 3)
        Baselines, wavelengths; the third axis is not used.
    visibilities : 1D complex array, shape (n,)
        All 1 for the PSF.
    weights : 1D array, shape (n,)
    shape : tuple of int, (ny, nx)
        Even numbers.
    cell : float
        Pixel, radians.

    Returns
    -------
    2D array, shape (ny, nx)
        East to the left; the phase centre at pixel ``(ny // 2, nx // 2)``.
        A point source of 1 there makes a peak of 1.

    Raises
    ------
    SimulationError
        ducc0 is not installed.
    """
    try:
        from ducc0.wgridder import vis2dirty
    except ImportError as error:
        raise SimulationError("simulations need ducc0: pip install ducc0") from error
    image = vis2dirty(
        uvw=np.ascontiguousarray(uv, dtype=float),
        freq=np.array([c.value]),
        vis=np.ascontiguousarray(visibilities, dtype=complex)[:, None],
        wgt=np.ascontiguousarray(weights, dtype=float)[:, None],
        npix_x=shape[1],
        npix_y=shape[0],
        pixsize_x=cell,
        pixsize_y=cell,
        epsilon=1e-6,
        flip_u=True,
        divide_by_n=False,
    )
    return image.T / weights.sum()


def fit_beam(psf: np.ndarray, cell: u.Quantity) -> Beam:
    """Restoring beam: a Gaussian fitted to the main lobe of the PSF, above 0.35 of the peak, as CASA does.

    Parameters
    ----------
    psf : 2D array, shape (ny, nx)
        Peak, 1, at pixel ``(ny // 2, nx // 2)``; east to the left.
    cell : `~astropy.units.Quantity`
        Pixel.

    Returns
    -------
    `~radio_beam.Beam`

    Raises
    ------
    SimulationError
        The main lobe is larger than the image.
    """
    lobe = main_lobe(psf)
    if lobe is None:
        height, width = (n * cell.to_value(u.arcsec) for n in psf.shape)
        raise SimulationError(
            f"shape={psf.shape}, cell={cell:.3g}: the main lobe of the PSF reaches the edge of the image, which is "
            f"{width:.3g} x {height:.3g} arcsec; take a larger shape (--imsize) or cell"
        )
    major, minor, angle = lobe
    # From the x axis, which points west, to the position angle, from north through east.
    pa = (np.rad2deg(angle) - 90 + 90) % 180 - 90
    return Beam(major * cell, minor * cell, pa * u.deg)


def primary_beam(separation: u.Quantity, frequency: u.Quantity, diameter: float = 12.0) -> np.ndarray:
    """Power pattern of a dish: an Airy disk with a hole, scaled from CASA's model of ALMA's 12 m dishes.

    Parameters
    ----------
    separation : `~astropy.units.Quantity`
        Angle from the pointing centre.
    frequency : `~astropy.units.Quantity`
    diameter : float, optional
        Of the dish, m.

    Returns
    -------
    array, 1 at the pointing centre
    """
    radius = EFFECTIVE_DIAMETER * diameter * u.m * frequency / c
    x = np.pi * (np.sin(separation) * radius).to_value(u.one)
    x = np.where(np.abs(x) < 1e-6, 1e-6, x)
    voltage = (2 * j1(x) / x - BLOCKED**2 * 2 * j1(BLOCKED * x) / (BLOCKED * x)) / (1 - BLOCKED**2)
    return voltage**2
