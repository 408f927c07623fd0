"""The image of one run: read, collapsed to one plane, and cut as PyBDSF would."""

from dataclasses import dataclass, replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from radio_beam import Beam

from ...errors import DirtyImageError, shown
from ...observation.beam import beam_covariance, beam_pixels, header_beam
from ...observation.blank import blank_constant
from ...observation.ellipses import area
from ...observation.local_sky import on_sky
from ...observation.spectral import plane_frequency
from .background import Background
from .planes import collapse

__all__ = ["Field", "catalog_frame", "pixels_at", "read_field"]


@dataclass(frozen=True)
class Field:
    """An image and what belongs to it; arrays are indexed [y, x].

    Parameters
    ----------
    data : 2D array, shape (ny, nx)
        Jy/beam, NaN where blank.
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes.
    header : `~astropy.io.fits.Header`
        Of the file.
    beam : tuple of float
        FWHM of the axes and position angle, degrees.
    frequency : float
        Hz.
    origin : tuple of int
        Pixel (x, y) of the file that is pixel (0, 0) here.
    plane : `~astropy.nddata.CCDData`
        That of the file, of which this may be a part.
    background : `~astro_ddpm_imager.compat.bdsf.background.Background` or None
    pb : 2D array, shape (ny, nx), or None
        Primary beam that the sky was multiplied with, 1 if none was given.
    """

    data: np.ndarray
    wcs: object
    header: fits.Header
    beam: tuple
    frequency: float
    origin: tuple
    plane: CCDData
    background: Background | None = None
    pb: np.ndarray | None = None

    @property
    def full_shape(self):
        """Shape (ny, nx) of the file's planes."""
        return self.plane.shape

    @property
    def radio_beam(self):
        """The restoring beam as a `~radio_beam.Beam`."""
        major, minor, pa = self.beam * u.deg
        return Beam(major, minor, pa)

    @property
    def beam_area(self):
        """Area of the beam, pixels."""
        return area(beam_covariance(self.radio_beam, self.wcs, self.data.shape))

    @property
    def beam_pixels(self):
        """FWHM of the beam, geometric mean of the axes, pixels."""
        return beam_pixels(self.radio_beam, self.wcs, self.data.shape)

    @property
    def in_sigma(self):
        """The image without its mean, in units of its noise."""
        return (self.data - self.background.mean) / self.background.rms

    def stamp(self, gaussian):
        """Slices around a Gaussian, and its profile there, with a peak of 1."""
        x, y = gaussian.centre_pix
        to_pixels = np.linalg.inv(self.wcs.pixel_scale_matrix)
        covariance = to_pixels @ gaussian.covariance @ to_pixels.T
        reach = 5 * np.sqrt(np.diag(covariance)) + 1
        window = tuple(
            slice(int(max(centre - far, 0)), int(min(centre + far + 2, n)))
            for centre, far, n in zip((y, x), reach[::-1], self.data.shape, strict=True)
        )
        dy, dx = np.mgrid[window]
        offset = np.stack([dx - x, dy - y])
        power = np.einsum("iyx,ij,jyx->yx", offset, np.linalg.inv(covariance), offset)
        return window, np.exp(-0.5 * power)

    def model(self, gaussians):
        """Sum of Gaussians as they look in the image, Jy/beam, NaN where blank."""
        model = np.where(np.isfinite(self.data), 0.0, np.nan)
        for gaussian in gaussians:
            window, profile = self.stamp(gaussian)
            model[window] += gaussian.peak_flux * gaussian.pb * profile
        return model

    def cut(self, image):
        """The part of an image of the file's shape that is analysed."""
        (x, y), (height, width) = self.origin, self.data.shape
        return image[y : y + height, x : x + width]


def read_field(path, options):
    """Read an image as the options ask for.

    Parameters
    ----------
    path : path-like
    options : `~astro_ddpm_imager.compat.bdsf.parameters.Options`

    Returns
    -------
    `Field`

    Raises
    ------
    RuntimeError
        The image has no beam or frequency and none is given; the channels or ``trim_box`` do not exist.
    DirtyImageError
        It is in another unit than Jy/beam.
    """
    if options.collapse_mode == "file":
        path = Path(options.collapse_file)
    image = collapse(path, options)
    data = image.data
    if options.blank_limit is not None:
        data = np.where(np.abs(data) < options.blank_limit, np.nan, data)
    field = Field(
        data, image.wcs, image.meta, options.beam or _beam(image, path),
        options.frequency or _header_frequency(image.meta, path), (0, 0), image,
    )  # fmt: skip
    field = replace(field, data=blank_constant(data, field.beam_area, path))
    return field if options.trim_box is None else _trim(field, options.trim_box)


def pixels_at(wcs, ra, dec):
    """Pixels of positions in the frame of the catalogues, which that of the image need not be.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
    ra, dec : float or 1D array
        Degrees.

    Returns
    -------
    x : float or 1D array
        0-based pixels.
    y : float or 1D array
    """
    return wcs.world_to_pixel(SkyCoord(ra, dec, unit="deg", frame=catalog_frame(wcs)))


def catalog_frame(wcs):
    """The frame of catalogues of an image.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`

    Returns
    -------
    str
        ``"icrs"``, ``"fk5"`` or ``"fk4"``, of J2000 or B1950.
    """
    return on_sky(wcs, *np.reshape(wcs.wcs.crpix, (2, 1)))[0].frame.name


def _beam(image, path):
    """The beam in the header, degrees."""
    try:
        beam = header_beam(image, path)
    except DirtyImageError as error:
        raise RuntimeError(f"{error}(major, minor, position angle) in degrees") from error
    if beam is None:
        raise RuntimeError(
            f"{path}: no beam in the header (BMAJ, BMIN, BPA); give beam=(major, minor, position angle) in degrees"
        )
    return tuple(axis.to_value("deg") for axis in (beam.major, beam.minor, beam.pa))


def _header_frequency(header, path):
    """Frequency of a plane, Hz."""

    def number(key):
        value = header.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RuntimeError(f"{path}: {key}={value!r} in the header is no number; give frequency= in Hz")
        return float(value)

    frequency = plane_frequency(header)
    if frequency is not None:
        return frequency
    for key in ("RESTFRQ", "FREQ", "RESTFREQ"):
        if key in header:
            return number(key)
    raise RuntimeError(f"{path}: no frequency in the header; give frequency= in Hz")


def _trim(field, box):
    xmin, xmax, ymin, ymax = (int(edge) for edge in box)
    height, width = field.data.shape
    xmin, xmax, ymin, ymax = max(xmin, 0), min(xmax, width), max(ymin, 0), min(ymax, height)
    if xmin >= xmax or ymin >= ymax:
        raise RuntimeError(f"trim_box={shown(box)}: holds no pixel of an image of {width} x {height} pixels")
    window = (slice(ymin, ymax), slice(xmin, xmax))
    return replace(field, data=field.data[window], wcs=field.wcs[window], origin=(xmin, ymin))
