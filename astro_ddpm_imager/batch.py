"""What the commands image and demo do: one file or many, their products, and what is printed of each."""

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import astropy.units as u
import numpy as np
from radio_beam import Beam
from tqdm import tqdm

from .command_line.printing import say, say_json, warnings_logged
from .compat import wsclean
from .cubes import CubeResult, image_cube
from .data import demo_files
from .errors import DirtyImageError, SettingError
from .imager import DiffusionImager
from .joint import JOINT_PRODUCTS, JointResult, image_jointly
from .observation.cubes import count_channels
from .observation.reading import file_digest, read_companion, read_image
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
    file : `~pathlib.Path`
        The dirty image.
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
    channels : int
        How many images it is.
    """

    name: Path
    file: Path
    prefix: Path
    is_done: Callable
    check: Callable
    image: Callable
    write: Callable
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
    for name in ("psf", "pb", "mask"):
        path = getattr(args, name)
        if path is not None and not path.exists():
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
    with _imager(args, sum(job.channels for job in jobs)) as imager:
        _one_by_one(jobs, imager, args)


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
        prefix,
        is_done=lambda: False,
        check=lambda: check_free(prefix, args.overwrite),
        image=lambda imager: imager(**files),
        write=lambda result: result.write(prefix, args.overwrite),
    )
    job.check()
    with _imager(args, 1) as imager:
        _one_by_one([job], imager, args)


def _file_jobs(args, beam):
    prefixes = [(args.output_dir or Path()) / _stem(path) for path in args.files]
    repeated = {prefix.name for prefix in prefixes if prefixes.count(prefix) > 1}
    if repeated:
        raise SettingError(f"several files would be written as {', '.join(sorted(repeated))}; give them one at a time")

    @cache
    def made_of(path):
        settings = {
            name: value for name, value in (("n_samples", args.samples), ("seed", args.seed)) if value is not None
        }
        return {"input_sha256": file_digest(path), **settings} if path.is_file() else settings

    def replaced(path, prefix):
        return args.overwrite or (args.resume and left_by_interruption(prefix, made_of(path)))

    def is_done(path, prefix):
        return is_made(prefix, made_of(path))

    def check(path, prefix):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file")
        check_not_read(prefix, filter(None, [*args.files, args.psf, args.pb, args.mask]))
        check_free(prefix, replaced(path, prefix))

    def image(path, imager):
        dirty = read_image(path, args.channel, args.stokes)
        companions = [
            None if companion is None else read_companion(companion, args.channel, args.stokes)
            for companion in (args.psf, args.pb, args.mask)
        ]
        return imager(dirty, *companions, beam)

    def write(path, prefix, result):
        return result.write(prefix, replaced(path, prefix), args.keep_axes)

    return [
        _cube_job(path, prefix, args, beam, made_of)
        if _is_cube(path, args)
        else Job(
            path, path, prefix, partial(is_done, path, prefix), partial(check, path, prefix), partial(image, path),
            partial(write, path, prefix),
        )
        for path, prefix in zip(args.files, prefixes, strict=True)
    ]  # fmt: skip


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


def _cube_job(path, prefix, args, beam, made_of):
    """All channels of a cube, or those that are chosen."""
    n_channels = count_channels(path)
    start, stop, _ = slice(None).indices(n_channels) if args.channel is None else args.channel.indices(n_channels)

    products = JOINT_PRODUCTS if args.joint else CUBE_PRODUCTS
    given, chosen = (path, args.psf, args.pb, args.mask, beam), {"channels": args.channel, "stokes": args.stokes}

    def check():
        check_not_read(prefix, filter(None, [*args.files, args.psf, args.pb, args.mask]), products)
        if args.joint:
            check_free(prefix, args.overwrite, products)
        else:
            check_cube_free(prefix, args.overwrite, args.resume)

    def is_done():
        return is_made(prefix, made_of(path) | {"channels": channels_text(range(start, stop))}, products)

    def image(imager):
        settings = {"resume": args.resume, "overwrite": args.overwrite, "keep_axes": args.keep_axes}
        return image_cube(imager, path, prefix, *given[1:], **chosen, **settings)

    def write_mean(result):
        return result.write(prefix, args.overwrite, args.keep_axes)

    if args.joint:
        return Job(
            path, path, prefix, is_done, check, lambda imager: image_jointly(imager, *given, **chosen), write_mean
        )
    n_images = max(stop - start, 1)
    return Job(path, path, prefix, is_done, check, image, lambda result: result.paths, n_images)


def _wsclean_jobs(args, beam):
    for name in ("psf", "channel", "stokes", "joint"):
        if getattr(args, name) not in (None, False):
            raise SettingError(f"--{name}: with --wsclean the names of the files say it; leave it out")
    runs = [run for prefix in args.files for run in wsclean.find_images(prefix, args.pb, args.output_dir)]
    # With --resume nothing more is replaced: an image of that name may be WSClean's own.
    return [
        Job(
            run.prefix, run.dirty, run.prefix, run.is_done, partial(run.check_free, args.overwrite),
            partial(run.image, mask=args.mask, beam=beam), partial(run.write, overwrite=args.overwrite),
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


def _one_by_one(jobs, imager, args):
    """Do every job; one that cannot be used does not stop the others.

    The products of an image are written while the next one is made, for most of that takes one core.
    """
    failed = []

    def failure(job, error):
        said = _said(job, error)
        _report_failure(job, said, args)
        if len(jobs) == 1:
            if said is error:
                raise error
            raise said from error
        log.error("%s", said if isinstance(said, DirtyImageError) else f"{job.name}: {type(said).__name__}: {said}")
        if said is error:  # nobody has foreseen it
            log.debug("where it was raised:", exc_info=error)
        failed.append(str(job.name))

    def write(job, result, warnings, started):
        with warnings_logged() as more:
            paths = job.write(result)
        _report(job, result, paths, warnings + more(), args)
        log.debug("%s took %.1f s", job.name, time.monotonic() - started)

    def settle(job, writing):
        try:
            writing.result()
        except Exception as error:
            failure(job, error)

    written = []  # the last image that was made, while its products are written
    with ThreadPoolExecutor(1) as writer:
        try:
            for job in jobs:
                if len(jobs) > 1:
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
                    failure(job, failing)
                    continue
                written.append((job, writer.submit(write, job, result, warnings(), started)))
                if result.dirty.data.size > LARGE:
                    settle(*written.pop())
                del result
        finally:
            while written:
                settle(*written.pop())
    if failed:
        raise DirtyImageError(
            f"{len(failed)} of {len(jobs)} images could not be used, for the reasons above: {', '.join(failed)}"
        )


def _said(job, error):
    """What is said of a job that has failed: its name comes first."""
    if not isinstance(error, DirtyImageError):  # a file that nobody has foreseen must not cost the night's other ones
        return error
    name = str(job.name)
    return DirtyImageError(str(error) if name in str(error) else f"{name}: {error}")


@contextmanager
def _imager(args, n_images):
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
            device=args.device,
            threads=args.threads,
            seed=args.seed,
            progress=bar,
        )
        log.debug("%r", imager)
        bar.reset(total=n_images * imager.n_samples * imager.steps)
        yield imager


def _report(job, result, paths, warnings, args):
    """Print the catalogue, or what a script wants to know of it."""
    log.info("wrote %s in %s", ", ".join(path.name for path in paths), paths[0].parent)
    plane = result.mean if isinstance(result, JointResult) else result
    catalog, channels = plane.catalog, getattr(result, "channels", None)
    noise = float(np.nanmedian(channels["rms"].value)) if plane is result and channels is not None else plane.dirty.rms
    if args.json:
        say_json(
            file=job.file,
            prefix=job.prefix,
            products=paths,
            n_sources=len(catalog),
            noise=noise,
            noise_unit="Jy/beam",
            seed=plane.meta["seed"],
            **({} if channels is None else _of_channels(channels)),
            **(_of_fits(channels) if isinstance(result, CubeResult) else _of_fit(plane.fit)),
            warnings=warnings,
        )
        return
    table = summary_table(catalog)
    where = "" if channels is None else f" in {len(channels)} channels"
    say(f"{job.prefix}: {len(table)} source{'s' * (len(table) != 1)}{where}, noise {noise * 1e6:.3g} uJy/beam")
    if len(table):
        say("\n".join(table.pformat(max_lines=-1, max_width=-1)))


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
