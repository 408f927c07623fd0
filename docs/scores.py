"""Put the scores of the default model's card into docs/model_scores.rst, docs/image_scores.rst and the README.

python docs/scores.py
"""

import argparse
from pathlib import Path

from astro_ddpm_imager import load_card

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
MARKS = ("<!-- made by docs/scores.py -->\n", "<!-- end -->\n")
IMAGE_MARKS = ("<!-- images, made by docs/scores.py -->\n", "<!-- end of images -->\n")
JUDGED = "casa_fields"
ABSENT = "-"
IMAGE_SCORES = {
    "image error": ("image_error", ".2f"), "total flux": ("flux", ".2f"), "residual": ("residual", ".2f"),
    "below 5 sigma in": ("below_5_sigma", "d"), "found": ("found", ".2f"), "parts": ("parts", ".1f"),
    "false": ("false", ".1f"), "flux error": ("flux_error", ".2f"),
}  # fmt: skip


def number(value, form):
    """A number, or a dash for what is not defined."""
    return ABSENT if value is None else format(value, form)


def beside(scores, name, form):
    """A score and, in brackets, the matched filter's."""
    return f"{number(scores[name], form)} ({number(scores['matched_filter'][name], form)})"


def overview(card):
    """A row for each folder of fields; the matched filter's figures in brackets."""
    rows = [
        ["fields", "number", "sources", "found", "purity", "completeness", "F1", "95% interval",
         "within 50 uJy", "median bias, uJy", "rms error, uJy"]
    ]  # fmt: skip
    for name, scores in card.scores.items():
        interval = f"{number(scores['f1_low'], '.2f')} to {number(scores['f1_high'], '.2f')}"
        rows.append(
            [name, str(scores["fields"]), str(scores["true"]), str(scores["found"])]
            + [beside(scores, "purity", ".2f"), beside(scores, "completeness", ".2f"), beside(scores, "f1", ".3f")]
            + [ABSENT if scores["f1_low"] is None else interval, beside(scores, "flux_within_noise", ".2f")]
            + [beside(scores, "flux_bias_uJy", "+.0f"), beside(scores, "flux_rms_uJy", ".0f")]
        )
    return rows


def by_snr(card):
    """Of the judged fields, by true S/N."""
    rows = [["true S/N", "sources", "completeness", "median bias, uJy", "rms error, uJy"]]
    for row in card.scores[JUDGED]["by_snr"]:
        if row["true"]:
            flux = [number(row["flux_bias_uJy"], "+.0f"), number(row["flux_rms_uJy"], ".0f")]
            limits = f"{row['snr_from']} to {row['snr_to']}"
            rows.append([limits, str(row["true"]), number(row["completeness"], ".2f"), *flux])
    return rows


def by_reliability(card):
    """Of the judged fields, by reliability."""
    rows = [["reliability", "candidates", "mean reliability", "true fraction"]]
    for row in card.scores[JUDGED]["reliability_diagram"]:
        limits = f"{row['reliability_from']} to {row['reliability_to']}"
        rows.append([limits, str(row["candidates"]), f"{row['reliability']:.2f}", f"{row['true_fraction']:.2f}"])
    return rows


def images(card):
    """A row for each folder of extended sources or surveys, and one for CLEAN and PyBDSF on the same."""
    rows = [["fields", "number", *IMAGE_SCORES]]
    for name, scores in card.image_scores.items():
        rows.append([name, str(scores["fields"]), *image_columns(scores)])
        if "clean" in scores:
            rows.append(["the same, CLEAN and PyBDSF", str(scores["clean"]["fields"]), *image_columns(scores["clean"])])
    return rows


def image_columns(scores):
    """Those of one finder."""
    return [format(scores[name], form) for name, form in IMAGE_SCORES.values()]


def images_beside(card):
    """The same for the README, of those fields that CLEAN was measured on, in brackets."""
    rows = [["fields", "number", *IMAGE_SCORES]]
    for name, scores in card.image_scores.items():
        if "clean" in scores:
            both = zip(image_columns(scores), image_columns(scores["clean"]), strict=True)
            rows.append([name, str(scores["fields"]), *(f"{ours} ({clean})" for ours, clean in both)])
    return rows


def markdown(rows):
    """A table for the README."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body]) + "\n"


def restructured(rows):
    """A table for the documentation."""
    # A cell that begins with a dash, or is one, would be a list.
    escaped = [[f"\\{cell}" if f"{cell} ".startswith("- ") else cell for cell in row] for row in rows]
    quoted = ("   " + ", ".join(f'"{cell}"' for cell in row) for row in escaped)
    return ".. csv-table::\n   :header-rows: 1\n\n" + "\n".join(quoted) + "\n"


def main():
    """Command line."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    card, _ = load_card("default")
    tables = [overview(card), by_snr(card), by_reliability(card)]
    HERE.joinpath("model_scores.rst").write_text("\n".join(restructured(rows) for rows in tables))
    HERE.joinpath("image_scores.rst").write_text(restructured(images(card)))
    text = README.read_text()
    for marks, inside in ((MARKS, tables), (IMAGE_MARKS, [images_beside(card)])):
        before, rest = text.split(marks[0])
        after = rest.split(marks[1])[1]
        text = before + marks[0] + "\n" + "\n".join(map(markdown, inside)) + "\n" + marks[1] + after
    README.write_text(text)


if __name__ == "__main__":
    main()
