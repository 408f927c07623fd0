"""The parameters in the documentation: ``python -m astro_ddpm_imager.compat.casa.documentation FILE``."""

import sys
from pathlib import Path

from ..documentation import folded_table
from .parameters import PARAMETERS

__all__ = ["parameter_table"]

GROUPS = {
    "Parameters that count here": ("both", "here"),
    "Parameters passed to CASA's tclean": ("casa",),
    "Parameters without a counterpart": ("none",),
}


def parameter_table():
    """All parameters of tclean, their defaults and what becomes of them.

    Returns
    -------
    str
        Tables in reStructuredText.
    """
    return "\n".join(
        folded_table(title, [(n, p.default, p.effect) for n, p in PARAMETERS.items() if p.handling in handlings])
        for title, handlings in GROUPS.items()
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(parameter_table())
