"""Sphinx configuration: ``sphinx-build docs docs/_build``."""

project = "astro_ddpm_imager"
author = copyright = "astro_ddpm_imager developers"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.intersphinx", "numpydoc"]
default_role = "py:obj"
numpydoc_class_members_toctree = False
html_theme = "alabaster"
exclude_patterns = ["_build", "model_scores.rst", "pybdsf_parameters.rst", "tclean_parameters.rst"]
intersphinx_mapping = {
    "astropy": ("https://docs.astropy.org/en/stable", None),
    "matplotlib": ("https://matplotlib.org/stable", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "python": ("https://docs.python.org/3", None),
    "radio_beam": ("https://radio-beam.readthedocs.io/en/latest", None),
}
