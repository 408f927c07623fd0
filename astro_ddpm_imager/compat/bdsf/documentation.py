"""The parameters in the documentation: ``python -m astro_ddpm_imager.compat.bdsf.documentation FILE``."""

import sys
from pathlib import Path

from ..documentation import folded_table
from .parameters import PARAMETERS

__all__ = ["parameter_table"]

METHODS = "an argument of a method"  # how the effect of these begins


def parameter_table():
    """All parameters of process_image, their defaults and what becomes of them.

    Returns
    -------
    str
        Tables in reStructuredText.
    """
    groups = {"Parameters that count": [], "Arguments of methods": [], "Parameters without a counterpart": []}
    counting, methods, without = groups.values()
    for name, parameter in PARAMETERS.items():
        of_a_method = parameter.effect.startswith(METHODS)
        group = without if not parameter.counterpart else methods if of_a_method else counting
        group.append((name, parameter.default, parameter.effect))
    return "\n".join(folded_table(title, rows) for title, rows in groups.items())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(parameter_table())
