"""What observers use today, on the same files: PyBDSF on the dirty image, tclean or WSClean and then PyBDSF."""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs.utils import proj_plane_pixel_area

from ..errors import EvaluationError
from ..observation.preparation import prepare
from ..observation.reading import read_image
from ..simulate.casa import CONFIGURATION
from ..whole_files import saying_where

__all__ = ["DEPTH", "FINDERS", "THRESH_ISL", "THRESH_PIX", "Finder", "FinderError", "measurement_sets", "nothing_found"]

DRIVER = Path(__file__).with_name("finder_driver.py")
DEPTH = 3.0  # where CLEAN stops, times the noise
ITERATIONS = 10000
THRESH_PIX, THRESH_ISL = 4.0, 3.0


class FinderError(RuntimeError):
    """A program has failed on one field."""


class Finder:
    """A source finder, with or without a deconvolution before.

    Parameters
    ----------
    name : str
    restore : {None, "tclean", "wsclean"}
        What makes the image the sources are looked for in; None is the dirty image.
    """

    def __init__(self, name, restore=None):
        self.name, self.restore = name, restore

    def missing(self):
        """What has to be installed first, or None."""
        if find_spec("bdsf") is None:
            return "PyBDSF (pip install bdsf)"
        if self.restore == "tclean" and any(find_spec(module) is None for module in ("casatasks", "casadata", "six")):
            return "CASA (pip install casatasks casatools casadata six)"
        if self.restore == "wsclean" and shutil.which("wsclean") is None:
            return "WSClean (Debian package wsclean)"
        return None

    @contextmanager
    def started(self, pblimit):
        """A function to call with arguments of a `DiffusionImager` and a MeasurementSet (or None) for a catalogue.

        It raises a `FinderError` where the programs fail. The catalogue is a
        `QTable` with the columns ``ra``, ``dec``, ``ra_err``, ``dec_err``,
        ``flux`` and ``flux_err`` (corrected for the primary beam), ``snr`` and
        ``pb``; ``seconds`` is in its ``meta``.
        """
        with tempfile.TemporaryDirectory(prefix="astro_ddpm_imager") as folder, ExitStack() as processes:
            folder = Path(folder)
            find = processes.enter_context(_process("pybdsf", folder))
            clean = processes.enter_context(_process("tclean", folder)) if self.restore == "tclean" else None

            def catalog(arguments, measurement_set):
                # PyBDSF does not like blank borders, so that sources beyond the limit are left out afterwards.
                dirty = prepare(**arguments, pblimit=0)
                with tempfile.TemporaryDirectory(dir=folder) as work:
                    work = Path(work)
                    image, seconds = work / "image.fits", 0.0
                    data = dirty.data
                    if self.restore is not None:
                        with saying_where(work):
                            visibilities = _unpacked(measurement_set, work)
                        run = _wsclean if self.restore == "wsclean" else clean
                        restored, seconds = _restore(self.restore, run, visibilities, work, dirty)
                        data = np.where(np.isfinite(dirty.data), restored, np.nan)
                    with saying_where(work):
                        _write_plane(image, data, dirty)
                    beam = [axis.to_value(u.deg) for axis in (dirty.beam.major, dirty.beam.minor, dirty.beam.pa)]
                    answer = find(
                        image=str(image), beam=beam, frequency=1e9, thresh_pix=THRESH_PIX, thresh_isl=THRESH_ISL,
                        outdir=str(work), ncores=1,
                    )  # fmt: skip
                if "failed" in answer:
                    raise FinderError(answer["failed"])
                table = _table(answer, dirty, seconds + answer["seconds"])
                return table[table["pb"] >= pblimit]

            yield catalog


FINDERS = (
    Finder("PyBDSF, dirty image"),
    Finder("tclean + PyBDSF", "tclean"),
    Finder("WSClean + PyBDSF", "wsclean"),
)


def measurement_sets(folder, numbers):
    """Find the MeasurementSets of fields.

    Parameters
    ----------
    folder : path-like
        Of the fields; ``NNNN.ms`` or ``NNNN.ms.tar.gz`` lie there or in ``ms``.
    numbers : sequence of int

    Returns
    -------
    dict of `~pathlib.Path`
        By number of the field, of those that have one.
    """
    found = {}
    for number in numbers:
        for place in (Path(folder), Path(folder) / "ms"):
            for ending in ("ms", "ms.tar.gz"):
                if (place / f"{number:04d}.{ending}").exists():
                    found.setdefault(number, place / f"{number:04d}.{ending}")
    return found


@contextmanager
def _process(task, folder):
    """A function that hands jobs to a driver."""
    arguments = [task]
    if task == "tclean":
        configuration = folder / "config.py"
        configuration.write_text(CONFIGURATION.format(folder=str(folder), log=str(folder / "casa.log")))
        arguments += ["--nositeconfig", "--configfile", str(configuration)]
    log = folder / f"{task}.log"
    with log.open("w") as words:
        # With -P, the modules beside the driver do not hide others.
        process = subprocess.Popen(
            [sys.executable, "-P", str(DRIVER), *arguments], cwd=folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, text=True,
        )  # fmt: skip

        def call(**job):
            try:
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if not answer:
                last = " / ".join(log.read_text(errors="replace").split("\n")[-4:])
                raise EvaluationError(f"{task} has stopped at {job}; its last words: {last}")
            return json.loads(answer)

        try:
            yield call
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait()


def _unpacked(measurement_set, work):
    if measurement_set.suffix != ".gz":
        return measurement_set
    with tarfile.open(measurement_set) as archive:
        archive.extractall(work, filter="data")
    return work / measurement_set.name.removesuffix(".tar.gz")


def _restore(how, run, visibilities, work, dirty):
    """Restored image on the pixels of the dirty image, and the seconds it took."""
    ny, nx = dirty.shape
    cell = 3600 * proj_plane_pixel_area(dirty.wcs) ** 0.5
    if how == "wsclean":
        seconds, path = run(visibilities, work, nx, ny, cell), work / "clean-image.fits"
    else:
        answer, path = run(
            vis=str(visibilities), imagename=str(work / "clean"), imsize=[nx, ny], cell=f"{cell:.9f}arcsec",
            weighting="natural", niter=ITERATIONS, nsigma=DEPTH, pblimit=-0.001,
        ), work / "clean.fits"  # fmt: skip
        if "failed" in answer:
            raise FinderError(answer["failed"])
        seconds = answer["seconds"]
    return read_image(path).data, seconds


def _wsclean(visibilities, work, nx, ny, cell):
    started = time.perf_counter()
    done = subprocess.run(
        ["wsclean", "-name", str(work / "clean"), "-size", str(nx), str(ny), "-scale", f"{cell:.9f}asec",
         "-weight", "natural", "-niter", str(ITERATIONS), "-mgain", "0.8", "-auto-threshold", str(DEPTH),
         "-no-update-model-required", str(visibilities)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise FinderError(f"its last words: {done.stdout[-300:]}")
    return time.perf_counter() - started


def _write_plane(path, data, dirty):
    header = dirty.wcs.to_header()
    header["BUNIT"] = "Jy/beam"
    fits.PrimaryHDU(data.astype("float32"), header).writeto(path)


def nothing_found(seconds):
    """The catalogue of a program that failed.

    Parameters
    ----------
    seconds : float
        Wall time until then.

    Returns
    -------
    `~astropy.table.QTable`
        Without rows, and with the columns of the others.
    """
    units = {"ra": u.deg, "dec": u.deg, "ra_err": u.deg, "dec_err": u.deg, "flux": u.Jy, "flux_err": u.Jy}
    numbers = {name: np.zeros(0) for name in ("snr", "pb")}
    return QTable({name: np.zeros(0) * unit for name, unit in units.items()} | numbers, meta={"seconds": seconds})


def _table(answer, dirty, seconds):
    """PyBDSF's answer as a catalogue, corrected for the primary beam."""
    columns = {name: np.array(values, dtype=float) for name, values in answer.items() if name != "seconds"}
    x, y = dirty.wcs.world_to_pixel_values(columns["ra"], columns["dec"])
    pb = dirty.primary_beam_at(x, y)
    pb[np.isnan(pb)] = np.nanmin(dirty.pb)  # centred on a blank pixel beside the edge
    table = QTable({name: columns[name] * u.deg for name in ("ra", "dec", "ra_err", "dec_err")})
    for name in ("flux", "flux_err"):
        table[name] = columns[name] / pb * u.Jy
    table["snr"], table["pb"] = columns["peak"] / dirty.rms, pb
    table.meta["seconds"] = seconds
    return table
