"""The command line as its users call it."""

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

import astro_ddpm_imager
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.command_line import parser
from astro_ddpm_imager.diffusion.denoiser import DEVICES
from astro_ddpm_imager.diffusion.reconstruction import AGGREGATES
from astro_ddpm_imager.diffusion.sampling import SAMPLERS
from astro_ddpm_imager.simulate import SHAPES
from astro_ddpm_imager.simulate.imaging import WEIGHTINGS

QUICK = ["--samples", "2", "--steps", "3", "--seed", "1", "--device", "cpu"]

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture
def demo(small_field):
    """A field that takes little time: what is looked at here are files and what is said."""
    return small_field


def test_image_writes_products_and_prints_the_catalogue(demo, tmp_path, capsys):
    companions = ["--psf", str(demo["psf"]), "--pb", str(demo["pb"])]
    copy = tmp_path / "second.dirty.fits"
    copy.write_bytes(demo["dirty"].read_bytes())
    call = ["image", str(demo["dirty"]), str(copy), *companions, *QUICK, "--output-dir", str(tmp_path / "out")]
    assert main(call) == 0
    printed = capsys.readouterr()
    noise = 1e6 * fits.getheader(tmp_path / "out" / "demo.model.fits")["NOISE"]
    assert f"noise {noise:.3g} uJy/beam" in printed.out and "wrote demo.model.fits" in printed.err
    assert "wrote" not in printed.out and "INFO" not in printed.out
    tables = [QTable.read(tmp_path / "out" / f"{name}.catalog.ecsv") for name in ("demo", "second")]
    # The same data with the same seed, whatever file came before.
    assert (tables[0]["flux"] == tables[1]["flux"]).all()
    assert main(call) == 1
    assert "exists; give overwrite=True (--overwrite on the command line)" in capsys.readouterr().err
    assert main([*call, "--resume"]) == 0
    (tmp_path / "out" / "second.reg").unlink()
    assert main([*call, "--resume"]) == 0
    assert (tmp_path / "out" / "second.reg").exists()


def test_resume_does_not_replace_images_of_others(demo, tmp_path, capsys):
    """A restored image of CLEAN under that name is not the rest of an interrupted run."""
    field, restored = tmp_path / "field.dirty.fits", tmp_path / "field.image.fits"
    for path in (field, restored):
        path.write_bytes(demo["dirty"].read_bytes())
    assert main(["image", str(field), *QUICK, "--output-dir", str(tmp_path), "--resume"]) == 1
    assert (
        "field.image.fits exists, and is none of this package's products; give overwrite=True (--overwrite"
        in capsys.readouterr().err
    )
    assert restored.read_bytes() == field.read_bytes()


@pytest.mark.parametrize(("axis", "option"), [(1, "--channel"), (0, "--stokes")])
def test_a_plane_of_a_cube_has_the_psf_and_the_primary_beam_of_that_plane(demo, tmp_path, axis, option):
    """Given cubes, or one plane for all."""
    cubes = {}
    for name, path in demo.items():
        cubes[name] = tmp_path / f"cube.{name}.fits"
        with fits.open(path) as hdus:
            wrong = np.roll(hdus[0].data, 5, axis=-1)
            fits.PrimaryHDU(np.concatenate([wrong, hdus[0].data], axis), hdus[0].header).writeto(cubes[name])
    models = []
    for number, (dirty, psf, pb) in enumerate(
        [(demo["dirty"], demo["psf"], demo["pb"]), cubes.values(), (cubes["dirty"], cubes["psf"], demo["pb"])]
    ):
        plane = [option, "1"] if number else []
        call = ["image", dirty, "--psf", psf, "--pb", pb, "--mask", pb, *plane, "--output-dir", tmp_path / "out"]
        assert main([*map(str, call), *QUICK, "--overwrite"]) == 0
        name = "cube" if number else "demo"
        models.append(fits.getdata(tmp_path / "out" / f"{name}.model.fits"))
    np.testing.assert_array_equal(models[1], models[0])
    np.testing.assert_array_equal(models[2], models[0])


def test_products_of_compressed_files_are_named_without_the_endings(demo, tmp_path):
    content = demo["dirty"].read_bytes()
    (tmp_path / "b.dirty.fits.bz2").write_bytes(bz2.compress(content))
    (tmp_path / "g.dirty.fits.gz").write_bytes(gzip.compress(content))
    (tmp_path / "x.dirty.fts.xz").write_bytes(lzma.compress(content))
    with fits.open(demo["dirty"]) as hdus:
        tiles = fits.CompImageHDU(hdus[0].data, hdus[0].header)
        fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(tmp_path / "f.fits.fz")
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    assert main(["image", *files, *QUICK, "--output-dir", str(tmp_path / "out")]) == 0
    assert {path.name for path in tmp_path.glob("out/*.model.fits")} == {f"{name}.model.fits" for name in "bfgx"}


def test_a_missing_file_stops_before_the_work(demo, tmp_path, capsys):
    call = ["image", str(demo["dirty"]), str(tmp_path / "none.fits"), *QUICK, "--output-dir", str(tmp_path / "out")]
    assert main(call) == 1
    assert "none.fits: there is no such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--psf", "--pb", "--mask"])
def test_a_missing_companion_stops_before_the_work(option, demo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("astro_ddpm_imager.batch.imager_of", None)
    assert main(["image", str(demo["dirty"]), str(demo["dirty"]), option, str(tmp_path / "none.fits")]) == 1
    assert f"error: {option} {tmp_path / 'none.fits'}: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("locked", ["psf.fits", ""], ids=["file", "folder"])
def test_a_companion_that_may_not_be_read_stops_before_the_work(demo, tmp_path, capsys, monkeypatch, locked):
    psf = Path(shutil.copy(demo["psf"], tmp_path / "psf.fits"))
    (tmp_path / locked).chmod(0)
    if os.access(psf, os.R_OK):
        pytest.skip("nothing is forbidden to this user")
    monkeypatch.setattr("astro_ddpm_imager.batch.imager_of", None)
    assert main(["image", str(demo["dirty"]), "--psf", str(psf)]) == 1
    (tmp_path / locked).chmod(0o700)
    assert f"error: --psf {psf}: this user may not read it; give another file" in capsys.readouterr().err


def test_a_setting_has_the_name_of_its_option(demo, tmp_path, capsys):
    assert main(["image", str(demo["dirty"]), "--samples", "0", "--output-dir", str(tmp_path)]) == 1
    assert "error: samples=0: must be a whole number of at least 1" in capsys.readouterr().err


def test_a_folder_that_cannot_be_stops_before_the_work(demo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("astro_ddpm_imager.batch.do_all", None)
    (tmp_path / "out").write_text("mine")
    for call in (["image", str(demo["dirty"])], ["demo"]):
        assert main([*call, *QUICK, "--output-dir", str(tmp_path / "out")]) == 1
        assert "out is not a folder; choose another folder" in capsys.readouterr().err


def test_products_may_be_beside_a_folder_of_their_name(demo, tmp_path):
    (tmp_path / "demo").mkdir()
    assert main(["image", str(demo["dirty"]), *QUICK, "--output-dir", str(tmp_path)]) == 0
    assert (tmp_path / "demo.model.fits").exists()


def test_two_files_of_one_name(demo, tmp_path, capsys):
    (tmp_path / "demo.fits").write_bytes(demo["dirty"].read_bytes())
    assert main(["image", str(demo["dirty"]), str(tmp_path / "demo.fits"), *QUICK]) == 1
    assert " would be written as demo; give them one at a time" in capsys.readouterr().err


def test_a_file_that_is_given_twice_is_imaged_once(demo, tmp_path, monkeypatch, capsys):
    """By any of its names whose products have the same ones; a link of another name has products of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "links").mkdir()
    shutil.copy(demo["dirty"], "a.fits")
    for link in ("b.fits", "links/a.fits"):
        Path(link).symlink_to(tmp_path / "a.fits")
    given = ["a.fits", "./a.fits", str(tmp_path / "a.fits"), "links/a.fits", "b.fits"]
    assert main(["image", *given, *QUICK, "--output-dir", "out"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("is given twice, before as a.fits: it is imaged once") == 3
    assert "links/a.fits is given twice" in printed.err
    said = [line.partition(":")[0] for line in printed.out.splitlines() if "noise" in line]
    assert said == ["out/a", "out/b"]


def test_a_file_that_cannot_be_used_does_not_stop_the_others(demo, tmp_path, capsys, caplog):
    data, header = fits.getdata(demo["dirty"], header=True)
    fits.writeto(tmp_path / "a.fits", data, header)
    fits.writeto(tmp_path / "c.fits", data, header)
    header["BUNIT"] = "Jy"
    fits.writeto(tmp_path / "b.fits", data, header)
    files = [str(tmp_path / name) for name in ("a.fits", "b.fits", "c.fits")]
    assert main(["image", *files, *QUICK, "--output-dir", str(tmp_path / "out")]) == 1
    assert {path.name for path in tmp_path.glob("out/*.reg")} == {"a.reg", "c.reg"}
    assert f"{files[1]}: dirty: the unit is 'Jy', not Jy/beam" in caplog.text
    assert f"1 of 3 images could not be used, for the reasons above: {files[1]}" in capsys.readouterr().err
    assert main(["image", files[1], *QUICK, "--output-dir", str(tmp_path / "out")]) == 1
    assert f"error: {files[1]}: dirty: the unit is 'Jy'" in capsys.readouterr().err


def test_errors_are_one_line(tmp_path, capsys):
    bad = tmp_path / "bad.fits"
    bad.write_text("nothing")
    assert main(["image", str(bad), *QUICK]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("astro-ddpm-imager: error:") and "is not a FITS file" in lines[-1]


def test_demo_is_the_same_every_time(tmp_path, capsys):
    """With the seed of the README's picture, if none is given."""
    for name in ("a", "b"):
        assert main(["demo", *QUICK[:4], "--device", "cpu", "--output-dir", str(tmp_path / name)]) == 0
        assert (tmp_path / name / "demo.png").exists()
    models = [fits.open(tmp_path / name / "demo.model.fits") for name in ("a", "b")]
    np.testing.assert_array_equal(*(hdus[0].data for hdus in models))
    assert models[0][0].header["DSEED"] == 1
    for hdus in models:
        hdus.close()


@pytest.mark.parametrize("command", [[], ["image"], ["demo"], ["models"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert "usage: astro-ddpm-imager" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["astro_ddpm_imager", "astro_ddpm_imager.cli"])
def test_modules_are_the_command(module):
    printed = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == astro_ddpm_imager.__version__


def test_names_written_out_are_those_of_the_package():
    assert set(parser.AGGREGATES) == set(AGGREGATES)
    assert parser.DEVICES == DEVICES
    assert set(parser.SAMPLERS) == set(SAMPLERS)
    assert set(parser.SHAPES) == set(SHAPES)
    assert parser.WEIGHTINGS == WEIGHTINGS


@pytest.mark.parametrize("options", [["-v"], ["-q"], []])
@pytest.mark.parametrize("before", [True, False])
def test_how_much_is_said(options, before, demo, tmp_path, capsys):
    call = ["image", str(demo["dirty"]), *QUICK, "--output-dir", str(tmp_path / "out")]
    assert main([*options, *call] if before else [*call, *options]) == 0
    said = capsys.readouterr()
    assert "demo: " in said.out and "noise 5" in said.out
    assert "WARNING: no PSF given" in said.err
    assert ("wrote demo.model.fits" in said.err) == (options != ["-q"])
    assert ("DEBUG" in said.err) == (options == ["-v"])


def test_verbose_says_where_an_error_comes_from(tmp_path, capsys):
    for options in ([], ["-v"]):
        assert main(["image", str(tmp_path / "none.fits"), *options]) == 1
        assert ("Traceback" in capsys.readouterr().err) == bool(options)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--print-completion", shell])
    printed = capsys.readouterr().out
    assert stop.value.code == 0 and "evaluate" in printed and "noise-protocol" in printed


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "completed"),
    [(["im"], "image"), (["image", "--over"], "--overwrite"), (["image", "--sampler", "u"], "unipc")],
)
def test_bash_completes(words, completed, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    script = tmp_path / "completion.bash"
    name = "astro-ddpm-imager"
    script.write_text(
        capsys.readouterr().out
        + f"COMP_WORDS=({name} {' '.join(words)}); COMP_CWORD={len(words)}\n"
        + "$(complete -p astro-ddpm-imager | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo ${COMPREPLY[@]}\n"
    )
    assert subprocess.run(["bash", script], capture_output=True, text=True, check=True).stdout.strip() == completed


def test_the_package_never_imports_torch():
    code = "import sys, astro_ddpm_imager.cli, astro_ddpm_imager.simulate; print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"


@pytest.mark.parametrize("axes", [("1", "2"), ("-1", "-1"), ("nan", "nan"), ("0", "0")])
def test_a_beam_that_is_none(axes, demo, capsys):
    assert main(["image", str(demo["dirty"]), "--beam", *axes, "0"]) == 1
    assert "the axes must be positive, the longer one first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "function", "way"),
    [
        (["image", "some.fits"], "batch.image_files", "--resume goes on"),
        (["demo"], "batch.image_demo", "--overwrite starts again"),
        (["simulate"], "command_line.simulation.simulate", "--overwrite starts again"),
        (["evaluate", "some"], "command_line.evaluation.evaluate", "the same command goes on"),
    ],
)
def test_an_interruption_says_how_to_go_on(command, function, way, capsys, monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"astro_ddpm_imager.{function}", interrupted)
    assert main(command) == 130
    assert capsys.readouterr().err.strip().endswith(f"files written so far are whole, {way}")


def test_images_keep_the_axes_of_the_file_where_asked(demo, tmp_path, capsys):
    with fits.open(demo["dirty"]) as hdus:
        fits.writeto(tmp_path / "a.fits", hdus[0].data.squeeze()[None, None], hdus[0].header)
    for options, axes in ([], 2), (["--keep-axes", "--overwrite"], 4):
        call = ["image", str(tmp_path / "a.fits"), *QUICK, "--output-dir", str(tmp_path), *options]
        assert main(call) == 0
        assert fits.getdata(tmp_path / "a.image.fits").ndim == axes
