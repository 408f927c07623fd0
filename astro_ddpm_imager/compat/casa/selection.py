"""Whether the data selected are of one field and have visibilities."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ...errors import SettingError
from .parameters import MOSAICS

__all__ = ["check_selection"]

ONE_DIRECTION = 0.1 * u.arcsec  # phase centres nearer than this are one
# Parameters that count with selectdata=True only, and what CASA calls them where it selects.
IN_DATA = {"timerange": "time", "scan": "scan", "observation": "observation", "intent": "scanintent"}


def check_selection(values):
    """Refuse MeasurementSets that tclean could not make one field of.

    Parameters
    ----------
    values : dict
        All parameters of tclean.

    Returns
    -------
    list of str
        What the log should say.

    Raises
    ------
    SettingError
        A MeasurementSet does not exist or lacks the column of data, or several
        fields are selected.
    """
    given = values["vis"]
    sets = [given] if isinstance(given, str | Path) else list(given)
    if not sets or not all(sets):
        raise SettingError(f"vis={given!r}: give the name of a MeasurementSet")
    said, fields = [], {}
    for index, name in enumerate(map(str, sets)):
        if not (Path(name) / "table.dat").is_file():
            raise SettingError(f"vis={name!r}: there is no such MeasurementSet; see the spelling, or unpack it")
        said += _check_columns(name, values["datacolumn"])
        chosen = {key: _of_set(values[key], index) for key in ("field", "spw", *IN_DATA)}
        fields |= _fields(name, chosen, values["selectdata"])
    if not fields:
        chosen = ", ".join(f"{key}={values[key]!r}" for key in ("field", "spw", *IN_DATA) if values[key])
        raise SettingError(f"{chosen}: no data are selected; see with listobs what {', '.join(map(str, sets))} has")
    centres = SkyCoord([centre for _, centre in fields.values()])
    if values["gridder"] not in MOSAICS and centres.separation(centres[0]).max() > ONE_DIRECTION:
        number = next(number for _, number in fields)
        names = ", ".join(f"{number} ({label})" for (_, number), (label, _) in fields.items())
        raise SettingError(
            f"field={values['field']!r}: selects fields with different phase centres, {names}; the primary beam of "
            f"one is needed: choose one, for example field='{number}', or make a mosaic of them, gridder='mosaic'"
        )
    return said


def _of_set(value, index):
    """The part of a selection that is for one of several MeasurementSets."""
    if isinstance(value, list | tuple):
        return value[index if len(value) > 1 else 0] if value else ""
    return value


def _check_columns(name, datacolumn):
    from casatools import table

    rows = table()
    try:
        rows.open(name)
        columns = set(rows.colnames())
    finally:
        rows.close()
    if datacolumn == "corrected" and "CORRECTED_DATA" not in columns and "DATA" in columns:
        return [f"datacolumn='corrected': {name} has no CORRECTED_DATA, CASA takes DATA"]
    wanted = "CORRECTED_DATA" if datacolumn == "corrected" else "DATA"
    if datacolumn in ("corrected", "data") and wanted not in columns:
        there = sorted(columns & {"CORRECTED_DATA", "MODEL_DATA", "FLOAT_DATA"})
        way = "give datacolumn='corrected'" if "CORRECTED_DATA" in there else "import or split the visibilities again"
        raise SettingError(
            f"datacolumn={datacolumn!r}: {name} has no column {wanted}, only {' and '.join(there) or 'none'}; {way}"
        )
    return []


def _fields(name, chosen, selectdata):
    """Fields with data in a selection: names and phase centres, by MeasurementSet and number."""
    from casatools import ms, msmetadata

    selection = {"field": chosen["field"], "spw": chosen["spw"]}
    if selectdata:
        selection |= {theirs: chosen[ours] for ours, theirs in IN_DATA.items()}
    data, metadata = ms(), msmetadata()
    try:
        data.open(name)
        if any(selection.values()):
            data.msselect(selection)
        numbers = np.unique(data.range(["field_id"]).get("field_id", []))
        metadata.open(name)
        found = {}
        for number in map(int, numbers):
            there = metadata.phasecenter(number)
            frame = {"ICRS": "icrs", "B1950": "fk4"}.get(there["refer"], "fk5")
            centre = SkyCoord(
                *(there[axis]["value"] * u.Unit(there[axis]["unit"]) for axis in ("m0", "m1")), frame=frame
            )
            found[name, number] = (str(metadata.namesforfields([number])[0]), centre.icrs)
        return found
    finally:
        data.close()
        metadata.close()
