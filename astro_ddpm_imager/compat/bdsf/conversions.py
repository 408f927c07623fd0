"""Positions, beams and Gaussians in pixels and on the sky, as PyBDSF's images convert them."""

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm
from astropy.wcs.utils import proj_plane_pixel_scales

from ...observation.local_sky import on_sky
from .field import pixels_at
from .shapes import north_angle

__all__ = ["Conversions"]

ARCSEC = 3600  # of a degree


class Conversions:
    """The methods of an image that convert; pixels are 0-based, [x, y], and of the image after ``trim_box``.

    Sizes of Gaussians and beams are triples of FWHM, FWHM and angle: in
    degrees and east of north on the sky, in pixels and from the y axis of the
    image, the way that position angles turn, in pixels.
    """

    def sky2pix(self, rd):
        """Pixel [x, y] of a position [RA, Dec] in degrees."""
        return [float(value) for value in pixels_at(self.field.wcs, *rd)]

    def pix2sky(self, xy):
        """Position [RA, Dec] in degrees of a pixel [x, y]."""
        sky = on_sky(self.field.wcs, *np.reshape(xy, (2, 1)))[0]
        return [float(sky.spherical.lon.deg[0]), float(sky.spherical.lat.deg[0])]

    def beam2pix(self, x):
        """A beam on the sky, (major, minor, position angle), in pixels, wherever it is."""
        along_x, along_y = self._cells()
        return (float(x[0] / along_x), float(x[1] / along_y), x[2])

    def pix2beam(self, x, is_error=False):
        """A beam in pixels, or with ``is_error`` its errors, on the sky, wherever it is."""
        along_x, along_y = self._cells()
        beam = (float(x[0] * along_x), float(x[1] * along_y), x[2])
        return list(beam if is_error else _in_order(*beam))

    def gaus2pix(self, x, location=None, use_wcs=True):
        """A Gaussian on the sky in pixels, at a pixel ``location``, (x, y), by default in the middle of the image."""
        if not use_wcs:
            return self.beam2pix(x)
        to_pixels, north = np.linalg.inv(self._scale(location)), self._north(location)
        axes = [float(np.hypot(*(to_pixels @ _towards(angle)) * size)) for size, angle in _axes(x)]
        return _in_order(*axes, x[2] + north)

    def pix2gaus(self, x, location=None, use_wcs=True, is_error=False):
        """A Gaussian in pixels, or with ``is_error`` its errors, on the sky; ``location`` is as of `gaus2pix`."""
        if not use_wcs:
            return self.pix2beam(x, is_error=is_error)
        if x[0] == x[1] == 0:
            return (0.0, 0.0, 0.0)
        scale, north = self._scale(location), self._north(location)
        to_pixels = np.linalg.inv(scale)
        sizes = []
        for size, angle in _axes(x):
            along = to_pixels @ _towards(angle - north)
            sizes.append(float(size * np.hypot(*(scale @ along)) / np.hypot(*along)))
        return (*sizes, x[2]) if is_error else _in_order(*sizes, x[2] - north)

    def pix2coord(self, pix, location=None, use_wcs=True):
        """Errors in x and y, pixels, as errors along right ascension and declination, degrees."""
        if not use_wcs:
            return tuple(float(size * scale) for size, scale in zip(pix, self._cells(), strict=True))
        return tuple(float(value) for value in np.sqrt(self._scale(location) ** 2 @ np.square(pix)))

    def pixel_beam(self):
        """The beam as standard deviations of its axes in pixels, and its angle in degrees."""
        major, minor, angle = self.beam2pix(self.beam)
        return (major / gaussian_sigma_to_fwhm, minor / gaussian_sigma_to_fwhm, angle)

    def pixel_beamarea(self):
        """Solid angle of the beam, pixels."""
        return self.field.beam_area

    def _cells(self):
        """Sides of a pixel at the reference position, degrees."""
        return proj_plane_pixel_scales(self.field.wcs)

    def _scale(self, location):
        """Degrees east and north (rows) for each pixel in x and y (columns)."""
        x, y = self._place(location)
        return on_sky(self.field.wcs, np.array([x]), np.array([y]))[1][0] / ARCSEC

    def _north(self, location):
        """Angle from the y axis to north, the way that position angles turn, degrees."""
        return north_angle(self.field.wcs, *self._place(location))

    def _place(self, location):
        height, width = self.field.data.shape
        return (width / 2, height / 2) if location is None else location


def _axes(shape):
    """Sizes of the two axes, and their angles, degrees."""
    major, minor, angle = shape
    return ((major, angle), (minor, angle + 90))


def _towards(angle):
    """A step of length 1 towards a position angle in degrees: east and north."""
    return np.array([np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])


def _in_order(major, minor, angle):
    """The same with the longer axis first, and its angle from 0 to 180 degrees."""
    if major < minor:
        major, minor, angle = minor, major, angle + 90
    return (major, minor, float(angle % 180))
