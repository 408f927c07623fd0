"""Sources that all channels have in common."""

import copy
import json
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.constants import c
from astropy.io import fits
from astropy.table import QTable, Table

from astro_ddpm_imager import image_cube, image_jointly
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import DirtyImageError
from astro_ddpm_imager.joint import JOINT_PRODUCTS
from astro_ddpm_imager.products.catalog_files import write_ecsv
from astro_ddpm_imager.products.cube_files import CUBE_PRODUCTS
from astro_ddpm_imager.products.writing import PRODUCTS

QUICK = ["--samples", "2", "--steps", "3", "--seed", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def joint(imager, cube_files):
    return image_jointly(imager, cube_files["dirty"], cube_files["psf"], cube_files["pb"])


def test_one_place_and_a_flux_for_each_channel(joint):
    spectra, channels, mean = joint
    assert spectra["flux"].shape == (len(spectra), 4) and spectra["flux"].unit == u.Jy
    np.testing.assert_array_equal(spectra["ra"], mean.catalog["ra"])
    for (x, y), expected in (((40, 52), [2e-3] * 4), ((60, 30), [0, 3e-3, np.nan, 0])):
        row = spectra[np.argmin(np.hypot(spectra["x"] - x, spectra["y"] - y))]
        assert np.hypot(row["x"] - x, row["y"] - y) < 1
        pull = (row["flux"].value - expected) / row["flux_err"].value
        assert list(np.isnan(pull)) == [False, False, True, False] and np.nanmax(np.abs(pull)) < 4
        assert np.nanmax(row["flux_err"].value) < 1.3e-4
    assert channels["note"][2] and mean.dirty.rms == pytest.approx(60e-6 / np.sqrt(3), rel=0.15)
    frequency = mean.image.header["FREQ"]
    assert frequency == pytest.approx(234e9, rel=0.005)
    spectral = {mean.dirty.meta[f"CTYPE{axis}"]: axis for axis in (3, 4)}["FREQ"]
    assert mean.dirty.meta[f"CDELT{spectral}"] == pytest.approx(4 * 3e9)  # of all channels, not of one


def test_the_mean_of_velocities_has_their_frequency(imager, joint, cube_files, tmp_path):
    with fits.open(cube_files["dirty"]) as hdus:
        km = c.to_value(u.m / u.s) / 230.538
        hdus[0].header.update(CTYPE4="VRAD", CRVAL4=0.538 * km, CDELT4=-3 * km, CUNIT4="m/s")
        hdus.writeto(tmp_path / "cube.fits")
    mean = image_jointly(imager, tmp_path / "cube.fits", cube_files["psf"], cube_files["pb"]).mean
    assert mean.image.header["FREQ"] == pytest.approx(joint.mean.image.header["FREQ"], rel=1e-9)


def test_copies(joint):
    other = copy.deepcopy(joint)
    np.testing.assert_array_equal(other.spectra["flux"], joint.spectra["flux"])
    np.testing.assert_array_equal(other.mean.restored.data, joint.mean.restored.data)


def test_what_a_notebook_shows(joint):
    shown = joint._repr_html_()
    assert "JointResult" in shown and "channels 0 to 3, 1 of them blank" in shown and "230 to 239 GHz" in shown
    assert "of the channels" in shown and "ImagingResult" in shown


def test_products(joint, tmp_path):
    paths = joint.write(tmp_path / "c")
    assert {path.name for path in paths} == {f"c{suffix}" for suffix in JOINT_PRODUCTS}
    table = QTable.read(tmp_path / "c.spectra.ecsv")
    np.testing.assert_array_equal(table["flux"], joint.spectra["flux"])
    assert fits.getheader(tmp_path / "c.model.fits")["DCHANS"] == "0 to 3"
    assert "4 channels" in repr(joint)


def test_products_without_sources_are_read(joint, tmp_path):
    """As by the next script: astropy stops at columns of several values that have no row."""
    paths = replace(joint, spectra=joint.spectra[:0]).write(tmp_path / "c")
    table = QTable.read(next(path for path in paths if path.name == "c.spectra.ecsv"))
    assert len(table) == 0 and table.colnames == joint.spectra.colnames and table["flux"].unit == u.Jy
    assert table["flux"].info.description == joint.spectra["flux"].info.description


def test_products_of_another_kind_take_the_place_of_all(joint, imager, cube_files, tmp_path):
    """The tables of channels stayed beside products of one image, as if they were of it."""

    def names():
        return {path.name for path in tmp_path.iterdir()}

    joint.write(tmp_path / "c")
    cube = {name: cube_files[name] for name in ("dirty", "psf", "pb")}
    image_cube(imager, prefix=tmp_path / "c", **cube, channels=slice(0, 1), overwrite=True)
    assert names() == {f"c{suffix}" for suffix in CUBE_PRODUCTS}
    for suffix in PRODUCTS:
        (tmp_path / f"c{suffix}").unlink()
    with pytest.raises(FileExistsError, match=r"c\.channels\.ecsv exists; give overwrite=True"):
        joint.mean.write(tmp_path / "c")
    write_ecsv(Table({"frequency": [1.0]}), tmp_path / "c.spectra.ecsv")  # of the user
    joint.mean.write(tmp_path / "c", overwrite=True)
    assert names() == {f"c{suffix}" for suffix in (*PRODUCTS, ".spectra.ecsv")}
    with pytest.raises(FileExistsError, match=r"c\.spectra\.ecsv exists, and is none of this package's products"):
        joint.write(tmp_path / "c")


def test_command_line(joint, cube_files, tmp_path, capsys):
    companions = ["--psf", str(cube_files["psf"]), "--pb", str(cube_files["pb"])]
    call = ["image", str(cube_files["dirty"]), *companions, *QUICK, "--output-dir", str(tmp_path), "--json", "--joint"]
    assert main(call) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n_sources"] == len(joint.spectra) and said["blank"] == [2] and len(said["products"]) == 9
    assert main([*call, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"]
    assert main([*call, "--channel", "1"]) == 1
    assert "--joint with --channel 1: is one channel" in capsys.readouterr().err


def test_no_channel_that_can_be_used(imager, cube_files):
    with pytest.raises(DirtyImageError, match="no channel can be used; channel 2: blank"):
        image_jointly(imager, cube_files["dirty"], channels=slice(2, 3))


def test_one_image_has_no_channels(demo, capsys):
    assert main(["image", str(demo["dirty"]), "--joint"]) == 1
    assert "--joint: " in capsys.readouterr().err
