"""What frameworks and viewers load: the command that prints it, Stimela's cab, glue's data."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.command_line.parser import build_parser, commands_of
from astro_ddpm_imager.compat.plugins.glue import add_result, read_products


def test_the_command_prints_a_path(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    printed = []
    for _ in range(2):
        assert main(["plugin", "wsclean"]) == 0
        printed.append(Path(capsys.readouterr().out.strip()))
    assert printed[0] == printed[1] and printed[0].parent == tmp_path / "astro_ddpm_imager"
    assert f"PYTHON, FOLDER = {sys.executable!r}" in printed[0].read_text()
    assert main(["plugin", "wsclean", "--output", str(tmp_path / "a.py"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"framework": "wsclean", "file": str(tmp_path / "a.py")}
    assert (tmp_path / "a.py").read_text() == printed[0].read_text()


def test_a_cache_that_cannot_be_written_to(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert main(["plugin", "wsclean"]) == 1
    assert "file is not a folder; choose another folder, with --output FILE" in capsys.readouterr().err


@pytest.mark.parametrize("framework", ["wsclean", "stimela"])
def test_files_of_others_are_not_replaced(tmp_path, capsys, framework):
    older, notes = tmp_path / "older", tmp_path / "notes"
    assert main(["plugin", framework, "--output", str(older)]) == 0
    whole = older.read_text()
    older.write_text(whole.partition("\n")[0] + "\n# as an older version wrote it\n")
    assert main(["plugin", framework, "--output", str(older)]) == 0 and older.read_text() == whole
    for content in (b"my notes", b"\xde\xad"):
        notes.write_bytes(content)
        assert main(["plugin", framework, "--output", str(notes)]) == 1 and notes.read_bytes() == content
        assert "notes: is another file, which is not replaced; remove it" in capsys.readouterr().err
    assert main(["plugin", framework, "--output", str(tmp_path)]) == 1
    assert "is a folder; give the path of the file to write" in capsys.readouterr().err


def test_the_cab_has_the_options_of_the_command(capsys):
    assert main(["plugin", "stimela"]) == 0
    (cab,) = yaml.safe_load(Path(capsys.readouterr().out.strip()).read_text())["cabs"].values()
    image = commands_of(build_parser())["image"]
    options = {string.removeprefix("--"): action for action in image._actions for string in action.option_strings}
    assert cab["command"] == "astro-ddpm-imager image"
    for name, parameter in cab["inputs"].items():
        if name == "dirty":
            assert parameter["policies"] == {"positional": True}
            continue
        assert set(parameter.get("choices", [])) == set(options[name].choices or parameter.get("choices", []))
    assert {"help", "h", "v", "q"} | set(cab["inputs"]) - {"dirty"} >= {
        name for name in options if name not in ("verbose", "quiet", "json") and not name.startswith("-")
    }


def test_glue(result, tmp_path):
    core = pytest.importorskip("glue.core", reason="glue-core is not installed")
    collection = core.DataCollection()
    image, catalog = add_result(collection, result)
    np.testing.assert_array_equal(catalog[image.pixel_component_ids[1]], result.catalog["x"])
    np.testing.assert_array_equal(image["residual"], result.residual.data)
    result.write(tmp_path / "field")
    again, sources = read_products(tmp_path / "field.model.fits")
    np.testing.assert_allclose(again["reconstruction"], image["reconstruction"], rtol=1e-5)
    np.testing.assert_allclose(sources["ra"], catalog["ra"])
