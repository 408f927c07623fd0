"""What README and documentation print is run: Python, commands; what cannot be run here is parsed."""

import json
import re
import runpy
import shlex
import shutil
import sys
import textwrap
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.command_line import settings_file
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.rst")), *sorted(DOCS.glob("reference/*.rst"))]
OURS = "astro-ddpm-imager"
OTHERS = {"pip", "python", "python3", "git", "wsclean", "dask"}
SCRIPTS = [path for path in sorted(DOCS.glob("*.py")) if "__main__" in path.read_text()]
QUICK = {"n_samples": 2, "steps": 3, "threads": 1, "device": "cpu", "progress": False}


def blocks(page, *languages):
    """Blocks of code of a page, in their order."""
    language = "|".join(languages)
    text = page.read_text()
    if page.suffix == ".md":
        return re.findall(rf"^```(?:{language})\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    found = re.findall(rf"^( *)\.\. code-block:: (?:{language})\n\n((?:\1 +\S.*\n|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


def commands(page):
    """Commands of a page, as lists of words."""
    lines = [line for block in blocks(page, "sh", "console") for line in block.replace("\\\n", " ").splitlines()]
    split = (shlex.split(part, comments=True) for line in lines for part in re.split(" && |; ", line))
    return [words for words in split if words]


def mentions(page):
    """Commands of this package in the sentences of a page, as lists of words."""
    found = re.findall(rf"``?({OURS} [^`]+)``?(?!`)", page.read_text())
    return [shlex.split(command.replace("\n", " ")) for command in found]


@pytest.fixture
def quick(monkeypatch):
    """Few samples in few steps, whatever a page asks for."""
    configure = DiffusionImager.__init__
    monkeypatch.setattr(
        DiffusionImager, "__init__", lambda self, *args, **settings: configure(self, *args, **(settings | QUICK))
    )


@pytest.fixture(scope="module")
def stock(small_field, tmp_path_factory):
    """The files that pages speak of: the demonstration field under many names, and a small folder of fields."""
    folder = tmp_path_factory.mktemp("stock")
    for kind, path in small_field.items():
        for name in (
            f"field.{kind}",
            f"field1.{kind}",
            kind,
            f"field-{kind}",
            f"mosaic.{kind}",
            *(f"000{i}.{kind}" for i in range(10)),
        ):
            shutil.copy(path, folder / f"{name}.fits")
        with fits.open(path) as hdus:
            hdus[0].data = np.repeat(hdus[0].data, 4, axis=1)  # axes: Stokes, channel, y, x
            hdus.writeto(folder / f"cube.{kind}.fits")
    for name, kind in {"north.psf": "psf", "south.psf": "psf", "mosaic.weight": "pb"}.items():
        shutil.copy(small_field[kind], folder / f"{name}.fits")
    seen = Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=300 * u.s, shape=(128, 128),
        cell=0.2 * u.arcsec,
    )  # fmt: skip
    simulate_fields(seen, SourceRecipe(flux=(1, 5) * u.mJy), 50 * u.uJy, folder / "fields", number=1)
    return folder


@pytest.fixture
def workplace(stock, tmp_path, monkeypatch):
    """A copy of these files to work in."""
    shutil.copytree(stock, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")  # of CCDData.read, about headers of CASA
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_runs(page, quick, workplace):
    names = {}
    for block in blocks(page, "python"):
        if ("casa" in block and find_spec("casatasks") is None) or "dask" in block or "distributed" in block:
            compile(block, str(page), "exec")
        else:
            exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_understood(page, workplace):
    write_settings(page)
    extras = set(metadata("astro_ddpm_imager").get_all("Provides-Extra"))
    for words in [*commands(page), *mentions(page)]:
        program = Path(words[0]).name
        assert program in {OURS, *OTHERS}, words
        if program == OURS:
            parse(words)
        elif program == "pip":
            assert {extra for names in re.findall(r"\[(.+?)\]", words[-1]) for extra in names.split(",")} <= extras
        elif program == "python" and (words[1] != "-m" or words[2].startswith("export")):
            script = ROOT / words[1] if words[1] != "-m" else ROOT.joinpath(*words[2].split(".")).with_suffix(".py")
            text = script.read_text()
            unknown = [word for word in words if word.startswith("--") and f'"{word}"' not in text]
            assert not unknown or "parse_known_args" in text, words


def write_settings(page):
    """The settings file that a page shows, under the name that its commands give it."""
    for block in blocks(page, "toml"):
        name = re.search(r"--config (\S+\.toml)", page.read_text())[1]
        Path(name).write_text(block)


def parse(words):
    """Parse a command of this package; a version or help is one, too."""
    try:
        return settings_file.parse(words[1:])
    except SystemExit as status:
        assert status.code == 0, f"cannot be parsed: {shlex.join(words)}"


def inputs(args):
    """The files and folders that a command needs, and whether all are there."""
    named = [*getattr(args, "files", []), getattr(args, "folder", None)]
    for name in ("psf", "pb", "mask", "noise"):
        given = getattr(args, name, None)
        named += given if isinstance(given, list) else [given]
    if getattr(args, "wsclean", False):
        named = [f"{name}-dirty.fits" for name in args.files]
    return all(Path(path).exists() for path in named if path is not None)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=lambda page: page.stem)
def test_commands_run(page, quick, workplace, plain_pictures, capsys):
    write_settings(page)
    for words in commands(page):
        if Path(words[0]).name != OURS:
            continue
        arguments = [word.replace("*", "field") for word in words[1:]]
        if words[1] == "simulate":
            arguments += ["--fields", "1", "--overwrite"]
        args = parse([OURS, *arguments])
        if args is not None and inputs(args) and not getattr(args, "scheduler", None):
            assert main(arguments) == 0, f"{shlex.join(arguments)}: {capsys.readouterr().err}"


def test_the_page_of_speed_is_that_of_its_figures():
    """Measured by benchmarks/speed.py; after a change of the text: python docs/speed.py."""
    script = runpy.run_path(str(DOCS / "speed.py"))
    assert (DOCS / "speed.rst").read_text() == script["page"](json.loads((DOCS / "speed.json").read_text()))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_say_what_they_do(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    monkeypatch.setattr(sys, "path", [str(DOCS), str(ROOT), *sys.path])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert not ended.value.code and capsys.readouterr().out.startswith("usage: ") and not any(tmp_path.iterdir())


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.rst")), ids=lambda page: page.name)
def test_no_cell_of_a_table_is_a_list(page):
    assert not re.search(r'^   .*"-[ "]', page.read_text(), re.MULTILINE)


def test_the_reference_has_every_module():
    shown = {name for page in DOCS.glob("reference/*.rst") for name in re.findall(r"auto\w+:: (\S+)", page.read_text())}
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for wing in ("observation", "diffusion", "sources", "products")
        for path in (ROOT / "astro_ddpm_imager" / wing).glob("[a-z]*.py")
    }
    assert modules - shown == set()
