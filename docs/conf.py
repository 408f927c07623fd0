"""Sphinx configuration: ``sphinx-build -n -W docs docs/_build``, which needs no network."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # gallery_figures

project = "astro_ddpm_imager"
author = copyright = "astro_ddpm_imager developers"
version = release = installed_version(project)

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinxarg.ext",
    "sphinx_automodapi.automodapi",
    "sphinx_automodapi.smart_resolver",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
default_role = "py:obj"
nitpicky = True
toc_object_entries_show_parents = "hide"
exclude_patterns = ["_build", "tutorials"] + [
    f"{name}.rst" for name in ("image_scores", "model_scores", "pybdsf_parameters", "tclean_parameters")
]

# Reference
numpydoc_show_class_members = False  # the templates of automodapi list them
automodapi_toctreedirnm = "reference/generated"
automodapi_inheritance_diagram = False
automodsumm_inherited_members = False
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings have them, with units and shapes

# Links to other projects. The inventories name what is linked to and no more, so that nothing has to be fetched and
# a link that is not among them is an error.
DOCUMENTATION = {
    "astropy": "https://docs.astropy.org/en/stable",
    "matplotlib": "https://matplotlib.org/stable",
    "numpy": "https://numpy.org/doc/stable",
    "python": "https://docs.python.org/3",
    "radio_beam": "https://radio-beam.readthedocs.io/en/latest",
    "regions": "https://astropy-regions.readthedocs.io/en/stable",
    "scipy": "https://docs.scipy.org/doc/scipy",
}
intersphinx_mapping = {name: (place, f"inventories/{name}.inv") for name, place in DOCUMENTATION.items()}

# Tutorials run when the pages are built.
sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "image_scrapers": ("matplotlib", "gallery_figures.unmanaged_figures"),
    "ignore_repr_types": "matplotlib",
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "astro_ddpm_imager"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_js_files = ["parameters.js"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {page: [] for page in ("index", "large", "speed", "clusters", "promises")}  # none is below these
