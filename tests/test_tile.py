"""A tile of a large image, as an image of its own."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from radio_beam import Beam

from astro_ddpm_imager.errors import DirtyImageError
from astro_ddpm_imager.observation.far_sidelobes import PixelComponents
from astro_ddpm_imager.observation.grid import tiles
from astro_ddpm_imager.observation.planes import Plane
from astro_ddpm_imager.tile import TilePiece

from .conftest import make_wcs
from .observation.test_noise_map import mosaic


def test_a_tile_that_the_primary_beam_does_not_see_is_blank_whatever_the_limit(tmp_path):
    """As one below the limit, of which no one is warned."""
    shape = (64, 64)
    values = {"dirty": np.random.default_rng(0).standard_normal(shape), "pb": np.zeros(shape)}
    planes = {name: Plane.of(tmp_path / f"{name}.npy", shape, image.__getitem__) for name, image in values.items()}
    (tile,) = tiles(shape, 64, 8)
    piece = TilePiece(
        0, tile, planes, PixelComponents.empty(), None, None, None, make_wcs(), Beam(0.5 * u.arcsec), {}, {}, 1
    )
    with pytest.raises(DirtyImageError, match="every pixel is blank"):
        piece.observation(0)


def test_a_map_of_the_noise_that_contradicts_a_large_image_is_said(quick, caplog):
    """As that of an image that is worked on at once, by the tiles in which it varies."""
    image, seen, pb = mosaic(0)
    weight = CCDData(pb**2, unit=u.one)
    result = quick.but(n_samples=1, steps=2, tile=200)(image, seen.psf, pb=pb, noise=weight)
    assert result.meta["tiles"] == 4 and "more tiles): noise: the map does not fit the image" in caplog.text
