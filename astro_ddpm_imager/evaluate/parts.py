"""What a run over fields keeps of each, so that an interrupted one goes on: written whole, and read again."""

import json
import logging
import re

import numpy as np
from astropy.table import QTable

from ..diffusion.reconstruction import AGGREGATES
from ..errors import EvaluationError
from ..observation.reading import file_digest
from ..products.catalog_files import write_ecsv
from ..whole_files import written_whole

__all__ = [
    "FIRST_SAMPLES", "MATCHED_FILTER", "OURS", "check_files", "check_settings", "digests", "is_readable", "is_whole",
    "part_path", "read_json", "write_json", "write_table",
]  # fmt: skip

log = logging.getLogger(__name__)

OURS = "detect-aggregate"
MATCHED_FILTER = "matched filter"
FIRST_SAMPLES = "first samples"  # catalogues of the first n samples, n in a column
METHODS = (OURS, MATCHED_FILTER, FIRST_SAMPLES, *AGGREGATES)
KEPT = {  # of a field, in JSON
    "inputs": dict, "seconds": dict, "threads": int, "provider": str, "rms": float, "beam": float, "true_snr": list,
    "true_pb": list, "images": dict, "coverage": dict, "ranks": dict,
}  # fmt: skip


def check_settings(path, settings):
    """Keep the settings of a new run; a run that goes on must have the same.

    Parameters
    ----------
    path : `~pathlib.Path`
        Where they are kept.
    settings : dict

    Raises
    ------
    EvaluationError
        They are others.
    """
    if not path.exists():
        write_json(path, settings)
        return
    before = read_json(path)
    now = json.loads(json.dumps(settings))
    changed = [name for name in now if before.get(name) != now[name]]
    if changed == ["truth_sha256"]:
        raise EvaluationError(
            f"output={str(path.parent)!r}: holds a run with another truth; remove it or give another folder"
        )
    if changed:
        differences = ", ".join(f"{name} {before.get(name)!r} instead of {now[name]!r}" for name in changed)
        raise EvaluationError(
            f"output={str(path.parent)!r}: holds a run with {differences}; remove it or give another folder"
        )


def digests(arguments):
    """Checksums of the files of a field.

    Parameters
    ----------
    arguments : dict
        Of the imager.

    Returns
    -------
    dict of str
        SHA-256 by kind, of those that there are.
    """
    return {kind: file_digest(path) for kind, path in arguments.items() if path is not None}


def check_files(parts, number, arguments):
    """A field that is there already must be of the same images.

    Parameters
    ----------
    parts : `~pathlib.Path`
        Folder.
    number : int
        Of the field.
    arguments : dict
        Of the imager.

    Raises
    ------
    EvaluationError
        It is of others.
    """
    before, files = read_json(parts / f"{number:04d}.json").get("inputs", {}), digests(arguments)
    changed = [kind for kind in arguments if before.get(kind) != files.get(kind)]
    if changed:
        raise EvaluationError(
            f"output={str(parts.parent)!r}: holds field {number} of another {' and '.join(changed)} than "
            f"{arguments['dirty']} has now; remove it or give another folder"
        )


def is_whole(parts, number, n_true):
    """Whether what an earlier run has kept of a field is there and can be read; what cannot is made again.

    Parameters
    ----------
    parts : `~pathlib.Path`
        Folder.
    number, n_true : int
        Of the field, and of the true sources in it.

    Returns
    -------
    bool
    """
    path = parts / f"{number:04d}.json"
    if not path.exists():
        return False
    try:
        measured = json.loads(path.read_text())
        for key, kind in KEPT.items():
            if not isinstance(measured[key], kind):
                raise TypeError(f"{key} is of another type")
        if not n_true == len(measured["true_snr"]) == len(measured["true_pb"]):
            raise ValueError("of another number of true sources")
        if not {OURS, MATCHED_FILTER} <= set(measured["seconds"]):
            raise KeyError("seconds")
        for name in METHODS:
            path = part_path(parts, number, name)
            if name == OURS or path.exists():
                _read_table(path)
    except Exception as error:  # there is no end to what a damaged table makes its reader stumble over
        log.warning("%s: is damaged (%r); field %d is made again", path, error, number)
        return False
    return True


def is_readable(path):
    """Whether what another finder has found can be read; else it runs again.

    Parameters
    ----------
    path : `~pathlib.Path`

    Returns
    -------
    bool
    """
    try:
        _read_table(path)
    except Exception as error:  # as above
        if path.exists():
            log.warning("%s: is damaged (%r); it is made again", path, error)
        return False
    return True


def _read_table(path):
    """What was found in a field."""
    table = QTable.read(path, format="ascii.ecsv")
    if not {"field", "ra", "dec"} <= set(table.colnames):
        raise KeyError("field, ra, dec")
    return table


def part_path(parts, number, method):
    """Path of what a method has found in a field.

    Parameters
    ----------
    parts : `~pathlib.Path`
        Folder.
    number : int
        Of the field.
    method : str

    Returns
    -------
    `~pathlib.Path`
    """
    return parts / f"{number:04d}.{re.sub('[^a-z]+', '-', method.lower())}.ecsv"


def write_table(path, table, number):
    """Keep what was found in a field.

    Parameters
    ----------
    path : `~pathlib.Path`
    table : `~astropy.table.QTable`
    number : int
        Of the field.
    """
    table = QTable(table, copy=False, meta={"field": number, **{k: v for k, v in table.meta.items() if k == "seconds"}})
    table.add_column(np.full(len(table), number), name="field", index=0)
    with written_whole(path) as part:
        write_ecsv(table, part)


def read_json(path):
    """Read what was kept.

    Parameters
    ----------
    path : `~pathlib.Path`

    Returns
    -------
    dict

    Raises
    ------
    EvaluationError
        It is damaged.
    """
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise TypeError(f"{type(content).__name__} instead of an object")
        return content
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{path}: is damaged ({error}); remove it, and what it held is made again") from error


def write_json(path, content):
    """Keep something, whole or not at all.

    Parameters
    ----------
    path : `~pathlib.Path`
    content : dict
    """
    with written_whole(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")
