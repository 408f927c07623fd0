"""CASA images as input: what CASA's exportfits makes of them is the truth.

``data/field.image`` and ``data/cube.image`` are tclean's, without their history (``logtable``) and locks; the FITS
files beside them are what exportfits wrote of them.
"""

import shutil
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest

import astro_ddpm_imager.compat.bdsf as bdsf
from astro_ddpm_imager import read_image
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import DirtyImageError
from astro_ddpm_imager.observation.casa_images import is_casa_image, opened_casa_image
from astro_ddpm_imager.observation.inputs import as_companion

DATA = Path(__file__).parents[1] / "data"


def compare(casa, exported):
    assert casa.shape == exported.shape and casa.unit == exported.unit
    assert casa.data.dtype == np.float32
    np.testing.assert_array_equal(casa.data, exported.data)
    for key in ("BMAJ", "BMIN", "BPA"):
        assert casa.meta[key] == pytest.approx(exported.meta[key], rel=1e-6)
    for key in ("OBJECT", "TELESCOP", "OBSERVER", "RADESYS", "SPECSYS", "RESTFRQ"):
        want = exported.meta[key]
        assert casa.meta[key] == (want if isinstance(want, str) else pytest.approx(want)), key
    y, x = np.mgrid[: casa.shape[0] : 5, : casa.shape[1] : 7]
    separation = casa.wcs.pixel_to_world(x, y).separation(exported.wcs.pixel_to_world(x, y))
    assert separation.max() < 1 * u.uarcsec


def test_as_exportfits_has_it():
    casa = read_image(DATA / "field.image")
    compare(casa, read_image(DATA / "field.fits"))
    assert 0 < np.isnan(casa.data).sum() < casa.data.size / 2  # CASA's mask: beyond pblimit
    assert casa.unit == u.Jy / u.beam


def test_channels_of_a_cube_have_their_own_beams():
    beams = []
    for channel in (0, 1):
        casa = read_image(DATA / "cube.image", channel=channel)
        compare(casa, read_image(DATA / "cube.fits", channel=channel))
        beams.append(casa.meta["BMAJ"])
    assert beams[0] != beams[1]
    with pytest.raises(DirtyImageError, match=r"cube\.image: has 2 planes on its channel axis; choose one"):
        read_image(DATA / "cube.image")
    with opened_casa_image(DATA / "cube.image") as (_, header):
        assert [header[f"NAXIS{axis}"] for axis in (1, 2, 3, 4)] == [32, 32, 1, 2]


def test_what_tclean_said_of_the_gridder_is_history_as_in_fits(tmp_path):
    folder = shutil.copytree(DATA / "field.image", tmp_path / "field.image")
    assert "HISTORY" not in read_image(folder).meta
    (folder / "logtable").mkdir()
    said = b'\0\x1fgridder     = "mosaic"\0vptable     = ""\0\xffnormtype    = "flatsky"\0'
    (folder / "logtable" / "table.f0").write_bytes(said)
    history = [str(card).split() for card in read_image(folder).meta["HISTORY"]]
    assert history == [["gridder", "=", '"mosaic"'], ["normtype", "=", '"flatsky"']]


def test_imager_takes_them_as_it_takes_fits(quick):
    def imaged(path):
        mask = as_companion(path, "mask", read_image(path)).data
        return quick(path, mask=np.abs(mask))  # for a mask is not negative

    casa, exported = (imaged(DATA / f"field.{kind}") for kind in ("image", "fits"))
    np.testing.assert_array_equal(casa.image.data, exported.image.data)
    np.testing.assert_allclose(casa.catalog["flux"].value, exported.catalog["flux"].value)


def test_command_line_drops_the_ending(tmp_path, capsys):
    arguments = ["--samples", "2", "--steps", "2", "--threads", "1", "--quiet", "--output-dir", str(tmp_path)]
    assert main(["image", str(DATA / "field.image"), *arguments]) == 0
    assert (tmp_path / "field.model.fits").exists()


def test_pybdsf_call(tmp_path, quick):
    shutil.copytree(DATA / "field.image", tmp_path / "field.image")
    img = bdsf.process_image(tmp_path / "field.image", quiet=True, imager=quick, rms_map=False, thresh_pix=3.0)
    assert img.parentname == "field" and img.frequency == pytest.approx(230e9) and img.ch0_arr.shape == (48, 48)
    cube = bdsf.process_image(DATA / "cube.image", quiet=True, outdir=str(tmp_path), stop_at="read")
    with opened_casa_image(DATA / "cube.image") as (_, header):
        assert cube.frequency == pytest.approx(header["CRVAL4"] + 0.5 * header["CDELT4"])


def test_folders_that_are_no_image(tmp_path):
    (tmp_path / "table.info").write_text("Type = Measurement Set\nSubType = \n")
    assert not is_casa_image(tmp_path)
    with pytest.raises(DirtyImageError, match="is a MeasurementSet: make an image of it with tclean first"):
        read_image(tmp_path)


def test_cut_off(tmp_path):
    copy = tmp_path / "cut.image"
    shutil.copytree(DATA / "field.image", copy)
    pixels = copy / "table.f0_TSM0"
    pixels.write_bytes(pixels.read_bytes()[:1000])
    with pytest.raises(DirtyImageError, match=r"cut\.image: the CASA image cannot be read"):
        read_image(copy)
    (copy / "table.dat").unlink()
    with pytest.raises(DirtyImageError, match=r"cut\.image: the CASA image cannot be read"):
        read_image(copy)
