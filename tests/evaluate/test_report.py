"""The report on a folder of fields: what it measures, and what it says of that."""

import json
import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table, vstack

from astro_ddpm_imager import DiffusionImager, load_card
from astro_ddpm_imager.errors import EvaluationError
from astro_ddpm_imager.evaluate import (
    MATCHED_FILTER,
    RISING_FILTER,
    Summary,
    match_catalogs,
    score_catalog,
    write_report,
)
from astro_ddpm_imager.evaluate.aggregates import aggregate_catalogs
from astro_ddpm_imager.evaluate.calibration_tables import _errors
from astro_ddpm_imager.evaluate.figures import draw_figures
from astro_ddpm_imager.evaluate.report import make_tables
from export.score import scores_of

from ..conftest import ecsv_head
from .conftest import settings

RADIUS = 0.45 * u.arcsec


def test_the_matched_filter_has_its_best_threshold(evaluated):
    """However high: beside very bright sources the best one is far above what noise does."""
    evaluation, _, _ = evaluated
    table = evaluation.catalogs[MATCHED_FILTER].copy()
    true = match_catalogs(evaluation.truth, table, RADIUS)[1]
    table["significance"][true] += 100
    summary = Summary(replace(evaluation, catalogs={**evaluation.catalogs, MATCHED_FILTER: table}), RADIUS)
    assert summary.significance > 100
    assert len(summary.catalog(MATCHED_FILTER)) == len(true)


def test_the_matched_filter_may_know_where_sources_lie(evaluated):
    """Where noise is as significant as sources, but further out, only a threshold that rises tells them apart."""
    evaluation, _, _ = evaluated
    table = evaluation.catalogs[RISING_FILTER].copy()
    true = match_catalogs(evaluation.truth, table, RADIUS)[1]
    table["significance"], table["pb"] = 4.0, 0.5
    table["pb"][true] = 0.9
    catalogs = {**evaluation.catalogs, MATCHED_FILTER: table, RISING_FILTER: table}
    summary = Summary(replace(evaluation, catalogs=catalogs), RADIUS)
    assert len(summary.catalog(MATCHED_FILTER)) == len(table)
    assert len(summary.catalog(RISING_FILTER)) == len(true)
    assert summary.slope > 0
    f1 = {row["method"]: row["f1"] for row in summary.scores() if row["radius_arcsec"] == RADIUS.value}
    assert f1[RISING_FILTER] > f1[MATCHED_FILTER]


def test_no_source_is_too_bright_for_the_table(evaluated):
    """Of 10,000 sigma and more, the brightest ones were in none of the bins, nor in "all above 4"."""
    evaluation, _, _ = evaluated
    truth = evaluation.truth.copy()
    truth["snr"] = 3e4
    summary = Summary(replace(evaluation, truth=truth), RADIUS)
    assert "snr_to" not in summary.above_snr().colnames  # a bound of 1e9 would be read as one
    for table in (summary.above_snr(), summary.by_snr()):
        assert table["true"][table["method"] == MATCHED_FILTER].sum() == len(truth)


def test_what_is_needed_of_the_samples_is_best(evaluated):
    evaluation, _, _ = evaluated
    summary = Summary(evaluation, RADIUS)
    for row in summary.by_samples():
        candidates = evaluation.catalogs[row["samples"]]
        for least in range(1, row["samples"] + 1):
            kept = candidates[candidates["reliability"] * row["samples"] > least - 0.5]
            assert score_catalog(evaluation.truth, kept, RADIUS)["f1"] <= row["f1"] + 1e-9


def test_all_samples_merged_are_the_catalogue(imager, demo):
    every = DiffusionImager(**settings())
    result = every(**demo)
    catalogs = aggregate_catalogs(result, every.threshold, every.card.pixels_per_beam)
    assert set(catalogs) == {"single", "mean", "median", "beam-median", 1, 2, 3}
    np.testing.assert_allclose(catalogs[3]["flux"], result.catalog["flux"])
    np.testing.assert_allclose(catalogs[3]["reliability"], result.catalog["sample_fraction"])
    assert (catalogs["single"]["reliability"] == 1).all() and (catalogs[1]["reliability"] == 1).all()


def test_a_report_has_every_number_and_says_its_noise(evaluated):
    evaluation, output, path = evaluated
    page = path.read_text()
    assert "under <b>independent noise</b>" in page and page.count("data:image/svg+xml;base64,") == 9
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    report = json.loads((output / "report.json").read_text(), parse_constant=pytest.fail)
    assert report["settings"]["fields"] == 3 and report["settings"]["sources"] == 6
    methods = [row["method"] for row in report["scores"]]
    assert methods == ["detect-aggregate", MATCHED_FILTER, RISING_FILTER] * 2
    assert [row["radius_arcsec"] for row in report["scores"]][3:] == [0.18] * 3
    assert [row["samples"] for row in report["by_samples"]] == [1, 2, 3]
    for name, rows in report.items():
        if name != "settings":
            assert len(Table.read(output / f"{name}.ecsv")) == len(rows)
    assert {"reliability", "flux_err", "position_err", "threshold", "purity"} <= set(
        json.loads((output / "calibration.json").read_text())
    )
    candidates = QTable.read(output / "candidates.ecsv")
    assert len(candidates) == len(evaluation.catalogs["detect-aggregate"])
    assert 0 < candidates["true"].sum() <= report["settings"]["sources"]


def test_others_read_all_tables(evaluated, folder):
    _, output, _ = evaluated
    paths = [*output.rglob("*.ecsv"), folder / "truth.ecsv"]
    assert len(paths) > 30
    for path in paths:
        assert [column["name"] for column in ecsv_head(path)["datatype"]] == Table.read(path).colnames != []
    sources = QTable.read(output / "sources.ecsv")
    assert (sources["flux"].unit, sources["neighbour"].unit) == (u.Jy, u.arcsec)
    assert QTable.read(output / "candidates.ecsv")["ra"].unit == u.deg


@pytest.mark.stilts
@pytest.mark.parametrize("name", ["candidates", "sources", "blends", "scores", "ranks", "fields/0000.matched-filter"])
def test_stilts_opens_tables(evaluated, stilts, name):
    path = evaluated[1] / f"{name}.ecsv"
    said = stilts("tpipe", f"in={path}", "ifmt=ecsv", "omode=count")
    table = Table.read(path)
    assert said.split() == ["columns:", str(len(table.colnames)), "rows:", str(len(table))]


def test_every_figure_says_its_noise(evaluated):
    evaluation, output, _ = evaluated
    summary = Summary(evaluation)
    figures = draw_figures(summary, make_tables(summary))
    assert set(figures) == {path.stem for path in (output / "figures").iterdir()} and len(figures) == 9
    for figure in figures.values():
        assert f"independent noise; 3 fields of {summary.settings['fields_in']}/," in figure.get_supxlabel()
    assert "(flux within noise)" in (output / "report.html").read_text()


def test_the_legend_of_many_methods_is_within_the_figure(evaluated):
    summary = Summary(evaluated[0])
    tables = make_tables(summary)
    names = ("PyBDSF, dirty image", "tclean + PyBDSF", "WSClean + PyBDSF")
    one = tables["by_snr"][tables["by_snr"]["method"] == tables["by_snr"]["method"][0]]
    known = tables["by_snr"][~np.isin(tables["by_snr"]["method"], names)]
    more = [Table({**{column: one[column] for column in one.colnames}, "method": [name] * len(one)}) for name in names]
    tables["by_snr"] = vstack([known, *more])
    figure = draw_figures(summary, tables)["metrics_snr"]
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 6
    assert figure.bbox.x0 <= legend.get_window_extent().x0 and legend.get_window_extent().x1 <= figure.bbox.x1


def test_the_page_of_the_documentation_is_made_of_reports(evaluated, tmp_path):
    _, output, _ = evaluated
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "performance.py"))
    text = script["page"]([output], ["the command"], tmp_path)
    assert "   the command\n" in text and "3 fields, independent noise\n----" in text
    pictures = re.findall(r"image:: (.*)", text)
    assert len(pictures) == 9 and all((tmp_path.parent / picture).exists() for picture in pictures)
    assert text.count(".. csv-table::") == 12 and "csv-table:: seconds" not in text  # times have a page of their own


def test_the_card_takes_its_scores_from_a_report(evaluated):
    evaluation, output, _ = evaluated
    scores = scores_of(json.loads((output / "report.json").read_text()))
    summary = Summary(evaluation)
    catalog = summary.catalog("detect-aggregate")
    expected = score_catalog(evaluation.truth, catalog, summary.radius)
    for name in ("true", "found", "matched", "purity", "completeness", "flux_bias_uJy"):
        assert scores[name] == (None if expected[name] is None else pytest.approx(expected[name], abs=1e-4))
    assert sum(row["candidates"] for row in scores["reliability_diagram"]) == len(summary.candidates)
    assert sum(row["true"] for row in scores["by_snr"]) == len(evaluation.truth)

    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "scores.py"))
    card = replace(load_card("default")[0], scores={"casa_fields": scores})
    for table in (script["overview"](card), script["by_snr"](card), script["by_reliability"](card)):
        assert len({len(row) for row in table}) == 1 and len(table) > 1
        assert script["markdown"](table).count("\n") == len(table) + 1


def test_blends_are_listed(evaluated):
    _, output, _ = evaluated
    truth, blends = Table.read(output / "sources.ecsv"), Table.read(output / "blends.ecsv")
    assert len(blends) == (truth["cause"] == "blend").sum() >= 2
    assert (blends["neighbour_arcsec"] < 1.5).all()


def test_a_full_disk_is_said_with_the_path_of_the_report(evaluated, tmp_path, little_room):
    evaluation, *_ = evaluated
    with little_room(9000), pytest.raises(OSError, match=rf"{tmp_path}: cannot be written"):
        write_report(evaluation, tmp_path, RADIUS)
    assert list(tmp_path.iterdir()) == []


def test_errors_of_positions_where_right_ascension_starts_again():
    """A source at 0 deg, found half an arcsec to the west."""
    columns = {"field": [0], "dec": [60.0] * u.deg, "flux": [1e-3] * u.Jy}
    truth = QTable({**columns, "ra": [0.0] * u.deg})
    errors = {f"{name}_err": [1e-4] * u.deg for name in ("ra", "dec")} | {"flux_err": [1e-4] * u.Jy}
    found = QTable({**columns, **errors, "ra": [360 - 1 / 3600] * u.deg})
    summary = SimpleNamespace(truth=truth, radius=1 * u.arcsec, catalog=lambda method: found)
    np.testing.assert_allclose(_errors(summary, "any")["ra"][0] * 3600, -0.5, atol=1e-3)


@pytest.mark.parametrize("radius", [0, -1, np.nan, np.inf])
def test_a_radius_that_matches_nothing_or_all(evaluated, radius):
    with pytest.raises(EvaluationError, match="must be positive and finite"):
        Summary(evaluated[0], radius * u.arcsec)
    with pytest.raises(EvaluationError, match="must be an angle"):
        Summary(evaluated[0], radius)
