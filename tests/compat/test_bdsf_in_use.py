"""What scripts that are in use do with PyBDSF's images, and what they read of its errors."""

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

import astro_ddpm_imager.compat.bdsf as bdsf

NO_WORK = {"quiet": True, "stop_at": "read"}


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("ch0_arr", "ch0"), ("rms_arr", "rms"), ("mean_arr", "mean"), ("resid_gaus_arr", "gaus_resid"),
        ("model_gaus_arr", "gaus_model"), ("pyrank", "island_mask"),
    ],
)  # fmt: skip
def test_what_a_script_has_put_in_place_is_exported(img, attribute, name):
    """Masks of the islands that it wants to keep, for example; the arrays are [x, y]."""
    changed = np.full_like(getattr(img, attribute), -1)
    changed[10, 20:30] = 1
    setattr(img, attribute, changed)
    img.export_image(img_type=name, outfile="out.fits")
    wanted = changed.T >= 0 if name == "island_mask" else changed.T
    np.testing.assert_array_equal(fits.getdata("out.fits")[0, 0], wanted)


def test_maps_are_beside_the_image(quick, field, tmp_path, monkeypatch):
    """Where PyBDSF looks; if there are none, where they are named."""
    noise = {"there": 2e-4, "here": 3e-4}
    for folder, rms in noise.items():
        (tmp_path / folder).mkdir()
        with fits.open(field) as hdus:
            hdus.writeto(tmp_path / folder / "field.fits")
            for name, value in (("mean.fits", 0.0), ("rms.fits", rms)):
                hdus[0].data[:] = value
                hdus.writeto(tmp_path / folder / name)
    monkeypatch.chdir(tmp_path / "here")
    options = {
        "quiet": True,
        "imager": quick,
        "trim_box": (0, 160, 0, 160),
        "rmsmean_map_filename": ["mean.fits", "rms.fits"],
    }
    img = bdsf.process_image("../there/field.fits", **options)
    assert np.nanmean(img.rms_arr) == pytest.approx(noise["there"])
    assert img.export_image(outfile="../there/rms.fits", img_type="rms", clobber=True) is False  # it is read
    (tmp_path / "there/rms.fits").unlink()
    assert np.nanmean(bdsf.process_image("../there/field.fits", **options).rms_arr) == pytest.approx(noise["here"])


def test_sources_can_be_keys(img):
    for things in (img.sources, img.gaussians, img.islands):
        assert len(set(things)) == len(things) and things[0] == things[0] and {things[0]: 1}[things[0]] == 1


@pytest.mark.parametrize("channels", [1, 2])
def test_a_blank_image_is_told_in_pybdsf_s_words(field, channels):
    """By which pipelines know that it has no sources, and go on."""
    with fits.open(field) as hdus:
        data = np.full((1, channels, 320, 320), np.nan, np.float32)
        fits.writeto("blank.fits", data, hdus[0].header)
    with pytest.raises(RuntimeError, match=re.escape("All pixels in the image are blanked.")) as raised:
        bdsf.process_image("blank.fits", quiet=True)
    assert str(raised.value) == "All pixels in the image are blanked."


def test_no_noise_is_told_in_pybdsf_s_words(run):
    """By which scripts know that they must try again with a constant noise."""
    with pytest.raises(RuntimeError, match="unphysical rms"):
        run(rms_map=False, rms_value=0.0)


def test_the_size_of_the_file_is_kept(run):
    """NAXIS1 and NAXIS2, also where only a part was wanted."""
    assert run(trim_box=(0, 200, 0, 100), **NO_WORK)._original_shape == (320, 320)


@pytest.fixture
def casa(monkeypatch):
    """A python-casacore of which the images are folders with the pixels."""

    class FakeImage:
        def __init__(self, name):
            self.pixels = fits.getdata(name)

        def saveas(self, name):
            Path(name).mkdir()
            (Path(name) / "table.info").write_text("Type = Image\n")
            np.save(Path(name) / "pixels.npy", self.pixels)

    monkeypatch.setitem(sys.modules, "casacore", ModuleType("casacore"))
    monkeypatch.setitem(sys.modules, "casacore.images", SimpleNamespace(image=FakeImage))
    monkeypatch.delitem(sys.modules, "casatools", raising=False)


def test_casa_images_are_written(img, casa, capsys):
    """As clean masks, for example; what is replaced is a CASA image, never another folder."""
    assert img.export_image(img_type="island_mask", img_format="casa") is True
    pixels = np.load("field.pybdsf_island_mask.casa/pixels.npy")
    np.testing.assert_array_equal(pixels[0, 0], img.pyrank.T >= 0)
    img.pyrank[:] = -1
    again = {"img_type": "island_mask", "img_format": "CASA", "outfile": "field.pybdsf_island_mask.casa"}
    assert img.export_image(**again) is False and img.export_image(**again, clobber=True) is True
    assert not np.load("field.pybdsf_island_mask.casa/pixels.npy").any()
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]
    Path("work").mkdir()
    assert img.export_image(img_format="casa", outfile="work", clobber=True) is False and Path("work").is_dir()
    assert "no CASA image" in capsys.readouterr().out


def test_without_casa_the_way_out_is_said(img, monkeypatch, capsys):
    for name in ("casacore", "casacore.images", "casatools"):
        monkeypatch.setitem(sys.modules, name, None)
    assert img.export_image(img_format="casa", outfile="mask") is False and not Path("mask").exists()
    assert "pip install python-casacore" in capsys.readouterr().out


def test_casa_reads_its_images(img):
    """Those of python-casacore."""
    images = pytest.importorskip("casacore.images")
    assert img.export_image(img_type="rms", img_format="casa", outfile="rms.image") is True
    there = images.image("rms.image")
    np.testing.assert_allclose(there.getdata()[0, 0], img.rms_arr.T)
    assert there.unit() == "Jy/beam" and there.imageinfo()["restoringbeam"]
