"""Figures that pyplot does not know, such as that of ``result.plot()``, on the pages of the tutorials."""

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

__all__ = ["unmanaged_figures"]


def unmanaged_figures(block, block_vars, gallery_conf):
    """Save figures among the variables of a tutorial that have no window of pyplot, once each."""
    variables = block_vars["example_globals"]
    seen = variables.setdefault("__seen_figures__", [])
    paths = []
    for value in list(variables.values()):
        if isinstance(value, Figure) and not hasattr(value, "number") and not any(value is other for other in seen):
            seen.append(value)
            paths.append(next(block_vars["image_path_iterator"]))
            value.savefig(paths[-1])
    return figure_rst(paths, gallery_conf["src_dir"])
