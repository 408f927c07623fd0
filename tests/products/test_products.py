"""Files: all or nothing, readable by others, never replaced unasked."""

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from matplotlib.image import imread
from radio_beam import Beam
from regions import Regions

from astro_ddpm_imager import DiffusionImager, DirtyImageError, SettingError, image_cube, read_image
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import ModelError
from astro_ddpm_imager.products import writing as products
from astro_ddpm_imager.products.catalog_files import write_catalog

from ..conftest import ecsv_head

NAMES = ["catalog.ecsv", "image.fits", "model.fits", "png", "reg", "residual.fits", "uncertainty.fits"]


def test_all_products_are_written_and_read_back(result, tmp_path):
    paths = result.write(tmp_path / "new" / "field1.band6")
    assert sorted(path.name for path in paths) == [f"field1.band6.{name}" for name in NAMES]
    assert sorted(tmp_path.joinpath("new").iterdir()) == sorted(paths)
    prefix = str(tmp_path / "new" / "field1.band6")

    model = CCDData.read(prefix + ".model.fits")
    assert model.unit == u.Jy / u.pix
    np.testing.assert_allclose(model.data, result.image.data, rtol=1e-6)
    assert model.wcs.has_celestial
    header = fits.getheader(prefix + ".image.fits")
    assert header["BUNIT"] == "Jy/beam" and header["DMODEL"] == "default"
    assert Beam.from_fits_header(header).major == result.dirty.beam.major

    table = QTable.read(prefix + ".catalog.ecsv")
    assert table["flux"].unit == u.Jy and table["ra"].unit == u.deg
    assert ecsv_head(Path(prefix + ".catalog.ecsv"))["meta"]
    assert table.meta["seed"] == 1 and len(table) == len(result.catalog)
    assert len(Regions.read(prefix + ".reg", format="ds9")) == len(table)
    assert imread(prefix + ".png").shape[1] > 800


def test_metadata_beyond_ascii_are_percent_encoded(noise_image, imager, tmp_path):
    """They were left out without a word; what is no text, FITS cannot hold."""
    history = ["first", "größer\tnow"]
    image = noise_image(OBJECT="two\nlines", TELESCOP="Télescope", OBSERVER="Ada", INSTRUME=["a"], HISTORY=history)
    path, *_ = imager(image).write(tmp_path / "Größe")
    header = fits.getheader(path)
    assert path.name == "Größe.model.fits" and header["OBJECT"] == "two%0Alines" and header["OBSERVER"] == "Ada"
    assert unquote(header["TELESCOP"]) == "Télescope" and "INSTRUME" not in header
    assert [unquote(line) for line in header["HISTORY"]][:2] == history


def test_existing_products_are_kept(result, tmp_path):
    (tmp_path / "a.reg").write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.reg exists; give overwrite=True \(--overwrite"):
        result.write(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a.reg"]
    result.write(tmp_path / "a", overwrite=True)
    assert "DS9" in (tmp_path / "a.reg").read_text()


@pytest.mark.parametrize(
    ("prefix", "start"),
    [("", "field"), (".", "field"), ("new/", "new/field"), ("a/", "a/field"), ("~", "~/field")],
)
def test_a_folder_is_no_start_of_names(result, tmp_path, monkeypatch, prefix, start):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(SettingError, match=rf"prefix='{prefix}': is a folder; .* need a start, such as '{start}'"):
        result.write(prefix)
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


@pytest.mark.parametrize("prefix", ["a.b", "a.b.fits", "a.b.FITS", "a.b.fits.gz", "a.b..fits", "a.b..."])
def test_each_product_has_one_ending(result, tmp_path, prefix):
    paths = result.write(tmp_path / prefix)
    assert sorted(path.name for path in paths) == [f"a.b.{name}" for name in NAMES]


@pytest.mark.parametrize("folder", ["taken", "taken/below"])
def test_a_file_is_no_folder(result, tmp_path, folder):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"taken is not a folder; choose another folder$"):
        result.write(tmp_path / folder / "a")


def test_a_link_that_leads_nowhere_is_no_folder(result, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"link is not a folder; choose another folder$"):
        result.write(tmp_path / "link" / "a")


def test_a_folder_that_may_not_be_entered_is_named(result, tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    if os.access(tmp_path / "locked", os.X_OK):
        pytest.skip("nothing is forbidden to this user")
    with pytest.raises(OSError, match=r"locked/new: the folder cannot be made \(Permission denied\); choose another"):
        result.write(tmp_path / "locked" / "new" / "a")


def test_a_write_looks_at_its_folder_once(result, tmp_path, monkeypatch):
    tried, made = [], tempfile.TemporaryDirectory
    monkeypatch.setattr("tempfile.TemporaryDirectory", lambda **where: tried.append(where["dir"]) or made(**where))
    result.write(tmp_path / "new" / "a")
    result.write(tmp_path / "new" / "a", overwrite=True)
    assert tried == [tmp_path, tmp_path / "new"]


def test_the_home_folder_is_found(result, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result.write("~/new/a")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [f"a.{name}" for name in NAMES]
    assert read_image("~/new/a.model.fits").shape == result.image.shape
    with pytest.raises(FileExistsError, match=r"a\.model\.fits exists"):
        result.write("~/new/a")


def test_a_home_folder_that_is_not_known(result, quick, cube_files, tmp_path):
    said = "~nobody-at-all/x.*: there is no such home folder; give the whole path"
    for fails in (
        lambda: result.write("~nobody-at-all/x"),
        lambda: write_catalog(result.catalog, "~nobody-at-all/x.ecsv"),
        lambda: image_cube(quick, cube_files["dirty"], "~nobody-at-all/x"),
        lambda: DiffusionImager(model="~nobody-at-all/x.onnx"),
        lambda: image_cube(quick, "~nobody-at-all/x.fits", tmp_path / "x"),
        lambda: next(quick.map(["~nobody-at-all/x.fits"])),
    ):
        with pytest.raises((SettingError, DirtyImageError, ModelError), match=said):
            fails()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has it")
@pytest.mark.parametrize("folder, said", [("/proc/x", "made"), ("/proc/x/y", "made"), ("/proc", "written to")])
def test_a_folder_that_cannot_be_made_is_named_before_any_work(result, cube_files, quick, capsys, folder, said):
    """Nobody may, the administrator either, who may write everywhere else."""
    said = rf"{folder}\S*: the folder cannot be {said} \([^)]+\); choose another folder"
    for write in (
        lambda: result.write(f"{folder}/a"),
        lambda: write_catalog(result.catalog, f"{folder}/a.ecsv"),
        lambda: image_cube(quick, cube_files["dirty"], f"{folder}/a"),
    ):
        with pytest.raises(OSError, match=said):
            write()
    for command in ("demo", "simulate"):
        assert main([command, "--output-dir", folder, "-q"]) == 1
        assert re.search(said, capsys.readouterr().err)


def test_nothing_half_written(result, tmp_path, monkeypatch):
    def fail(result, path):
        raise OSError("disk full")

    monkeypatch.setitem(products.PRODUCTS, ".png", fail)
    with pytest.raises(OSError, match="disk full"):
        result.write(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_products_are_all_moved_or_none(tmp_path, monkeypatch):
    """Files, and folders of CASA images."""
    scratch, old = tmp_path / "new", tmp_path / "old"
    written = {}
    for name in ("a.image", "b.image", "c.fits"):
        for folder, content in ((scratch, "new"), (tmp_path, "old")):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            if path.suffix == ".image":
                path.mkdir()
                (path / "table").write_text(content)
            else:
                path.write_text(content)
        written[tmp_path / name] = scratch / name
    (tmp_path / "d.fits").write_text("old")
    old.mkdir()

    def fails(path, target):
        raise OSError(28, "No space left on device")

    def content():
        return [path.read_text() for path in sorted(tmp_path.glob("[a-d].*/table")) + sorted(tmp_path.glob("*.fits"))]

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(products, "move_without_replacing", fails)
        products.move_all(written, old, [tmp_path / "d.fits"])
    assert content() == ["old"] * 4
    products.move_all(written, old, [tmp_path / "d.fits"])
    assert content() == ["new"] * 3
