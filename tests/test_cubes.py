"""Cubes: each channel for itself, products that appear whole, and what was interrupted goes on."""

import copy
import json
import os
import pickle
import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS
from radio_beam import Beam
from regions import Regions

from astro_ddpm_imager import DiffusionImager, cubes, image_cube, read_image
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import DirtyImageError, SettingError
from astro_ddpm_imager.products import cube_files as writing
from astro_ddpm_imager.products.catalog_files import read_catalog
from astro_ddpm_imager.products.cube_files import CUBE_PRODUCTS
from astro_ddpm_imager.products.cube_plotting import plot_cube

from .conftest import with_another_model

QUICK = ["--samples", "2", "--steps", "3", "--seed", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def made(imager, cube_files, tmp_path_factory):
    """The result of the quick imager on a cube."""
    return image_cube(
        imager, cube_files["dirty"], tmp_path_factory.mktemp("made") / "c", cube_files["psf"], cube_files["pb"]
    )


def test_products(made):
    assert [path.name for path in made.paths] == [f"c{suffix}" for suffix in CUBE_PRODUCTS]
    assert {path.name for path in made.paths[0].parent.iterdir()} == {path.name for path in made.paths}
    for path in made.paths[:4]:
        with fits.open(path) as hdus:
            header = hdus[0].header
            assert hdus[0].shape == (4, 96, 96) and header["CTYPE3"] == "FREQ" and header["CASAMBM"]
            assert np.isnan(hdus[0].data[2]).all() and np.isfinite(hdus[0].data[[0, 1, 3], 40:60, 40:60]).all()
            assert not {"BMAJ", "NOISE", "FREQ", "DCHI2"} & set(header) and header["DSEED"] == 1
            assert hdus["BEAMS"].header["NCHAN"] == 4 and hdus["BEAMS"].columns["BMAJ"].unit == "arcsec"
            np.testing.assert_allclose(hdus["BEAMS"].data["BMAJ"], np.divide(197.2, [230, 233, 233, 239]), rtol=1e-3)
            frequency = WCS(header).sub([3]).wcs_pix2world(np.arange(4)[:, None], 0)[:, 0]
            np.testing.assert_allclose(frequency, [230e9, 233e9, 236e9, 239e9])
    assert fits.getheader(made.paths[0])["BUNIT"] == "Jy/pixel" and fits.getheader(made.paths[2])["BUNIT"] == "Jy/beam"
    assert len(Regions.read(made.paths[6])) == len(made.catalog)
    assert made.paths[7].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("again", [lambda made: pickle.loads(pickle.dumps(made)), copy.deepcopy])
def test_copies(made, again):
    other = again(made)
    assert repr(other) == repr(made) and other.meta == made.meta
    np.testing.assert_array_equal(other.catalog["flux"], made.catalog["flux"])


def test_each_channel_is_what_it_is_alone(made, cube_files):
    """With the seed of the channel."""
    imager = DiffusionImager(n_samples=2, steps=3, seed=1 + 3, device="cpu", progress=False)
    psf, pb = (read_image(cube_files[name], 3, unit=u.one) for name in ("psf", "pb"))
    alone = imager(read_image(cube_files["dirty"], 3), psf, pb)
    for path, image in zip(made.paths, (alone.image, alone.uncertainty, alone.restored, alone.residual), strict=False):
        np.testing.assert_array_equal(fits.getdata(path)[3], image.data.astype("f4"))
    ours = made.catalog[made.catalog["channel"] == 3]
    for name in ("ra", "flux", "flux_err", "reliability"):
        np.testing.assert_array_equal(ours[name], alone.catalog[name])


def test_catalogue_and_channels(made):
    catalog, channels, paths = made
    np.testing.assert_array_equal(catalog["source_id"], np.arange(1, len(catalog) + 1))
    assert catalog.colnames[:4] == ["source_id", "channel", "frequency", "ra"]
    for channel in (0, 1, 3):
        here = catalog[catalog["channel"] == channel]
        assert np.hypot(here["x"] - 40, here["y"] - 52).min() < 1
        assert (np.hypot(here["x"] - 60, here["y"] - 30).min() < 1) == (channel == 1)
        np.testing.assert_allclose(here["frequency"].to_value(u.GHz), 230 + 3 * channel)
    assert list(channels["note"] != "") == [False, False, True, False]
    assert channels["n_sources"][2] == 0 and np.isnan(channels["rms"][2])
    np.testing.assert_allclose(channels["rms"][[0, 1, 3]].to_value(u.Jy / u.beam), 60e-6, rtol=0.15)
    assert catalog.meta["seed"] == 1 and catalog.meta["channels"] == "0 to 3" and "chi2" not in catalog.meta
    read = read_catalog(paths[4])
    assert read["frequency"].unit == u.GHz and read.meta["channels"] == "0 to 3"
    assert read["source_id"].info.description.endswith("by channel, and in each by falling S/N")
    described = read_catalog(paths[5])
    assert all(described[name].info.description for name in described.colnames)
    assert "channel" in described["chi2"].info.description
    assert list(channels["frequency"].value) == [230.0, 233.0, 236.0, 239.0]
    assert "4 channels" in repr(made) and "CubeResult" in made._repr_html_()


def test_picture(made):
    """Channels are drawn from edge to edge, and colour bars show the colours that there are."""
    figure = plot_cube(made.catalog, made.channels, made.paths[0], made.paths[2])
    assert figure.get_suptitle() == f"{len(made.catalog)} detections in 4 channels, 1 of them blank"
    figure.draw_without_rendering()
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    shown = [axes.images[0].norm for axes in figure.axes if axes.images]
    assert len(bars) == len(shown) == 2
    for bar, norm in zip(bars, shown, strict=True):
        assert bar.get_ylim() == pytest.approx((norm.vmin, norm.vmax))
        assert all(norm.vmin <= tick <= norm.vmax for tick in bar.get_yticks())
    np.testing.assert_allclose(figure.axes[-1].patches[0].get_data().edges, [228.5, 231.5, 234.5, 237.5, 240.5])


def test_some_channels_and_the_stokes_axis(imager, cube_files, tmp_path):
    result = image_cube(imager, cube_files["dirty"], tmp_path / "c", channels=slice(1, 2), keep_axes=True)
    with fits.open(result.paths[2]) as hdus:
        header = hdus[0].header
        assert hdus[0].shape == (1, 1, 96, 96)
        assert header["CTYPE3"] == "STOKES" and header["CTYPE4"] == "FREQ" and header["DCHANS"] == "1 to 1"
        assert WCS(header).wcs_pix2world([[0, 0, 0, 0]], 0)[0, 3] == pytest.approx(233e9)
        assert header["BMAJ"] > 0 and len(hdus) == 1
    assert set(result.catalog["channel"]) == {1}


def test_velocities_and_a_mask_for_each_channel(imager, cube_files, tmp_path):
    with fits.open(cube_files["dirty"]) as hdus:
        hdus[0].header.update(CTYPE4="VRAD", CUNIT4="km/s", CRVAL4=100.0, CDELT4=-20.0)
        hdus.writeto(tmp_path / "cube.fits")
    mask = np.ones((4, 96, 96))
    mask[1] = 0
    result = image_cube(imager, tmp_path / "cube.fits", tmp_path / "c", mask=mask, channels=slice(0, 2))
    assert set(result.catalog["channel"]) == {0} and result.catalog.colnames[1:4] == [
        "channel",
        "frequency",
        "velocity",
    ]
    np.testing.assert_allclose(result.channels["velocity"].to_value(u.km / u.s), [100, 80])
    expected = 230.538 * (1 - 100 / 299792.458)
    np.testing.assert_allclose(result.catalog["frequency"].to_value(u.GHz), expected)
    header = fits.getheader(result.paths[0])
    assert header["CTYPE3"] == "VRAD" and header["CRVAL3"] == pytest.approx(1e5) and header["CUNIT3"] == "m s-1"
    read = read_catalog(result.paths[4])
    assert read["velocity"].unit == u.km / u.s and read["velocity"].info.meta["ucd"] == "spect.dopplerVeloc"


def test_one_beam_and_plain_arrays(imager, cube_files, tmp_path):
    with fits.open(cube_files["dirty"]) as hdus:
        cube = CCDData(hdus[0].data[:2], unit="Jy/beam", wcs=WCS(hdus[0].header), meta=dict(hdus[0].header))
    psf = fits.getdata(cube_files["psf"])[0, 0]
    result = image_cube(imager, cube, tmp_path / "c", psf, beam=Beam(0.9 * u.arcsec))
    header = fits.getheader(result.paths[0])
    assert header["BMAJ"] == pytest.approx(0.9 / 3600) and "CASAMBM" not in header
    assert header["DINPUT"] == "in memory"


def test_what_is_interrupted_goes_on(imager, cube_files, tmp_path, monkeypatch, made):
    call = cube_files["dirty"], tmp_path / "c", cube_files["psf"], cube_files["pb"]
    done = []

    def interrupted(imager, channel):
        if channel.number == 3:
            raise KeyboardInterrupt
        done.append(channel.number)
        return real(imager, channel)

    real = cubes.image_channel
    monkeypatch.setattr(cubes, "image_channel", interrupted)
    with pytest.raises(KeyboardInterrupt):
        image_cube(imager, *call)
    assert [path.name for path in tmp_path.iterdir()] == ["c.unfinished"] and done == [0, 1, 2]
    with pytest.raises(FileExistsError, match=r"c\.unfinished was left by an interruption; resume=True .*goes on"):
        image_cube(imager, *call)
    other = DiffusionImager(n_samples=3, steps=3, seed=1, device="cpu", progress=False)
    with pytest.raises(SettingError, match=r"c\.unfinished was made with n_samples=2, not 3; give the same, or"):
        image_cube(other, *call, resume=True)
    with pytest.raises(SettingError, match=r"c\.unfinished was made with another model; give the same, or"):
        image_cube(with_another_model(imager), *call, resume=True)
    monkeypatch.setattr(cubes, "image_channel", real)
    result = image_cube(imager, *call, resume=True)
    for ours, theirs in zip(result.paths[:4], made.paths[:4], strict=True):
        np.testing.assert_array_equal(fits.getdata(ours), fits.getdata(theirs))
    np.testing.assert_array_equal(result.catalog["flux"], made.catalog["flux"])
    assert not (tmp_path / "c.unfinished").exists()


def test_without_a_seed_what_goes_on_has_the_same(cube_files, tmp_path, monkeypatch):
    imager = DiffusionImager(n_samples=2, steps=3, device="cpu", progress=False)
    monkeypatch.setattr(writing, "put_in_place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        image_cube(imager, cube_files["dirty"], tmp_path / "c", channels=slice(0, 1))
    seed = json.loads((tmp_path / "c.unfinished" / "settings.json").read_text())["seed"]
    monkeypatch.undo()
    result = image_cube(imager, cube_files["dirty"], tmp_path / "c", channels=slice(0, 1), resume=True)
    assert result.meta["seed"] == seed


def test_a_channel_that_cannot_be_used_costs_no_other(imager, cube_files, tmp_path, caplog):
    with fits.open(cube_files["dirty"]) as hdus:
        hdus[0].data[1] = 1.0
        hdus.writeto(tmp_path / "cube.fits")
    result = image_cube(imager, tmp_path / "cube.fits", tmp_path / "c")
    assert "channel 1 stays blank: dirty: the image is constant" in caplog.text
    assert "the image is constant" in result.channels["note"][1] and (result.channels["note"] == "").sum() == 2
    assert np.isnan(fits.getdata(result.paths[0])[1]).all()


def test_no_channel_that_can_be_used_leaves_nothing(imager, cube_files, tmp_path):
    with pytest.raises(
        DirtyImageError, match="no channel can be reconstructed; channel 2: blank: no pixel has a value"
    ):
        image_cube(imager, cube_files["dirty"], tmp_path / "c", channels=slice(2, 3))
    assert not list(tmp_path.iterdir())


def test_products_that_exist_are_not_replaced(imager, cube_files, tmp_path):
    (tmp_path / "c.reg").write_text("mine")
    with pytest.raises(FileExistsError, match=r"c\.reg exists"):
        image_cube(imager, cube_files["dirty"], tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["c.reg"]


def test_a_folder_of_others_is_not_touched(imager, cube_files, tmp_path):
    (tmp_path / "c.unfinished").mkdir()
    (tmp_path / "c.unfinished" / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match=r"c\.unfinished is a folder of others"):
        image_cube(imager, cube_files["dirty"], tmp_path / "c", overwrite=True)
    assert (tmp_path / "c.unfinished" / "thesis.tex").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="there is nothing that reserves room for a file")
def test_a_full_disk(imager, cube_files, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"c\.unfinished: cannot be written \(No space left on device\); 0 of 4 channels"):
        image_cube(imager, cube_files["dirty"], tmp_path / "c")
    monkeypatch.undo()
    assert len(image_cube(imager, cube_files["dirty"], tmp_path / "c", resume=True).catalog)


def test_command_line(made, cube_files, tmp_path, capsys):
    companions = ["--psf", str(cube_files["psf"]), "--pb", str(cube_files["pb"])]
    call = ["image", str(cube_files["dirty"]), *companions, *QUICK, "--output-dir", str(tmp_path), "--json"]
    assert main(call) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n_sources"] == len(made.catalog) and said["n_channels"] == 4 and said["blank"] == [2]
    assert said["chi2"][2] is None and said["seed"] == 1 and len(said["products"]) == 8
    np.testing.assert_array_equal(fits.getdata(tmp_path / "cube.model.fits"), fits.getdata(made.paths[0]))
    assert main([*call, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"]
    assert main([*call, "--overwrite", "--channel", "1:3"]) == 0
    assert json.loads(capsys.readouterr().out)["n_channels"] == 2
    assert main([*call, "--overwrite", "--channel", "3"]) == 0
    assert fits.getdata(tmp_path / "cube.model.fits").shape == (96, 96)
    assert main([*call, "--overwrite", "--channel", "3:7"]) == 1
    assert "channels=3:7 do not exist; there are 4" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")  # spectral-cube's
def test_what_spectral_cube_reads(made):
    spectral_cube = pytest.importorskip("spectral_cube", reason="spectral-cube is not installed")
    cube = spectral_cube.SpectralCube.read(made.paths[2])
    assert cube.shape == (4, 96, 96) and len(cube.beams) == 4 and cube.unit == u.Jy / u.beam
    np.testing.assert_allclose(cube.spectral_axis.to_value(u.GHz), [230, 233, 236, 239])


@pytest.mark.filterwarnings("ignore")  # spectral-cube's
def test_what_spectral_cube_has_opened(imager, made, cube_files, tmp_path):
    spectral_cube = pytest.importorskip("spectral_cube", reason="spectral-cube is not installed")
    cube = spectral_cube.SpectralCube.read(cube_files["dirty"])
    companions = (fits.getdata(cube_files[name])[:, 0] for name in ("psf", "pb"))
    result = image_cube(imager, cube, tmp_path / "c", *companions, channels=slice(1, 2))
    np.testing.assert_allclose(fits.getdata(result.paths[0])[0], fits.getdata(made.paths[0])[1], atol=1e-7)


MEMORY = """
import resource, sys
from astro_ddpm_imager import DiffusionImager, image_cube
imager = DiffusionImager(n_samples=2, steps=2, seed=1, device="cpu", progress=False, threads=1)
for channels in (slice(0, 2), None):
    image_cube(imager, sys.argv[1], sys.argv[2], channels=channels, overwrite=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_channels(cube_files, tmp_path):
    """The cube alone would take 118 MB, and each of the products as much; most channels are blank, to be quick."""
    with fits.open(cube_files["dirty"]) as hdus:
        data = np.full((200, 1, 384, 384), np.nan, np.float32)
        data[[0, 1, -1]] = np.tile(hdus[0].data[:1], (3, 1, 4, 4))
        hdus[0].header.update(CASAMBM=False, BMAJ=0.9 / 3600, BMIN=0.9 / 3600, BPA=0.0)
        fits.PrimaryHDU(data, hdus[0].header).writeto(tmp_path / "cube.fits")
    call = [sys.executable, "-c", MEMORY, str(tmp_path / "cube.fits"), str(tmp_path / "made")]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    few, many = (int(line) / 1024 for line in done.stdout.split())
    assert many < few + 40


def test_what_goes_on_is_the_same_cube(imager, cube_files, tmp_path, monkeypatch):
    with fits.open(cube_files["dirty"]) as hdus, fits.open(cube_files["psf"]) as psf:

        def interrupted(imager, channel):
            raise KeyboardInterrupt

        real = cubes.image_channel
        monkeypatch.setattr(cubes, "image_channel", interrupted)
        with pytest.raises(KeyboardInterrupt):
            image_cube(imager, hdus, tmp_path / "c", psf)
        monkeypatch.setattr(cubes, "image_channel", real)
        hdus[0].data = 10 * hdus[0].data
        with pytest.raises(SettingError, match=r"c\.unfinished was made with another dirty; give the same, or"):
            image_cube(imager, hdus, tmp_path / "c", psf, resume=True)


def test_numbers_of_numpy_are_numbers(cube_files, tmp_path):
    imager = DiffusionImager(
        n_samples=np.int64(1), steps=np.int64(2), seed=np.uint32(7), tile=np.int64(0), device="cpu", progress=False
    )
    assert "np.int64" not in repr(imager)
    image_cube(imager, cube_files["dirty"], tmp_path / "c", cube_files["psf"], channels=slice(0, 1))
