"""What ``import astro_ddpm_imager`` gives, and what it does not import."""

import subprocess
import sys

import pytest

import astro_ddpm_imager
from astro_ddpm_imager import image_cube, image_jointly, load_card, read_companion, read_image
from astro_ddpm_imager.evaluate import read_folder
from astro_ddpm_imager.products.catalog_files import read_catalog
from astro_ddpm_imager.simulate import read_array


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


@pytest.mark.parametrize("given", [None, 3, b"field.fits", ["field.fits"]])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (read_image, "path"), (read_companion, "path"), (read_catalog, "path"), (load_card, "model"),
        (read_folder, "folder"), (read_array, "name"),
    ],
)  # fmt: skip
def test_what_is_no_path_is_named(function, name, given):
    with pytest.raises(TypeError, match=f"^{name}: expected a path, str or path-like, got {type(given).__name__}$"):
        function(given)


def test_a_start_of_names_that_is_no_path(result, imager):
    for call in (result.write, lambda prefix: image_cube(imager, "cube.fits", prefix)):
        with pytest.raises(TypeError, match=r"^prefix: expected a path, str or path-like, got bytes$"):
            call(b"field")


def test_a_cube_in_the_place_of_the_imager(imager):
    for call in (image_cube, image_jointly):
        with pytest.raises(TypeError, match=r"^imager: expected a DiffusionImager, got str; the cube comes after it$"):
            call("cube.fits", imager, "cube")
