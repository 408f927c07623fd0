"""A tile of a large image, imaged as an image of its own."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.nddata import CCDData
from scipy.ndimage import zoom

from .errors import DirtyImageError
from .log_records import collected_records
from .observation.far_sidelobes import PixelComponents
from .observation.grid import Tile
from .observation.noise_map import warn_contradicted
from .observation.preparation import prepare_plane
from .observation.primary_beam import within_limit
from .observation.psf import middle_of
from .observation.units import JY_PER_BEAM
from .tiled_result import TILED

__all__ = ["TilePiece", "image_tile"]


@dataclass(frozen=True)
class TilePiece:
    """A tile of a large image, and all that is needed to image it.

    Parameters
    ----------
    number : int
        Of the tile.
    tile : `~astro_ddpm_imager.observation.grid.Tile`
    planes : dict of `~astro_ddpm_imager.observation.planes.Plane`
        Of the whole image: ``"dirty"``, and ``"pb"``, ``"mask"`` and ``"noise"``, as far as there are any.
    components : `~astro_ddpm_imager.observation.far_sidelobes.PixelComponents`
        What was taken out of the tile, on its pixels.
    psf : 2D array or None
    unknown : 2D array or None
        As of `~astro_ddpm_imager.observation.far_sidelobes.unknown_far_sidelobes`.
    quietest : float or None
        Lowest value of ``"noise"``, if it is given: components and unknown sidelobes are those of the image divided
        by the noise in units of it.
    wcs : `~astropy.wcs.WCS`
    beam : `~radio_beam.Beam`
    meta : dict-like
    inputs : dict
        As of `~astro_ddpm_imager.observation.dirty.DirtyImage`, of the whole image.
    seed : int
    """

    number: int
    tile: Tile
    planes: dict
    components: PixelComponents
    psf: np.ndarray | None
    unknown: np.ndarray | None
    quietest: float | None
    wcs: object
    beam: object
    meta: object
    inputs: dict
    seed: int

    def observation(self, pblimit):
        """The tile as an image of its own, without what sources outside do to it.

        Parameters
        ----------
        pblimit : float

        Returns
        -------
        `~astro_ddpm_imager.observation.dirty.DirtyImage`

        Raises
        ------
        DirtyImageError
            Hardly a pixel of it is not blank, or something else is wrong with it.
        """
        window = self.tile.window
        values = {name: plane.read(window) for name, plane in self.planes.items()}
        data = values.pop("dirty")
        imaged = within_limit(values["pb"], pblimit) if "pb" in values else True
        if not (np.isfinite(data) & imaged).any():
            raise DirtyImageError("dirty: every pixel is blank (NaN)")
        if self.psf is not None:
            seen = self.components.seen(self.psf, data.shape)
            if self.quietest is not None:
                seen = seen * np.nan_to_num(values["noise"] / self.quietest, nan=1.0)
            data = data + seen
            values["psf"] = middle_of(self.psf, data.shape)
        image = CCDData(data, unit=JY_PER_BEAM, wcs=self.wcs[window], meta=self.meta)
        checked = prepare_plane(image, values, self.beam, pblimit, self.inputs, whole=False)
        if self.psf is None:
            return checked
        unknown = zoom(self.unknown, np.divide(data.shape, self.unknown.shape), order=1)
        if self.quietest is not None:  # the tile is divided by its noise in units of its own lowest
            unknown = unknown * np.nanmedian(values["noise"] / checked.relative_noise) / self.quietest
        return replace(checked, psf=self.psf.astype(float), unknown=unknown)


def image_tile(imager, piece):
    """Image a tile.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    piece : `TilePiece`

    Returns
    -------
    dict
        Pixels of what the tile owns, of ``TILED``; its ``catalog``, on the pixels of the whole image; ``rms``,
        ``chi2``, ``misfit``; and ``warnings``. If it cannot be imaged, ``skipped`` says why.
    """
    imager = imager.but(seed=piece.seed, progress=False)
    with collected_records(alone=True) as records:
        try:
            result = imager.reconstruct(piece.observation(imager.pblimit))
        except DirtyImageError as error:
            return {"skipped": str(error), "warnings": _texts(records)}
        if "noise" in piece.planes:
            warn_contradicted(result.dirty, result.residual.data)
    catalog = result.catalog
    for name, window in zip(("y", "x"), piece.tile.window, strict=True):
        catalog[name] += window.start
    values = {name: getattr(result, name).data[piece.tile.inner].astype(np.float32) for name in TILED}
    fit = {"rms": result.dirty.rms, "chi2": result.fit.chi2, "misfit": result.fit.misfits}
    return values | fit | {"catalog": catalog, "warnings": _texts(records)}


def _texts(records):
    """Of log records, pairs of what is the same for all tiles and the text."""
    return [(record.msg, record.getMessage()) for record in records]
