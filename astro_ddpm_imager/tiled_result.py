"""What comes back of an image that was worked on in tiles: its pixels stay on disk."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

from .observation.beam import deep_copied
from .observation.dirty import DirtyImage
from .products.headers import product_header
from .products.summary import brightness
from .products.writing import IMAGES
from .result import ImagingResult

__all__ = ["KEPT", "TILED", "TiledFit", "TiledResult"]

ROWS = 256  # at once
NOT_KEPT = ("grid", "sky", "sky_samples", "drawn_samples", "samples")
TILED = {name: u.Unit(unit) for name, unit in IMAGES.values()}
KEPT = (*TILED, "dirty", "pb", "psf-0")  # planes of which the result is made


@dataclass(frozen=True)
class TiledFit:
    """How well the tiles explain the dirty image.

    Parameters
    ----------
    chi2 : float
        Median of the tiles.
    misfits : dict
        What is wrong in any of them, by name, in the words of the first that has it.
    """

    chi2: float
    misfits: dict


class TiledResult(ImagingResult):
    """Result of one call of `~astro_ddpm_imager.DiffusionImager` on a large image.

    An `~astro_ddpm_imager.ImagingResult`, but for what does not fit into memory: images are opened on disk each
    time they are asked for (``numpy.memmap``), and samples are not kept. The files go with the result and its shallow
    copies; pickles and deep copies have files of their own, so that a pickle is some seven times the dirty image.

    Parameters
    ----------
    planes : `~astro_ddpm_imager.observation.planes.PlaneFolder`
        With those of ``KEPT``, as far as there are such.
    shape : tuple of int, (ny, nx)
    wcs : `~astropy.wcs.WCS`
    beam : `~radio_beam.Beam`
    header : dict-like
    inputs : dict
        As of `~astro_ddpm_imager.observation.dirty.DirtyImage`.
    with_psf : bool
    catalog : `~astropy.table.QTable`
    rms : float
        Median of the noise of the tiles, Jy/beam.
    chi2 : float
    misfits : dict
        As of `TiledFit`.
    meta : dict
        Provenance.
    """

    def __init__(self, planes, shape, wcs, beam, header, inputs, with_psf, catalog, rms, chi2, misfits, meta):
        self.planes, self.catalog, self.meta, self.fit = planes, catalog, meta, TiledFit(chi2, misfits)
        self.shape, self.wcs, self.beam, self.rms = shape, wcs, beam, rms
        self.header, self.inputs, self.with_psf = header, inputs, with_psf

    __deepcopy__ = deep_copied

    def __getattr__(self, name):
        if name in NOT_KEPT:
            raise AttributeError(
                f"{name}: is not kept of an image that was worked on in tiles; give tile=0, or cut out a part of it"
            )
        return super().__getattribute__(name)

    def __repr__(self):
        (ny, nx), noise = self.shape, brightness(self.rms).replace("µ", "u")
        return (
            f"<TiledResult: {nx} x {ny} pixels in {self.meta['tiles']} tiles, {self.meta['n_samples']} samples, "
            f"{len(self.catalog)} sources, noise {noise}>"
        )

    @property
    def dirty(self):
        """The dirty image, as `~astro_ddpm_imager.observation.dirty.DirtyImage`; blank once its files are gone.

        Its ``allowed`` is True everywhere, whatever mask was given, and its ``psf`` the first one as it was given,
        whose peak may lie elsewhere than in the middle.
        """
        data, pb = self._opened("dirty", np.nan), self._opened("pb", 1)
        psf = self._opened("psf-0", 0) if self.with_psf else None
        allowed = np.broadcast_to(np.True_, self.shape)
        return DirtyImage(data, self.wcs, self.beam, self.rms, psf, pb, allowed, self.header, inputs=self.inputs)

    @property
    def image(self):
        """As of `~astro_ddpm_imager.ImagingResult`."""
        image = self._plane("image")
        if self.meta["n_samples"] > 1:
            image.uncertainty = StdDevUncertainty(self.planes["uncertainty"].opened(), copy=False)
        return image

    @property
    def uncertainty(self):
        """As of `~astro_ddpm_imager.ImagingResult`."""
        return self._plane("uncertainty")

    @property
    def restored(self):
        """As of `~astro_ddpm_imager.ImagingResult`."""
        return self._plane("restored")

    @property
    def residual(self):
        """As of `~astro_ddpm_imager.ImagingResult`."""
        return self._plane("residual")

    def _opened(self, name, otherwise):
        """A plane, or a value everywhere if there is none."""
        try:
            return self.planes[name].opened()
        except FileNotFoundError:
            return np.broadcast_to(np.float32(otherwise), self.shape)

    def _plane(self, name):
        plane = self.planes[name]
        header, mask = product_header(self.dirty, self.meta), np.empty(self.shape, bool)
        for start in range(0, len(mask), ROWS):  # opened anew for each, so that what is read does not stay in memory
            rows = slice(start, start + ROWS)
            mask[rows] = np.isnan(plane.read((rows, slice(None))))
        return CCDData(plane.opened(), unit=TILED[name], mask=mask, wcs=self.wcs, meta=header)
