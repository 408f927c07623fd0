"""What ``import astro_ddpm_imager`` gives, and what it does not import."""

import subprocess
import sys

import pytest

import astro_ddpm_imager


def fresh(code):
    """What a new process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_all_public_names_are_there():
    names = {}
    exec("from astro_ddpm_imager import *", names)
    assert set(astro_ddpm_imager.__all__) <= set(names)
    assert {*astro_ddpm_imager.__all__, "__version__"} <= set(dir(astro_ddpm_imager))
    assert astro_ddpm_imager.__version__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'astro_ddpm_imager' has no attribute 'DiffusionImagr'"):
        astro_ddpm_imager.DiffusionImagr  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'DiffusionImagr'"):
        exec("from astro_ddpm_imager import DiffusionImagr")


@pytest.mark.parametrize("name", ["DiffusionImager", "read_image", "errors.SettingError"])
def test_names_are_imported_when_asked_for(name):
    assert fresh(f"import astro_ddpm_imager; print(bool(astro_ddpm_imager.{name}))") == "True"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["image", "--help"]])
def test_help_does_not_wait_for_large_imports(arguments):
    code = f"""
import sys
from astro_ddpm_imager.cli import main
try:
    main({arguments})
except SystemExit:
    print("\\n", sorted({{"numpy", "scipy", "astropy", "onnxruntime", "tqdm", "matplotlib"}} & set(sys.modules)))
"""
    assert fresh(code).splitlines()[-1].strip() == "[]"
