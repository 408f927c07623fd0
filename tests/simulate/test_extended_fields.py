"""Files of fields with extended sources, gain errors and other arrays."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import SimulationError
from astro_ddpm_imager.evaluate.fields import read_folder
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array

VLA = ["simulate", "--array", "vla.b", "--frequency", "1.4", "--dec", "40", "--minutes", "30", "--integration", "300"]
VLA += ["--cell", "1", "--imsize", "256", "--rms", "30", "--sources", "2", "2", "--reach", "60"]


@pytest.fixture
def simulated(tmp_path):
    """The command line, with more options: dirty image, truth and Gaussians, where there are any."""

    def run(*options):
        assert main([*VLA, "--output-dir", str(tmp_path), "--overwrite", *options]) == 0
        gaussians = tmp_path / "gaussians.ecsv"
        return (
            fits.getdata(tmp_path / "0000.dirty.fits").squeeze(),
            Table.read(tmp_path / "truth.ecsv"),
            Table.read(gaussians) if gaussians.exists() else None,
        )

    return run


def test_an_extended_source_is_one_row_of_the_truth_and_many_gaussians(simulated):
    extended = ["--extended", "disc", "double", "--extended-flux", "20", "20", "--extended-size", "40", "40"]
    dirty, truth, gaussians = simulated(*extended)
    assert len(truth) == 4 and len(gaussians) > 20
    np.testing.assert_allclose(truth["flux_jy"][2:], 0.02)
    for number, row in enumerate(truth):
        parts = gaussians[gaussians["source"] == number]
        assert parts["flux_jy"].sum() == pytest.approx(row["flux_jy"])
        assert np.average(parts["dec"], weights=parts["flux_jy"]) == pytest.approx(row["dec"], abs=1e-5)
    assert (truth["maj_arcsec"][2:] > 8).all() and dirty.max() > 20 * 30e-6
    without, _, gone = simulated()
    assert gone is None and without.max() < dirty.max()


def test_gain_errors_leave_errors_around_bright_sources(simulated):
    bright = ["--bright", "100", "--seed", "3"]
    perfect, truth, _ = simulated(*bright)
    wrong, also, _ = simulated(*bright, "--gain-errors", "2", "2", "--gain-nodes", "1")
    assert also.meta["gain_amplitude"] == 0.02 and also.meta["gain_phase_deg"] == 2
    np.testing.assert_array_equal(truth["flux_jy"], also["flux_jy"])
    assert 1e-4 < (wrong - perfect).std() / 0.1 < 0.02
    none, _, _ = simulated(*bright, "--gain-errors", "0", "0")
    np.testing.assert_allclose(none, perfect, atol=1e-9)


def test_a_disc_loses_what_no_baseline_sees():
    """Total flux is there at baselines of length 0, and resolved out on long ones."""
    seen = Observation(
        read_array("vla.b"), 0 * u.deg, 40 * u.deg, 5 * u.min, 300 * u.s, frequency=1.4 * u.GHz, shape=(256, 256),
        cell=1 * u.arcsec,
    )  # fmt: skip
    recipe = SourceRecipe(
        number=(0, 0), extended=("disc",), extended_flux=[1, 1] * u.Jy, extended_size=[100, 100] * u.arcsec,
        reach=0 * u.arcsec,
    )  # fmt: skip
    sources = recipe.draw(np.random.default_rng(1), seen.shape, seen.cell)
    amplitude, length = np.abs(seen.visibilities(sources)), np.hypot(*seen.uv.T[:2])
    assert amplitude[length < 1500].max() > 5 * amplitude[length > 20000].mean()
    assert amplitude.max() < 1


@pytest.mark.parametrize("array", ["meerkat", "atca.6a", "wsrt", "vla.d"])
def test_arrays_of_long_waves_are_simulated(tmp_path, array):
    dec = {"wsrt": "60", "vla.d": "40"}.get(array, "-40")
    options = ["--dec", dec, "--minutes", "600", "--integration", "1200", "--channels", "3", "--bandwidth", "0.3"]
    command = [*VLA, *options, "--array", array, "--weighting", "briggs", "--output-dir", str(tmp_path)]
    assert main([*command, "--cell", "8" if array == "vla.d" else "1"]) == 0
    header = fits.getheader(tmp_path / "psf.fits")
    assert header["TELESCOP"] == array.split(".")[0].upper() and header["BMAJ"] > header["BMIN"] > 0


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--extended", "disc", "--extended-flux", "3", "2"],
            "extended_flux=3.0 mJy to 2.0 mJy: must be",
        ),
        (["--robust", "-2"], "--robust -2: changes nothing without --weighting briggs; give both, or neither"),
        (["--gain-nodes", "7"], "--gain-nodes 7: changes nothing without --gain-errors"),
        (["--extended-flux", "1", "2.5"], "--extended-flux 1 2.5: changes nothing without --extended"),
        (["--extended-size", "1", "2"], "--extended-size 1 2: changes nothing without --extended"),
        (
            ["--extended", "disc", "--extended-size", "0", "2"],
            "extended_size=0.0 arcsec to 2.0 arcsec: must be",
        ),
        (["--gain-errors", "-1", "0"], "amplitude=-0.01: of gain errors, must be a fraction"),
        (["--channels", "0"], "channels=0: must be a whole number of at least 1"),
        (["--channels", "2", "--bandwidth", "3"], "bandwidth=3.0 GHz: must be from 0 to below twice frequency"),
        (["--array", "vla.e"], "array='vla.e': there is no such file"),
    ],
)
def test_nothing_is_written_with_options_out_of_range(tmp_path, capsys, options, message):
    folder = tmp_path / "out"
    assert main([*VLA, "--output-dir", str(folder), *options]) == 1
    assert f"error: {message}" in capsys.readouterr().err
    assert not folder.exists()


def test_noise_of_long_waves_is_to_be_given(tmp_path, capsys):
    command = ["simulate", "--array", "vla.b", "--frequency", "1.4", "--cell", "1", "--dec", "40"]
    assert main([*command, "--output-dir", str(tmp_path / "out")]) == 1
    assert "give the noise, --rms" in capsys.readouterr().err


def test_the_truth_says_what_made_it(simulated, tmp_path):
    _, given, _ = simulated("--weighting", "briggs", "--robust", "-1")
    assert given.meta["robust"] == -1 and given.meta["frequency_GHz"] == 1.4 and "pwv_mm" not in given.meta
    alma = ["simulate", "--imsize", "128", "--integration", "600", "--pwv", "3", "--output-dir", str(tmp_path / "alma")]
    assert main(alma) == 0
    meta = Table.read(tmp_path / "alma/truth.ecsv").meta
    expected = {"pwv_mm": 3, "array": "alma.cycle5.3", "declination_deg": 2.2, "duration_min": 20, "channels": 1}
    assert expected.items() <= meta.items() and "robust" not in meta
    assert read_folder(tmp_path / "alma")[1].meta["noise_protocol"] == "independent"


def test_unknown_extended_sources_are_refused():
    with pytest.raises(SimulationError, match=r"extended='spiral': choose from 'ellipse', 'disc'"):
        SourceRecipe(extended=("spiral",))
