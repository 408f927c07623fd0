"""What is said about the package in several places is the same in all, and what is installed is whole."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import astro_ddpm_imager
from astro_ddpm_imager import list_models

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def floors(requirements):
    """Lowest version of each package."""
    return {r.name: str(r.specifier) for r in map(Requirement, requirements)}


def test_the_version_is_known_without_git(tmp_path):
    """An import that asks git would fail, or be slow, where there is none."""
    command = "import astro_ddpm_imager; print(astro_ddpm_imager.__version__)"
    run = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == astro_ddpm_imager.__version__


def test_the_file_of_citation_is_of_this_version():
    assert Version(astro_ddpm_imager.__version__).release[:2] == Version(CITATION["version"]).release[:2]
    newest = (ROOT / "CHANGES.rst").read_text().split()[0]
    assert Version(newest).release[:2] == Version(CITATION["version"]).release[:2]
    assert CITATION["license"] == PROJECT["project"]["license"]


def test_the_paper_is_cited_alike():
    (paper,) = CITATION["references"]
    bibtex = astro_ddpm_imager.__citation__
    assert f"doi = {{{paper['doi']}}}" in bibtex
    assert paper["title"] in bibtex and paper["identifiers"][0]["value"].removeprefix("arXiv:") in bibtex
    assert re.findall(r"\{([A-Z][\w-]+)\}, [A-Z]\.", bibtex) == [a["family-names"] for a in paper["authors"]]
    assert bibtex.count("{") == bibtex.count("}") and astro_ddpm_imager.__version__ in bibtex


def test_hints_and_the_licence_of_the_models_are_installed():
    package = files("astro_ddpm_imager")
    assert (package / "py.typed").is_file()
    licence = (package / "diffusion" / "models" / "LICENSE").read_text()
    assert "BSD 3-Clause" in licence and "simulated data only" in licence
    for model in list_models():
        assert f"{model}.onnx" in licence


def test_every_file_of_data_is_packed():
    """A file beside the modules that no pattern takes would be missing in a wheel, and nowhere else."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    packed = {
        path for package, globs in patterns.items() for glob in globs
        for path in ROOT.joinpath(*package.split(".")).glob(glob)
    }  # fmt: skip
    there = {
        path for path in (ROOT / "astro_ddpm_imager").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }  # fmt: skip
    assert there == packed


def test_dependencies_for_cpus_are_those_of_the_package_but_for_onnx_runtime():
    lines = (ROOT / "requirements-cpu.txt").read_text().splitlines()
    expected = floors(PROJECT["project"]["dependencies"])
    assert expected.pop("onnxruntime-gpu") == expected["onnxruntime"]
    assert floors(line for line in lines if not line.startswith("#")) == expected


@pytest.mark.parametrize(
    "platform", [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")]
)
def test_one_onnx_runtime_for_each_platform(platform):
    """Two of them break each other."""
    environment = dict(zip(("sys_platform", "platform_machine"), platform, strict=True))
    runtimes = [
        r.name for r in map(Requirement, PROJECT["project"]["dependencies"])
        if r.name.startswith("onnxruntime") and r.marker.evaluate(environment)
    ]  # fmt: skip
    with_gpu = platform in {("linux", "x86_64"), ("win32", "AMD64")}
    assert runtimes == ["onnxruntime-gpu" if with_gpu else "onnxruntime"]


def test_extras_agree_on_floors():
    """And what tests need has one: else the oldest version ever is tested with."""
    project = PROJECT["project"]
    assert all(floors(project["dependencies"] + project["optional-dependencies"]["test"]).values())
    seen = {}
    for requirements in PROJECT["project"]["optional-dependencies"].values():
        for name, floor in floors(requirements).items():
            assert seen.setdefault(name, floor) == floor, name


def test_pythons_are_the_same_everywhere():
    """In the classifiers, for tox and in the workflow."""
    pythons = [
        c.removeprefix("Programming Language :: Python :: ")
        for c in PROJECT["project"]["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", c)
    ]
    assert PROJECT["project"]["requires-python"] == f">={pythons[0]}"
    assert f"py{{{','.join(p.replace('.', '') for p in pythons)}}}" in (ROOT / "tox.ini").read_text()
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    if not workflow.exists():
        pytest.skip("a source distribution has no workflow")
    jobs = yaml.safe_load(workflow.read_text())["jobs"]["tests"]["strategy"]["matrix"]["include"]
    assert {job["python"] for job in jobs} == set(pythons)
    assert {f"py{p.replace('.', '')}" for p in pythons} <= {job["toxenv"] for job in jobs}
