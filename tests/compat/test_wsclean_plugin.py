"""The deconvolver for WSClean: its file, its process, its settings, and the real WSClean where it is installed."""

import os
import runpy
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from scipy.ndimage import gaussian_filter

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.compat.plugins import wsclean_deconvolver
from astro_ddpm_imager.compat.plugins.wsclean_run import WSCleanRun
from astro_ddpm_imager.compat.plugins.wsclean_settings import PREFIX, read_plugin_settings
from astro_ddpm_imager.compat.plugins.wsclean_worker import Deconvolver
from astro_ddpm_imager.errors import DirtyImageError, SettingError

QUICK = {"SAMPLES": "2", "STEPS": "3", "SEED": "1", "THREADS": "1", "DEVICE": "cpu"}
SETTINGS = {PREFIX + name: value for name, value in QUICK.items()}


@pytest.fixture
def plugin(tmp_path, monkeypatch, capsys):
    """Path of the file that WSClean loads."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["plugin", "wsclean"]) == 0
    return capsys.readouterr().out.strip()


@pytest.fixture
def folder(demo, tmp_path, monkeypatch):
    """The current folder, with the PSF of the demonstration field as WSClean writes it."""
    monkeypatch.chdir(tmp_path)
    with fits.open(demo["psf"]) as hdus:
        hdus[0].header.update(ORIGIN="WSClean", WSCVERSI="3.1.0", BUNIT="JY/BEAM")
        hdus.writeto("x-psf.fits")
    return tmp_path


@pytest.fixture
def arrays(demo):
    """Residual, model and PSF of a first call: one channel, one polarization."""
    dirty, psf = (fits.getdata(demo[name]).astype(float).squeeze() for name in ("dirty", "psf"))
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(dirty.shape), 3.6)
    dirty = np.where(np.isfinite(dirty), dirty, 48e-6 * noise / noise.std())[None, None]  # WSClean does not blank
    return dirty, np.zeros_like(dirty), psf[None]


def request(command="-name x -niter 1000 -mgain 0.8", **values):
    """What WSClean says beside the arrays."""
    said = {"channels": [[230e9, 1500.0]], "threshold": 0.0, "iterations": 0, "most_iterations": 1000, "mgain": 0.8}
    return said | {"command": ["wsclean", *command.split(), "a.ms"]} | values


def deconvolver(**variables):
    return Deconvolver(read_plugin_settings(SETTINGS | {PREFIX + name: value for name, value in variables.items()}))


def test_the_file_hands_arrays_to_the_other_python(plugin, folder, arrays, monkeypatch):
    for name, value in (SETTINGS | {PREFIX + "NAME": "x"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(folder / "of_another_python"))
    module = runpy.run_path(plugin)
    assert module["PYTHON"] == sys.executable
    module["_deconvolved"].__globals__["_command_line"] = lambda: []
    meta = SimpleNamespace(
        channels=[SimpleNamespace(frequency=230e9, weight=1.0)], final_threshold=0.0, iteration_number=0,
        max_iterations=1000, mgain=0.8, spectral_fitter=None,
    )  # fmt: skip
    answer = module["deconvolve"](*arrays, meta)
    module["_end_worker"]()
    assert answer["continue"] is True and meta.iteration_number == 1
    assert answer["model"].shape == arrays[1].shape and answer["model"].max() > 1e-5
    np.testing.assert_array_equal(answer["residual"], arrays[0])  # WSClean makes it of the visibilities
    there = {path.name for path in folder.glob("x-*")}
    assert there == {"x-psf.fits", "x-uncertainty.fits", "x-catalog.ecsv", "x-catalog.reg", "x-plot.png"}
    assert len(QTable.read("x-catalog.ecsv")) > 0
    assert fits.getheader("x-uncertainty.fits")["BUNIT"] == "JY/PIXEL"


def test_errors_end_the_process_with_a_message(plugin, folder):
    script = f"""
import runpy, types, numpy
module = runpy.run_path({plugin!r})
meta = types.SimpleNamespace(channels=[], final_threshold=0, iteration_number=0, max_iterations=9, mgain=0.8)
module["deconvolve"](*[numpy.zeros((1, 1, 4, 4))] * 2, numpy.zeros((1, 4, 4)), meta)
print("not reached")
"""
    environment = os.environ | {PREFIX + "SAMPLES": "none"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1 and "not reached" not in done.stdout
    assert "ERROR: variables ASTRO_DDPM_IMAGER_...: argument --samples: invalid int value: 'none'" in done.stdout


def test_without_numpy(plugin, folder):
    script = f"import sys, runpy; sys.modules['numpy'] = None; runpy.run_path({plugin!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "apt-get install python3-numpy" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the system does not tell the command line")
def test_an_image_in_parts_is_refused_when_the_file_is_loaded(plugin, folder):
    """Later, several threads of WSClean 3.1 were in Python at once, which crashed."""
    script = f"import runpy; runpy.run_path({plugin!r})"
    for largest, status in (("64", 1), ("160", 0), ("none", 0)):
        options = ["--parallel-deconvolution", largest, "-size", "160", "100", "a.ms"]
        done = subprocess.run([sys.executable, "-c", script, *options], capture_output=True, text=True, check=False)
        assert done.returncode == status and ("leave out -parallel-deconvolution" in done.stdout) == bool(status)


def test_settings(tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text("[image]\nsamples = 7\nseed = 3\nreliability = 0.7\n")
    settings = read_plugin_settings({PREFIX + "CONFIG": str(config), PREFIX + "SEED": "5", PREFIX + "CYCLES": "2"})
    assert (settings.options.samples, settings.options.seed, settings.options.reliability) == (7, 5, 0.7)
    assert settings.cycles == 2 and settings.name is None
    for name, value, message in (
        ("SMAPLES", "2", "ASTRO_DDPM_IMAGER_SMAPLES: there is no such variable; there are .*_SAMPLES"),
        ("CYCLES", "0", "ASTRO_DDPM_IMAGER_CYCLES=0: must be a whole number"),
        ("CYCLES", "x", "ASTRO_DDPM_IMAGER_CYCLES='x'"),
        ("DEVICE", "tpu", "argument --device: invalid choice: 'tpu'"),
    ):
        with pytest.raises(SettingError, match=message):
            read_plugin_settings({PREFIX + name: value})
    config.write_text('[image]\nsamples = 7\noutput-dir = "out"\n')
    with pytest.raises(SettingError, match=r"CONFIG=.*settings\.toml: \[image\] output-dir: is not used by the plugin"):
        read_plugin_settings({PREFIX + "CONFIG": str(config)})


def test_it_stops_by_itself(folder, arrays, quick):
    call = deconvolver()
    dirty, model, psf = arrays
    made, answer = call(dirty, model, psf, request())
    first = made["model"]
    assert answer["continue"] and answer["iterations"] == 1
    assert not deconvolver()(dirty, model, psf, request(most_iterations=1))[1]["continue"]
    residual = dirty - call._seen(call.cycles.current, psf[0], first[0, 0])
    made, answer = call(residual, first, psf, request(iterations=1))
    assert not answer["continue"]
    np.testing.assert_array_equal(first, made["model"])


def test_without_major_cycles_the_residual_is_of_the_convolution(folder, arrays, caplog):
    made, answer = deconvolver()(*arrays, request(mgain=1.0))
    residual, model = made["residual"], made["model"]
    assert not answer["continue"] and "-mgain 1: WSClean makes no major cycles" in caplog.text
    changed = np.abs(residual - arrays[0])[0, 0]
    assert changed.max() > 1e-5 and np.unravel_index(changed.argmax(), changed.shape) == pytest.approx(
        np.unravel_index(model[0, 0].argmax(), changed.shape), abs=2
    )


def test_polarizations_and_channels(folder, arrays, caplog):
    dirty, _, psf = arrays
    both = np.stack([1.3 * dirty, 0 * dirty], 2)[:, 0]  # Stokes I and Q
    residual = np.concatenate([both, both * 0.7 / 1.3, 0 * both])
    channels = [[229e9, 1.0], [231e9, 1.0], [233e9, 0.0]]
    command = "-name x -pol I,Q -join-polarizations -channels-out 3 -join-channels -fit-spectral-pol 2"
    psf = np.concatenate([psf, psf, 0 * psf])
    made, answer = deconvolver()(residual, 0 * residual, psf, request(command, channels=channels))
    model = made["model"]
    assert answer["fit_spectra"] == [0] and made["islands"].any() and "Stokes Q stays dirty" in caplog.text
    fluxes = model.sum((2, 3))
    assert not fluxes[:, 1].any() and fluxes[0, 0] / fluxes[1, 0] == pytest.approx(1.3 / 0.7, rel=0.15)
    assert fluxes[2, 0] == pytest.approx(fluxes[:2, 0].mean(), rel=0.3)  # no data: the sky of all
    assert (folder / "x-MFS-catalog.ecsv").exists()


def test_spectra_are_fitted_source_by_source():
    islands = np.array([[0, 1, 1], [0, 2, 3]])
    shape = np.array([[5.0, 1, 3], [5, 2, 0]])
    images = shape * np.array([1.0, 2.0, 3.0])[:, None, None]

    def fitter(spectrum, x, y):
        return np.full(3, np.nan) if (x, y) == (1, 1) else np.array([3.0, 2.0, 1.0]) * spectrum.mean() / 2

    fitted = wsclean_deconvolver._fit_spectra(images, islands, fitter)
    np.testing.assert_allclose(fitted[:, 0, 1:], shape[0, 1:] * np.array([3.0, 2.0, 1.0])[:, None])
    np.testing.assert_array_equal(fitted[:, :, 0], images[:, :, 0])  # no source
    np.testing.assert_array_equal(fitted[:, 1], images[:, 1])  # nothing that can be fitted
    np.testing.assert_array_equal(
        fitted,
        wsclean_deconvolver._fit_spectra(images, islands, lambda s: fitter(s, *((1, 1) if s[0] == 2 else (0, 0)))),
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("-name y", r"y-psf\.fits: there is no such file"),
        ("-name x -intervals-out 2", "-intervals-out 2: WSClean 3.1.0 crashes .*; make the intervals one by one"),
        ("-name x -channels-out 2", "-channels-out 2: .*add -join-channels"),
        ("-name x -pol I,Q", "-pol I,Q: .*add -join-polarizations"),
        ("-name x -pol Q", "-pol Q: only total intensity"),
        ("-name x -multiscale -auto-mask 3", "-multiscale -auto-mask: WSClean 3.1.0 crashes .*; leave out -multiscale"),
        ("-name x -multiscale -save-source-list", "-multiscale -save-source-list: .* leave out -multiscale"),
    ],
)
def test_refused(folder, arrays, command, message):
    with pytest.raises((SettingError, FileNotFoundError), match=message):
        deconvolver()(*arrays, request(command))


def test_arrays_that_cannot_be_used(folder, arrays):
    dirty, model, psf = arrays
    bad = dirty.copy()
    bad[0, 0, 3, 4] = np.nan
    for changed, message in (
        ((bad, model, psf), r"residual: 1 of \d+ pixels are not finite .* flag them"),
        ((dirty, model, np.roll(psf, 5, 1)), r"PSF of channel 0: peaks at pixel \(x, y\) = \(160, 165\)"),
        ((dirty[..., 9:], model[..., 9:], psf[..., 9:]), "leave out -parallel-deconvolution"),
    ):
        with pytest.raises((DirtyImageError, SettingError), match=message):
            deconvolver()(*changed, request())


def test_mask_and_depth_come_from_the_command_line(folder, demo):
    run = WSCleanRun.of(
        request("--name x -fits-mask m.fits -auto-threshold 3"), (1, 1, 320, 320), read_plugin_settings(SETTINGS)
    )
    assert run.mask.name == "m.fits" and run.depth(1e-3) == (0.0, 3.0) and run.prefix.name == "x"
    run = WSCleanRun.of(request("-name x -threshold 1e-3"), (1, 1, 320, 320), read_plugin_settings(SETTINGS))
    assert run.mask is None and run.depth(1e-3) == (1e-3, 0.0)


def test_a_border_stays_empty(folder, demo):
    settings = read_plugin_settings(SETTINGS)
    run = WSCleanRun.of(request("-name x -clean-border 5"), (1, 1, 320, 320), settings)
    expected = np.zeros((320, 320))
    expected[16:-16, 16:-16] = 1
    np.testing.assert_array_equal(run.mask.data, expected)
    given = np.zeros((320, 320))
    given[:40, 100:200] = 1
    fits.writeto("m.fits", given, fits.getheader("x-psf.fits"))
    run = WSCleanRun.of(request("-name x -clean-border 5 -fits-mask m.fits"), (1, 1, 320, 320), settings)
    np.testing.assert_array_equal(run.mask.data, given * expected)
    assert run.mask.meta["FILENAME"] == "m.fits"


def test_what_is_read_is_not_replaced(folder, arrays):
    fits.writeto("x-uncertainty.fits", np.ones((320, 320)), fits.getheader("x-psf.fits"))
    with pytest.raises(SettingError, match=r"x-uncertainty\.fits would be replaced by a product, but is read"):
        deconvolver()(*arrays, request("-name x -fits-mask x-uncertainty.fits"))
    assert fits.getdata("x-uncertainty.fits").min() == 1


def test_options_without_counterpart_are_named(folder, demo, caplog):
    command = "-name x -auto-mask 3 -local-rms -horizon-mask 5deg -spectral-correction 150e6 80,-0.7"
    WSCleanRun.of(request(command), (1, 1, 320, 320), read_plugin_settings(SETTINGS))
    for option in ("-auto-mask", "-local-rms", "-horizon-mask", "-spectral-correction"):
        assert f"{option}: has no counterpart" in caplog.text
    assert "-multiscale" not in caplog.text


@pytest.mark.wsclean
def test_real_wsclean(plugin, casa_fields, tmp_path):
    if shutil.which("wsclean") is None:
        pytest.skip("WSClean is not installed (Debian package wsclean)")
    with tarfile.open(casa_fields / "ms" / "0000.ms.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")

    def run(*options, **variables):
        size = ["-size", "512", "512", "-scale", "0.1asec", "-weight", "natural", "-name", "field", "-niter", "1000"]
        call = ["wsclean", "-j", "1", *size, *options, "-python-deconvolution", plugin, "0000.ms"]
        environment = os.environ | SETTINGS | {PREFIX + name: value for name, value in variables.items()}
        return subprocess.run(
            call, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=200, check=False
        )

    done = run("-mgain", "0.8", "-auto-threshold", "3")
    assert done.returncode == 0 and "field: the residual is noise" in done.stdout, done.stdout
    model, residual, dirty = (
        fits.getdata(tmp_path / f"field-{kind}.fits").squeeze() for kind in ("model", "residual", "dirty")
    )
    catalog = QTable.read(tmp_path / "field-catalog.ecsv")
    assert len(catalog) > 0 and model.max() > 0 and residual.std() < dirty.std()
    assert max(catalog["sample_fraction"]) > 0.5
    for row in catalog:
        x, y, flux = round(row["x"]), round(row["y"]), row["flux"].to_value("Jy")
        found = model[y - 6 : y + 7, x - 6 : x + 7].sum()
        assert 0 < found < 1.5 * flux
        if row["sample_fraction"] > 0.5:  # else the median of the samples has half of the flux at most
            assert found == pytest.approx(flux, rel=0.5)
    wrong = run("-mgain", "0.8", SAMPLES="0")
    assert wrong.returncode == 1 and "ERROR: n_samples=0: must be a whole number" in wrong.stdout
    assert "WSClean is stopped; no model was made" in wrong.stdout
