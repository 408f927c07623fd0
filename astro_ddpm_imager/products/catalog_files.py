"""Catalogues as files: ECSV, FITS, VOTable with UCDs, CSV."""

from ast import literal_eval
from pathlib import Path

from astropy.io import fits, votable
from astropy.table import QTable, Table

from .headers import PROVENANCE

__all__ = ["FORMATS", "UCDS", "read_catalog", "write_catalog"]

FORMATS = {".ecsv": "ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable", ".csv": "csv"}
UCDS = {
    "source_id": "meta.id;meta.main",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "ra_err": "stat.error;pos.eq.ra",
    "dec_err": "stat.error;pos.eq.dec",
    "flux": "phot.flux.density;em.radio",
    "flux_err": "stat.error;phot.flux.density;em.radio",
    "peak_flux": "phot.flux.density;em.radio;stat.max",
    "snr": "stat.snr",
    "reliability": "stat.probability",
    "x": "pos.cartesian.x;instr.det",
    "y": "pos.cartesian.y;instr.det",
    "major": "phys.angSize.smajAxis",
    "minor": "phys.angSize.sminAxis",
    "pa": "pos.posAng",
    "pb": "arith.factor;instr.beam",
    "sample_fraction": "stat.value",
    "chi2": "stat.fit.chi2",
    "n_components": "meta.number",
    "flags": "meta.code.qual",
}
FITS_KEYWORDS = PROVENANCE | {"RADESYS": "frame", "NOISE": "rms"}
SYSTEMS = {"icrs": ("ICRS", None), "fk5": ("eq_FK5", "J2000"), "fk4": ("eq_FK4", "B1950")}  # COOSYS of VOTable


def write_catalog(catalog, path, format=None, overwrite=False):
    """Write a catalogue, with its units, descriptions and provenance.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Of `~astro_ddpm_imager.DiffusionImager`.
    path : path-like
        Its ending says the format, if ``format`` does not: ``.ecsv``,
        ``.fits``, ``.vot``, ``.xml`` or ``.csv``.
    format : {"ecsv", "fits", "votable", "csv"}, optional
        FITS and VOTable have UCDs (``TUCDn`` in FITS) for TOPCAT. CSV has the
        head of ECSV, in lines that start with ``#``, because plain CSV has no
        place for units.
    overwrite : bool, optional
        Replace an existing file.

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    ValueError
        The format is unknown.
    FileExistsError
        The file exists and ``overwrite`` is False.
    """
    path = Path(path).expanduser()  # as astropy does: or the file is looked for in one place and written in another
    format = _format(path, format)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; give overwrite=True to replace it, or another name")
    WRITERS[format](catalog, path)
    return path


def read_catalog(path, format=None):
    """Read a catalogue that `write_catalog` wrote.

    Parameters
    ----------
    path : path-like
    format : {"ecsv", "fits", "votable", "csv"}, optional
        By default the ending says it.

    Returns
    -------
    `~astropy.table.QTable`
        With units, descriptions and ``meta``, as they were written; FITS keeps 15 digits of numbers in ``meta``.

    Raises
    ------
    ValueError
        The format is unknown, or the ending does not say it.
    FileNotFoundError
        There is no such file.
    """
    names = {"ecsv": "ascii.ecsv", "csv": "ascii.ecsv", "fits": "fits", "votable": "votable"}
    path = Path(path).expanduser()
    format = _format(path, format)
    table = QTable.read(path, format=names[format])
    if format == "votable":
        table.meta.update(_meta_of_votable(path))
    elif format == "fits":
        for number, name in enumerate(table.colnames, 1):
            table[name].info.description = table.meta.get(f"TCOMM{number}")
        table.meta = _meta_of_fits(table.meta)
    return table


def _meta_of_fits(header):
    """What `_write_fits` has written of a catalogue's meta."""
    meta = {name: header[keyword] for keyword, name in FITS_KEYWORDS.items() if keyword in header}
    if "frame" in meta:
        meta["frame"] = meta["frame"].lower()
    return meta


def _meta_of_votable(path):
    """What `_write_votable` has written as INFO, all text there."""
    infos = [info for resource in votable.parse(path).resources for info in resource.infos]
    return {info.name: _literal(info.value) for info in infos}


def _literal(text):
    """The number or truth value that a text is, or else the text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _format(path, format):
    format = FORMATS.get(path.suffix.lower()) if format is None else format
    if format not in WRITERS:
        raise ValueError(
            f"format={format!r} of {path.name}: choose one of {', '.join(map(repr, WRITERS))}, "
            f"or a name that ends in {', '.join(FORMATS)}"
        )
    return format


def _write_ecsv(catalog, path):
    catalog.write(path, format="ascii.ecsv", overwrite=True)


def _write_csv(catalog, path):
    catalog.write(path, format="ascii.ecsv", delimiter=",", overwrite=True)


def _write_fits(catalog, path):
    plain = Table(catalog)
    plain.meta = {}
    hdu = fits.table_to_hdu(plain)
    hdu.name = "CATALOG"
    for number, name in enumerate(catalog.colnames, 1):
        if catalog[name].info.description:
            hdu.header[f"TCOMM{number}"] = catalog[name].info.description
        if name in UCDS:
            hdu.header[f"TUCD{number}"] = UCDS[name]
    for keyword, name in FITS_KEYWORDS.items():
        if name in catalog.meta:
            hdu.header[keyword] = catalog.meta[name]
    if "frame" in catalog.meta:
        hdu.header["RADESYS"] = catalog.meta["frame"].upper()
    if "rms" in catalog.meta:
        hdu.header.comments["NOISE"] = "Jy/beam, of the dirty image"
    hdu.writeto(path, overwrite=True)


def _write_votable(catalog, path):
    plain = Table(catalog)
    plain.meta = {}
    for name in plain.colnames:
        plain[name].description = catalog[name].info.description
        if name in UCDS:
            plain[name].meta["ucd"] = UCDS[name]
    document = votable.from_table(plain)
    document.version = "1.4"  # the first whose units have a beam
    system, equinox = SYSTEMS.get(catalog.meta.get("frame"), (None, None))
    if system is not None:
        frame = votable.tree.CooSys(ID="frame", system=system, equinox=equinox)
        document.resources[0].coordinate_systems.append(frame)
        for field in document.get_first_table().fields:
            if field.name in ("ra", "dec", "ra_err", "dec_err"):
                field.ref = frame.ID
    for name, value in catalog.meta.items():
        document.resources[0].infos.append(votable.tree.Info(name=name, value=str(value)))
    document.to_xml(str(path))


WRITERS = {"ecsv": _write_ecsv, "fits": _write_fits, "votable": _write_votable, "csv": _write_csv}
