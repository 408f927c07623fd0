"""Catalogues written and read back."""

import copy
import io
import re
import shutil
from urllib.parse import unquote

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits, votable
from astropy.table import QTable, Table, vstack
from astropy.time import Time

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.errors import SettingError
from astro_ddpm_imager.products import catalog_files
from astro_ddpm_imager.sources.catalog import COLUMNS, UCDS

from ..conftest import ecsv_head


@pytest.fixture(scope="module")
def catalog():
    imager = DiffusionImager(n_samples=2, steps=3, seed=1, device="cpu", threads=1, progress=False, reliability=0)
    return imager(**demo_files()).catalog


FILES = ("a.ecsv", "a.fits", "a.vot", "a.csv")


def with_nan(catalog):
    """As where a single sample contains a source."""
    catalog = catalog.copy()
    catalog["flux_err"][0], catalog["chi2"][1] = np.nan * u.Jy, np.nan
    return catalog


def assert_same_columns(table, catalog, attributes=("unit", "description", "meta")):
    assert table.colnames == list(COLUMNS) and len(table) == len(catalog)
    for name in COLUMNS:
        there, here = table[name], catalog[name]
        assert type(there) is type(here) and there.dtype == here.dtype.newbyteorder(there.dtype.byteorder), name
        for attribute in attributes:
            assert getattr(there.info, attribute) == getattr(here.info, attribute), (name, attribute)
        np.testing.assert_array_equal(there, here)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("rows", [None, 0])
def test_what_is_written_is_read_back(catalog, tmp_path, name, rows):
    wanted = with_nan(catalog)[:rows]
    assert_same_columns(catalog_files.read_catalog(catalog_files.write_catalog(wanted, tmp_path / name)), wanted)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_not_replaced(catalog, tmp_path, overwrite):
    (tmp_path / "a.ecsv").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.ecsv is a folder; remove it, or choose another name$"):
        catalog_files.write_catalog(catalog, tmp_path / "a.ecsv", overwrite=overwrite)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.ecsv"]


def test_only_tables_are_written(tmp_path, result):
    with pytest.raises(TypeError, match=r"catalog: expected a table, such as result\.catalog, got ImagingResult"):
        catalog_files.write_catalog(result, tmp_path / "a.ecsv")


@pytest.mark.parametrize("name", FILES[:3])
def test_columns_that_only_astropy_knows_are_named(catalog, tmp_path, name):
    catalog = catalog.copy()
    catalog["place"] = SkyCoord(catalog["ra"], catalog["dec"])
    with pytest.raises(SettingError, match=r"column 'place' is a SkyCoord, .* write its ra and dec"):
        catalog_files.write_catalog(catalog, tmp_path / name)
    catalog.replace_column("place", Time(np.full(len(catalog), "2020-01-01")))
    with pytest.raises(SettingError, match=r"column 'place' is a Time, .* write its isot"):
        catalog_files.write_catalog(catalog, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FILES[:3])
def test_what_is_no_such_table_is_named(tmp_path, name):
    (tmp_path / name).write_text("1 2 3")
    with pytest.raises(ValueError, match=rf"{tmp_path / name}: is no \w+ of a table, or damaged \("):
        catalog_files.read_catalog(tmp_path / name)


@pytest.mark.parametrize("name", FILES)
def test_a_table_that_is_not_there_is_a_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=str(tmp_path / name)):
        catalog_files.read_catalog(tmp_path / name)


@pytest.mark.parametrize("name", FILES[:3])
@pytest.mark.parametrize("seed", [2**63 - 1, 2**63 + 5, 2**100])
def test_any_seed_is_read_back(catalog, tmp_path, name, seed):
    catalog = catalog.copy()
    catalog.meta["seed"] = seed
    assert catalog_files.read_catalog(catalog_files.write_catalog(catalog, tmp_path / name)).meta["seed"] == seed


@pytest.mark.parametrize("name", FILES[:3])
def test_qtable_reads_units_and_values_back(catalog, tmp_path, name):
    table = QTable.read(catalog_files.write_catalog(catalog, tmp_path / name))
    assert table.colnames == list(COLUMNS) and len(table) == len(catalog) > 2
    for column, (unit, _) in COLUMNS.items():
        assert getattr(table[column], "unit", None) == unit, column
        values, wanted = (np.asarray(getattr(t[column], "value", t[column])) for t in (table, catalog))
        np.testing.assert_array_equal(values, wanted)


def test_ecsv_says_nothing_that_only_astropy_knows(catalog, tmp_path):
    path = catalog_files.write_catalog(catalog, tmp_path / "a.ecsv")
    head = ecsv_head(path)
    assert [column["name"] for column in head["datatype"]] == list(COLUMNS)
    assert dict(head["meta"]) == catalog.meta
    assert_same_columns(QTable.read(path), catalog)
    table = Table.read(path)
    assert table["flux"].unit == u.Jy and table["peak_flux"].unit == u.Jy / u.beam and table.meta == catalog.meta


@pytest.mark.parametrize("name", ["a.ecsv", "a.vot", "a.fits"])
def test_empty_text_is_read_back(catalog, tmp_path, name):
    """As it is in the tables of channels; astropy masks it in ECSV."""
    noted = catalog.copy()
    noted["note"] = [""] * (len(noted) - 1) + ["blank: no pixel has a value"]
    path = catalog_files.write_catalog(noted, tmp_path / name)
    assert list(catalog_files.read_catalog(path)["note"]) == list(noted["note"])


@pytest.mark.parametrize("name", FILES)
def test_what_is_masked_is_no_number(catalog, tmp_path, name):
    """As where catalogues are put together, or matched with others."""
    both = vstack([catalog, catalog["ra", "dec", "flux"][:1]], metadata_conflicts="silent")
    both["other"] = ["NVSS"] * len(catalog) + ["FIRST"]
    table = catalog_files.read_catalog(catalog_files.write_catalog(both, tmp_path / name))
    for column in ("source_id", "flags"):
        assert list(table[column][:-1]) == list(catalog[column]) and table[column].mask.tolist()[-2:] == [False, True]
    assert np.isnan(table["snr"][-1]) and np.isnan(table["major"][-1]) and table["flux"][-1] == catalog["flux"][0]
    assert table["other"].tolist() == both["other"].tolist()


def test_csv_has_the_names_and_the_values(catalog, tmp_path):
    path = catalog_files.write_catalog(catalog, tmp_path / "a.csv")
    head, *lines = path.read_text().splitlines()
    assert head.split(",") == list(COLUMNS) and len(lines) == len(catalog)
    np.testing.assert_array_equal(Table.read(path)["ra"], catalog["ra"].value)


def test_text_that_fits_has_not_the_letters_for_is_said_and_kept_elsewhere(catalog, tmp_path):
    """Else astropy says nothing but the number of the letter; a name that is written otherwise is another name."""
    named = catalog.copy()
    named["name"] = ["Größe", *[""] * (len(named) - 1)]
    with pytest.raises(SettingError, match=r"a\.fits: column 'name' has 'Größe', and FITS has ASCII .*; write it as"):
        catalog_files.write_catalog(named, tmp_path / "a.fits")
    assert list(tmp_path.iterdir()) == []
    for name in ("a.ecsv", "a.vot", "a.csv"):
        table = catalog_files.read_catalog(catalog_files.write_catalog(named, tmp_path / name))
        assert table["name"][0] == "Größe"
    named.rename_column("name", "größe")
    with pytest.raises(SettingError, match="the name of column 'größe', and FITS"):
        catalog_files.write_catalog(named["ra", "größe"], tmp_path / "a.fits")


def test_descriptions_beyond_ascii_are_percent_encoded_in_fits(catalog, tmp_path):
    named = catalog.copy()
    named["size"] = np.ones(len(named))
    named["size"].info.description, named["size"].info.meta = "Größe", {"ucd": "phys.größe"}
    column = catalog_files.read_catalog(catalog_files.write_catalog(named, tmp_path / "a.fits"))["size"]
    assert (unquote(column.info.description), unquote(column.info.meta["ucd"])) == ("Größe", "phys.größe")


def test_what_a_catalogue_was_made_of_is_never_replaced(catalog, demo, tmp_path):
    path = tmp_path / "a.fits"
    for name in ("dirty", "psf", "pb"):
        shutil.copy(demo[name], path)
        before = path.read_bytes()
        with pytest.raises(SettingError, match=r"a\.fits is what the catalogue was made of \(.*\), and is not"):
            catalog_files.write_catalog(catalog, path, overwrite=True)
        assert path.read_bytes() == before
    path.write_bytes(b"another")
    catalog_files.write_catalog(catalog, path, overwrite=True)
    catalog_files.write_catalog(catalog, path, overwrite=True)


def test_older_files_are_read(catalog, tmp_path):
    """As they were: quantities in ECSV, and in CSV with its head, no UCDs."""
    catalog = catalog.copy()
    for name in catalog.colnames:
        catalog[name].info.meta = {}
    catalog.write(tmp_path / "a.ecsv")
    catalog.write(tmp_path / "a.csv", format="ascii.ecsv", delimiter=",")
    for name in ("a.ecsv", "a.csv"):
        table = catalog_files.read_catalog(tmp_path / name)
        assert table.meta == catalog.meta and table["flux"].unit == u.Jy
        assert table["ra"].info.meta["ucd"] == UCDS["ra"]


def test_ecsv_and_votable_keep_provenance(catalog, tmp_path):
    for name in ("a.ecsv", "a.vot"):
        assert catalog_files.read_catalog(catalog_files.write_catalog(catalog, tmp_path / name)).meta == catalog.meta


def test_fits_keeps_provenance(catalog, tmp_path):
    table = catalog_files.read_catalog(catalog_files.write_catalog(catalog, tmp_path / "a.fits"))
    assert table.meta == catalog.meta | {"rms": pytest.approx(catalog.meta["rms"], rel=1e-12)}
    assert {name: table[name].info.description for name in COLUMNS} == {k: text for k, (_, text) in COLUMNS.items()}


def test_fits_says_units_and_meaning(catalog, tmp_path):
    header = fits.getheader(catalog_files.write_catalog(catalog, tmp_path / "a.fits"), 1)
    number = list(COLUMNS).index("peak_flux") + 1
    assert u.Unit(header[f"TUNIT{number}"]) == u.Jy / u.beam
    assert header[f"TUCD{number}"].startswith("phot.flux.density")
    assert header[f"TCOMM{number}"] == COLUMNS["peak_flux"][1]
    assert header["DSEED"] == 1 and header["RADESYS"] == catalog.meta["frame"].upper()


def assert_valid(path):
    """A VOTable without an ID that is there twice."""
    assert votable.validate(path, io.StringIO())
    ids = re.findall(r'\bID="([^"]*)"', path.read_text())
    assert len(ids) == len(set(ids))
    return votable.parse(path, verify="exception")


def test_votable_has_a_valid_ucd_for_every_column(catalog, tmp_path):
    document = assert_valid(catalog_files.write_catalog(catalog, tmp_path / "a.vot"))
    table = document.get_first_table()
    assert [field.ucd for field in table.fields] == [UCDS[name] for name in COLUMNS]
    for ucd in UCDS.values():
        assert votable.ucd.check_ucd(ucd, check_controlled_vocabulary=True), ucd
    fields = {field.name: field for field in table.fields}
    assert fields["flux"].unit == u.Jy and fields["peak_flux"].unit == u.Jy / u.beam
    (system,) = document.iter_coosys()
    assert (system.system, system.equinox) == ("eq_FK5", "J2000") and fields["ra"].ref == fields["dec"].ref == system.ID


def test_what_astropy_writes_has_units_and_ucds(catalog, tmp_path):
    catalog.write(tmp_path / "a.vot", format="votable")
    fields = assert_valid(tmp_path / "a.vot").get_first_table().fields
    assert [field.ucd for field in fields] == [UCDS[name] for name in COLUMNS]
    assert [field.unit for field in fields] == [unit for unit, _ in COLUMNS.values()]
    catalog.write(tmp_path / "a.ecsv")
    assert_same_columns(QTable.read(tmp_path / "a.ecsv"), catalog)
    nameless = catalog.copy()
    nameless.meta.clear()  # the names of settings are too long for FITS
    nameless.write(tmp_path / "a.fits")
    assert_same_columns(QTable.read(tmp_path / "a.fits"), catalog)
    catalog.write(tmp_path / "a.csv")
    assert Table.read(tmp_path / "a.csv").colnames == list(COLUMNS)


@pytest.mark.parametrize("change", [copy.copy, lambda t: t[t["snr"] > 0], lambda t: vstack([t, t]), Table, QTable])
def test_ucds_stay_with_the_columns(catalog, change):
    changed = change(catalog)
    assert {name: changed[name].info.meta["ucd"] for name in COLUMNS} == UCDS


def test_positions_are_guessed_from_their_columns(catalog):
    """Not from the whole catalogue, where ra_err could be ra as well, by the rule of astropy."""
    sky = SkyCoord.guess_from_table(catalog["ra", "dec"], frame=catalog.meta["frame"])
    assert sky.frame.name == "fk5"
    np.testing.assert_array_equal(sky.ra, catalog["ra"])


@pytest.mark.stilts
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("rows", [None, 0])
def test_stilts_opens_catalogues(catalog, stilts, tmp_path, name, rows):
    format = catalog_files.FORMATS[name.removeprefix("a")]
    if format == "csv" and rows == 0:
        pytest.skip("STILTS cannot read a CSV file without rows, whoever wrote it")
    wanted = with_nan(catalog)[:rows]
    path = catalog_files.write_catalog(wanted, tmp_path / name)
    table = Table.read(
        stilts("tpipe", f"in={path}", f"ifmt={format}", "cmd=meta name units ucd", "ofmt=csv"), format="csv"
    )
    assert list(table["Name"]) == list(COLUMNS)
    if format != "csv":
        assert dict(zip(table["Name"], table["UCD"], strict=True)) == UCDS
        assert [u.Unit(unit) for unit in table["Units"].filled("")] == [unit or u.one for unit, _ in COLUMNS.values()]
    again = tmp_path / f"again{path.suffix}"
    stilts("tpipe", f"in={path}", f"ifmt={format}", f"ofmt={format}", f"out={again}")
    table = catalog_files.read_catalog(again, format)
    assert_same_columns(table, wanted, ("unit", "meta"))  # of a description STILTS writes what fits on a card of FITS
    if format in ("ecsv", "votable"):  # where STILTS adds the name of the table, and may leave out empty texts
        # and writes dates without quotes, which YAML takes for times.
        wanted = {name: value for name, value in catalog.meta.items() if value != "" and name != "date"}
        assert table.meta.items() >= wanted.items()


@pytest.mark.stilts
def test_votlint_has_nothing_to_say(catalog, stilts, tmp_path):
    catalog.write(tmp_path / "plain.vot", format="votable")
    catalog_files.write_catalog(catalog, tmp_path / "a.vot")
    catalog_files.write_catalog(catalog[:0], tmp_path / "empty.vot")
    for path in tmp_path.iterdir():
        assert stilts("votlint", f"votable={path}") == ""


def test_files_are_not_replaced_unasked(catalog, tmp_path):
    path = catalog_files.write_catalog(catalog, tmp_path / "a.ecsv")
    with pytest.raises(FileExistsError, match=r"a\.ecsv exists; give overwrite=True"):
        catalog_files.write_catalog(catalog, path)
    catalog_files.write_catalog(catalog[:1], path, overwrite=True)
    assert len(catalog_files.read_catalog(path)) == 1


def test_the_home_folder_is_found(catalog, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert catalog_files.write_catalog(catalog, "~/a.ecsv") == tmp_path / "a.ecsv"
    assert len(catalog_files.read_catalog("~/a.ecsv")) == len(catalog)
    with pytest.raises(FileExistsError, match=r"a\.ecsv exists; give overwrite=True"):
        catalog_files.write_catalog(catalog[:1], "~/a.ecsv")


def test_unknown_formats_are_named(catalog, tmp_path):
    with pytest.raises(ValueError, match=r"a\.txt: its ending says no format: choose one of 'ecsv', 'fits', 'votable'"):
        catalog_files.write_catalog(catalog, tmp_path / "a.txt")


def test_letters_that_fits_has_not(catalog, tmp_path):
    other = catalog.copy()
    other.meta["input"] = "donn\N{LATIN SMALL LETTER E WITH ACUTE}es.fits"
    path = catalog_files.write_catalog(other, tmp_path / "a.fits")
    assert len(catalog_files.read_catalog(path)) == len(catalog)


@pytest.mark.parametrize("text", ["", "nothing", "# %ECSV 1.0\n# ---\n# a: [\n"])
def test_a_damaged_file_has_no_metadata(tmp_path, text):
    (tmp_path / "a.ecsv").write_text(text)
    with pytest.raises(ValueError, match=r"a\.ecsv: is no ECSV, or damaged"):
        catalog_files.ecsv_meta(tmp_path / "a.ecsv")
