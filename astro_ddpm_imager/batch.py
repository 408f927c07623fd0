"""What the commands image and demo do: one file or many, their products, and what is printed of each."""

import logging
import math
from contextlib import contextmanager
from pathlib import Path

import astropy.units as u
from radio_beam import Beam
from tqdm import tqdm

from .compat import wsclean
from .data import demo_files
from .errors import DirtyImageError, SettingError
from .imager import DiffusionImager
from .observation.reading import read_companion, read_image
from .products.writing import PRODUCTS, check_free, existing_products, left_by_interruption

__all__ = ["image_demo", "image_files"]

log = logging.getLogger(__name__)

FITS_ENDINGS = (".gz", ".bz2", ".fz", ".fits", ".fit", ".dirty")


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
    if args.wsclean:
        _image_wsclean(args, beam)
        return
    prefixes = [(args.output_dir or Path()) / _stem(path) for path in args.files]
    repeated = {prefix.name for prefix in prefixes if prefixes.count(prefix) > 1}
    if repeated:
        raise SettingError(f"several files would be written as {', '.join(sorted(repeated))}; give them one at a time")
    jobs = list(zip(args.files, prefixes, strict=True))
    if args.resume:
        jobs = _left(jobs, lambda job: len(existing_products(job[1])) == len(PRODUCTS))

    def replaced(prefix):
        return args.overwrite or (args.resume and left_by_interruption(prefix))

    for path, prefix in jobs:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file")
        check_free(prefix, replaced(prefix))
    with _imager(args, len(jobs)) as imager:

        def image(path, prefix):
            dirty = read_image(path, args.channel, args.stokes)
            companions = [
                None if companion is None else read_companion(companion, args.channel, args.stokes)
                for companion in (args.psf, args.pb, args.mask)
            ]
            result = imager(dirty, *companions, beam)
            _report(result, prefix, result.write(prefix, replaced(prefix)))

        _one_by_one(image, jobs)


def _left(jobs, is_done):
    """The jobs that are not done; says how many are."""
    left = [job for job in jobs if not is_done(job)]
    if len(left) < len(jobs):
        log.info("%d of %d have all their products already, and are skipped", len(jobs) - len(left), len(jobs))
    return left


def _one_by_one(image, jobs):
    """Image every job, the first item of which is its name; one that cannot be used does not stop the others."""
    failed = []
    for job in jobs:
        name = str(job[0])
        if len(jobs) > 1:
            log.info("%s", name)
        try:
            image(*job)
        except DirtyImageError as error:
            said = str(error) if name in str(error) else f"{name}: {error}"
            if len(jobs) == 1:
                raise DirtyImageError(said) from error
            log.error("%s", said)
            failed.append(name)
        except Exception as error:  # a file that nobody has foreseen must not cost the night's other ones
            if len(jobs) == 1:
                raise
            log.error("%s: %s: %s", name, type(error).__name__, error)
            log.debug("where it was raised:", exc_info=error)
            failed.append(name)
    if failed:
        raise DirtyImageError(
            f"{len(failed)} of {len(jobs)} images could not be used, for the reasons above: {', '.join(failed)}"
        )


def _image_wsclean(args, beam):
    for name in ("psf", "channel", "stokes"):
        if getattr(args, name) is not None:
            raise SettingError(f"--{name}: with --wsclean the names of the files say it")
    runs = [run for prefix in args.files for run in wsclean.find_images(prefix, args.pb, args.output_dir)]
    if args.resume:
        runs = _left(runs, lambda run: run.is_done())
    for run in runs:
        # Not so after an interruption: an image of that name may be WSClean's own.
        run.check_free(args.overwrite)
    with _imager(args, len(runs)) as imager:

        def image(prefix, run):
            result = run.image(imager, args.mask, beam)
            _report(result, prefix, run.write(result, args.overwrite))

        _one_by_one(image, [(run.prefix, run) for run in runs])


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
    prefix = (args.output_dir or Path()) / "demo"
    check_free(prefix, args.overwrite)
    with _imager(args, 1) as imager:
        result = imager(**demo_files())
        _report(result, prefix, result.write(prefix, args.overwrite))


@contextmanager
def _imager(args, n_files):
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
            pblimit=args.pblimit,
            device=args.device,
            threads=args.threads,
            seed=args.seed,
            progress=bar,
        )
        bar.reset(total=n_files * imager.n_samples * imager.steps)
        yield imager


def _report(result, prefix, paths):
    table = result.catalog["source_id", "ra", "dec", "flux", "flux_err", "snr", "reliability", "x", "y", "flags"]
    for name in ("flux", "flux_err"):
        table[name] = table[name].to(u.uJy)
    formats = {"ra": "%.6f", "dec": "%.6f", "reliability": "%.2f"}
    for name in table.colnames[1:-1]:
        table[name].info.format = formats.get(name, "%.1f")
    tqdm.write(f"{prefix}: {len(table)} source{'s' * (len(table) != 1)}, noise {result.dirty.rms * 1e6:.3g} uJy/beam")
    if len(table):
        tqdm.write("\n".join(table.pformat(max_lines=-1, max_width=-1)))
    tqdm.write("wrote " + ", ".join(path.name for path in paths) + f" in {paths[0].parent}")


def _stem(path):
    """Name of the products of a file: its own without the endings of a dirty image."""
    name = path.name.removesuffix(".image") if path.is_dir() else path.name
    while Path(name).suffix.lower() in FITS_ENDINGS:
        name = Path(name).stem
    return name
