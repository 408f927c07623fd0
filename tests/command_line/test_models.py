"""The command models: a table, and cards."""

import re

from astro_ddpm_imager import list_models, load_card
from astro_ddpm_imager.cli import main


def test_a_row_for_each_model(capsys):
    assert main(["models"]) == 0
    head, _, *rows = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert [row.split()[0] for row in rows] == list_models()
    column = head.index("steps")
    assert rows[list_models().index("default")][column:].split()[0] == str(load_card("default")[0].steps)


def test_a_card_at_length(capsys):
    for options in (["default"], ["-v"], [str(load_card("default")[1])]):
        assert main(["models", *options]) == 0
        printed = capsys.readouterr().out
        card, _ = load_card("default")
        assert card.sha256 in printed and all(test in printed for test in [*card.scores, *card.image_scores])
        assert re.search(r"VLA B, survey .*\n +CLEAN and PyBDSF  .* 0\.24 ", printed)  # of docs/arrays.py
        assert "independent" in printed


def test_a_model_that_is_unknown(capsys):
    assert main(["models", "default", "defualt"]) == 1
    said = capsys.readouterr()
    assert "model='defualt' is unknown; there are 'default'" in said.err and said.out == ""
