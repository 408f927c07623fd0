"""The sky around a pixel: where it is, and which way east and north are there."""

import astropy.units as u
import numpy as np
from astropy.coordinates import FK4, FK5, ICRS

__all__ = ["on_sky"]

FRAMES = (ICRS(), FK5(), FK4())  # of catalogues and region files: J2000, B1950


def on_sky(wcs, x, y):
    """Where pixels are in the frame of catalogues.

    The axes of the image are not those of this frame in Galactic images and
    near the poles.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Celestial, two axes.
    x, y : 1D arrays, shape (n,)
        0-based pixels.

    Returns
    -------
    sky : `~astropy.coordinates.SkyCoord`, shape (n,)
        In the frame of the image if that is one of the ``FRAMES``, else in ICRS.
    scale : 3D array, shape (n, 2, 2)
        Arcsec east and north (rows) for each pixel in x and y (columns).
    """

    def at(x, y):
        sky = wcs.pixel_to_world(x, y)
        return sky if any(sky.frame.is_equivalent_frame(frame) for frame in FRAMES) else sky.icrs

    steps = [at(x - 0.5, y).spherical_offsets_to(at(x + 0.5, y)), at(x, y - 0.5).spherical_offsets_to(at(x, y + 0.5))]
    return at(x, y), np.moveaxis([[offset.to_value(u.arcsec) for offset in step] for step in steps], 2, 0).swapaxes(
        1, 2
    )
