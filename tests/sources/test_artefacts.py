"""What is left of the reliability of sources beneath sidelobes that are not known, and beneath artefacts."""

from dataclasses import replace

import numpy as np
import pytest

from astro_ddpm_imager.observation.artefacts import Artefacts
from astro_ddpm_imager.observation.grid import ModelGrid
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.sources.artefacts import doubt_artefacts

from .test_catalog import merged

LOUD = 2.1  # times the noise: what counts as noise


@pytest.fixture
def beneath(noise_image):
    """Reliability, of 0.96 at first, of a source of some width (beams) and flux (noise), 6 times the noise high."""
    dirty = prepare(noise_image((96, 96)))
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)

    def reliability(width, flux, level=0.0):
        beam = dirty.beam_covariance / np.outer(grid.ratio[::-1], grid.ratio[::-1])
        source = merged(width**2 * beam + np.eye(2) / 12, grid)
        ones = np.ones(1)
        source = replace(source, flux=flux * ones, peak=6 * ones, reliability=0.96 * ones)
        ratio = LOUD if level == 0 else 1.0
        artefacts = Artefacts(np.full(dirty.shape, level * dirty.rms), 0.0) if level else None
        case = replace(dirty, data=0 * dirty.data, noise_ratio=np.full(dirty.shape, ratio), artefacts=artefacts)
        return doubt_artefacts(source, grid, case).reliability[0]

    return reliability


def test_a_disc_beneath_unknown_sidelobes_is_credible_by_all_of_its_flux(beneath):
    """One of ten beams, 345 times the noise, was not in the catalogue: no beam of it was above the sidelobes."""
    assert beneath(0, 6) < 0.05
    assert beneath(6.4, 345) == pytest.approx(0.96)
    assert beneath(6.4, 60) < 0.05  # no more than sidelobes are there


def test_artefacts_of_a_whole_disc_add_up(beneath):
    """As noise does not: so among them it is its height that counts, though its sum is 38 times the noise."""
    assert beneath(6.4, 345, level=1.5) == beneath(6.4, 60, level=1.5) < 0.05
