"""Images that were given in each other's place are named, whichever way round."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_ddpm_imager import DirtyImageError
from astro_ddpm_imager.observation.mixed_up import check_mixed_up
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.observation.stored import StoredObservation

from .corpus_files import header, observed, pixels

DIRTY, PSF, PB = "dirty", "psf", "pb"
MIXED = [
    (PSF, {"psf": DIRTY}, "dirty: is 1 in its middle.*as a PSF or a primary beam is; give the dirty image first"),
    (PSF, {"psf": PSF}, "psf: has the very pixels of the dirty image"),
    (PSF, {}, "dirty: is 1 in its middle"),
    (PB, {"psf": PSF}, "dirty: is 1 in its middle"),
    (DIRTY, {"psf": DIRTY}, "psf: has the very pixels of the dirty image"),
    (DIRTY, {"psf": PSF, "pb": PSF}, "pb: (has the very pixels of psf|is above half of its peak)"),
    (DIRTY, {"psf": PB, "pb": PSF}, r"pb: is above half of its peak in 0\.\d+ beams only.*is it the PSF"),
    (DIRTY, {"psf": PB}, "psf: .*perhaps the primary beam"),
    (DIRTY, {"psf": PSF, "pb": DIRTY}, "pb: has the very pixels of the dirty image"),
    (DIRTY, {"pb": "another"}, "pb: falls to .*is it the dirty image"),
    (DIRTY, {"noise": PSF}, r"noise: is negative in \d+% of its pixels"),
    (DIRTY, {"mask": PSF}, "mask: its lowest value is -.*mask > 0"),
]


@pytest.mark.parametrize(("dirty", "companions", "said"), MIXED)
def test_images_in_each_others_place(tmp_path, dirty, companions, said):
    images = {DIRTY: pixels()[0], PSF: observed().psf, PB: observed().pb, "another": pixels()[0] - 0.9 * pixels()[1]}

    def given():
        image = CCDData(images[dirty], unit=u.Jy / u.beam, wcs=observed().wcs, meta=dict(header()))
        return image, {name: images[other] for name, other in companions.items()}

    image, others = given()
    with pytest.raises(DirtyImageError, match=said):
        prepare(image, **others)
    image, others = given()
    with pytest.raises(DirtyImageError, match=said):
        StoredObservation(image, others, None, tmp_path, 0.2, 0)


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_images_in_their_place(scale):
    """Also a part of a primary beam, and one that was measured and falls below 0 by its errors."""
    dirty, pb = pixels()[0], scale * observed().pb
    check_mixed_up(dirty, {"psf": observed().psf, "pb": pb, "mask": pb > 0.5 * scale, "noise": 1 / pb}, 20.0)
    check_mixed_up(dirty, {"pb": pb - 0.05 * scale}, 20.0)
    check_mixed_up(dirty, {"pb": np.full_like(pb, np.nan), "mask": np.ones_like(pb)}, 20.0)
