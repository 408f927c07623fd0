"""Catalogues written and read back."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits, votable
from astropy.table import QTable

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.products import catalog_files
from astro_ddpm_imager.sources.catalog import COLUMNS


@pytest.fixture(scope="module")
def catalog():
    imager = DiffusionImager(n_samples=2, steps=3, seed=1, device="cpu", threads=1, progress=False, reliability=0)
    return imager(**demo_files()).catalog


@pytest.mark.parametrize(
    ("name", "options"), [("a.ecsv", {}), ("a.fits", {}), ("a.vot", {}), ("a.csv", {"format": "ascii.ecsv"})]
)
def test_qtable_reads_units_and_values_back(catalog, tmp_path, name, options):
    path = catalog_files.write_catalog(catalog, tmp_path / name)
    for table in (QTable.read(path, **options), catalog_files.read_catalog(path)):
        assert table.colnames == list(COLUMNS) and len(table) == len(catalog) > 2
        for column, (unit, _) in COLUMNS.items():
            assert getattr(table[column], "unit", None) == unit, column
            values, wanted = (np.asarray(getattr(t[column], "value", t[column])) for t in (table, catalog))
            np.testing.assert_array_equal(values, wanted)
    assert table["ra"].unit == u.deg


def test_ecsv_csv_and_votable_keep_provenance(catalog, tmp_path):
    for name in ("a.ecsv", "a.csv", "a.vot"):
        table = catalog_files.read_catalog(catalog_files.write_catalog(catalog, tmp_path / name))
        assert table.meta == catalog.meta
        assert table["flux"].info.description == COLUMNS["flux"][1]
    lines = [line for line in (tmp_path / "a.csv").read_text().splitlines() if not line.startswith("#")]
    assert lines[0].split(",") == list(COLUMNS) and len(lines) == len(catalog) + 1


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


def test_votable_has_a_valid_ucd_for_every_column(catalog, tmp_path):
    path = catalog_files.write_catalog(catalog, tmp_path / "a.vot")
    table = votable.parse(path, verify="exception").get_first_table()
    assert [field.ucd for field in table.fields] == [catalog_files.UCDS[name] for name in COLUMNS]
    for ucd in catalog_files.UCDS.values():
        assert votable.ucd.check_ucd(ucd, check_controlled_vocabulary=True), ucd
    fields = {field.name: field for field in table.fields}
    assert fields["flux"].unit == u.Jy
    (system,) = votable.parse(path).iter_coosys()
    assert (system.system, system.equinox) == ("eq_FK5", "J2000") and fields["ra"].ref == fields["dec"].ref == system.ID


def test_an_empty_catalog_keeps_its_columns(catalog, tmp_path):
    for name in ("a.ecsv", "a.fits", "a.vot", "a.csv"):
        table = catalog_files.read_catalog(catalog_files.write_catalog(catalog[:0], tmp_path / name))
        assert len(table) == 0 and table["flux"].unit == u.Jy


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
    with pytest.raises(ValueError, match=r"format=None of a\.txt: choose one of 'ecsv', 'fits', 'votable', 'csv'"):
        catalog_files.write_catalog(catalog, tmp_path / "a.txt")
