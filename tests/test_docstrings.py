"""Public docstrings follow numpydoc and say what they should."""

import importlib
import inspect
import pkgutil

import pytest
from numpydoc.validate import validate

import astro_ddpm_imager

# Sections and layout that are a matter of taste: see also, examples, extended summary, one-line form.
IGNORED = {
    "EX01",
    "SA01",
    "ES01",
    "GL01",
    "GL02",
    "GL03",
    "GL08",
    "SS05",
    "SS06",
    "RT03",
    "RT05",
    "PR06",
    "PR07",
    "PR08",
    "PR09",
}


def public_objects():
    modules = [astro_ddpm_imager]
    for info in pkgutil.walk_packages(astro_ddpm_imager.__path__, "astro_ddpm_imager."):
        modules.append(importlib.import_module(info.name))
    for module in modules:
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield f"{thing.__module__}.{thing.__qualname__}"


@pytest.mark.parametrize("name", sorted(set(public_objects())))
def test_docstring(name):
    problems = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in IGNORED]
    assert problems == []
