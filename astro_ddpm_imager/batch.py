"""What the commands image and demo do: which images they are given, and what is to be done with each."""

import logging
import math
from argparse import Namespace
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from pathlib import Path
from shutil import rmtree

import astropy.units as u
from radio_beam import Beam
from tqdm import tqdm

from .cluster import connected
from .command_line.imager import imager_of
from .command_line.jobs import LARGE, Job, distinct, do_all, report_failure
from .command_line.paths import (
    absolute,
    check_companions,
    given_companions,
    located,
    product_name,
    read_paths,
    tiles_folder,
)
from .command_line.printing import say_json
from .command_line.resuming import check_the_same, known_before, options_of, with_options
from .compat import wsclean
from .cubes import image_cube
from .data import demo_files
from .errors import DirtyImageError, SettingError
from .joint import JOINT_PRODUCTS, image_jointly
from .large import image_in_tiles, in_tiles
from .observation.cubes import count_channels
from .observation.extensions import file_of
from .observation.reading import opened_image, read_companion, read_image
from .products.cube_files import CUBE_PRODUCTS, check_cube_free
from .products.headers import channels_text
from .products.provenance import is_made, left_by_interruption
from .products.writing import check_free, check_not_read
from .tiled_result import TiledResult
from .whole_files import claimed

__all__ = ["image_demo", "image_files"]

log = logging.getLogger(__name__)

OF_A_RUN = ("date", "software", "chi2", "misfit")  # what products say that may be otherwise


def image_files(args):
    """Image the files of the command line, and write the products of each.

    Parameters
    ----------
    args : `argparse.Namespace`
        Arguments of the command ``image``, by their names there.

    Raises
    ------
    SettingError, FileNotFoundError, PermissionError, FileExistsError
        Before any work: an argument, a missing file or one that may not be read, products that exist.
    DirtyImageError
        After the others are done: some images could not be used.
    """
    args = Namespace(**vars(args) | {"beam": None if args.beam is None else _beam(*args.beam)})
    check_companions(args)
    jobs = distinct(_wsclean_jobs(args) if args.wsclean else _file_jobs(args))
    with _imager(args) as (imager, bar):
        if args.resume:
            jobs = _left(jobs, imager, args)
        for job in jobs:
            try:
                job.check(imager)
            except OSError as error:
                report_failure(job.file, error, args)
                raise
        bar.reset(total=sum(job.channels for job in jobs) * imager.n_samples * imager.steps)
        with nullcontext() if args.scheduler is None or not jobs else connected(args.scheduler) as client:
            do_all(jobs, imager.but(client=client, device=args.device), args)


def _beam(major, minor, angle):
    if not 0 < minor <= major < math.inf:
        raise SettingError(f"--beam {major:g} {minor:g} {angle:g}: the axes must be positive, the longer one first")
    return Beam(major * u.arcsec, minor * u.arcsec, angle * u.deg)


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
        is_done=lambda _: False,
        check=lambda _: check_free(prefix, args.overwrite),
        image=lambda imager: imager(**files),
        write=lambda result: result.write(prefix, args.overwrite),
    )
    with _imager(args) as (imager, bar):
        job.check(imager)
        bar.reset(total=imager.n_samples * imager.steps)
        do_all([job], imager, args)


def _file_jobs(args):
    prefixes = [(args.output_dir or Path()) / product_name(path) for path in args.files]
    # Workers of a cluster have other working folders.
    there = located(args) if args.scheduler else args
    return [
        _cube_job(path, at, prefix, to, there, n_channels)
        if (n_channels := _count_channels(path, args)) > 1 or isinstance(args.channel, slice)
        else Job(
            path, path, at, prefix, partial(_is_done, there, at, to), partial(_check, there, at, to),
            partial(_image, there, at, to), partial(_write, there, at, to), divided=_is_tiled(path, args),
        )
        for path, prefix, at, to in zip(
            args.files, prefixes, there.files, absolute(prefixes) if args.scheduler else prefixes, strict=True
        )
    ]  # fmt: skip


def _made_of(args, path, imager):
    return known_before(args, {"dirty": path, **given_companions(args)}, imager)


def _is_done(args, path, prefix, imager):
    return is_made(prefix, _made_of(args, path, imager))


def _check(args, path, prefix, imager):
    if not file_of(path).exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    check_not_read(prefix, read_paths(args))
    replaced = _replaced(args, path, prefix, imager)
    if args.resume and not replaced:
        check_the_same(prefix, _made_of(args, path, imager))
    check_free(prefix, replaced)


def _replaced(args, path, prefix, imager):
    return args.overwrite or (args.resume and left_by_interruption(prefix, _made_of(args, path, imager)))


def _image(args, path, prefix, imager):
    def read(name, given):
        """Functions that read a companion, or several, when they are called: large ones are not read all at once."""
        if isinstance(given, list):
            return [read(name, each) for each in given]
        return partial(_read_companion, name, given, args.channel, args.stokes)

    dirty = read_image(path, args.channel, args.stokes)
    companions = {name: read(name, given) for name, given in given_companions(args).items()}
    if not (isinstance(args.psf, list) or imager.works_in_tiles(dirty.shape)):
        given = {name: companion() for name, companion in companions.items()}
        return with_options(imager(dirty, beam=args.beam, **given), options_of(args))
    folder = tiles_folder(prefix)
    try:
        result = image_in_tiles(imager, dirty, companions, args.beam, folder, args.resume)
        return with_options(result, options_of(args))
    except DirtyImageError:
        rmtree(folder, ignore_errors=True)
        raise


def _read_companion(name, path, channel, stokes):
    """A PSF, primary beam, mask or noise, which is read once for many images."""
    status = file_of(path).stat()
    try:
        if path.is_dir() or status.st_size > 8 * LARGE:
            return read_companion(path, channel, stokes)
        return _read_once(path, channel, stokes, status.st_mtime_ns, status.st_size)
    except DirtyImageError as error:
        raise DirtyImageError(f"--{name} {error}") from error


@lru_cache(4)
def _read_once(path, channel, stokes, *_):
    companion = read_companion(path, channel, stokes)
    companion.data.flags.writeable = False  # it is that of the next image, too
    return companion


def _write(args, path, prefix, result):
    own = {name: value for name, value in result.meta.items() if name not in OF_A_RUN}
    any_seed = {name: value for name, value in own.items() if name != "seed"} if args.seed is None else own
    replaced = args.overwrite or (args.resume and left_by_interruption(prefix, any_seed))
    if args.scheduler and not replaced:
        # Nothing was there when this began: what is there now was left by a worker that died.
        replaced = is_made(prefix, own) or left_by_interruption(prefix, own)
    paths = result.write(prefix, replaced, args.keep_axes)
    left = tiles_folder(prefix)
    if isinstance(result, TiledResult):
        result.planes.remove()
    elif left.is_dir():
        with suppress(FileExistsError), claimed(left):  # that of another process stays
            rmtree(left, ignore_errors=True)
    return paths


def _is_tiled(path, args):
    """Whether the workers of a cluster do the tiles of a file, and not all of it."""
    if args.scheduler is None or not file_of(path).exists():
        return False
    try:
        with opened_image(path, None, str(path), sha256="") as (data, _, _):
            shape = data.shape[-2:]
    except (DirtyImageError, OSError):  # which is said when its turn comes
        return False
    return isinstance(args.psf, list) or in_tiles(shape, args.tile)


def _count_channels(path, args):
    """How many channels a file has of which several are to be imaged; 1 if it is an image."""
    if args.joint and isinstance(args.channel, int):
        raise SettingError(
            f"--joint with --channel {args.channel}: is one channel; give several, such as 10:20, or all"
        )
    if isinstance(args.channel, int) or not file_of(path).exists():
        return 1
    try:
        number = count_channels(path)
    except (DirtyImageError, OSError):  # which is said when its turn comes
        number = 1
    if args.joint and number < 2:
        raise SettingError(f"--joint: {path} is no cube that can be read; leave it out")
    return number


def _cube_job(name, path, prefix, to, args, n_channels):
    """All channels of a cube, or those that are chosen."""
    start, stop, _ = slice(None).indices(n_channels) if args.channel is None else args.channel.indices(n_channels)

    products = JOINT_PRODUCTS if args.joint else CUBE_PRODUCTS
    if isinstance(args.psf, list) or args.noise is not None:
        option = "psf of several places" if isinstance(args.psf, list) else "noise"
        raise SettingError(f"--{option}: {path} is a cube; give --channel N for one channel")
    given, chosen = (path, args.psf, args.pb, args.mask, args.beam), {"channels": args.channel, "stokes": args.stokes}

    def check(imager):
        if args.resume and not args.overwrite:
            check_the_same(to, made_of(imager), products)
        check_not_read(to, read_paths(args), products)
        if args.joint:
            check_free(to, args.overwrite, products)
        else:
            check_cube_free(to, args.overwrite, args.resume)

    def made_of(imager):
        return _made_of(args, path, imager) | {"channels": channels_text(range(start, stop))}

    def is_done(imager):
        return is_made(to, made_of(imager), products)

    def image(imager):
        settings = {"resume": args.resume, "overwrite": args.overwrite, "keep_axes": args.keep_axes}
        return image_cube(imager, path, to, *given[1:], **chosen, **settings)

    def image_all(imager):
        result = image_jointly(imager, *given, **chosen)
        with_options(result.mean, options_of(args))
        return result

    def write_mean(result):
        return result.write(to, args.overwrite, args.keep_axes)

    job = partial(Job, name, name, path, prefix, is_done, check, divided=True)
    if args.joint:
        return job(image_all, write_mean)
    return job(image, lambda result: result.paths, channels=max(stop - start, 1))


def _wsclean_jobs(args):
    for name in ("psf", "noise", "channel", "stokes", "joint"):
        if getattr(args, name) not in (None, False):
            said = "is measured" if name == "noise" else "the names of the files say it"
            raise SettingError(f"--{name}: with --wsclean {said}; leave it out")
    there = located(args) if args.scheduler else args
    return [
        job for prefix, at in zip(args.files, there.files, strict=True) for job in _jobs_of_run(prefix, at, args, there)
    ]


def _jobs_of_run(prefix, at, args, there):
    """A job for each image that a run of WSClean has written."""
    try:
        runs = wsclean.find_images(at, there.pb, there.output_dir)
    except FileNotFoundError as error:
        report_failure(prefix, error, args)
        raise
    except DirtyImageError as error:
        return [Job.failing(prefix, error)]
    # With --resume nothing is replaced: an image of that name may be WSClean's own.
    return [
        Job(
            run.prefix, run.dirty, run.dirty, run.prefix,
            partial(_run_is_done, run, there), partial(_check_run, run, there),
            partial(_image_run, run, there), partial(run.write, overwrite=args.overwrite),
        )
        for run in runs
    ]  # fmt: skip


def _image_run(run, args, imager):
    return with_options(run.image(imager, args.mask, args.beam), options_of(args))


def _made_of_run(run, args, imager):
    """What the products of a run of WSClean will say; the dirty image may be called otherwise by now."""
    made_of = known_before(args, given_companions(args) | run.inputs, imager)
    return {name: value for name, value in made_of.items() if name != "input"}


def _run_is_done(run, args, imager):
    return is_made(run.prefix, _made_of_run(run, args, imager), run.products)


def _check_run(run, args, imager):
    if args.resume and not args.overwrite:
        check_the_same(run.prefix, _made_of_run(run, args, imager), run.products)
    run.check_free(args.overwrite)


def _left(jobs, imager, args):
    """The jobs that are not done; says which are."""
    left, done = [], []
    for job in jobs:
        (done if job.is_done(imager) else left).append(job)
    if done:
        log.info("%d of %d have all their products already, and are skipped", len(done), len(jobs))
    for job in done if args.json else ():
        say_json(file=job.file, prefix=job.prefix, skipped=True)
    return left


@contextmanager
def _imager(args):
    """An imager, and its one progress bar for all files."""
    with tqdm(desc="sampling", unit="step", leave=False, disable=args.quiet or None) as bar:
        # Where a cluster does the work, that is enough for what is sampled here.
        device = args.device if getattr(args, "scheduler", None) is None else "cpu"
        imager = imager_of(args, device=device, progress=bar)
        log.debug("%r", imager)
        yield imager, bar
