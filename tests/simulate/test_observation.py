"""Simulated observations: what antennas see, and the noise of it."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from radio_beam import Beam

from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.evaluate.images import true_sky
from astro_ddpm_imager.simulate import (
    Observation,
    SourceRecipe,
    Sources,
    fit_beam,
    read_array,
    simulate_fields,
    sky_pixels,
    truth_table,
)

CELL = 0.1 * u.arcsec


def observation(**settings):
    defaults = {"ra": 150 * u.deg, "declination": -10 * u.deg, "integration": 2 * u.min, "shape": (256, 256)}
    return Observation(**{"array": read_array("alma.cycle5.3")} | defaults | settings)


def one_source(**values):
    defaults = {"x": 140.3, "y": 120.8, "flux": 1.0, "major": 0.0, "minor": 0.0, "angle": 0.0}
    return Sources(*(np.array([value]) for value in (defaults | values).values()))


def test_a_point_source_is_the_psf_at_its_place():
    seen = observation()
    assert seen.psf[128, 128] == pytest.approx(1)
    dirty = seen.image(seen.visibilities(one_source(x=150.0, y=110.0)))
    peak = np.unravel_index(dirty.argmax(), dirty.shape)
    assert peak == (110, 150)
    assert dirty.max() == pytest.approx(seen.pb[110, 150], rel=1e-4)
    expected = seen.psf[118:138, 118:138] * seen.pb[110, 150]
    np.testing.assert_allclose(dirty[100:120, 140:160], expected, atol=1e-4)


def test_an_elongated_source_has_the_orientation_it_says():
    seen = observation()
    dirty = seen.image(seen.visibilities(one_source(x=128, y=128, major=25, minor=3, angle=np.pi / 4)))
    # Along the diagonal of growing x and y it falls more slowly than across.
    assert dirty[136, 136] > 2 * dirty[136, 120]
    truth = truth_table(seen, one_source(angle=np.pi / 4))
    # x points west, y north: the axis runs from north to west, 45 deg, which is 135 deg through east.
    assert truth["pa_deg"][0] == pytest.approx(135)


def test_position_angles_of_the_truth_are_from_the_north_of_each_source():
    # Beside the pole, where north turns by 12 deg over the image.
    wsrt = {"array": read_array("wsrt"), "frequency": 1.4 * u.GHz, "cell": 4 * u.arcsec}
    near_pole = observation(declination=89.5 * u.deg, **wsrt)
    source = one_source(x=228.0, y=100.0, major=20.0, minor=10.0, angle=0.6)
    truth = truth_table(near_pole, source)
    middle, along = near_pole.wcs.pixel_to_world([228.0, 228.0 + np.cos(0.6)], [100.0, 100.0 + np.sin(0.6)])
    turned = (np.rad2deg(0.6) - 90) % 180 - truth["pa_deg"][0]
    assert truth["pa_deg"][0] == pytest.approx(middle.position_angle(along).deg % 180, abs=0.05) and abs(turned) > 10
    # And the evaluation takes them so.
    columns = {
        "ra": "ra",
        "dec": "dec",
        "flux": "flux_jy",
        "major": "maj_arcsec",
        "minor": "min_arcsec",
        "pa": "pa_deg",
    }
    units = {"flux": u.Jy, "major": u.arcsec, "minor": u.arcsec}
    known = QTable({name: truth[column] * units.get(name, u.deg) for name, column in columns.items()})
    seen = SimpleNamespace(wcs=near_pole.wcs, shape=near_pole.shape, pb=np.ones(near_pole.shape))
    expected = sky_pixels(source, near_pole.shape)
    np.testing.assert_allclose(true_sky(known, seen), expected, atol=0.003 * expected.max())


def test_the_wcs_puts_east_to_the_left():
    seen = observation()
    dirty = seen.image(seen.visibilities(one_source(x=140, y=120)))
    sky = seen.wcs.pixel_to_world(140, 120)
    y, x = np.unravel_index(dirty.argmax(), dirty.shape)
    assert seen.wcs.pixel_to_world(x, y).separation(sky) < 0.01 * u.arcsec
    assert sky.ra < 150 * u.deg and sky.dec < -10 * u.deg


def test_weightings_trade_noise_for_resolution():
    beams, noise = [], []
    for weighting, robust in (("natural", 0), ("briggs", 2), ("briggs", 0), ("uniform", 0)):
        seen = observation(weighting=weighting, robust=robust)
        beams.append(np.sqrt(seen.beam.major * seen.beam.minor).to_value(u.arcsec))
        noise.append(seen.image(seen.noise(1.0, np.random.default_rng(0))).std())
    assert beams[0] == pytest.approx(beams[1], rel=0.02) and beams[1] > 1.1 * beams[2] > 1.1 * beams[3]
    assert noise[0] == pytest.approx(1, rel=0.08) and noise[0] < noise[2] < noise[3]


def test_the_noise_of_other_weightings_is_said(tmp_path):
    seen = observation(weighting="uniform")
    truth = simulate_fields(seen, SourceRecipe(number=(0, 0)), 30 * u.uJy, tmp_path)
    assert truth.meta["natural_rms_uJy"] == pytest.approx(30)
    assert fits.getdata(tmp_path / "0000.dirty.fits").std() * 1e6 == pytest.approx(truth.meta["rms_uJy"], rel=0.05)
    assert seen.noise_factor > 1.2 and observation().noise_factor == 1


@pytest.mark.parametrize("pa", [-80, -30, 0, 20, 65])
def test_the_fitted_beam_is_the_gaussian_that_was_drawn(pa):
    beam = Beam(0.9 * u.arcsec, 0.6 * u.arcsec, pa * u.deg)
    kernel = beam.as_kernel(CELL, x_size=101, y_size=101).array
    fitted = fit_beam(np.pad(kernel / kernel.max(), ((1, 0), (1, 0))), CELL)
    assert fitted.major.to_value(u.arcsec) == pytest.approx(0.9, rel=0.01)
    assert fitted.minor.to_value(u.arcsec) == pytest.approx(0.6, rel=0.01)
    assert (fitted.pa.to_value(u.deg) - pa + 90) % 180 - 90 == pytest.approx(0, abs=1)


def test_a_beam_larger_than_the_image_is_refused(tmp_path):
    small = observation(frequency=1 * u.GHz, shape=(64, 64))
    with pytest.raises(SimulationError, match=r"shape=\(64, 64\), cell=0.1 arcsec: .* 6.4 x 6.4 arcsec; take a larger"):
        simulate_fields(small, SourceRecipe(), 1 * u.mJy, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # The lobe of a narrow beam may be long as long as it is on the image.
    narrow = Beam(40 * u.arcsec, 4 * u.arcsec, 0 * u.deg).as_kernel(1 * u.arcsec, x_size=127, y_size=127).array
    assert fit_beam(np.pad(narrow / narrow.max(), ((1, 0), (1, 0))), 1 * u.arcsec).major.value == pytest.approx(
        40, 1e-3
    )


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"duration": -1 * u.min}, r"duration=-1.0 min: must be positive"),
        ({"shape": (255, 256)}, r"shape=\(255, 256\): must be two even"),
        ({"shape": 256}, r"shape=256: must be two even whole numbers"),
        ({"shape": (256.0, 256.0)}, r"shape=\(256.0, 256.0\): must be two even whole numbers"),
        ({"shape": (1, 256, 256)}, r"shape=\(1, 256, 256\): must be two even whole numbers"),
        ({"array": "vla.a"}, r"array='vla.a': must be an Array, such as read_array"),
        ({"cell": 2 * u.arcsec}, r"cell=2.0 arcsec: too large for the longest baseline.*take at most"),
        ({"declination": 75 * u.deg}, r"declination=75 deg: .* never above"),
        ({"declination": -95 * u.deg}, r"declination=-95.0 deg: must lie between -90 and 90 deg"),
        ({"ra": np.inf * u.deg}, r"ra=inf deg: must be finite"),
        ({"hour_angle": np.nan * u.hourangle}, r"hour_angle=nan hourangle: must be finite"),
        ({"duration": np.inf * u.min}, r"duration=inf min: must be positive and finite"),
        ({"shape": (10**6, 10**6)}, r"shape=\(1000000, 1000000\): must be two even whole numbers from 32 to 16384"),
        ({"integration": 1e-9 * u.s}, r"integration=1e-09 s: makes 1.2e\+12 integrations .* take at least 0.0108 s"),
        ({"bandwidth": -1 * u.GHz}, r"bandwidth=-1.0 GHz: must be finite and not negative"),
        ({"bandwidth": np.nan * u.GHz}, r"bandwidth=nan GHz: must be finite and not negative"),
        ({"hour_angle": 1 * u.hour}, r"hour_angle=<Quantity 1. h>: must be a Quantity of one value .* as hourangle"),
        ({"cell": 0.1}, r"cell=0.1: must be a Quantity of one value in units such as arcsec"),
        ({"frequency": [90, 100] * u.GHz}, r"frequency=<Quantity \[.*GHz>: must be a Quantity of one value"),
        ({"channels": 2.5}, r"channels=2.5: must be a whole number of at least 1"),
        ({"weighting": "briggs", "robust": np.nan}, r"robust=nan: must lie between -2 and 2"),
    ],
)
def test_observations_that_cannot_be_simulated(settings, message):
    with pytest.raises(SimulationError, match=message):
        observation(**settings)


def test_settings_out_of_range_are_said():
    with pytest.raises(SimulationError, match=r"weighting='superuniform': choose one of 'natural'"):
        _ = observation(weighting="superuniform").weights
    with pytest.raises(SimulationError, match=r"robust=5: must lie between -2 and 2"):
        _ = observation(weighting="briggs", robust=5).weights
    with pytest.raises(SimulationError, match=r"rms=-1.0: must not be negative"):
        observation().noise(-1.0, np.random.default_rng(0))
    with pytest.raises(SimulationError, match=r"number=5 to 1: .*the smaller one first"):
        SourceRecipe(number=(5, 1))
    with pytest.raises(SimulationError, match=r"pairs=2: must be a fraction"):
        SourceRecipe(pairs=2)
    with pytest.raises(SimulationError, match=r"bright=\[ 5\. -3\.\] mJy: must be positive"):
        SourceRecipe(bright=[5, -3] * u.mJy)
