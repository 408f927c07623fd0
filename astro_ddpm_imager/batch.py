"""What the commands image and demo do: one file or many, their products, and what is printed of each."""

import logging
import math
import secrets
import time
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import compress
from operator import not_
from pathlib import Path
from shutil import rmtree
from socket import gethostname

import astropy.units as u
import numpy as np
from radio_beam import Beam
from tqdm import tqdm

from .cluster import connected
from .command_line.printing import say, say_json, warnings_logged
from .compat import wsclean
from .cubes import image_cube
from .data import demo_files
from .errors import DirtyImageError, SettingError
from .imager import DiffusionImager
from .joint import JOINT_PRODUCTS, JointResult, image_jointly
from .large import image_in_tiles, in_tiles
from .observation.cubes import count_channels
from .observation.reading import file_digest, opened_image, read_companion, read_image
from .pieces import attempts
from .products.cube_files import CUBE_PRODUCTS, check_cube_free
from .products.headers import channels_text
from .products.summary import summary_table
from .products.writing import check_free, check_not_read, is_made, left_by_interruption

__all__ = ["image_demo", "image_files"]

log = logging.getLogger(__name__)

FITS_ENDINGS = (".gz", ".bz2", ".fz", ".fits", ".fit", ".dirty")
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
        Whether all of them are there.
    check : function
        Raises OSError if there is no such image, or its products cannot be
        written.
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


def image_files(args):
    """Image the files of the command line, and write the products of each.

    Parameters
    ----------
    args : `argparse.Namespace`
        Arguments of the command ``image``, by their names there.

    Raises
    ------
    SettingError, FileNotFoundError, FileExistsError
        Before any work: an argument, a missing file, products that exist.
    DirtyImageError
        After the others are done: some images could not be used.
    """
    beam = None
    if args.beam is not None:
        major, minor, angle = args.beam
        if not 0 < minor <= major < math.inf:
            raise SettingError(f"--beam {major:g} {minor:g} {angle:g}: the axes must be positive, the longer one first")
        beam = Beam(major * u.arcsec, minor * u.arcsec, angle * u.deg)
    for name, given in _companions(args).items():
        for path in given if isinstance(given, list) else [given]:
            if not path.exists():
                raise FileNotFoundError(f"--{name} {path}: there is no such file")
    jobs = _wsclean_jobs(args, beam) if args.wsclean else _file_jobs(args, beam)
    if args.resume:
        jobs = _left(jobs, args)
    for job in jobs:
        try:
            job.check()
        except OSError as error:
            _report_failure(job, error, args)
            raise
    with (
        nullcontext() if args.scheduler is None or not jobs else connected(args.scheduler) as client,
        _imager(args, sum(job.channels for job in jobs), client) as imager,
    ):
        _do_all(jobs, imager, args)


def image_demo(args):
    """Image the field that comes with the package.

    Parameters
    ----------
    args : `argparse.Namespace`
        Arguments of the command ``demo``, by their names there.

    Raises
    ------
    SettingError, FileExistsError
        Before any work: an argument, products that exist.
    """
    files, prefix = demo_files(), (args.output_dir or Path()) / "demo"
    job = Job(
        files["dirty"],
        files["dirty"],
        files["dirty"],
        prefix,
        is_done=lambda: False,
        check=lambda: check_free(prefix, args.overwrite),
        image=lambda imager: imager(**files),
        write=lambda result: result.write(prefix, args.overwrite),
    )
    job.check()
    with _imager(args, 1) as imager:
        _do_all([job], imager, args)


def _file_jobs(args, beam):
    prefixes = [(args.output_dir or Path()) / _stem(path) for path in args.files]
    repeated = {prefix.name for prefix in prefixes if prefixes.count(prefix) > 1}
    if repeated:
        raise SettingError(f"several files would be written as {', '.join(sorted(repeated))}; give them one at a time")

    # Workers of a cluster have other working folders.
    there = _located(args) if args.scheduler else args
    return [
        _cube_job(path, at, prefix, to, there, beam)
        if _is_cube(path, args)
        else Job(
            path, path, at, prefix, partial(_is_done, there, at, to), partial(_check, there, at, to),
            partial(_image, there, beam, at, to), partial(_write, there, at, to), divided=_is_tiled(path, args),
        )
        for path, prefix, at, to in zip(
            args.files, prefixes, there.files, _absolute(prefixes) if args.scheduler else prefixes, strict=True
        )
    ]  # fmt: skip


def _located(args):
    """The same, with paths that do not depend on the working folder."""
    paths = {name: _absolute([value])[0] for name, value in vars(args).items() if isinstance(value, Path)}
    several = {"psf": _absolute(args.psf)} if isinstance(args.psf, list) else {}
    return Namespace(**vars(args) | paths | several | {"files": _absolute(args.files)})


def _absolute(paths):
    return [path.expanduser().absolute() for path in paths]


def _made_of(args, path):
    """What the products of a file say of their origin."""
    settings = {name: value for name, value in (("n_samples", args.samples), ("seed", args.seed)) if value is not None}
    return {"input_sha256": file_digest(path), **settings} if path.is_file() else settings


def _is_done(args, path, prefix):
    return is_made(prefix, _made_of(args, path))


def _check(args, path, prefix):
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    given = [each for paths in _companions(args).values() for each in (paths if isinstance(paths, list) else [paths])]
    check_not_read(prefix, [*args.files, *given])
    check_free(prefix, _replaced(args, path, prefix))


def _replaced(args, path, prefix):
    return args.overwrite or (args.resume and left_by_interruption(prefix, _made_of(args, path)))


def _image(args, beam, path, prefix, imager):
    def read(given):
        """Functions that read a companion, or several, when they are called: large ones are not read all at once."""
        if isinstance(given, list):
            return [read(each) for each in given]
        return partial(_read_companion, given, args.channel, args.stokes)

    dirty = read_image(path, args.channel, args.stokes)
    companions = {name: read(given) for name, given in _companions(args).items()}
    if not (isinstance(args.psf, list) or imager.works_in_tiles(dirty.shape)):
        return imager(dirty, beam=beam, **{name: companion() for name, companion in companions.items()})
    folder = _tiles_folder(prefix)
    if not args.resume:
        rmtree(folder, ignore_errors=True)
    try:
        return image_in_tiles(imager, dirty, companions, beam, folder)
    except DirtyImageError:
        rmtree(folder, ignore_errors=True)
        raise


def _read_companion(path, channel, stokes):
    """A PSF, primary beam, mask or noise, which is read once for many images."""
    status = path.stat()
    if path.is_dir() or status.st_size > 8 * LARGE:
        return read_companion(path, channel, stokes)
    return _read_once(path, channel, stokes, status.st_mtime_ns, status.st_size)


@lru_cache(4)
def _read_once(path, channel, stokes, *_):
    companion = read_companion(path, channel, stokes)
    companion.data.flags.writeable = False  # it is that of the next image, too
    return companion


def _write(args, path, prefix, result):
    replaced = _replaced(args, path, prefix)
    if args.scheduler and not replaced:
        # Nothing was there when this began: what is there now was left by a worker that died.
        own = _made_of(args, path) | {"seed": result.meta["seed"]}
        replaced = is_made(prefix, own) or left_by_interruption(prefix, own)
    paths = result.write(prefix, replaced, args.keep_axes)
    rmtree(_tiles_folder(prefix), ignore_errors=True)
    return paths


def _is_tiled(path, args):
    """Whether the workers of a cluster do the tiles of a file, and not all of it."""
    if args.scheduler is None or not path.exists():
        return False
    try:
        with opened_image(path, None, str(path), sha256="") as (data, _, _):
            shape = data.shape[-2:]
    except DirtyImageError:  # which is said when its turn comes
        return False
    return isinstance(args.psf, list) or in_tiles(shape, args.tile)


def _is_cube(path, args):
    """Whether several channels of a file are to be imaged."""
    if args.joint and isinstance(args.channel, int):
        raise SettingError(
            f"--joint with --channel {args.channel}: is one channel; give several, such as 10:20, or all"
        )
    if isinstance(args.channel, int) or not path.exists():
        return False
    try:
        several = count_channels(path) > 1
    except DirtyImageError:  # which is said when its turn comes
        several = False
    for name, given in (("channel", isinstance(args.channel, slice)), ("joint", args.joint)):
        if given and not several:
            raise SettingError(f"--{name}: {path} is no cube that can be read; leave it out")
    return several


def _cube_job(name, path, prefix, to, args, beam):
    """All channels of a cube, or those that are chosen."""
    n_channels = count_channels(path)
    start, stop, _ = slice(None).indices(n_channels) if args.channel is None else args.channel.indices(n_channels)

    products = JOINT_PRODUCTS if args.joint else CUBE_PRODUCTS
    if isinstance(args.psf, list) or args.noise is not None:
        option = "psf of several places" if isinstance(args.psf, list) else "noise"
        raise SettingError(f"--{option}: {path} is a cube; give --channel N for one channel")
    given, chosen = (path, args.psf, args.pb, args.mask, beam), {"channels": args.channel, "stokes": args.stokes}

    def check():
        check_not_read(to, filter(None, [*args.files, args.psf, args.pb, args.mask]), products)
        if args.joint:
            check_free(to, args.overwrite, products)
        else:
            check_cube_free(to, args.overwrite, args.resume)

    def is_done():
        return is_made(to, _made_of(args, path) | {"channels": channels_text(range(start, stop))}, products)

    def image(imager):
        settings = {"resume": args.resume, "overwrite": args.overwrite, "keep_axes": args.keep_axes}
        return image_cube(imager, path, to, *given[1:], **chosen, **settings)

    def write_mean(result):
        return result.write(to, args.overwrite, args.keep_axes)

    job = partial(Job, name, name, path, prefix, is_done, check, divided=True)
    if args.joint:
        return job(lambda imager: image_jointly(imager, *given, **chosen), write_mean)
    return job(image, lambda result: result.paths, channels=max(stop - start, 1))


def _companions(args):
    """What is given with the images, paths or lists of them by name."""
    given = {name: getattr(args, name) for name in ("psf", "pb", "mask", "noise")}
    return {name: path for name, path in given.items() if path is not None}


def _tiles_folder(prefix):
    """Where the tiles of a large image are until its products are written."""
    return prefix.with_name(f".{prefix.name}.tiles")


def _wsclean_jobs(args, beam):
    for name in ("psf", "noise", "channel", "stokes", "joint"):
        if getattr(args, name) not in (None, False):
            said = "is measured" if name == "noise" else "the names of the files say it"
            raise SettingError(f"--{name}: with --wsclean {said}; leave it out")
    there = _located(args) if args.scheduler else args
    runs = [run for prefix in there.files for run in wsclean.find_images(prefix, there.pb, there.output_dir)]
    # With --resume nothing more is replaced: an image of that name may be WSClean's own.
    return [
        Job(
            run.prefix, run.dirty, run.dirty, run.prefix, run.is_done, partial(run.check_free, args.overwrite),
            partial(run.image, mask=there.mask, beam=beam), partial(run.write, overwrite=args.overwrite),
        )
        for run in runs
    ]  # fmt: skip


def _left(jobs, args):
    """The jobs that are not done; says which are."""
    left, done = [], []
    for job in jobs:
        (done if job.is_done() else left).append(job)
    if done:
        log.info("%d of %d have all their products already, and are skipped", len(done), len(jobs))
    for job in done if args.json else ():
        say_json(file=job.file, prefix=job.prefix, skipped=True)
    return left


class _Failures:
    """Of jobs: each is said, and does not stop the others."""

    def __init__(self, jobs, args):
        self.jobs, self.args, self.names = jobs, args, []

    def add(self, job, error):
        """Say why a job has failed; raise it if it is the only one."""
        name, said = str(job.name), error
        if isinstance(error, DirtyImageError):
            said = DirtyImageError(str(error) if name in str(error) else f"{name}: {error}")
        _report_failure(job, said, self.args)
        if len(self.jobs) == 1:
            if said is error:
                raise error
            raise said from error
        if said is error:  # a file that nobody has foreseen must not cost the night's other ones
            log.error("%s: %s: %s", name, type(error).__name__, error)
            log.debug("where it was raised:", exc_info=error)
        else:
            log.error("%s", said)
        self.names.append(name)


def _do_all(jobs, imager, args):
    """Do every job; raise an error at the end if some could not be done."""
    failures = _Failures(jobs, args)
    sent = [imager.client is not None and not job.divided for job in jobs]
    _on_cluster([*compress(jobs, sent)], imager, args, failures)
    _one_by_one([*compress(jobs, map(not_, sent))], imager, args, failures)
    if failures.names:
        raise DirtyImageError(
            f"{len(failures.names)} of {len(jobs)} images could not be used, for the reasons above: "
            f"{', '.join(failures.names)}"
        )


def _one_by_one(jobs, imager, args, failures):
    """Do jobs in this process.

    The products of an image are written while the next one is made, for most of that takes one core.
    """

    def write(job, result, warnings, started):
        with warnings_logged() as more:
            paths = job.write(result)
        _report(job, _Report.of(result, paths, warnings + more()), args)
        log.debug("%s took %.1f s", job.name, time.monotonic() - started)

    def settle(job, writing):
        try:
            writing.result()
        except Exception as error:
            failures.add(job, error)

    written = []  # the last image that was made, while its products are written
    with ThreadPoolExecutor(1) as writer:
        try:
            for job in jobs:
                while written and job.divided:  # which writes by itself
                    settle(*written.pop())
                if len(failures.jobs) > 1:
                    log.info("%s", job.name)
                started, failing = time.monotonic(), None
                try:
                    with warnings_logged() as warnings:
                        result = job.image(imager)
                except Exception as error:
                    failing = error
                while written:  # in the order of the files
                    settle(*written.pop())
                if failing is not None:
                    failures.add(job, failing)
                    continue
                written.append((job, writer.submit(write, job, result, warnings(), started)))
                if job.divided or result.dirty.data.size > LARGE:
                    settle(*written.pop())
                del result
        finally:
            while written:
                settle(*written.pop())


def _on_cluster(jobs, imager, args, failures):
    """Do every job on some worker, which reads and writes the files; the results are the same."""
    tasks = ((number, secrets.randbits(32) if args.seed is None else args.seed, job) for number, job in enumerate(jobs))
    for (number, *_), report in attempts(_do_job, imager, tasks):
        job = jobs[number]
        if len(failures.jobs) > 1:
            log.info("%s", job.name)
        try:
            said = report()
        except DirtyImageError as error:
            failures.add(job, DirtyImageError(str(error).replace(str(job.there), str(job.file))))
        except Exception as error:
            failures.add(job, error)
        else:
            if not all(path.exists() for path in said.paths):
                log.warning("%s: not seen here; do the workers have the same file system?", said.paths[0].parent)
            _report(job, said, args)
        imager.progress.update(imager.n_samples * imager.steps)


def _do_job(imager, task):
    """Do a job, in a worker."""
    _, seed, job = task
    if not job.there.exists():
        raise DirtyImageError(f"worker on {gethostname()} sees no {job.there}; it needs the same file system")
    seeded = copy(imager)
    seeded.seed = seed
    with warnings_logged() as warnings:
        result = job.image(seeded)
        paths = job.write(result)
    return _Report.of(result, paths, warnings())


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
        table = summary_table(catalog)
        where = "" if channels is None else f" in {len(channels)} channels"
        summary = f"{len(table)} source{'s' * (len(table) != 1)}{where}, noise {noise * 1e6:.3g} uJy/beam"
        text = "\n".join(table.pformat(max_lines=-1, max_width=-1)) if len(table) else ""
        return cls(paths, entries | {"warnings": warnings}, summary, text)


@contextmanager
def _imager(args, n_images, client=None):
    """An imager, with one progress bar for all files."""
    with tqdm(desc="sampling", unit="step", leave=False, disable=args.quiet or None) as bar:
        imager = DiffusionImager(
            args.model,
            n_samples=args.samples,
            steps=args.steps,
            sampler=args.sampler,
            aggregate=args.aggregate,
            reliability=args.reliability,
            purity=args.purity,
            insist=args.insist,
            pblimit=args.pblimit,
            device=args.device if client is None else "cpu",  # which is enough for what is sampled here
            threads=args.threads,
            seed=args.seed,
            progress=bar,
            client=client,
            tile=getattr(args, "tile", None),  # the demonstration field is small
        )
        imager.device = args.device
        log.debug("%r", imager)
        bar.reset(total=n_images * imager.n_samples * imager.steps)
        yield imager


def _report(job, report, args):
    """Print the catalogue, or what a script wants to know of it."""
    folder = job.prefix.expanduser().parent
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


def _report_failure(job, error, args):
    if args.json:
        say_json(file=job.file, error=str(error) or type(error).__name__)


def _stem(path):
    """Name of the products of a file: its own without the endings of a dirty image."""
    name = path.name.removesuffix(".image") if path.is_dir() else path.name
    while Path(name).suffix.lower() in FITS_ENDINGS:
        name = Path(name).stem
    if not name.strip("."):
        raise SettingError(f"{path}: leaves no name for the products; give the file another one")
    return name
