"""Cubes of which one plane at a time is in memory."""

import hashlib
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, NDData

from ..errors import DirtyImageError, shown
from ..home import expanded
from .extensions import file_of, split_extension
from .fits_files import IMAGE_HDUS, is_packed
from .reading import called, locate_plane, opened_image, plane_axes, select_plane
from .slices import with_fits_wcs
from .spectral import SpectralAxis, spectral_axis
from .units import check_usable, parse_unit

__all__ = ["Cube", "PlaneOfFile", "checked_channels", "count_channels", "open_companion", "open_cube", "read_plane"]


@dataclass(frozen=True)
class PlaneOfFile:
    """Where a plane is: what other processes are given of it.

    Parameters
    ----------
    path : `~pathlib.Path`
        FITS file or folder of a CASA image.
    channel, stokes : int or None
    unit : `~astropy.units.Unit` or None
        Of the pixels; None for the header's.
    sha256 : str
        Of the file.
    """

    path: Path
    channel: int | None
    stokes: int | None
    unit: u.UnitBase | None
    sha256: str


def read_plane(plane):
    """Read a plane; one that is in memory already is returned as it is.

    Parameters
    ----------
    plane : `PlaneOfFile` or other

    Returns
    -------
    `~astropy.nddata.CCDData` or other

    Raises
    ------
    FileNotFoundError, DirtyImageError
        As of `~astro_ddpm_imager.read_image`.
    """
    if not isinstance(plane, PlaneOfFile):
        return plane
    name = str(plane.path)
    with opened_image(plane.path, plane.channel, name, sha256=plane.sha256) as (data, wcs, header):
        unit = parse_unit(header.get("BUNIT"), name) if plane.unit is None else plane.unit
        return select_plane(data, unit, wcs, header, plane.channel, plane.stokes, name=name)


@dataclass(frozen=True)
class Cube:
    """A cube, or the PSF, primary beam or mask of its channels.

    Parameters
    ----------
    name : str
        What it is called in errors.
    n_channels : int
    axis : `~astro_ddpm_imager.observation.spectral.SpectralAxis` or None
        None for companions.
    source : `~pathlib.Path`, `~astropy.io.fits.HDUList`, image HDU, `~astropy.nddata.NDData` or array
    stokes : int or None
        0-based Stokes plane.
    unit : `~astropy.units.Unit` or None
        As of `PlaneOfFile`.
    sha256 : str
        Of the file; empty if there is none.
    header : `~astropy.io.fits.Header` or dict
    """

    name: str
    n_channels: int
    axis: SpectralAxis | None
    source: object
    stokes: int | None
    unit: u.UnitBase | None = None
    sha256: str = ""
    header: object = field(default_factory=dict)

    def plane(self, channel):
        """One plane: where it is in a file, or a view of an image in memory.

        Parameters
        ----------
        channel : int
            If there is only one plane, that.

        Returns
        -------
        `PlaneOfFile`, `~astropy.nddata.NDData` or 2D array
        """
        channel = channel if self.n_channels > 1 else None
        if isinstance(self.source, Path):
            return PlaneOfFile(self.source, channel, self.stokes, self.unit, self.sha256)
        if isinstance(self.source, np.ndarray):
            pixels = self.source if channel is None else self.source[channel]
            return pixels if self.unit is None else NDData(pixels, unit=self.unit)
        if not isinstance(self.source, NDData):
            # Once more, because the header gets the beam of the channel.
            with opened_image(self.source, channel, self.name) as (data, wcs, header):
                index, celestial, meta = locate_plane(data, wcs, header, channel, self.stokes, self.name)
                return CCDData(data[index], unit=self.unit, wcs=celestial, meta=meta)
        image = self.source
        index, wcs, meta = locate_plane(image.data, image.wcs, image.meta, channel, self.stokes, self.name)
        mask = None if image.mask is None else np.broadcast_to(image.mask, image.data.shape)[index]
        return CCDData(image.data[index], unit=image.unit, wcs=wcs, meta=meta, mask=mask)

    def digest(self):
        """SHA-256 of the file, with its extension if one is given, or of the pixels in memory.

        Returns
        -------
        str
        """
        if self.sha256:
            extension = split_extension(self.source)[1]
            of_it = f"{self.sha256}[{extension}]"
            return self.sha256 if extension is None else hashlib.sha256(of_it.encode()).hexdigest()
        digest = hashlib.sha256()
        for channel in range(self.n_channels):
            plane = self.plane(channel)
            pixels = plane if isinstance(plane, np.ndarray) else plane.data
            digest.update(np.ascontiguousarray(np.ma.getdata(pixels)).data)
            mask = getattr(plane, "mask", None)
            if mask is not None:
                digest.update(np.ascontiguousarray(mask).data)
        return digest.hexdigest()


def count_channels(path):
    """Number of channels of an image in a file.

    Parameters
    ----------
    path : `~pathlib.Path`

    Returns
    -------
    int
        1 if it has no such axis.

    Raises
    ------
    FileNotFoundError, DirtyImageError
        As of `~astro_ddpm_imager.read_image`.
    """
    with opened_image(path, None, str(path), sha256="") as (data, wcs, _):
        return _count(data, wcs, str(path))


def open_cube(image, stokes=None):
    """A cube, without reading its pixels.

    Parameters
    ----------
    image : path, `~astropy.io.fits.HDUList`, image HDU, `~astropy.nddata.NDData` or SpectralCube
        Axes are those of `~astro_ddpm_imager.read_image`.
    stokes : int, optional
        0-based plane of a Stokes axis longer than 1.

    Returns
    -------
    `Cube`

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DirtyImageError
        It cannot be read, has no spectral WCS, or is in a unit that cannot be converted to Jy/beam.
    TypeError
        It is something else.
    """
    if isinstance(image, NDData) and image.unit is None:
        raise DirtyImageError(f"dirty: the {type(image).__name__} has no unit; give it unit='Jy/beam', if that it is")
    cube, data, wcs = _opened(image, "dirty", stokes, None)
    locate_plane(data, wcs, cube.header, 0 if cube.n_channels > 1 else None, stokes, cube.name)
    unit = parse_unit(cube.header.get("BUNIT"), cube.name) if cube.unit is None else cube.unit
    check_usable(unit, cube.name)  # said once, and not of each channel
    return replace(cube, axis=spectral_axis(wcs, cube.n_channels, cube.name))


def open_companion(image, name, cube):
    """The PSF, primary beam or mask of a cube: a plane for each channel, or one for all.

    Parameters
    ----------
    image : as of `open_cube`, or an array of shape (ny, nx) or (n, ny, nx)
    name : str
    cube : `Cube`
        Its axis is of all channels, as that of the image.

    Returns
    -------
    `Cube`

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DirtyImageError
        It has another number of channels.
    TypeError
        It is no image.
    """
    unit = None
    if isinstance(image, NDData) and image.wcs is None:
        unit = image.unit
        image = np.ma.masked_array(image.data, np.ma.nomask if image.mask is None else image.mask)
    if isinstance(image, np.ndarray) and not hasattr(image, "hdu"):
        if image.ndim < 2:
            raise DirtyImageError(f"{name}: has {image.ndim} axes; an image has at least two")
        image = image.reshape(-1, *image.shape[-2:])
        companion = Cube(name, len(image), None, image if len(image) > 1 else image[0], None, unit)
    else:
        companion, data, wcs = _opened(image, name, cube.stokes, u.one)
        if dict(plane_axes(data, wcs)).get("stokes", 1) == 1:
            companion = replace(companion, stokes=None)
    if companion.n_channels not in (1, cube.n_channels):
        raise DirtyImageError(
            f"{name}: has {companion.n_channels} channels, but the cube {cube.n_channels}; give one plane, or one for "
            "each channel of the whole cube"
        )
    return companion


def checked_channels(channels, cube):
    """The channels that are chosen of a cube.

    Parameters
    ----------
    channels : slice or None
        0-based, the end not included; None for all.
    cube : `Cube`

    Returns
    -------
    range

    Raises
    ------
    DirtyImageError
        They do not exist.
    TypeError
        They are no slice of whole numbers.
    """
    if channels is None:
        return range(cube.n_channels)
    ends = (channels.start, channels.stop) if isinstance(channels, slice) and channels.step in (None, 1) else ("", "")
    if not all(isinstance(end, int | np.integer | None) for end in ends):
        raise TypeError(f"channels={shown(channels)}: must be a slice of whole numbers, such as slice(10, 20)")
    start = 0 if channels.start is None else int(channels.start)
    stop = cube.n_channels if channels.stop is None else int(channels.stop)
    if not 0 <= start < stop <= cube.n_channels:
        raise DirtyImageError(
            f"{cube.name}: channels={start}:{stop} do not exist; there are {cube.n_channels}, 0:{cube.n_channels} are "
            "all (the end is not included)"
        )
    return range(start, stop)


def _opened(image, name, stokes, unit):
    """A cube without its spectral axis, its pixels and WCS, of which only shape and axes may be used."""
    if isinstance(image, str | PathLike):
        path, name = expanded(image, DirtyImageError), str(image)
        # All of it is read once here, for its checksums.
        with opened_image(path, None, name) as (data, wcs, header):
            number = _count(data, wcs, name)
        if file_of(path).is_file() and number > 1 and is_packed(file_of(path)):
            raise DirtyImageError(
                f"{name}: is compressed as a whole, so that its planes cannot be read one at a time; unpack it first, "
                "or compress it in tiles (fpack)"
            )
        sha256 = str(header.get("FILESHA", ""))
        return Cube(name, number, None, path, stokes, unit, sha256, header), data, wcs
    image = getattr(image, "hdulist", image)  # spectral-cube's, with a table of beams
    if isinstance(image, fits.HDUList | IMAGE_HDUS):
        name = called(image) if name == "dirty" else name
        with opened_image(image, None, name) as (data, wcs, header):
            unit = parse_unit(header.get("BUNIT"), name) if unit is None else unit
            return Cube(name, _count(data, wcs, name), None, image, stokes, unit, "", header), data, wcs
    if not isinstance(image, NDData):
        raise TypeError(
            f"{name}: expected a CCDData of three axes or the path of a FITS or CASA cube, got {type(image).__name__}"
            "; HDUList, image HDUs, NDData and SpectralCube can be used, too"
        )
    if image.wcs is None:
        raise DirtyImageError(f"{name}: the {type(image).__name__} has no WCS; give it wcs=WCS(header)")
    image = with_fits_wcs(image, name)
    number = _count(image.data, image.wcs, name)
    return Cube(name, number, None, image, stokes, image.unit, "", image.meta), image.data, image.wcs


def _count(data, wcs, name):
    """Number of channels."""
    if len(data.shape) < 2:
        raise DirtyImageError(f"{name}: has {len(data.shape)} axes; an image has at least two")
    lengths = [length for kind, length in plane_axes(data, wcs) if kind == "channel" and length > 1]
    if len(lengths) > 1:
        raise DirtyImageError(f"{name}: has {len(lengths)} axes beyond sky and Stokes ({lengths}); a cube has one")
    return lengths[0] if lengths else 1
