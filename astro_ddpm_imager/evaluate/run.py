"""The run over all fields of a folder: each field's catalogues and measurements are kept as they are made."""

import hashlib
import logging
import time
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import FK5, ICRS
from astropy.table import QTable, Table, vstack
from astropy.wcs.utils import proj_plane_pixel_area, wcs_to_celestial_frame

from .. import __version__
from ..diffusion.reconstruction import AGGREGATES
from ..errors import EvaluationError
from ..failures import Failures
from ..home import expanded
from ..imager import DiffusionImager
from ..observation.reading import read_image
from ..progress import hidden, tqdm
from ..whole_files import claimed, made_folder
from .aggregates import aggregate_catalogs
from .fields import NOT_STATED, read_folder, true_pixels, true_snr
from .finders import FINDERS, FinderError, measurement_sets, nothing_found
from .images import image_scores, pixel_coverage, true_brightness, true_ranks, true_sky
from .matched_filter import matched_filter
from .parts import (
    FIRST_SAMPLES,
    MATCHED_FILTER,
    OURS,
    check_files,
    check_settings,
    digests,
    is_readable,
    is_whole,
    part_path,
    read_json,
    write_json,
    write_table,
)  # fmt: skip

__all__ = ["MATCHED_FILTER", "OURS", "RISING_FILTER", "Evaluation", "run_fields"]

log = logging.getLogger(__name__)

RISING_FILTER = "matched filter, threshold rising with 1 - pb"  # so it knows where sources lie, as the model does
FAINTEST_FRACTION = 0.1  # of the samples; fewer make a candidate that no figure shows
LARGEST = 10  # sides of an image: what a true source may measure
FURTHEST = 1.5  # sides of an image from its middle: where its nearest true source may be
COLUMNS = ("ra", "dec", "ra_err", "dec_err", "flux", "flux_err", "snr", "reliability")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found in the fields of a folder, and what is there.

    Parameters
    ----------
    truth : `~astropy.table.QTable`
        As `read_folder` gives it, with ``snr`` and ``pb`` besides.
    catalogs : dict of `~astropy.table.QTable`
        By method, over all fields. Every candidate with its ``reliability``,
        calibrated if the settings say so, or ``significance`` and ``pb`` for
        the matched filter, which is there twice where there is a primary beam,
        for two kinds of threshold; the integer n is detect-aggregate with the first n samples.
    seconds : dict of dict
        Wall time by method and number of the field.
    measured : dict of dict
        By number of the field: ``images`` (``image_scores``), ``coverage``
        (``pixel_coverage``), ``ranks`` (``true_ranks``), ``rms`` (Jy/beam),
        ``beam`` (arcsec), ``threads`` and ``provider`` of the imager, and
        ``inputs`` (SHA-256 of the files).
    settings : dict
        Of the imager, and the noise protocol of the fields.
    truth_path : `~pathlib.Path` or None
        Table of the true sources, which no report may replace.
    failures : ``Failures`` or None
        Fields that could not be used; they are in none of the others.
    """

    truth: QTable
    catalogs: dict
    seconds: dict
    measured: dict
    settings: dict
    truth_path: Path | None = None
    failures: Failures | None = None


def run_fields(
    folder: str | PathLike[str],
    output: str | PathLike[str],
    imager: DiffusionImager,
    truth: str | PathLike[str] | None = None,
    fields: int | None = None,
    progress: bool | None = None,
    noise_protocol: str | None = None,
) -> Evaluation:
    """Image all fields of a folder, find their sources with every method there is, and measure.

    What is in ``output`` already is not made again, so that an interrupted run
    goes on where it stopped. A field that cannot be used is named in the log and left out.

    Parameters
    ----------
    folder : path-like
        See `read_folder`; MeasurementSets as in ``measurement_sets``.
    output : path-like
        Folder for what is measured, made if needed.
    imager : `~astro_ddpm_imager.DiffusionImager`
        With ``reliability=0``, ``catalog="detect-aggregate"``, a seed and two
        samples or more; of large images with ``tile=0``, for the samples are needed.
    truth : path-like, optional
        See `read_folder`.
    fields : int, optional
        Only the first so many fields.
    progress : bool, optional
        Show a progress bar; by default only on a terminal.
    noise_protocol : {"independent", "shared"}, optional
        See `read_folder`.

    Returns
    -------
    `Evaluation`

    Raises
    ------
    EvaluationError
        The truth, the settings or all fields cannot be used, or ``output`` holds
        a run with others.
    DirtyImageError
        The only field cannot be used.
    FileExistsError
        Another process writes to ``output``.
    OSError
        There is no room, or ``output`` cannot be written to for another reason; what is measured stays.
    """
    _check(imager)
    if fields is not None and fields < 1:
        raise EvaluationError(f"fields={fields}: give at least 1")
    folder, output = expanded(folder, EvaluationError, "folder"), expanded(output, EvaluationError, "output")
    truth = None if truth is None else expanded(truth, EvaluationError, "truth")
    inputs, sources = read_folder(folder, truth, noise_protocol)
    components = _true_components(folder, sources) if truth is None else sources
    # Of all fields, so that a run of a few can go on with more: the matched filter knows the mean shape of the sources.
    fwhm = np.sqrt(sources["major"] * sources["minor"]).mean() if len(sources) else 0 * u.arcsec
    settings = _what_counts(folder, imager, sources, components)
    inputs = dict(list(inputs.items())[:fields])
    sources = sources[np.isin(sources["field"], list(inputs))]
    parts = made_folder(output / "fields")
    with claimed(output):
        check_settings(output / "settings.json", settings)
        disable = hidden(progress)
        failures = _image_fields(parts, inputs, sources, components, imager, fwhm, disable)
        if not inputs:
            raise EvaluationError(f"{failures}; the first: {failures.said[0][1]}")
        sources = sources[np.isin(sources["field"], list(inputs))]
        names = [OURS, *AGGREGATES, MATCHED_FILTER]
        sets = measurement_sets(folder, inputs)
        for finder in FINDERS:
            numbers = list(inputs) if finder.restore is None else [number for number in inputs if number in sets]
            if numbers and _find_fields(parts, finder, numbers, inputs, sets, imager.pblimit, disable):
                names.append(finder.name)
        evaluation = _collect(parts, list(inputs), sources, names, settings)
        return replace(evaluation, truth_path=truth, failures=failures)


def _check(imager):
    wanted = {"reliability": 0, "catalog": "detect-aggregate"}
    for name, value in wanted.items():
        if getattr(imager, name) != value:
            raise EvaluationError(f"imager.{name}={getattr(imager, name)!r}: must be {value!r}, to see every candidate")
    if imager.seed is None:
        raise EvaluationError("imager.seed=None: give a seed, so that the run can be repeated")
    if imager.n_samples < 2:
        raise EvaluationError(f"imager.n_samples={imager.n_samples}: a spread needs at least 2 samples")


def _true_components(folder, sources):
    """The Gaussians that the sources of a folder are made of: its own table where there are extended ones."""
    path = folder / "gaussians.ecsv"
    if not path.is_file():
        return sources
    stated = sources.meta["noise_protocol"]
    protocol = None if stated == NOT_STATED else stated  # which this table does not say
    _, components = read_folder(folder, path, protocol)
    _check_components(components, sources, path)
    return components


def _check_components(components, sources, path):
    """Gaussians must have the fluxes of the truth that they stand beside."""
    for number in np.union1d(components["field"], sources["field"]):
        made, true = (table["flux"][table["field"] == number].sum() for table in (components, sources))
        if not np.isclose(made, true, rtol=1e-3, atol=0 * u.Jy):
            raise EvaluationError(
                f"{path}: is of another truth: in field {number} its fluxes are {made:.6g} in all, those of truth.ecsv "
                f"{true:.6g}; remove it, or put its own truth back"
            )


def _what_counts(folder, imager, sources, components):
    """Settings of a run: with others it is not gone on with."""
    settings = {
        "software": f"astro_ddpm_imager {__version__}",
        "fields_in": folder.resolve().name,
        "truth_sha256": _digest(sources),
        "noise_protocol": sources.meta["noise_protocol"],
        "default_reliability": imager.card.reliability,
        "calibrated": bool(imager.calibrate and imager.card.calibration),
        "model": imager.card.name,
        "model_sha256": imager.card.sha256,
        "model_noise_protocol": imager.card.noise_protocol,
        **{name: getattr(imager, name) for name in ("n_samples", "steps", "sampler", "threshold", "pblimit", "seed")},
    }
    if len(components) != len(sources):
        settings["components_sha256"] = _digest(components)
    return settings


def _digest(sources):
    """Checksum of a truth."""
    known = np.array([np.asarray(sources[name]) for name in ("field", "ra", "dec", "flux", "major", "minor", "pa")])
    return hashlib.sha256(known.tobytes()).hexdigest()


def _image_fields(parts, inputs, sources, components, imager, fwhm, disable):
    """Keep what comes of each field that is not there yet; those that cannot be used leave ``inputs``, as failures."""
    failures = Failures("fields", len(inputs))
    for number in tqdm(list(inputs), desc="imaging", unit="field", disable=disable):
        truth_here, components_here = (table[table["field"] == number] for table in (sources, components))
        if is_whole(parts, number, len(truth_here)):
            check_files(parts, number, inputs[number])
            continue
        try:
            found = _image_field(number, inputs[number], truth_here, components_here, imager, fwhm)
        except EvaluationError:  # of the truth or the imager, which are those of all fields
            raise
        except Exception as error:
            failures.add(str(inputs.pop(number)["dirty"]), error)
        else:  # beyond these: a full disk is no fault of a field
            _keep(parts, number, *found)
    return failures


def _image_field(number, arguments, truth, components, imager, fwhm):
    """Everything that comes from the samples of one field, drawn once, and the matched filter: tables and numbers."""
    path, started = arguments["dirty"], time.perf_counter()
    files = digests(arguments)
    image = read_image(path)
    if imager.works_in_tiles(image.shape):
        raise EvaluationError(
            f"imager.tile={imager.tile!r}: {path} would be worked on in tiles, whose samples are not kept; give tile=0"
        )
    _check_positions(image, truth, f"field {number}, {path}")
    _check_sizes(image, components, f"field {number}, {path}")
    result = imager(**arguments | {"dirty": image})
    _ = tuple(result)
    seconds = {OURS: time.perf_counter() - started}
    dirty, per_beam = result.dirty, imager.card.pixels_per_beam
    started = time.perf_counter()
    catalogs = {MATCHED_FILTER: matched_filter(dirty, fwhm)}
    seconds[MATCHED_FILTER] = time.perf_counter() - started
    catalogs[OURS] = result.catalog
    firsts = []
    for name, table in aggregate_catalogs(result, imager.threshold, per_beam).items():
        table = table[table["reliability"] >= FAINTEST_FRACTION]
        table.meta = {}
        if isinstance(name, str):
            catalogs[name] = table
        else:
            table["first"] = np.full(len(table), name)
            firsts.append(table)
    catalogs[FIRST_SAMPLES] = vstack(firsts)
    sky = true_sky(components, dirty)
    x, y = true_pixels(truth, dirty.wcs)
    measured = {
        "inputs": files,
        "seconds": seconds,
        "threads": imager.denoiser.workers,
        "provider": imager.denoiser.provider,
        "rms": dirty.rms,
        "beam": float(np.sqrt(dirty.beam.major * dirty.beam.minor).to_value(u.arcsec)),
        "true_snr": true_snr(truth, dirty).tolist(),
        "true_pb": np.nan_to_num(dirty.primary_beam_at(x, y)).tolist(),
        "images": image_scores(result, sky, true_brightness(components, dirty), per_beam),
        "coverage": pixel_coverage(result, sky, per_beam, number),
        "ranks": true_ranks(result, sky, per_beam, number),
    }
    return catalogs, measured


def _keep(parts, number, catalogs, measured):
    """Write what was found in one field."""
    for name, table in catalogs.items():
        kept = [column for column in (*COLUMNS, "significance", "pb", "first") if column in table.colnames]
        write_table(part_path(parts, number, name), table[kept], number)
    # Last, so that a field without it is made again.
    write_json(parts / f"{number:04d}.json", measured)


def _check_positions(image, truth, name):
    """The truth must be of the image's part of the sky; to be known before the image is worked on."""
    frame = wcs_to_celestial_frame(image.wcs)
    if not any(frame.is_equivalent_frame(known) for known in (ICRS(), FK5())):
        raise EvaluationError(
            f"{name}: the image is in {frame.name} coordinates, and a truth has positions of ICRS or FK5 (J2000); "
            "image it in one of these"
        )
    if not len(truth):
        return
    ny, nx = image.shape
    x, y = true_pixels(truth, image.wcs)
    # Behind the tangent plane there are no pixels.
    away = np.nan_to_num(np.maximum(np.abs(x - nx / 2) / nx, np.abs(y - ny / 2) / ny), nan=np.inf)
    if np.isinf(away).any() or away.min() > FURTHEST:
        middle = image.wcs.pixel_to_world(nx / 2, ny / 2)
        raise EvaluationError(
            f"{name}: the true sources are nowhere near the image, whose middle is at {middle.ra.deg:.6f}, "
            f"{middle.dec.deg:.6f} deg; the first is at {truth['ra'][0]:.6f}, {truth['dec'][0]:.6f}: are ra and dec of "
            "the truth in degrees, and of this field?"
        )


def _check_sizes(image, truth, name):
    """The true sources must be no larger than images are: they are drawn whole."""
    side = max(image.shape) * proj_plane_pixel_area(image.wcs) ** 0.5 * u.deg
    largest = truth["major"].max() if len(truth) else 0 * u.deg
    if largest > LARGEST * side:
        raise EvaluationError(
            f"{name}: a true source is {largest.to_value(u.arcsec):.4g} arcsec long (maj_arcsec), more than {LARGEST} "
            f"times the image of {side.to_value(u.arcsec):.4g} arcsec; is its truth in arcsec?"
        )


def _find_fields(parts, finder, numbers, inputs, sets, pblimit, disable):
    """Run another finder where it has not run yet; False if it is not installed."""
    paths = {number: part_path(parts, number, finder.name) for number in numbers}
    todo = [number for number in numbers if not is_readable(paths[number])]
    if todo and finder.missing():
        log.warning("%s is left out: it needs %s", finder.name, finder.missing())
        return False
    if todo:
        with finder.started(pblimit) as find:
            for number in tqdm(todo, desc=finder.name, unit="field", disable=disable):
                started = time.perf_counter()
                try:
                    table = find(inputs[number], sets.get(number))
                except FinderError as error:
                    log.warning("%s fails on field %d, which counts as nothing found: %s", finder.name, number, error)
                    table = nothing_found(time.perf_counter() - started)
                write_table(paths[number], table, number)
    return True


def _collect(parts, numbers, truth, names, settings):
    """Read all fields again."""
    measured = {number: read_json(parts / f"{number:04d}.json") for number in numbers}
    seconds = {name: {n: measured[n]["seconds"][name] for n in numbers} for name in (OURS, MATCHED_FILTER)}
    catalogs = {}
    for name in [*names, FIRST_SAMPLES]:
        tables = [part_path(parts, number, name) for number in numbers]
        # As plain columns: older versions wrote longitudes, which do not go together with quantities.
        tables = [QTable(Table(QTable.read(path))) for path in tables if path.exists()]
        for table in tables:
            if "seconds" in table.meta:
                seconds.setdefault(name, {})[table.meta["field"]] = table.meta["seconds"]
            table.meta = {}
        catalogs[name] = vstack(tables)
        if name == MATCHED_FILTER:
            _add_rising(catalogs, seconds)
    firsts = catalogs.pop(FIRST_SAMPLES)
    catalogs |= {n: firsts[firsts["first"] == n] for n in range(1, settings["n_samples"] + 1)}
    rows = [np.flatnonzero(truth["field"] == number) for number in numbers]
    for column in ("snr", "pb"):
        truth[column] = np.zeros(len(truth))
        for number, where in zip(numbers, rows, strict=True):
            truth[column][where] = measured[number][f"true_{column}"]
    unseen = (truth["pb"] == 0).sum()
    if unseen:
        log.warning("%d of %d true sources lie where the images are blank, and count as missed", unseen, len(truth))
    return Evaluation(truth, catalogs, seconds, measured, settings)


def _add_rising(catalogs, seconds):
    """The matched filter once more, for a threshold that depends on the primary beam, if all fields have one."""
    table = catalogs[MATCHED_FILTER]
    if "pb" not in table.colnames or np.ma.is_masked(table["pb"]):
        log.warning(
            "the matched filter of some fields was run by an older version, which did not keep the primary beam: the "
            "report is without the one whose threshold rises with 1 - pb; give another output folder to have it"
        )
    elif (table["pb"] < 1).any():
        catalogs[RISING_FILTER], seconds[RISING_FILTER] = table, seconds[MATCHED_FILTER]
