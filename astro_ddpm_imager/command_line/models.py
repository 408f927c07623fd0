"""What the command models does: a table of the models, or all that the cards say."""

import shutil
import textwrap
from dataclasses import asdict

from astropy.table import Table

from ..diffusion.models import list_models, load_card
from .printing import say, say_json

__all__ = ["show_models"]

# Of the scores, what a table has room for.
SCORES = {
    "fields": "%d", "true": "%d", "found": "%d", "purity": "%.2f", "completeness": "%.2f", "f1": "%.3f",
    "flux_within_noise": "%.2f", "flux_bias_uJy": "%+.0f",
}  # fmt: skip
IMAGE_SCORES = {
    "fields": "%d", "image_error": "%.2f", "flux": "%.2f", "residual": "%.2f", "below_5_sigma": "%d", "found": "%.2f",
    "parts": "%.1f", "false": "%.1f", "flux_error": "%.2f",
}  # fmt: skip


def show_models(args):
    """Print the models, shortly or at length.

    Parameters
    ----------
    args : `argparse.Namespace`
        Arguments of the command ``models``, by their names there.

    Raises
    ------
    ModelError
        A model is unknown or damaged; nothing is printed.
    """
    names = args.models or list_models()
    found = [(name, *load_card(name)) for name in names]
    if args.json:
        for name, card, path in found:
            say_json(model=name, file=path, bytes=path.stat().st_size, **asdict(card))
    elif args.models or args.verbose:
        say("\n\n".join(_at_length(name, card, path) for name, card, path in found))
    else:
        say("\n".join(_overview(found)))
        say("\nastro-ddpm-imager models NAME shows all that the card of a model says, -v of each.")


def _overview(found):
    rows = [
        {
            "model": name,
            "noise": card.noise_protocol,
            "gamma": f"{card.gamma:g}",
            "weights": f"{card.parameters / 1e6:.1f} M",
            "size": _size(path),
            "steps": str(card.steps),
            "reliability": f"{card.reliability:g}",
            "date": card.date,
        }
        for name, card, path in found
    ]
    return _aligned(Table(rows))


def _aligned(table):
    return [line.rstrip() for line in table.pformat(max_lines=-1, max_width=-1, align="<")]


def _size(path):
    return f"{path.stat().st_size / 1e6:.1f} MB"


def _at_length(name, card, path):
    entries = {
        "description": card.description,
        "file": f"{path} ({_size(path)})",
        "SHA-256": card.sha256,
        "date": card.date,
        "noise protocol": card.noise_protocol,
        "weights": f"{card.parameters / 1e6:.1f} million",
        "stretch": f"gamma {card.gamma:g}, c {card.c:g}",
        "grid": f"{card.pixels_per_beam:g} pixels per beam",
        "beam": f"up to {card.limits['beam_axis_ratio']:g} times as long as wide",
        "defaults": f"steps {card.steps}, threshold {card.threshold:g}, reliability {card.reliability:g}",
        **{f"training {key}": f"{value}" for key, value in card.training.items()},
    }
    lines = [name, *_entries(entries)]
    for what, scores, names in (
        ("scores", card.scores, SCORES), ("scores of images, and CLEAN's", card.image_scores, IMAGE_SCORES)
    ):  # fmt: skip
        if scores:
            lines += ["", f"  {what}, by the fields they were measured on", *_scores(scores, names)]
    return "\n".join(lines)


def _entries(entries):
    """One below the other, keys in a column of their own, text folded to the width of the terminal."""
    column = max(map(len, entries)) + 2
    width = max(60, shutil.get_terminal_size((100, 24)).columns - 2)
    for key, value in entries.items():
        # A path or a checksum is copied whole.
        yield textwrap.fill(
            value, width, initial_indent=f"  {key:<{column}}", subsequent_indent=" " * (column + 2),
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def _scores(scores, names):
    rows = [{"fields of": test, **_numbers(values, names)} for test, values in _with_clean(scores)]
    return [f"  {line}" for line in _aligned(Table(rows))]


def _with_clean(scores):
    """Each test set, and below it, where it was measured, CLEAN on the same fields."""
    for test, values in scores.items():
        yield test, values
        if "clean" in values:
            yield "  CLEAN and PyBDSF", values["clean"]


def _numbers(values, names):
    return {name: _number(values.get(name), form) for name, form in names.items()}


def _number(value, form):
    return "-" if value is None else form % value
