"""Catalogues as files: ECSV, FITS, VOTable with UCDs, CSV."""

import itertools
import os
from ast import literal_eval
from os import PathLike
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits, votable
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.table.meta import YamlParseError, get_header_from_yaml

from ..errors import SettingError
from ..home import expanded
from ..observation.headers import as_card
from ..observation.reading import file_digest
from ..sources.catalog import COLUMNS, describe
from ..whole_files import made_folder
from .folders import scratch_folder
from .headers import PROVENANCE

__all__ = ["FORMATS", "ecsv_meta", "read_catalog", "write_catalog", "write_ecsv"]

FORMATS = {".ecsv": "ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable", ".csv": "csv"}
FITS_KEYWORDS = PROVENANCE | {"RADESYS": "frame", "NOISE": "rms"}
INTEGERS = ("source_id", "n_components", "flags")
BLANK = {"f": np.nan, "U": ""}  # in VOTable, and in what TOPCAT writes; of text in ECSV
DATATYPES = {bool: "boolean", int: "long", float: "double"}  # of what is not text, in VOTable
LONGEST = 2**63 - 1  # of VOTable's integers; what is more becomes text, as seeds may
SYSTEMS = {"icrs": ("ICRS", None), "fk5": ("eq_FK5", "J2000"), "fk4": ("eq_FK4", "B1950")}  # COOSYS of VOTable


def write_catalog(
    catalog: Table, path: str | PathLike[str], format: str | None = None, overwrite: bool = False
) -> Path:
    """Write a catalogue, with its units, descriptions and provenance.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Of `~astro_ddpm_imager.DiffusionImager`.
    path : path-like
        Its ending says the format, if ``format`` does not: ``.ecsv``,
        ``.fits``, ``.vot``, ``.xml`` or ``.csv``. Its folder is made if needed.
    format : {"ecsv", "fits", "votable", "csv"}, optional
        All but CSV have units, descriptions and UCDs (``TUCDn`` in FITS) for
        TOPCAT. CSV has the names of the columns and the values only.
    overwrite : bool, optional
        Replace an existing file, but never one that the catalogue was made of.

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    SettingError
        The file is the image, PSF or the like that the catalogue was made of, or is FITS, and a column has text
        beyond ASCII; or a column is of a kind that only CSV has, such as `~astropy.coordinates.SkyCoord`; a kind of
        `ValueError`.
    ValueError
        The format is unknown.
    FileExistsError
        The file exists and ``overwrite`` is False.
    TypeError
        ``catalog`` is no table.
    IsADirectoryError, NotADirectoryError, PermissionError
        It is a folder, or its folder cannot be made, or not be written to.
    """
    path = expanded(path)  # as astropy does: or the file is looked for in one place and written in another
    format = _format(path, format)
    if not isinstance(catalog, Table):
        raise TypeError(f"catalog: expected a table, such as result.catalog, got {type(catalog).__name__}")
    if format != "csv":  # of values only: any that is text
        _check_plain(catalog)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; remove it, or choose another name")
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(f"{path} exists; give overwrite=True to replace it, or another name")
    _check_not_made_of(catalog, path)
    with scratch_folder(made_folder(path.parent)) as scratch:
        WRITERS[format](catalog, scratch / path.name).replace(path)
    return path


def _check_plain(catalog):
    """Fail if a column is of a kind that only astropy knows, and that other readers of the file do not."""
    for column in catalog.itercols():
        if not isinstance(column, Column | u.Quantity):
            kind = type(column).__name__
            parts = {"SkyCoord": "its ra and dec", "Time": "its isot"}.get(kind, "plain columns")
            raise SettingError(
                f"catalog: column {column.info.name!r} is a {kind}, which files have no columns of; write {parts}"
            )


def _check_not_made_of(catalog, path):
    """Fail if a file is one that the catalogue was made of, which it knows by their checksums."""
    made_of = {value: name.removesuffix("_sha256") for name, value in catalog.meta.items() if name.endswith("_sha256")}
    digest = file_digest(path) if path.is_file() else ""
    if digest and digest in made_of:
        raise SettingError(
            f"{path} is what the catalogue was made of ({made_of[digest]}), and is not replaced; choose another name"
        )


def write_ecsv(table, path):
    """Write a table as ECSV that TOPCAT and STILTS open.

    Of a `~astropy.table.QTable` astropy writes Python classes
    (``!astropy.units.Unit``), at which other readers stop; the units of plain
    columns are text, and `~astropy.table.QTable.read` makes quantities of them.

    Parameters
    ----------
    table : `~astropy.table.Table`
    path : path-like
        Replaced if it exists.

    Returns
    -------
    `~pathlib.Path`
    """
    table = Table(table)
    several = [name for name in table.colnames if table[name].ndim > 1 and not len(table)]
    for name in several:  # of which astropy reads none without rows
        table[name] = table[name][:, 0]
    table.write(path, format="ascii.ecsv", overwrite=True)
    return Path(path)


def ecsv_meta(path):
    """The metadata of a table in an ECSV file, without its rows.

    Parameters
    ----------
    path : `~pathlib.Path`

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        It is damaged, or no such file.
    """
    with path.open() as stream:
        head = [line[2:] for line in itertools.takewhile(lambda line: line.startswith("# "), stream)]
    try:
        return dict(get_header_from_yaml(head[1:]).get("meta", {}))
    except (YamlParseError, AttributeError) as error:  # of no head at all, None is made
        raise ValueError(f"{path}: is no ECSV, or damaged ({error!r:.200})") from error


def read_catalog(path: str | PathLike[str], format: str | None = None) -> QTable:
    """Read a catalogue that `write_catalog` wrote, now or in an older version.

    Parameters
    ----------
    path : path-like
    format : {"ecsv", "fits", "votable", "csv"}, optional
        By default the ending says it.

    Returns
    -------
    `~astropy.table.QTable`
        With units, descriptions, UCDs and ``meta``, as they were written; FITS
        keeps 15 digits of numbers in ``meta``, and CSV has no ``meta``. What is
        masked, as of columns that were joined, is NaN, of integers masked.

    Raises
    ------
    ValueError
        The format is unknown, or the ending does not say it; or the file has another one, or is damaged.
    FileNotFoundError
        There is no such file.
    """
    path = expanded(path)
    format = _format(path, format)
    try:
        table = READERS[format](path)
    except Exception as error:  # there is no end to what another file makes astropy stumble over
        if getattr(error, "errno", None) is not None:  # it is not there, or may not be read
            raise
        raise ValueError(f"{path}: is no {format} of a table, or damaged ({error!r:.200})") from error
    for name in table.colnames:
        kind = table[name].dtype.kind
        # What is blank among integers has no number that would say so, and stays masked.
        if isinstance(table[name], MaskedColumn) and (kind in BLANK or not table[name].mask.any()):
            table[name] = table[name].filled(BLANK.get(kind))
    table = QTable(table)
    describe(table)
    return table


def _read_ecsv(path):
    return Table.read(path, format="ascii.ecsv")


def _read_csv(path):
    with path.open(encoding="utf-8") as file:
        if file.readline().startswith("# %ECSV"):  # as older versions wrote it
            return _read_ecsv(path)
    table = Table.read(path, format="ascii.csv")
    if not len(table):  # of which kind a column was, nothing says then
        for name in set(COLUMNS).intersection(table.colnames):
            table[name] = np.zeros(0, int if name in INTEGERS else float)
    return table


def _read_fits(path):
    table = Table.read(path, format="fits")
    table.convert_bytestring_to_unicode()
    for number, column in enumerate(table.itercols(), 1):
        column.description = table.meta.get(f"TCOMM{number}")
        if f"TUCD{number}" in table.meta:
            column.meta["ucd"] = table.meta[f"TUCD{number}"]
    table.meta = _meta_of_fits(table.meta)
    return table


def _read_votable(path):
    table = Table.read(path, format="votable")
    for column in table.itercols():
        column.description = " ".join((column.description or "").split()) or None  # long ones are broken into lines
    table.meta.update(_meta_of_votable(path))
    return table


def _meta_of_fits(header):
    """What `_write_fits` has written of a catalogue's meta."""
    meta = {name: header[keyword] for keyword, name in FITS_KEYWORDS.items() if keyword in header}
    if "frame" in meta:
        meta["frame"] = meta["frame"].lower()
    return meta


def _meta_of_votable(path):
    """What `_write_votable` has written as PARAM, which TOPCAT moves to the table; older versions wrote INFO."""
    items = {}
    for resource in votable.parse(path).resources:
        parts = [resource.infos, resource.params, *(table.params for table in resource.tables)]
        items |= {item.name: item.value for part in parts for item in part}
    return {name: _literal(value) if isinstance(value, str) else value for name, value in items.items()}


def _literal(text):
    """The number or truth value that a text is, or else the text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _format(path, format):
    format = FORMATS.get(path.suffix.lower()) if format is None else format
    if format not in WRITERS:
        said = f"{path.name}: its ending says no format" if format is None else f"format={format!r} of {path.name}"
        raise ValueError(
            f"{said}: choose one of {', '.join(map(repr, WRITERS))}, or a name that ends in {', '.join(FORMATS)}"
        )
    return format


def _write_csv(catalog, path):
    catalog.write(path, format="ascii.csv")
    return path


def _write_fits(catalog, path):
    plain = Table(catalog)
    plain.meta = {}
    _check_ascii(plain, path.name)
    hdu = fits.table_to_hdu(plain)
    hdu.name = "CATALOG"
    for number, name in enumerate(catalog.colnames, 1):
        if catalog[name].info.description:
            hdu.header[f"TCOMM{number}"] = as_card(catalog[name].info.description)
        if (catalog[name].info.meta or {}).get("ucd"):
            hdu.header[f"TUCD{number}"] = as_card(catalog[name].info.meta["ucd"])
    for keyword, name in FITS_KEYWORDS.items():
        if name in catalog.meta:
            hdu.header[keyword] = as_card(catalog.meta[name])
    if "frame" in catalog.meta:
        hdu.header["RADESYS"] = catalog.meta["frame"].upper()
    if "rms" in catalog.meta:
        hdu.header.comments["NOISE"] = "Jy/beam, of the dirty image"
    hdu.writeto(path)
    return path


def _check_ascii(table, name):
    """Fail if a table has text that FITS has not the letters for: other text in its place would be no name any more."""
    for column in table.itercols():
        is_text = getattr(column, "dtype", np.dtype(float)).kind == "U"
        for text in [column.info.name, *(np.ma.filled(column, "").ravel().tolist() if is_text else ())]:
            if not text.isascii():
                said = f"column {column.info.name!r} has " if text != column.info.name else "the name of column "
                raise SettingError(
                    f"{name}: {said}{text!r}, and FITS has ASCII letters only; write it as .ecsv or .vot, or replace "
                    "the others"
                )


def _write_votable(catalog, path):
    plain = Table(catalog)
    plain.meta = {}
    document = votable.from_table(plain)
    document.version = "1.4"  # the first whose units have a beam
    (resource,) = document.resources
    system, equinox = SYSTEMS.get(catalog.meta.get("frame"), (None, None))
    if system is not None:
        frame = votable.tree.CooSys(ID="frame", system=system, equinox=equinox)
        resource.coordinate_systems.append(frame)
        for field in document.get_first_table().fields:
            if field.name in ("ra", "dec", "ra_err", "dec_err"):
                field.ref = frame.ID
    for name, value in catalog.meta.items():
        datatype = None if type(value) is int and abs(value) > LONGEST else DATATYPES.get(type(value))
        kind = {"datatype": datatype} if datatype else {"datatype": "unicodeChar", "arraysize": "*"}
        parameter = votable.tree.Param(document, name=name, value=value if datatype else str(value), **kind)
        parameter.ID = None  # which would be its name, and may be that of a column or of the frame
        resource.params.append(parameter)
    document.to_xml(str(path))
    if not len(catalog):  # astropy leaves DATA out, and TOPCAT says that there is no table
        path.write_text(path.read_text("utf-8").replace("</TABLE>", "<DATA><TABLEDATA/></DATA></TABLE>"), "utf-8")
    return path


READERS = {"ecsv": _read_ecsv, "fits": _read_fits, "votable": _read_votable, "csv": _read_csv}
WRITERS = {"ecsv": write_ecsv, "fits": _write_fits, "votable": _write_votable, "csv": _write_csv}
