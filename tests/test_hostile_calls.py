"""Calls that would lose data, or take one thing for another: inputs as targets, images of one name, other seeds."""

import hashlib
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from astropy.io import fits

from astro_ddpm_imager import DiffusionImager, SettingError, image_cube, image_jointly
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.products.catalog_files import read_catalog, write_catalog

QUICK = ["--samples", "2", "--steps", "3", "--device", "cpu", "--quiet"]

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture
def demo(small_field):
    """A field that takes little time: what is compared here are files."""
    return small_field


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def image(*arguments):
    return main(["image", *map(str, arguments), *QUICK])


@pytest.mark.parametrize("kind", ["file", "psf", "hard link", "symbolic link"])
def test_what_is_read_is_never_replaced(demo, tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    shutil.copy(demo["dirty"], "f.fits")
    shutil.copy(demo["psf"], "f.image.fits")
    arguments = ["f.fits", "--psf", "f.image.fits"]
    if kind == "file":
        shutil.move("f.image.fits", "f.model.fits")
        arguments = ["f.fits", "f.model.fits"]
    elif kind == "hard link":
        os.link("f.image.fits", "psf.fits")
        arguments[-1] = "psf.fits"
    elif kind == "symbolic link":
        Path("psf.fits").symlink_to("f.image.fits")
        arguments[-1] = "psf.fits"
    before = digests(tmp_path)
    assert image(*arguments, "--overwrite") == 1
    assert "would be replaced by a product, but is read in the same call" in capsys.readouterr().err
    assert digests(tmp_path) == before


def test_a_result_never_replaces_what_it_is_made_of(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"dirty": "f.image.fits", "psf": "f.model.fits", "pb": "é.residual.fits", "mask": "f.uncertainty.fits"}
    for name, target in names.items():
        shutil.copy(demo.get(name, demo["pb"]), target)
    before, imager = digests(tmp_path), DiffusionImager(n_samples=1, steps=1, seed=1, device="cpu", progress=False)
    whole = imager(**names)
    with fits.open("f.image.fits") as hdus:
        of_hdus = imager(hdus, demo["psf"])
    several = imager(demo["dirty"], [demo["psf"], "f.model.fits"])
    monkeypatch.chdir("/")
    for made in (whole, pickle.loads(pickle.dumps(whole)), of_hdus, several):
        with pytest.raises(SettingError, match=r"f.*fits would be replaced by a product, but is read in the same call"):
            made.write(tmp_path / "f", overwrite=True)
    with pytest.raises(SettingError, match=r"é.residual.fits would be replaced by a product, but is read"):
        whole.write(tmp_path / "é", overwrite=True)
    assert digests(tmp_path) == before
    whole.write(tmp_path / "g")
    whole.write(tmp_path / "g", overwrite=True)
    assert b"FILEPATH" not in (tmp_path / "g.model.fits").read_bytes()


def test_what_comes_of_a_cube_never_replaces_it(cube_files, tmp_path):
    for name, target in (("dirty", "c.image.fits"), ("psf", "c.residual.fits")):
        shutil.copy(cube_files[name], tmp_path / target)
    before, imager = digests(tmp_path), DiffusionImager(n_samples=1, steps=1, seed=1, device="cpu", progress=False)
    joint = image_jointly(imager, cube_files["dirty"], tmp_path / "c.residual.fits")
    with pytest.raises(SettingError, match=r"c.residual.fits would be replaced by a product, but is read"):
        joint.write(tmp_path / "c", overwrite=True)
    with fits.open(tmp_path / "c.image.fits") as hdus, pytest.raises(SettingError, match=r"c.image.fits would be"):
        image_cube(imager, hdus, tmp_path / "c", cube_files["psf"], overwrite=True)
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    "other, said",
    [
        (["--pblimit", "0.5"], "pblimit=0.2, not 0.5"),
        (["--purity", "0.9"], "reliability=0.22, not 0.48"),
        (["--aggregate", "mean"], "aggregate='beam-median', not 'mean'"),
        (["--pb", "pb.fits"], "pb='none', not 'pb.fits'"),
        (["--beam", "1", "0.9", "10"], "options='', not 'beam 1 x 0.9 arcsec at 10 deg'"),
        (["--keep-axes"], "options='', not 'keep-axes'"),
        ([], "another psf"),
    ],
)
def test_resume_takes_nothing_that_is_made_otherwise_for_done(demo, tmp_path, monkeypatch, capsys, other, said):
    monkeypatch.chdir(tmp_path)
    for name in ("dirty", "psf", "pb"):
        shutil.copy(demo[name], f"{name}.fits")
    call = ["dirty.fits", "--psf", "psf.fits", "--seed", "1", "--output-dir", "out"]
    assert image(*call) == 0
    made = digests(tmp_path / "out")
    assert image(*call, "--resume") == 0
    assert digests(tmp_path / "out") == made
    if not other:
        psf, header = fits.getdata("psf.fits", header=True)
        fits.writeto("psf.fits", 0.999 * psf, header, overwrite=True)
    assert image(*call, *other, "--resume") == 1
    assert f"its products were made with {said}" in capsys.readouterr().err
    assert digests(tmp_path / "out") == made
    assert image(*call, *other, "--resume", "--overwrite") == 0
    assert digests(tmp_path / "out") != made


@pytest.mark.parametrize("option", [["--tile", "0"], ["--stokes", "0"], ["--channel", "0"], ["--insist"]])
def test_resume_takes_nothing_of_other_options_for_done(demo, tmp_path, capsys, option):
    call, said = [demo["dirty"], "--output-dir", tmp_path], " ".join(option).removeprefix("--")
    assert image(*call, *option) == 0
    assert fits.getheader(tmp_path / "demo.model.fits")["DOPTIONS"] == said
    assert image(*call, *option, "--resume") == 0
    assert image(*call, "--resume") == 1
    assert f"demo: its products were made with options={said!r}, not ''; give the same" in capsys.readouterr().err


def test_resume_takes_nothing_of_another_channel_for_done(cube_files, tmp_path, capsys):
    """Nor of all of them together."""
    call = [cube_files["dirty"], "--psf", cube_files["psf"], "--seed", "1", "--output-dir", tmp_path]
    others = {"channel 1": ["--channel", "1"], "joint": ["--joint"], "": []}
    for was, made in others.items():
        assert image(*call, *made, "--overwrite") == 0
        for now, other in others.items():
            capsys.readouterr()
            assert image(*call, *other, "--resume") == (now != was)
            assert now == was or f"options={was!r}, not {now!r}" in capsys.readouterr().err


def test_extensions_in_brackets(demo, tmp_path, monkeypatch, capsys):
    """Of the image and of what belongs to it: as of files of their own, under the name of the file."""
    monkeypatch.chdir(tmp_path)
    hdus = [fits.ImageHDU(*fits.getdata(demo[name], header=True), name=name) for name in ("dirty", "psf", "pb")]
    hdus.append(fits.ImageHDU(2 * hdus[0].data, hdus[0].header, name="OTHER"))
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto("f.dirty.fits")
    given = ["--seed", "1", "--psf", "f.dirty.fits[psf]", "--pb", "f.dirty.fits[3]", "--output-dir", "out"]
    assert image("f.dirty.fits[DIRTY]", *given) == 0
    assert image(demo["dirty"], "--seed", "1", "--psf", demo["psf"], "--pb", demo["pb"], "--output-dir", "out") == 0
    np.testing.assert_array_equal(fits.getdata("out/f.model.fits"), fits.getdata("out/demo.model.fits"))
    assert fits.getheader("out/f.model.fits")["DINPUT"] == "f.dirty.fits[DIRTY]"
    assert image("f.dirty.fits[DIRTY]", *given, "--resume") == 0
    assert image("f.dirty.fits[OTHER]", *given, "--resume") == 1
    assert "made with input='f.dirty.fits[DIRTY]', not 'f.dirty.fits[OTHER]'" in capsys.readouterr().err
    assert image("f.dirty.fits[1]", "f.dirty.fits[4]", *given[2:]) == 1
    assert "f.dirty.fits[1] and f.dirty.fits[4] would be written as f" in capsys.readouterr().err
    shutil.copy("f.dirty.fits", "f.model.fits")
    assert image("f.model.fits[1]", "--overwrite", "--psf", "f.dirty.fits[2]") == 0
    shutil.copy("f.dirty.fits", "f.image.fits")
    before = digests(tmp_path)
    assert image("f.dirty.fits[1]", "--overwrite", "--psf", "f.image.fits[2]") == 1
    assert "f.image.fits would be replaced by a product, but is read in the same call" in capsys.readouterr().err
    assert digests(tmp_path) == before


def test_resume_takes_nothing_of_another_casa_image_for_done(tmp_path):
    folder = shutil.copytree(Path(__file__).parent / "data" / "field.image", tmp_path / "field.image")
    call = [folder, "--output-dir", tmp_path / "out"]
    assert image(*call) == 0
    assert image(*call, "--resume") == 0
    (pixels,) = folder.glob("table.f*_TSM0")
    pixels.write_bytes(pixels.read_bytes()[:-4] + bytes(4))
    assert image(*call, "--resume") == 1


def test_resume_takes_nothing_of_other_psfs_for_done(demo, tmp_path, capsys):
    psf, header = fits.getdata(demo["psf"], header=True)
    for name in ("a", "b"):
        fits.writeto(tmp_path / f"{name}.fits", psf, header)
    call = [demo["dirty"], "--psf", tmp_path / "a.fits", "--psf", tmp_path / "b.fits", "--output-dir", tmp_path / "out"]
    assert image(*call) == 0
    assert image(*call, "--resume") == 0
    fits.writeto(tmp_path / "b.fits", 0.999 * psf, header, overwrite=True)
    assert image(*call, "--resume") == 1
    assert "its products were made with another psf; give the same" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["é%", "two\nlines", os.fsdecode(b"\xff")])
def test_files_whatever_their_names(demo, tmp_path, capsys, name):
    paths = {key: tmp_path / f"{name}.{key}.fits" for key in ("dirty", "psf", "pb")}
    for key, path in paths.items():
        shutil.copy(demo[key], path)
    call = [paths["dirty"], "--psf", paths["psf"], "--pb", paths["pb"], "--seed", "1", "--output-dir", tmp_path / "out"]
    assert image(*call) == 0
    made = digests(tmp_path / "out")
    header = fits.getheader(tmp_path / "out" / f"{name}.model.fits")
    catalog = read_catalog(tmp_path / "out" / f"{name}.catalog.ecsv")
    write_catalog(catalog, tmp_path / "c.fits")
    for key, card, in_table in (("dirty", "DINPUT", "input"), ("psf", "DPSF", "psf"), ("pb", "DPB", "pb")):
        assert os.fsdecode(unquote_to_bytes(header[card])) == paths[key].name
        assert header[card] == catalog.meta[in_table] == read_catalog(tmp_path / "c.fits").meta[in_table]
    assert header["DINPUT"] in "".join(header["HISTORY"])
    assert image(*call, "--resume") == 0
    assert image(*call[:-2], "--pblimit", "0.5", *call[-2:], "--resume") == 1
    assert digests(tmp_path / "out") == made


def test_resume_takes_nothing_of_another_image_or_seed_for_done(demo, tmp_path, capsys):
    for name, factor in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        data, header = fits.getdata(demo["dirty"], header=True)
        fits.writeto(tmp_path / name / "x.fits", factor * data, header)
    out = tmp_path / "out"
    at = ["--seed", "1", "--output-dir", out, "--resume"]
    assert image(tmp_path / "a/x.fits", *at) == 0
    made = digests(out)
    assert image(tmp_path / "a/x.fits", *at) == 0  # is done
    assert image(tmp_path / "b/x.fits", *at) == 1
    assert "x: its products were made with another input; give the same again, another --output-dir, or" in (
        capsys.readouterr().err
    )
    assert image(tmp_path / "a/x.fits", "--seed", "2", *at[2:]) == 1
    assert digests(out) == made
    for seed, status in ((20261128120000, 0), (20261128120001, 1)):  # as a date, of which numbers keep all digits
        assert image(tmp_path / "a/x.fits", "--seed", str(seed), "--output-dir", tmp_path / "d", "--resume") == status
    (out / "x.catalog.ecsv").write_text("")
    assert image(tmp_path / "a/x.fits", *at) == 0
    after = digests(out)
    assert set(after) == set(made) and (out / "x.catalog.ecsv").stat().st_size


@pytest.mark.parametrize("name", ["..fits", "...fits.gz"])
def test_names_that_leave_no_name(demo, tmp_path, capsys, name):
    shutil.copy(demo["dirty"], tmp_path / name)
    assert image(tmp_path / name, "--output-dir", tmp_path / "out") == 1
    assert "leaves no name for the products" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_control_characters_of_names_do_not_reach_the_terminal(demo, tmp_path, capfd):
    path = tmp_path / "a\x1b[31m.fits"
    shutil.copy(demo["dirty"], path)
    assert main(["image", str(path), *QUICK[:-1], "--output-dir", str(tmp_path / "out")]) == 0
    assert image(tmp_path / "\x1b[2Jnone.fits") == 1
    said = "".join(capfd.readouterr())
    assert "\x1b[31m" not in said and "\x1b[2J" not in said and r"\x1b[31m" in said


def test_more_samples_than_there_is_memory(demo, tmp_path, capsys):
    command = ["image", str(demo["dirty"]), "--samples", "1000000000", "--device", "cpu", "--output-dir", str(tmp_path)]
    assert main(command) == 1
    assert "samples=1000000000: samples of" in capsys.readouterr().err


def run(arguments, **environment):
    command = [sys.executable, "-m", "astro_ddpm_imager.cli", *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")  # noqa: PTH110
@pytest.mark.parametrize("streams", ["> /dev/full", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_cannot_be_written_to_cost_no_products(demo, tmp_path, streams):
    shutil.copy(demo["dirty"], tmp_path / "\u00e9.fits")
    command = [
        sys.executable,
        "-m",
        "astro_ddpm_imager.cli",
        "image",
        "\u00e9.fits",
        *QUICK[:-1],
        "--output-dir",
        "out",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(
        f"{shlex.join(command)} --output-dir out {streams}", shell=True, env=environment, cwd=tmp_path
    )
    assert ended.returncode == 0
    assert len(list((tmp_path / "out").iterdir())) == 7


def test_the_same_bits_whatever_the_threads(tmp_path):
    """Of ONNX Runtime's, of BLAS and of OpenMP, and whatever the order and the language."""
    demo, found = demo_files(), []
    for number, threads, language in (("1", "2", "C"), ("4", "1", "de_DE.UTF-8")):
        out = tmp_path / number
        environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), number)
        arguments = ["--psf", demo["psf"], "--pb", demo["pb"], "--seed", "1", "--threads", threads, *QUICK]
        ended = run(["image", demo["dirty"], *arguments, "--output-dir", out], **environment, LC_ALL=language)
        assert ended.returncode == 0, ended.stderr
        images = [fits.getdata(path) for path in sorted(out.glob("*.fits"))]
        table = [line for line in next(out.glob("*.ecsv")).read_text().splitlines() if line[0] != "#"]
        found.append((images, table))
    (ours, table), (theirs, other) = found
    assert table == other and len(table) > 2
    for one, another in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, another)
