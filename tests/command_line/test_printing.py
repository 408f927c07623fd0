"""Results on stdout, for people and for scripts; everything else on stderr."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.table import QTable

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.command_line.printing import say_json

QUICK = ["--samples", "2", "--steps", "3", "--seed", "1", "--device", "cpu"]

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture
def demo(small_field):
    """A field that takes little time: what is looked at here is what is said."""
    return small_field


@pytest.fixture
def files(demo, tmp_path):
    """Three images, the second of which cannot be used."""
    data, header = fits.getdata(demo["dirty"], header=True)
    paths = [tmp_path / f"{name}.fits" for name in "abc"]
    for path in paths:
        header["BUNIT"] = "Jy" if path.name == "b.fits" else "Jy/beam"
        fits.writeto(path, data, header)
    return [str(path) for path in paths]


def lines(capsys):
    """The objects that were printed, one a line."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in capsys.readouterr().out.splitlines()]


def test_a_line_of_json_for_each_file(files, tmp_path, capsys):
    call = ["image", *files, *QUICK, "--output-dir", str(tmp_path / "out"), "--json"]
    assert main(call) == 1
    first, failed, last = lines(capsys)
    assert [each["file"] for each in (first, failed, last)] == files
    assert failed.keys() == {"file", "error"} and "the unit is 'Jy', not Jy/beam" in failed["error"]
    assert first["prefix"] == str(tmp_path / "out" / "a") and first["seed"] == 1 and first["misfit"] == []
    assert first["noise"] == pytest.approx(4.8e-5, rel=0.1) and first["noise_unit"] == "Jy/beam"
    header = fits.getheader(first["products"][0])
    assert header["NOISE"] == pytest.approx(first["noise"]) and len(first["products"]) == 7
    assert first["n_sources"] == len(QTable.read(tmp_path / "out" / "a.catalog.ecsv"))
    assert [text[:12] for text in first["warnings"]] == ["no PSF given"]
    # Another time, all is there.
    assert main([*call[:1], files[0], files[2], *call[4:], "--resume"]) == 0
    assert [(each["file"], each["skipped"]) for each in lines(capsys)] == [(files[0], True), (files[2], True)]


def test_a_single_file_that_fails_has_a_line(files, tmp_path, capsys):
    assert main(["image", files[1], *QUICK, "--output-dir", str(tmp_path / "out"), "--json"]) == 1
    assert [each["file"] for each in lines(capsys)] == [files[1]]
    assert main(["image", files[0], str(tmp_path / "none.fits"), *QUICK, "--json"]) == 1
    assert lines(capsys) == [
        {"file": str(tmp_path / "none.fits"), "error": f"{tmp_path / 'none.fits'}: there is no such file"}
    ]


def test_other_commands_in_json(tmp_path, capsys):
    assert main(["models", "--json"]) == 0
    (model,) = [each for each in lines(capsys) if each["model"] == "default"]
    assert model["noise_protocol"] == "independent" and len(model["sha256"]) == 64
    folder = tmp_path / "fields"
    pytest.importorskip("ducc0")
    assert main(["simulate", "--fields", "2", "--imsize", "256", "--output-dir", str(folder), "--json"]) == 0
    fields = lines(capsys)
    assert [each["file"] for each in fields] == [str(folder / "0000.dirty.fits"), str(folder / "0001.dirty.fits")]
    options = [
        "--samples",
        "2",
        "--steps",
        "3",
        "--device",
        "cpu",
        "--output",
        str(tmp_path / "report"),
        "--fields",
        "2",
    ]
    assert main(["evaluate", str(folder), *options, "--json", "-q"]) == 0
    (report,) = lines(capsys)
    assert report["report"] == str(tmp_path / "report" / "report.html")
    assert report["scores"][0]["fields"] == 2


def test_what_is_not_finite_is_null(capsys):
    say_json(a=float("nan"), b=[float("inf"), 1.0], c={"d": -float("inf")})
    assert capsys.readouterr().out == '{"a": null, "b": [null, 1.0], "c": {"d": null}}\n'


@pytest.mark.parametrize(("options", "stderr"), [(["--json"], subprocess.PIPE), ([], subprocess.STDOUT)])
def test_a_closed_pipe_costs_no_products(files, tmp_path, options, stderr):
    """`image ... | head -1`, and `image ... 2>&1 | head -1`."""
    call = ["image", files[0], files[2], *QUICK, "--output-dir", str(tmp_path / "out"), *options]
    with subprocess.Popen(
        [sys.executable, "-m", "astro_ddpm_imager", *call], stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read() if process.stderr else ""
        assert process.wait() == 0
    assert "Broken pipe" not in said and "Error" not in said
    assert len(list((tmp_path / "out").iterdir())) == 14


@pytest.mark.parametrize("call", [["models"], ["--help"], ["--print-completion", "bash"]])
def test_a_pipe_that_nobody_reads(call):
    with subprocess.Popen(
        [sys.executable, "-m", "astro_ddpm_imager", *call], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_the_log_is_left_as_it_was(capsys):
    logger = logging.getLogger("astro_ddpm_imager")
    before = list(logger.handlers), logger.level
    assert main(["models", "-v"]) == 0
    assert (list(logger.handlers), logger.level) == before


def test_a_setting_has_the_name_of_its_option_in_json_too(demo, tmp_path, capsys):
    call = ["image", str(demo["dirty"]), *QUICK, "--output-dir", str(tmp_path), "--json", "-q"]
    assert main(call) == 0
    capsys.readouterr()
    assert main([*call, "--resume", "--samples", "3"]) == 1
    printed = capsys.readouterr()
    (line,) = map(json.loads, printed.out.splitlines())
    assert "its products were made with samples=2, not 3" in line["error"] and line["error"] in printed.err


@pytest.mark.skipif(sys.platform == "win32", reason="there a working folder cannot be removed")
def test_a_working_folder_that_is_gone_is_said(demo, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert main(["image", str(demo["dirty"]), *QUICK]) == 1
    assert "error: the working folder is not there any more" in capsys.readouterr().err


def test_a_file_that_may_not_be_read_is_an_error_of_its_own(files, tmp_path, capsys):
    Path(files[1]).chmod(0)
    if os.access(files[1], os.R_OK):
        pytest.skip("nothing is forbidden to this user")
    assert main(["image", *files[:2], *QUICK, "--output-dir", str(tmp_path / "out"), "--json"]) == 1
    done, failed = lines(capsys)
    assert done["n_sources"] > 0
    assert failed == {"file": files[1], "error": f"[Errno 13] Permission denied: '{files[1]}'"}
