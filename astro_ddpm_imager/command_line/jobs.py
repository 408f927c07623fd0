"""Jobs of the commands image and demo: done here or by a cluster, and what is printed of each."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress
from operator import not_
from pathlib import Path
from socket import gethostname

import numpy as np

from ..errors import DirtyImageError, SettingError
from ..failures import Failures
from ..joint import JointResult
from ..log_records import collected_records
from ..observation.extensions import file_of, split_extension
from ..pieces import attempts
from ..products.summary import fitting_unit, summary_table
from .printing import error_text, say, say_json

__all__ = ["LARGE", "Job", "distinct", "do_all", "report_failure"]

log = logging.getLogger(__name__)

TO_DRAW = ("astropy.visualization.wcsaxes", "astro_ddpm_imager.products.plotting")  # what the picture of a result needs
LARGE = 2**22  # pixels of an image that does not wait in memory for its products, while the next one is made


@dataclass(frozen=True)
class Job:
    """One image, and what is done with it.

    Parameters
    ----------
    name : path-like
        What the user has called it.
    file, there : `~pathlib.Path`
        The dirty image, as the user has called it, and for any process.
    prefix : `~pathlib.Path`
        Start of the names of its products.
    is_done : function
        Of an imager: whether all of them are there, as it would make them.
    check : function
        Of an imager: raises OSError if there is no such image, or its products
        cannot be written.
    image : function
        Makes the result with an imager.
    write : function
        Writes the products of the result; returns their paths.
    divided : bool
        It is done here, and pieces of it by the workers of a cluster.
    channels : int
        How many images it is.
    """

    name: Path
    file: Path
    there: Path
    prefix: Path
    is_done: Callable
    check: Callable
    image: Callable
    write: Callable
    divided: bool = False
    channels: int = 1

    @classmethod
    def failing(cls, name, error):
        """A job of which is known already that it cannot be done, as it says in its turn.

        Parameters
        ----------
        name : `~pathlib.Path`
            What the user has called it.
        error : Exception

        Returns
        -------
        `Job`
        """

        def image(_):
            raise error

        return cls(name, name, name, name, lambda _: False, lambda _: None, image, write=None, divided=True)


def distinct(jobs):
    """Jobs without those of files that were given twice, which is said: their products would be written twice.

    Parameters
    ----------
    jobs : list of `Job`

    Returns
    -------
    list of `Job`

    Raises
    ------
    SettingError
        The products of two files would have the same names.
    """
    first = {}
    for job in jobs:
        before = first.setdefault(job.prefix.parent.resolve() / job.prefix.name, job)
        if before is job:
            continue
        if _source(before) != _source(job):
            raise SettingError(
                f"{before.file} and {job.file} would be written as {job.prefix.name}; give them one at a time, each "
                "with an --output-dir of its own"
            )
        log.warning("%s is given twice, before as %s: it is imaged once", job.file, before.file)
    return list(first.values())


def _source(job):
    file, extension = split_extension(job.there)
    return file.resolve(), extension


def _fail(failures, job, error, args):
    failures.add(str(job.name), error, lambda said: report_failure(job.file, said, args))


def do_all(jobs, imager, args):
    """Do every job, and say what comes of it.

    Parameters
    ----------
    jobs : list of `Job`
    imager : `~astro_ddpm_imager.DiffusionImager`
        Its ``progress`` is a bar.
    args : `argparse.Namespace`
        Of the command.

    Raises
    ------
    DirtyImageError
        After the others are done: some images could not be used.
    """
    failures = Failures("images", len(jobs), error_text)
    sent = [imager.client is not None and not job.divided for job in jobs]
    _on_cluster([*compress(jobs, sent)], imager, args, failures)
    _one_by_one([*compress(jobs, map(not_, sent))], imager, args, failures)
    if failures.said:
        raise DirtyImageError(str(failures))


def _one_by_one(jobs, imager, args, failures):
    """Do jobs in this process.

    The products of an image are written while the next one is made, for most of that takes one core.
    """

    def write(job, result, warnings, started):
        with collected_records() as more:
            paths = job.write(result)
        _report(job, _Report.of(result, paths, warnings + more), args)
        log.debug("%s took %.1f s", job.name, time.monotonic() - started)

    def settle(job, writing):
        try:
            writing.result()
        except Exception as error:
            _fail(failures, job, error, args)

    imager = imager.but(needed_later=TO_DRAW)
    written = []  # the last image that was made, while its products are written
    with ThreadPoolExecutor(1) as writer:
        try:
            for job in jobs:
                while written and job.divided:  # which writes by itself
                    settle(*written.pop())
                if failures.total > 1:
                    log.info("%s", job.name)
                started, failing = time.monotonic(), None
                try:
                    with collected_records() as warnings:
                        result = job.image(imager)
                except Exception as error:
                    failing = error
                while written:  # in the order of the files
                    settle(*written.pop())
                if failing is not None:
                    _fail(failures, job, failing, args)
                    continue
                written.append((job, writer.submit(write, job, result, warnings, started)))
                if job.divided or result.dirty.data.size > LARGE:
                    settle(*written.pop())
                del result
        finally:
            while written:
                settle(*written.pop())


def _on_cluster(jobs, imager, args, failures):
    """Do every job on some worker, which reads and writes the files; the results are the same."""
    tasks = ((number, imager.drawn_seed(), job) for number, job in enumerate(jobs))
    for (number, *_), report in attempts(_do_job, imager, tasks):
        job = jobs[number]
        if failures.total > 1:
            log.info("%s", job.name)
        try:
            said = report()
        except DirtyImageError as error:
            _fail(failures, job, DirtyImageError(str(error).replace(str(job.there), str(job.file))), args)
        except Exception as error:
            _fail(failures, job, error, args)
        else:
            if not all(path.exists() for path in said.paths):
                log.warning("%s: not seen here; do the workers have the same file system?", said.paths[0].parent)
            _report(job, said, args)
        imager.progress.update(imager.n_samples * imager.steps)


def _do_job(imager, task):
    """Do a job, in a worker."""
    _, seed, job = task
    if not file_of(job.there).exists():
        raise DirtyImageError(f"worker on {gethostname()} sees no {job.there}; it needs the same file system")
    with collected_records() as warnings:
        result = job.image(imager.but(seed=seed))
        paths = job.write(result)
    return _Report.of(result, paths, warnings)


@dataclass(frozen=True)
class _Report:
    """What is said of a result.

    Parameters
    ----------
    paths : list of `~pathlib.Path`
        Its products.
    entries : dict
        For JSON.
    summary, table : str
        For readers.
    """

    paths: list
    entries: dict
    summary: str
    table: str

    @classmethod
    def of(cls, result, paths, warnings):
        plane = result.mean if isinstance(result, JointResult) else result
        catalog, channels = plane.catalog, getattr(result, "channels", None)
        alone = plane is not result or channels is None
        noise = plane.dirty.rms if alone else float(np.nanmedian(channels["rms"].value))
        entries = {"n_sources": len(catalog), "noise": noise, "noise_unit": "Jy/beam", "seed": plane.meta["seed"]}
        entries |= {} if channels is None else _of_channels(channels)
        entries |= _of_fit(plane.fit) if alone else _of_fits(channels)
        table, (scale, unit) = summary_table(catalog), fitting_unit(noise)
        said = f"{noise / scale:.3g} {unit.replace('µ', 'u')}/beam"
        where = "" if channels is None else f" in {len(channels)} channels"
        summary = f"{len(table)} source{'s' * (len(table) != 1)}{where}, noise {said}"
        text = "\n".join(table.pformat(max_lines=-1, max_width=-1)) if len(table) else ""
        return cls(paths, entries | {"warnings": [record.getMessage() for record in warnings]}, summary, text)


def _report(job, report, args):
    """Print the catalogue, or what a script wants to know of it."""
    folder = job.prefix.parent
    log.info("wrote %s in %s", ", ".join(path.name for path in report.paths), folder)
    if args.json:
        products = [folder / path.name for path in report.paths]
        say_json(file=job.file, prefix=job.prefix, products=products, **report.entries)
        return
    say(f"{job.prefix}: {report.summary}")
    if report.table:
        say(report.table)


def _of_fit(fit):
    return {"chi2": fit.chi2, "misfit": list(fit.misfits)}


def _of_fits(channels):
    """The same of the channels of a cube."""
    chi2 = [float(value) for value in channels["chi2"]]
    return {"chi2": chi2, "misfit": sorted({word for text in channels["misfit"] for word in text.split(", ") if word})}


def _of_channels(channels):
    blank = channels["channel"][channels["note"] != ""]
    return {"n_channels": len(channels), "blank": [int(channel) for channel in blank]}


def report_failure(file, error, args):
    """Tell a script that an image could not be made.

    Parameters
    ----------
    file : path-like
        The dirty image, as the user has called it.
    error : Exception
    args : `argparse.Namespace`
        Of the command.
    """
    if args.json:
        say_json(file=file, error=error_text(error))
