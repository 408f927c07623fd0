"""Tables of parameters for the documentation."""

__all__ = ["folded_table"]


def folded_table(title, rows):
    """A table of parameters that is unfolded on demand, each with an anchor of its name.

    Parameters
    ----------
    title : str
    rows : iterable of tuple
        Name, default and what becomes of it.

    Returns
    -------
    str
        In reStructuredText.
    """
    rows = list(rows)
    lines = [f".. dropdown:: {title} ({len(rows)})", "   :class-container: parameters", ""]
    lines += ["   .. list-table::", "      :header-rows: 1", "      :widths: 26 18 56", ""]
    lines += ["      * - parameter", "        - default", "        - here"]
    for name, default, effect in rows:
        lines += [f"      * - _`{name}`", f"        - ``{default!r}``", f"        - {effect}"]
    return "\n".join(lines) + "\n"
