"""A run on a folder of fields: how it goes on, what it compares with, and what it refuses."""

import json
import re
import shutil
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Longitude
from astropy.io import fits
from astropy.table import QTable, Table

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import DirtyImageError, EvaluationError
from astro_ddpm_imager.evaluate import (
    MATCHED_FILTER,
    RISING_FILTER,
    Summary,
    run_fields,
    score_catalog,
    write_report,
)
from astro_ddpm_imager.evaluate.finders import FINDERS, FinderError, _table, measurement_sets
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.whole_files import claimed
from export.score import scores_of

from .conftest import settings


@pytest.fixture
def without_figures(monkeypatch):
    """Reports without figures, which take most of their time."""
    monkeypatch.setattr("astro_ddpm_imager.evaluate.report.draw_figures", lambda summary, tables: {})


def test_parts_of_an_older_report_are_read_without_it(
    folder, evaluated, without_finders, without_figures, tmp_path, caplog
):
    _, output, _ = evaluated
    shutil.copytree(output, tmp_path / "older")
    for path in (tmp_path / "older" / "fields").glob("*.matched-filter.ecsv"):
        table = QTable.read(path)
        table.remove_column("pb")
        table.write(path, overwrite=True)
    after = run_fields(folder, tmp_path / "older", DiffusionImager(**settings()))
    assert MATCHED_FILTER in after.catalogs and RISING_FILTER not in after.catalogs
    assert "give another output folder to have it" in caplog.text
    write_report(after, tmp_path / "older")
    report = json.loads((tmp_path / "older" / "report.json").read_text())
    assert report["settings"]["rising_filter_slope"] is None
    assert scores_of(report)["rising_filter"] is None


def test_parts_with_longitudes_of_an_older_report_go_with_newer_ones(folder, evaluated, without_finders, tmp_path):
    evaluation, output, _ = evaluated
    shutil.copytree(output, tmp_path / "older")
    path = tmp_path / "older" / "fields" / "0000.matched-filter.ecsv"
    table = QTable.read(path)
    table["ra"] = Longitude(table["ra"])
    table.write(path, overwrite=True)
    after = run_fields(folder, tmp_path / "older", DiffusionImager(**settings()))
    np.testing.assert_array_equal(after.catalogs[MATCHED_FILTER]["ra"], evaluation.catalogs[MATCHED_FILTER]["ra"])


def test_a_run_goes_on_where_it_stopped(folder, evaluated, without_finders, tmp_path):
    before, output, _ = evaluated
    (output / "fields" / "0001.json").unlink()
    imaged = []

    class Watched(DiffusionImager):
        def __call__(self, dirty, **companions):
            imaged.append(dirty.meta["FILENAME"])
            return super().__call__(dirty, **companions)

    after = run_fields(folder, output, Watched(**settings()))
    assert imaged == ["0001.dirty.fits"]
    np.testing.assert_allclose(after.catalogs["mean"]["flux"], before.catalogs["mean"]["flux"])
    with pytest.raises(EvaluationError, match=r"holds a run with n_samples 3 instead of 4"):
        run_fields(folder, output, DiffusionImager(**settings(n_samples=4)))
    truth = Table.read(folder / "truth.ecsv")
    truth["flux_jy"] *= 2
    truth.write(tmp_path / "truth.ecsv")
    with pytest.raises(EvaluationError, match=r"holds a run with another truth; remove it"):
        run_fields(folder, output, DiffusionImager(**settings()), truth=tmp_path / "truth.ecsv")


def test_the_home_folder_is_that_of_the_user(folder, evaluated, without_finders, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, home / folder.name)
    shutil.copytree(evaluated[1], home / "report")
    shutil.rmtree(home / "report" / "figures")
    truth = f"~/{folder.name}/truth.ecsv"
    after = run_fields(f"~/{folder.name}", "~/report", DiffusionImager(**settings()), truth=truth)
    assert after.truth_path == home / folder.name / "truth.ecsv"
    assert write_report(after, "~/report") == home / "report" / "report.html"
    assert (home / "report" / "figures").exists() and list(tmp_path.iterdir()) == [home]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"reliability": 0.4}, "imager.reliability=0.4: must be 0"),
        ({"seed": None}, "imager.seed=None: give a seed"),
        ({"n_samples": 1}, "imager.n_samples=1: a spread needs"),
        ({"catalog": "aggregate-detect"}, "imager.catalog='aggregate-detect': must be"),
    ],
)
def test_settings_that_cannot_be_measured(folder, tmp_path, changes, message):
    with pytest.raises(EvaluationError, match=re.escape(message)):
        run_fields(folder, tmp_path, DiffusionImager(**settings(**changes)))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of folders")
def test_a_report_is_of_one_run(folder, without_finders, tmp_path):
    with claimed(tmp_path), pytest.raises(FileExistsError, match="is written to by another process"):
        run_fields(folder, tmp_path, DiffusionImager(**settings()))
    assert list((tmp_path / "fields").iterdir()) == []


def test_a_full_disk_is_no_broken_field(folder, without_finders, tmp_path, little_room):
    """It ended the run after all fields, each of which was imaged in vain and said to be of no use."""
    imager = DiffusionImager(**settings(n_samples=2, steps=2))
    with little_room(3000), pytest.raises(OSError, match=r"fields.0000\.matched-filter\.part\.ecsv: cannot be written"):
        run_fields(folder, tmp_path, imager)
    assert list((tmp_path / "fields").iterdir()) == []


def test_fields_without_a_single_source(folder, without_finders, tmp_path):
    """The rows are there and say that there is nothing to score."""
    truth = Table.read(folder / "truth.ecsv")[:0]
    truth.meta["noise_protocol"] = "shared"
    truth.write(tmp_path / "none.ecsv")
    call = ["evaluate", str(folder), "--truth", str(tmp_path / "none.ecsv"), "--output", str(tmp_path / "report")]
    assert main([*call, "--fields", "2", "--samples", "2", "--steps", "2", "--device", "cpu", "--quiet"]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text(), parse_constant=pytest.fail)
    assert report["settings"]["noise_protocol"] == "shared"
    assert report["settings"]["provider"] == "CPUExecutionProvider"
    for row in report["scores"]:
        assert row["true"] == 0 and row["completeness"] is None and row["f1"] is None and row["flux_bias_uJy"] is None
    assert report["blends"] == []
    for path in (tmp_path / "report").glob("*.ecsv"):
        assert Table.read(path).colnames, path


def test_large_images_are_measured_at_once(folder, without_finders, without_figures, tmp_path, monkeypatch):
    """In tiles no samples are kept: all was done in vain, and said to be the fault of each field."""
    monkeypatch.setattr("astro_ddpm_imager.large.LARGEST", 1000)
    with pytest.raises(EvaluationError, match=r"imager.tile=None: .*0000.dirty.fits would be .* give tile=0"):
        run_fields(folder, tmp_path / "python", DiffusionImager(**settings()))
    call = ["evaluate", str(folder), "--fields", "1", "--samples", "2", "--steps", "2", "--device", "cpu", "--quiet"]
    assert main([*call, "--output", str(tmp_path / "report")]) == 0


def test_help_names_what_else_is_compared(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--help"])
    assert stop.value.code == 0 and "PyBDSF, tclean, WSClean" in " ".join(capsys.readouterr().out.split())


def test_errors_of_the_command_are_one_line(folder, tmp_path, capsys):
    assert main(["evaluate", str(folder), "--truth", str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 1
    assert "none': there is no such file" in capsys.readouterr().err
    assert main(["evaluate", str(folder), "--radius", "0"]) == 1
    assert "radius=0: must be positive" in capsys.readouterr().err
    assert main(["evaluate", str(folder), "--fields", "0", "--output", str(tmp_path / "out")]) == 1
    assert "fields=0: give at least 1" in capsys.readouterr().err


def test_a_truth_of_positions_that_are_no_numbers(folder, tmp_path):
    truth = Table.read(folder / "truth.ecsv")
    truth["ra"][0] = np.nan
    truth.write(tmp_path / "truth.ecsv")
    with pytest.raises(EvaluationError, match=r"1 value\(s\) of ra are not numbers"):
        run_fields(folder, tmp_path / "out", DiffusionImager(**settings()), truth=tmp_path / "truth.ecsv")


def test_images_in_other_coordinates_than_the_truth(folder, without_finders, tmp_path):
    fields = tmp_path / "fields"
    shutil.copytree(folder, fields)
    with fits.open(fields / "0000.dirty.fits", mode="update") as (hdu,):
        hdu.header["CTYPE1"], hdu.header["CTYPE2"] = "GLON-SIN", "GLAT-SIN"
        hdu.header.remove("RADESYS", ignore_missing=True)

    class Unused(DiffusionImager):
        def __call__(self, dirty, **companions):
            pytest.fail("imaged, though it could not be compared")

    with pytest.raises(EvaluationError, match=r"field 0, .*0000.dirty.fits: the image is in galactic coordinates"):
        run_fields(fields, tmp_path / "out", Unused(**settings(n_samples=2, steps=2)), fields=1)


def test_a_broken_field_is_named_and_the_others_are_measured(
    folder, without_finders, without_figures, tmp_path, capsys, caplog
):
    fields, report = tmp_path / "fields", tmp_path / "report"
    shutil.copytree(folder, fields)
    broken = fields / "0000.dirty.fits"
    broken.write_bytes(b"no image")
    call = ["evaluate", str(fields), "--fields", "2", "--samples", "2", "--steps", "2", "--device", "cpu", "--json"]
    assert main([*call, "--output", str(report)]) == 1
    said, error = capsys.readouterr()
    failed, done = map(json.loads, said.splitlines())
    assert (
        failed["file"] == str(broken) and failed["error"].startswith(f"{broken} is not a FITS file") and done["scores"]
    )
    assert f"ERROR: {broken} is not" in error and failed["error"] in caplog.text
    assert f"error: 1 of 2 fields could not be used, for the reasons above: {broken}; the report is without" in error
    settings_of_it = json.loads((report / "report.json").read_text())["settings"]
    assert (settings_of_it["fields"], settings_of_it["failed"]) == (1, str(broken))
    assert f"left out: {broken}" in (report / "report.html").read_text()
    shutil.copy(folder / broken.name, broken)
    assert main([*call, "--output", str(report)]) == 0
    settings_of_it = json.loads((report / "report.json").read_text())["settings"]
    assert (settings_of_it["fields"], settings_of_it["failed"]) == (2, "")


def test_no_field_can_be_used(folder, without_finders, tmp_path):
    shutil.copytree(folder, tmp_path / "fields")
    for path in (tmp_path / "fields").glob("*.dirty.fits"):
        path.write_bytes(b"no image")
    with pytest.raises(
        EvaluationError, match=r"3 of 3 fields could not be used, .*; the first: .*0000.dirty.fits is not a"
    ):
        run_fields(tmp_path / "fields", tmp_path / "out", DiffusionImager(**settings()))


def test_a_run_does_not_go_on_with_other_images(folder, without_finders, tmp_path):
    """The same sources in another noise: only the images tell."""
    fields, output = tmp_path / "fields", tmp_path / "out"
    shutil.copytree(folder, fields)
    imager = DiffusionImager(**settings(n_samples=2, steps=2))
    run_fields(fields, output, imager, fields=1)
    shutil.copy(folder / "0001.dirty.fits", fields / "0000.dirty.fits")
    with pytest.raises(EvaluationError, match=r"holds field 0 of another dirty than .*0000.dirty.fits has now; remove"):
        run_fields(fields, output, imager, fields=1)
    (output / "fields" / "0000.json").unlink()
    (fields / "0000.dirty.fits").write_bytes(b"no image")
    with pytest.raises(DirtyImageError, match=r"0000.dirty.fits is not a FITS file"):
        run_fields(fields, output, imager, fields=1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("0000.json", '{"half": '),
        ("0000.json", "[]"),
        ("0000.json", '{"inputs": {}, "seconds": 5}'),
        ("0000.json", "5"),
        ("0000.detect-aggregate.ecsv", None),
        ("0000.matched-filter.ecsv", ""),
        ("0000.first-samples.ecsv", "# %ECSV 1.0\n# ---\n# datatype: 5\n"),
    ],
)
def test_damaged_parts_are_named_and_made_again(evaluated, folder, without_finders, tmp_path, caplog, name, content):
    _, before, _ = evaluated
    shutil.copytree(before, tmp_path / "out")
    path = tmp_path / "out" / "fields" / name
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 3] if content is None else content)
    again = run_fields(folder, tmp_path / "out", DiffusionImager(**settings()), fields=1)
    assert f"{name}: is damaged" in caplog.text and "field 0 is made again" in caplog.text
    assert len(again.catalogs["detect-aggregate"]) and set(again.measured) == {0}
    assert (json.loads if path.suffix == ".json" else str)(path.read_text())


def test_settings_of_a_run_that_are_none(evaluated, folder, tmp_path):
    _, before, _ = evaluated
    shutil.copytree(before, tmp_path / "out")
    (tmp_path / "out" / "settings.json").write_text("[]")
    with pytest.raises(EvaluationError, match=r"settings\.json: is damaged \(list instead of an object\); remove it"):
        run_fields(folder, tmp_path / "out", DiffusionImager(**settings()))


def test_a_truth_larger_than_images_are(folder, without_finders, tmp_path):
    truth = Table.read(folder / "truth.ecsv")
    truth["maj_arcsec"][0] = 1e9
    truth.write(tmp_path / "truth.ecsv")
    with pytest.raises(EvaluationError, match=r"a true source is 1e\+09 arcsec long \(maj_arcsec\), more"):
        run_fields(folder, tmp_path / "out", DiffusionImager(**settings()), truth=tmp_path / "truth.ecsv")


def test_a_report_never_replaces_its_truth(folder, without_finders, without_figures, tmp_path, capsys):
    path = tmp_path / "sources.ecsv"
    shutil.copy(folder / "truth.ecsv", path)
    before, call = path.read_bytes(), ["evaluate", str(folder), "--truth", str(path), "--output", str(tmp_path)]
    assert main([*call, "--fields", "1", "--samples", "2", "--steps", "2", "--device", "cpu", "--quiet"]) == 1
    assert "sources.ecsv would be replaced by a product, but is read in the same call" in capsys.readouterr().err
    assert path.read_bytes() == before and not (tmp_path / "report.html").exists()


def test_sources_beyond_the_images_are_said(folder, without_finders, tmp_path, caplog):
    truth = Table.read(folder / "truth.ecsv")
    truth["dec"][0] += 0.1
    truth.write(tmp_path / "truth.ecsv")
    imager = DiffusionImager(**settings(n_samples=2, steps=2))
    run_fields(folder, tmp_path / "out", imager, truth=tmp_path / "truth.ecsv", fields=1)
    assert "1 of 3 true sources lie where the images are blank, and count as missed" in caplog.text


def test_gaussians_are_of_the_noise_that_their_truth_says(folder, without_finders, tmp_path, caplog):
    for path in folder.glob("*.fits"):
        (tmp_path / path.name).symlink_to(path)
    truth = Table.read(folder / "truth.ecsv")
    truth.write(tmp_path / "truth.ecsv")
    truth.meta = {}
    truth.write(tmp_path / "gaussians.ecsv")
    evaluation = run_fields(tmp_path, tmp_path / "out", DiffusionImager(**settings(n_samples=2, steps=2)), fields=1)
    assert "noise_protocol" not in caplog.text and evaluation.settings["noise_protocol"] == "independent"
    truth["flux_jy"][1] *= 1.1
    truth.write(tmp_path / "gaussians.ecsv", overwrite=True)
    with pytest.raises(EvaluationError, match=r"gaussians.ecsv: is of another truth: in field 0 its fluxes are"):
        run_fields(tmp_path, tmp_path / "other", DiffusionImager(**settings()))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("change", [lambda ra: ra / 15, lambda ra: ra + 1])
def test_a_truth_of_another_part_of_the_sky(folder, without_finders, tmp_path, change):
    """Known before anything is imaged."""
    truth = Table.read(folder / "truth.ecsv")
    truth["ra"] = change(truth["ra"])
    truth.write(tmp_path / "truth.ecsv")
    with pytest.raises(EvaluationError, match=r"field 0, .*0000.dirty.fits: the true sources are nowhere near"):
        run_fields(folder, tmp_path / "out", DiffusionImager(**settings()), truth=tmp_path / "truth.ecsv")
    assert not list((tmp_path / "out" / "fields").iterdir())


def test_measurement_sets_are_found(tmp_path):
    (tmp_path / "ms").mkdir()
    (tmp_path / "0001.ms").mkdir()
    (tmp_path / "ms" / "0002.ms.tar.gz").touch()
    assert measurement_sets(tmp_path, range(4)) == {
        1: tmp_path / "0001.ms",
        2: tmp_path / "ms" / "0002.ms.tar.gz",
    }


def test_a_program_that_fails_on_a_field_finds_nothing_there(folder, without_finders, tmp_path, caplog):
    """And the others are kept, whatever the order of the fields."""

    class Failing:
        name, restore = "failing", None

        def missing(self):
            return None

        def started(self, pblimit):
            return self

        def __enter__(self):
            def find(arguments, measurement_set):
                if arguments["dirty"].name == "0000.dirty.fits":
                    raise FinderError("no reason")
                answer = {"ra": [150], "dec": [-10], "ra_err": [0], "dec_err": [0], "flux": [1], "flux_err": [1]}
                return _table(answer | {"peak": [1]}, prepare(**arguments), 2.0)

            return find

        def __exit__(self, *_):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("astro_ddpm_imager.evaluate.run.FINDERS", (Failing(),))
        evaluation = run_fields(folder, tmp_path, DiffusionImager(**settings(n_samples=2, steps=2)), fields=2)
    assert list(evaluation.catalogs["failing"]["field"]) == [1] and set(evaluation.seconds["failing"]) == {0, 1}
    assert [row["method"] for row in Summary(evaluation).scores()][-1] == "failing"
    assert "failing fails on field 0, which counts as nothing found: no reason" in caplog.text


def test_pybdsf_finds_bright_sources(folder):
    pytest.importorskip("bdsf")
    truth = QTable.read(folder / "truth.ecsv")
    companions = {"psf": folder / "psf.fits", "pb": folder / "pb.fits"}
    with FINDERS[0].started(0.2) as find:
        found = find({"dirty": folder / "0000.dirty.fits", **companions}, None)
    known = QTable({"field": truth["field"], "ra": truth["ra"] * u.deg, "dec": truth["dec"] * u.deg})
    known["flux"] = truth["flux_jy"] * u.Jy
    found["field"] = np.zeros(len(found), dtype=int)
    scores = score_catalog(known[known["field"] == 0], found)
    assert scores["matched"] >= 1 and found.meta["seconds"] > 0
