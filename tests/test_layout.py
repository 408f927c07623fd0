"""The package is built in one direction: observation, diffusion, sources, products, and what calls them."""

import ast
import re
from pathlib import Path

import pytest

import astro_ddpm_imager

ROOT = Path(astro_ddpm_imager.__file__).parent
PACKAGE = ROOT.name
# What each wing may know, beside itself and the exceptions that all share.
MAY_IMPORT = {
    "observation": set(),
    "diffusion": {"observation"},
    "sources": {"observation"},
    "products": {"observation", "sources"},
    "simulate": {"observation", "diffusion"},
}
# They know nothing of the rest.
SHARED = {
    "columns",
    "errors",
    "failures",
    "home",
    "ignored_warnings",
    "log_records",
    "parallel",
    "progress",
    "settings",
    "whole_files",
}
GROUND_FLOOR = {path.stem for path in ROOT.glob("*.py")} - SHARED - {"__init__"}
ABOVE = GROUND_FLOOR | {"evaluate", "compat", "command_line"}  # they call the wings, no wing calls them


def imported(path):
    """Modules of the package, without its name, that a file imports, also inside functions."""
    package = [PACKAGE, *path.relative_to(ROOT).parent.parts]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parent, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return {name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}.")}


@pytest.mark.parametrize("wing", MAY_IMPORT)
def test_a_wing_knows_only_those_before_it(wing):
    wings = {*MAY_IMPORT, *ABOVE}
    for path in sorted((ROOT / wing).rglob("*.py")):
        known = {name.split(".")[0] for name in imported(path)} & wings
        assert known <= MAY_IMPORT[wing] | {wing}, path


@pytest.mark.parametrize("module", sorted(SHARED))
def test_what_all_share_knows_nothing_of_the_rest(module):
    assert {name.split(".")[0] for name in imported(ROOT / f"{module}.py")} <= SHARED


@pytest.mark.parametrize("module", sorted(GROUND_FLOOR - {"__main__", "batch", "cli"}))
def test_what_is_called_does_not_call_back(module):
    below = {name.split(".")[0] for name in imported(ROOT / f"{module}.py")}
    assert not below & {"compat", "evaluate", "simulate", "batch", "cli", "command_line"}


def test_the_ground_floor_holds_only_what_calls_the_wings():
    assert {path.stem for path in ROOT.glob("*.py")} == {
        "__init__",
        "__main__",
        "at_once",
        "imager",
        "large",
        "tiled_result",
        "result",
        "batch",
        "cli",
        "cluster",
        "columns",
        "cubes",
        "errors",
        "failures",
        "home",
        "ignored_warnings",
        "joint",
        "log_records",
        "many",
        "parallel",
        "pieces",
        "progress",
        "settings",
        "tile",
        "whole_files",
    }


def exported(path):
    """What a module says it has for others."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            return {element.value for element in node.value.elts}
    return set()


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_import_what_others_have_for_them(path):
    for name in imported(path):
        module, _, taken = name.rpartition(".")
        file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        if module and file.is_file():
            assert taken in exported(file), name


def named_in_readme():
    """By the first cell of each row of README's table, the files and folders that it names."""
    text = (ROOT.parent / "README.md").read_text().partition("## Where things are")[2].partition("`export/`")[0]
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| `")]
    return {first.strip(" `"): re.findall(r"`(\w+?)(?:\.py|/)?`", files) for first, _, files in rows}


def there(folder):
    """Modules and packages in a folder."""
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    return sorted({*packages, *(path.stem for path in folder.glob("*.py"))} - {"__init__", "__main__"})


def test_readme_names_what_there_is():
    named = named_in_readme()
    wings = {row: files for row, files in named.items() if row.endswith("/")}
    for wing, files in wings.items():
        assert sorted(files) == there(ROOT / wing), wing
    # `command_line/` has no row of its own.
    rest = [*named.keys() - wings, *(file for row in named.keys() - wings for file in named[row])]
    ground = {*there(ROOT), *there(ROOT / "command_line")} - {wing.rstrip("/") for wing in wings}
    assert sorted({name.removesuffix(".py") for name in rest}) == sorted(ground)
