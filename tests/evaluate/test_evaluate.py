"""Matching and scores, by hand and against the development score."""

import runpy

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table, vstack

from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.errors import EvaluationError
from astro_ddpm_imager.evaluate import (
    match_catalogs,
    match_positions,
    matched_filter,
    read_folder,
    score_catalog,
    true_snr,
)
from astro_ddpm_imager.evaluate.matching import match_in_order
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields


def table(field, ra, dec, flux, **columns):
    return QTable({"field": field, "ra": ra * u.deg, "dec": dec * u.deg, "flux": flux * u.Jy, **columns})


def masked_first(column):
    return MaskedColumn(column, mask=np.arange(len(column)) == 0)


def test_matching_is_one_to_one_and_nearest_first():
    truth = SkyCoord([150.0, 150.0] * u.deg, [0.0, 0.5 / 3600] * u.deg)
    found = SkyCoord([150.0] * u.deg, [0.4 / 3600] * u.deg)
    i, j = match_positions(truth, found, 0.45 * u.arcsec)
    assert (i.tolist(), j.tolist()) == ([1], [0])
    assert len(match_positions(truth, found[:0], 0.45 * u.arcsec)[0]) == 0


@pytest.mark.parametrize("match", [match_positions, match_in_order])
def test_matching_is_what_the_matrix_of_all_distances_gives(match):
    """Crowded, so that the same source is wanted by several; and each list as long as a survey's."""
    rng = np.random.default_rng(3)
    truth, found = (SkyCoord(*rng.uniform(0, 20 / 3600, (2, n)) * u.deg) for n in (150, 200))
    rows, partners = match(truth, found, 1 * u.arcsec)
    distance = truth[:, None].separation(found).arcsec
    expected = []
    while distance.min() <= 1:
        at = distance if match is match_positions else np.where(np.arange(200) == _first(distance), distance, np.inf)
        row, partner = np.unravel_index(at.argmin(), at.shape)
        expected.append((row, partner))
        distance[row] = distance[:, partner] = np.inf
    assert list(zip(rows, partners, strict=True)) == expected


def _first(distance):
    """The first column with a pair."""
    return np.flatnonzero((distance <= 1).any(0))[0]


def test_scores_by_hand():
    truth = table([0, 0, 1], np.array([150, 150.001, 150]), np.zeros(3), np.array([1e-4, 2e-4, 3e-4]))
    catalog = table(
        [0, 0, 0, 1], np.array([150, 150.001, 150.003, 150.002]), np.zeros(4), np.array([1.3e-4, 2.6e-4, 1e-4, 1e-4]),
    )  # fmt: skip
    scores = score_catalog(truth, catalog)
    assert (scores["true"], scores["found"], scores["matched"]) == (3, 4, 2)
    assert (scores["purity"], scores["completeness"]) == pytest.approx((1 / 2, 2 / 3))
    assert scores["flux_within_noise"] == pytest.approx(0.5)
    assert scores["flux_bias_uJy"] == pytest.approx(45)


def test_a_catalogue_of_ones_own_may_be_any_table():
    truth = table([0, 0], np.array([150, 150.001]), np.zeros(2), np.array([1e-4, 2e-4]))
    found = Table(truth)
    found["flux"] = found["flux"].to(u.mJy)
    assert score_catalog(Table(truth), found) == score_catalog(truth, truth)
    assert match_catalogs(Table(truth), found, "0.45 arcsec")[1].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found.remove_column("field"), r"catalog: lacks the column\(s\) field; it has ra, dec, flux"),
        (lambda found: found.replace_column("flux", [1e-4]), r"catalog: column 'flux' has no unit; give it .* 'Jy'"),
        (lambda found: found.replace_column("ra", [1] * u.Jy), r"catalog: column 'ra': 'Jy' .* 'deg' .* not conv"),
        (lambda found: found.replace_column("dec", [np.nan] * u.deg), r"catalog: some values of column 'dec' are not"),
    ],
)
def test_a_catalogue_that_cannot_be_scored_says_why(change, said):
    truth = table([0], np.array([150.0]), np.zeros(1), np.array([1e-4]))
    found = truth.copy()
    change(found)
    with pytest.raises(EvaluationError, match=said):
        score_catalog(truth, found)


@pytest.mark.parametrize("radius", [0.45, -1 * u.arcsec, np.nan * u.arcsec, 1 * u.Jy])
def test_a_radius_is_a_positive_angle(radius):
    truth = table([0], np.array([150.0]), np.zeros(1), np.array([1e-4]))
    for match in (score_catalog, match_catalogs):
        with pytest.raises(EvaluationError, match=r"radius=.*: must be "):
            match(truth, truth, radius)
    with pytest.raises(EvaluationError, match=r"noise has no unit; give it the one that it is in, such as 'uJy'"):
        score_catalog(truth, truth, noise=50.0)


def test_nothing_found_is_no_number():
    truth = table([0], np.array([150.0]), np.zeros(1), np.array([1e-4]))
    scores = score_catalog(truth, truth[:0])
    assert scores["f1"] == 0 and scores["purity"] is None and scores["flux_bias_uJy"] is None


def test_scores_are_those_of_the_development_script(casa_fields, tmp_path):
    script = runpy.run_path(str(casa_fields.parent / "score.py"))
    truth = QTable.read(casa_fields / "truth.ecsv")
    rng = np.random.default_rng(0)
    keep = rng.random(len(truth)) < 0.7
    catalog = table(
        np.array(truth["field"][keep]),
        truth["ra"][keep] + rng.normal(0, 0.2 / 3600, keep.sum()),
        truth["dec"][keep] + rng.normal(0, 0.2 / 3600, keep.sum()),
        truth["flux_jy"][keep] + rng.normal(0, 5e-5, keep.sum()),
    )
    known = table(truth["field"], truth["ra"], truth["dec"], truth["flux_jy"])
    catalog.write(tmp_path / "catalog.ecsv")
    expected, found = script["score"](truth, Table.read(tmp_path / "catalog.ecsv")), score_catalog(known, catalog)
    for name in ("true", "found", "matched", "purity", "completeness", "f1", "flux_within_noise", "flux_bias_uJy"):
        assert found[name] == pytest.approx(expected[name], abs=1e-1 if name.endswith("uJy") else 1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two fields with sources of one size and of 10 mJy in hardly any noise."""
    seen = Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, -10 * u.deg, integration=2 * u.min, shape=(256, 256)
    )  # fmt: skip
    recipe = SourceRecipe(number=(2, 3), flux=[10, 10] * u.mJy, size=[0.6, 0.6] * u.arcsec, reach=8 * u.arcsec)
    path = tmp_path_factory.mktemp("fields")
    simulate_fields(seen, recipe, 47 * u.uJy, path, number=2, seed=3)
    return path


def test_a_folder_gives_inputs_and_truth(folder):
    inputs, truth = read_folder(folder)
    assert list(inputs) == [0, 1] and inputs[1]["psf"] == folder / "psf.fits"
    assert truth["flux"].unit == u.Jy and set(truth["field"]) == {0, 1}


def test_images_whose_names_are_no_numbers_are_said(folder, tmp_path, caplog):
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "0001.dirty.fits").rename(tmp_path / "north.dirty.fits")
    assert list(read_folder(tmp_path)[0]) == [0]
    assert "north.dirty.fits is left out, for fields have numbers (NNNN.dirty.fits)" in caplog.text


def test_true_snr_is_the_peak_of_the_dirty_image(folder):
    inputs, truth = read_folder(folder)
    dirty = prepare(**inputs[0])
    rows = truth[truth["field"] == 0]
    x, y = dirty.wcs.world_to_pixel(SkyCoord(rows["ra"], rows["dec"]))
    peaks = [np.nanmax(dirty.data[j - 2 : j + 3, i - 2 : i + 3]) for i, j in np.round(np.c_[x, y]).astype(int)]
    np.testing.assert_allclose(true_snr(rows, dirty) * dirty.rms, peaks, rtol=0.05)


def test_the_matched_filter_finds_sources_of_its_shape(folder):
    inputs, truth = read_folder(folder)
    for number, arguments in inputs.items():
        found = matched_filter(prepare(**arguments), 0.6 * u.arcsec, threshold=20)
        rows = truth[truth["field"] == number]
        i, j = match_positions(
            SkyCoord(rows["ra"], rows["dec"]), SkyCoord(found["ra"], found["dec"]), 0.05 * u.arcsec
        )  # fmt: skip
        assert len(i) == len(rows)
        np.testing.assert_allclose(found["flux"][j].value, rows["flux"][i].value, rtol=0.05)


def test_the_matched_filter_knows_its_significance():
    """Filtered noise of unit variance has some 20 peaks above 2.5 in so many beams, and none above 4.5."""
    dirty = prepare(**demo_files())
    found = matched_filter(dirty, 0.6 * u.arcsec, threshold=2)
    assert 10 < (found["significance"] > 2.5).sum() < 45
    assert 0 < (found["significance"] > 4.5).sum() < 6


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.remove_column("flux_jy"), r"lacks the column\(s\) flux_jy"),
        (lambda t: t.replace_column("field", t["field"] + 50), r"none of its fields is among those of"),
        (lambda t: t.replace_column("flux_jy", t["flux_jy"] * np.nan), r"flux\(es\) are not numbers"),
        (lambda t: t.replace_column("flux_jy", -t["flux_jy"]), r"flux\(es\) are not positive; mend or remove"),
        (lambda t: t.replace_column("flux_jy", ["faint"] * len(t)), r"flux\(es\) are not numbers"),
        (lambda t: t.replace_column("dec", t["dec"] + 120), r"value\(s\) of dec are not from -90 to 90 deg"),
        (lambda t: t.replace_column("maj_arcsec", t["maj_arcsec"] - 9), r"value\(s\) of maj_arcsec are not 0 or more"),
        (lambda t: setattr(t["flux_jy"], "unit", "m"), r"column flux_jy: 'm' \(length\) and 'Jy'"),
        (lambda t: t.replace_column("ra", masked_first(t["ra"])), r"1 value\(s\) of ra are not numbers"),
        (lambda t: t.replace_column("field", t["field"] + 0.5), r"value\(s\) of field are not whole numbers"),
        (lambda t: t.meta.update(noise_protocol="new"), r"noise_protocol='new': must be independent or shared"),
        (lambda t: t.replace_column("field", masked_first(t["field"])), r"1 value\(s\) of field are not numbers"),
    ],
)
def test_a_truth_that_cannot_be_used(folder, tmp_path, change, message):
    table = Table.read(folder / "truth.ecsv")
    change(table)
    table.write(tmp_path / "truth.ecsv")
    with pytest.raises(EvaluationError, match=message):
        read_folder(folder, tmp_path / "truth.ecsv")


def test_the_noise_protocol_is_stated_or_given(folder, tmp_path, caplog):
    table = Table.read(folder / "truth.ecsv")
    assert read_folder(folder)[1].meta["noise_protocol"] == table.meta["noise_protocol"] == "independent"
    with pytest.raises(EvaluationError, match=r"noise_protocol='shared': the truth .* says 'independent'"):
        read_folder(folder, noise_protocol="shared")
    del table.meta["noise_protocol"]
    path = tmp_path / "truth.ecsv"
    table.write(path)
    assert read_folder(folder, path, "shared")[1].meta["noise_protocol"] == "shared"
    assert not caplog.text
    assert read_folder(folder, path)[1].meta["noise_protocol"] == "unstated"
    assert "does not state the noise_protocol; give it (independent or shared)" in caplog.text


def test_fields_that_only_one_of_folder_and_truth_has_are_said(folder, tmp_path, caplog):
    table = Table.read(folder / "truth.ecsv")
    last = table["field"] == table["field"].max()
    table["field"][last] += 10
    table.write(tmp_path / "truth.ecsv")
    read_folder(folder, tmp_path / "truth.ecsv")
    assert f"{last.sum()} of {len(table)} sources are of fields that are not in" in caplog.text
    assert "has no source in 1 of" in caplog.text and "fields, which count as empty" in caplog.text


def test_rows_of_the_truth_that_repeat_others_are_said(folder, tmp_path, caplog):
    table = Table.read(folder / "truth.ecsv")
    vstack([table, table[:1]], metadata_conflicts="silent").write(tmp_path / "truth.ecsv")
    assert len(read_folder(folder, tmp_path / "truth.ecsv")[1]) == len(table) + 1
    assert "truth.ecsv': 1 row(s) repeat others, and count as sources; remove them" in caplog.text
    caplog.clear()
    read_folder(folder)
    assert "repeat" not in caplog.text


def test_folders_without_truth_or_fields(folder, tmp_path):
    with pytest.raises(EvaluationError, match=r"truth=.*there is no such file"):
        read_folder(tmp_path)
    with pytest.raises(EvaluationError, match=r"holds no field"):
        read_folder(tmp_path, folder / "truth.ecsv")


def test_a_doubtful_source_does_not_take_the_partner_of_a_certain_one():
    truth = table([0], np.array([150.0]), np.array([2.0]), np.array([1e-4]))
    offset = np.array([0.3, 0.1]) / 3600
    candidates = table([0, 0], np.full(2, 150.0), 2 + offset, np.full(2, 1e-4))
    candidates["reliability"] = [0.9, 0.1]
    assert list(match_catalogs(truth, candidates, 0.45 * u.arcsec)[1]) == [1]
    assert list(match_catalogs(truth, candidates, 0.45 * u.arcsec, most_reliable_first=True)[1]) == [0]


def test_units_of_the_truth_count(folder, tmp_path):
    table = Table.read(folder / "truth.ecsv")
    table["flux_jy"] = table["flux_jy"] * 1e3 * u.mJy
    table["ra"] = table["ra"] / 15 * u.hourangle
    table.write(tmp_path / "truth.ecsv")
    expected, found = read_folder(folder)[1], read_folder(folder, tmp_path / "truth.ecsv")[1]
    for name in ("flux", "ra"):
        np.testing.assert_allclose(found[name].to_value(expected[name].unit), expected[name].value)


def test_a_truth_that_is_no_table(folder, tmp_path):
    for name, content in (("truth.txt", b"1 2 3"), ("truth.ecsv", b""), ("noise.ecsv", b"\xff\xfe\x00" * 50)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EvaluationError, match=rf"truth=.*{name}.*no table that astropy can read") as error:
            read_folder(folder, tmp_path / name)
        assert "\n" not in str(error.value)  # of all formats that there are


def test_only_numbers_name_fields(folder, tmp_path):
    for name in ("0.dirty.fits", "0000.robust.dirty.fits", "1a.dirty.fits"):
        (tmp_path / name).touch()
    inputs, _ = read_folder(tmp_path, folder / "truth.ecsv")
    assert {number: images["dirty"].name for number, images in inputs.items()} == {0: "0.dirty.fits"}
    (tmp_path / "0000.dirty.fits").touch()
    with pytest.raises(EvaluationError, match=r"0.dirty.fits and 0000.dirty.fits are both field 0|0000.*and 0.dirty"):
        read_folder(tmp_path, folder / "truth.ecsv")
    with pytest.raises(EvaluationError, match=r"folder=.*nowhere': there is no such folder"):
        read_folder(tmp_path / "nowhere")
