"""The table of parameters in the documentation: ``python -m astro_ddpm_imager.compat.casa.documentation FILE``."""

import sys
from pathlib import Path

from .parameters import PARAMETERS

__all__ = ["parameter_table"]


def parameter_table():
    """All parameters of tclean, their defaults and what becomes of them.

    Returns
    -------
    str
        A table in reStructuredText.
    """
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 24 16 60", ""]
    lines += ["   * - parameter", "     - default", "     - here"]
    for name, parameter in PARAMETERS.items():
        effect = f"no counterpart: {parameter.effect}" if parameter.handling == "none" else parameter.effect
        lines += [f"   * - ``{name}``", f"     - ``{parameter.default!r}``", f"     - {effect}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(parameter_table())
