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
    """Names of the functions and classes, and of the methods of these."""
    modules = [astro_ddpm_imager]
    for info in pkgutil.walk_packages(astro_ddpm_imager.__path__, "astro_ddpm_imager."):
        modules.append(importlib.import_module(info.name))
    objects, methods = set(), set()
    for module in modules:
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if not getattr(thing, "__module__", "").startswith("astro_ddpm_imager"):
                continue
            if inspect.isfunction(thing) or inspect.isclass(thing):
                objects.add(f"{thing.__module__}.{thing.__qualname__}")
            if inspect.isclass(thing):
                # Matplotlib gives its subclasses a method.
                public = (method for method in vars(thing) if not method.startswith("_") and method != "set")
                methods |= {
                    f"{thing.__module__}.{thing.__qualname__}.{method}"
                    for method in public
                    if inspect.isfunction(vars(thing)[method]) or isinstance(vars(thing)[method], property)
                }
    return sorted(objects), sorted(methods)


OBJECTS, METHODS = public_objects()


@pytest.mark.parametrize("name", OBJECTS)
def test_docstring(name):
    problems = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in IGNORED]
    assert problems == []


@pytest.mark.parametrize("name", METHODS)
def test_methods_have_a_docstring(name):
    """A line may do."""
    assert "GL08" not in [code for code, _ in validate(name)["errors"]]
