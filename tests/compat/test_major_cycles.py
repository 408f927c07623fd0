"""Major cycles with an imaging framework that is made of a convolution, right or not quite."""

import numpy as np
import pytest

from astro_ddpm_imager import read_image
from astro_ddpm_imager.compat.major_cycles import MajorCycles
from astro_ddpm_imager.observation.noise_map import unflatten


@pytest.fixture
def framework(demo, result):
    """Function that makes the residual of a model, with fluxes that are ``gain`` times those of the convolution."""
    dirty, psf = read_image(demo["dirty"]), read_image(demo["psf"], unit="").data
    seen = result.dirty

    def residual(model=None, gain=1.0):
        image = dirty.copy()
        if model is not None:
            image.data = dirty.data - gain * seen.convolve_psf(model)
        return image

    return residual, psf


def test_it_stops_when_noise_is_left(framework, quick):
    residual, psf = framework
    cycles = MajorCycles(quick, psf)
    first, goes_on = cycles.step(residual())
    assert goes_on and first.model.max() > 0 and (first.model[first.result.dirty.blank] == 0).all()
    second, goes_on = cycles.step(residual(first.model))
    assert not goes_on and second.model is first.model and (cycles.made, cycles.reason) == (1, "noise")
    assert second.rms == pytest.approx(second.noise, rel=0.05)


def test_what_the_convolution_has_wrong_vanishes(framework, result, quick):
    """The framework sees 0.7 times what the PSF says: the model has to be that much brighter."""
    residual, psf = framework
    bright = np.zeros(residual().shape)
    bright[150, 170] = 100 * result.dirty.rms
    seen = result.dirty.convolve_psf(bright)

    def left(model, gain):
        image = residual(model, gain)
        image.data = image.data + seen
        return image

    cycles = MajorCycles(quick, psf, most=4)
    first, goes_on = cycles.step(left(None, 1))
    cycle = first
    while goes_on:
        cycle, goes_on = cycles.step(left(cycle.model, 0.7))
    assert cycles.made > 1
    around = np.s_[140:161, 160:181]
    assert first.model[around].sum() == pytest.approx(bright.sum(), rel=0.1)
    assert cycle.model[around].sum() == pytest.approx(bright.sum() / 0.7, rel=0.1)


def test_the_best_model_comes_back(framework, quick):
    residual, psf = framework
    cycles = MajorCycles(quick, psf)
    first, _ = cycles.step(residual())
    worse = residual(first.model)
    worse.data = worse.data + 6 * first.result.dirty.rms * (np.arange(worse.data.size) % 97 == 0).reshape(worse.shape)
    second, goes_on = cycles.step(worse)
    assert goes_on and second.model is not first.model
    worse.data = 2 * worse.data
    last, goes_on = cycles.step(worse)
    assert not goes_on and last.model is first.model and last.result is first.result
    assert cycles.reason == "no better"
    only = MajorCycles(quick, psf, most=1)
    assert not only.step(residual())[1] and only.reason == "most"


def test_a_model_that_is_there_already_is_added_again(framework, quick):
    residual, psf = framework
    model = np.zeros(residual().shape)
    model[160, 160] = 1e-3
    known, _ = MajorCycles(quick, psf).step(residual(model), model)
    whole, _ = MajorCycles(quick, psf).step(residual())
    assert known.model.sum() == pytest.approx(whole.model.sum(), rel=0.3)


def test_depth(framework, quick):
    residual, psf = framework
    all_of_it, _ = MajorCycles(quick, psf).step(residual())
    bright, _ = MajorCycles(quick, psf).step(residual(), nsigma=5.0)
    none, _ = MajorCycles(quick, psf).step(residual(), peak=1.0)
    assert len(all_of_it.result.catalog) >= len(bright.result.catalog) >= len(none.result.catalog) == 0
    assert all_of_it.model.sum() > bright.model.sum() > none.model.sum() == 0


def test_a_model_has_no_pixels_without_meaning(framework, quick):
    residual, psf = framework
    cycle, _ = MajorCycles(quick, psf).step(residual())
    dirty, drawn = cycle.result.dirty, np.nan_to_num(cycle.result.image.data)
    assert np.count_nonzero(drawn) > 0.5 * drawn.size > 10 * np.count_nonzero(cycle.model)
    assert cycle.model.sum() == pytest.approx(drawn.sum(), rel=1e-3)
    changed = dirty.convolve_psf(cycle.model - drawn)[~dirty.blank]
    assert np.abs(changed).max() < 3e-3 * dirty.rms


def test_noise_that_varies_does_not_make_the_model_fainter(uneven, quick):
    dirty, psf, result = uneven
    assert np.ndim(result.dirty.relative_noise)  # it was divided by its noise
    cycle, _ = MajorCycles(quick, psf).step(dirty)
    around = np.s_[90:111, 120:141]
    assert cycle.model[around].sum() == pytest.approx(5e-3, rel=0.1)
    left = dirty.data - unflatten(cycle.result.dirty).convolve_psf(cycle.model)
    assert np.abs(left[around]).max() < 1e-3
