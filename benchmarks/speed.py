"""How long whole commands take, beside CLEAN + PyBDSF in the same run, and how that grows, for docs/speed.rst.

python benchmarks/speed.py ../shared/casa_fields --casa python3

FOLDER has MeasurementSets in ms/, as it is for docs/performance.py; without it nothing starts from visibilities. What
is not installed is left out, which the page says, and so is a GPU where ONNX Runtime finds none. It takes some five
minutes on two idle cores; --smoke, which only shows that all of it runs, one.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import QTable

from astro_ddpm_imager import DiffusionImager, ModelError, __version__, read_image
from astro_ddpm_imager.evaluate.finders import DEPTH, DRIVER, ITERATIONS, THRESH_ISL, THRESH_PIX
from astro_ddpm_imager.simulate.casa import CONFIGURATION

ROOT = Path(__file__).parents[1]
OURS = (sys.executable, "-m", "astro_ddpm_imager")
ADDRESS = "tcp://127.0.0.1:8743"
IMSIZE, CELL = 512, 0.1  # of the MeasurementSets: pixels, arcsec
WORKER = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "33554432"}  # as docs/clusters.rst has it


def timed(commands, folder):
    """Wall seconds, CPU seconds and largest memory of commands that run one after the other, each a whole process.

    A command is a list of words, or a tuple of one and what it reads from stdin.
    """
    started, cpu, memory = time.perf_counter(), 0.0, 0
    for command in commands:
        words, given = command if isinstance(command, tuple) else (command, "")
        words = [str(word) for word in words]
        (folder / "stdin").write_text(given)
        with (folder / "stdin").open() as stdin, (folder / "log").open("w") as log:
            process = subprocess.Popen(words, cwd=folder, stdin=stdin, stdout=log, stderr=log)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        said = (folder / "log").read_text(errors="replace")
        if process.returncode or '"failed"' in said:
            raise SystemExit(f"{' '.join(words)} has failed: {said[-1000:]}")
        cpu, memory = cpu + used.ru_utime + used.ru_stime, max(memory, used.ru_maxrss)
    return {"wall": time.perf_counter() - started, "cpu": cpu, "megabytes": memory / 1024}


def measured(commands, repeat):
    """The median of several runs, each in a folder of its own."""
    runs = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(timed(commands, Path(folder)))
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def simulated(work, size, fields):
    """A folder of simulated fields of some size."""
    folder = work / f"{fields}_of_{size}"
    if not folder.exists():
        made = ["--fields", fields, "--imsize", size, "--integration", "60", "--output-dir", folder, "--quiet"]
        timed([[*OURS, "simulate", *made]], work)
    return folder


def image(folder, fields, *options, first=0):
    """The command that images fields of a folder."""
    files = sorted(folder.glob("*.dirty.fits"))[first : first + fields]
    companions = ["--psf", folder / "psf.fits", "--pb", folder / "pb.fits"]
    return [*OURS, "image", *files, *companions, "--seed", "1", "--quiet", "--output-dir", "out", *options]


def starts():
    """What is waited for before anything is done."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import astro_ddpm_imager": [sys.executable, "-c", "import astro_ddpm_imager"],
        "astro-ddpm-imager --version": [*OURS, "--version"],
        "astro-ddpm-imager image --help": [*OURS, "image", "--help"],
    }
    return [{"command": name} | measured([command], 5) for name, command in commands.items()]


def chains(sets, casa):
    """Ways from MeasurementSets to catalogues, each with its two steps, and what is not installed for others."""
    names = [path.stem for path in sets]

    def wsclean(path, *options):
        size = ["-size", IMSIZE, IMSIZE, "-scale", f"{CELL}asec", "-weight", "natural", "-no-update-model-required"]
        return ["wsclean", "-name", path.stem, *size, *options, path]

    def pybdsf(ending):
        settings = {"frequency": 230e9, "thresh_pix": THRESH_PIX, "thresh_isl": THRESH_ISL}
        jobs = [json.dumps({"image": f"{name}{ending}"} | settings) for name in names]
        return [sys.executable, "-P", DRIVER, "pybdsf"], "\n".join([*jobs, ""])

    def tclean():
        settings = {"imsize": IMSIZE, "cell": f"{CELL}arcsec", "weighting": "natural", "nsigma": DEPTH}
        settings |= {"niter": ITERATIONS, "pblimit": -0.001}
        jobs = [json.dumps({"vis": str(path), "imagename": path.stem} | settings) for path in sets]
        configuration = sets[0].with_name("config.py")
        configuration.write_text(CONFIGURATION.format(folder=str(sets[0].parent), log=os.devnull))
        driver = [casa, "-P", DRIVER, "tclean", "--nositeconfig", "--configfile", configuration]
        return driver, "\n".join([*jobs, ""])

    there = {
        "WSClean (Debian package wsclean)": shutil.which("wsclean"),
        "PyBDSF (extra evaluate)": find_spec("bdsf"),
        "CASA (extra casa, or --casa)": not subprocess.run(
            [casa, "-c", "import casatasks"], capture_output=True
        ).returncode,
    }
    has_wsclean, has_bdsf, has_casa = there.values()
    found = {}
    if has_wsclean:
        ours = [*OURS, "image", "--wsclean", *names, "--seed", "1", "--quiet"]
        found["wsclean -niter 0", "this package"] = [wsclean(p, "-niter", "0", "-make-psf") for p in sets], [ours]
    if has_wsclean and has_bdsf:
        clean = ("-niter", ITERATIONS, "-mgain", "0.8", "-auto-threshold", DEPTH)
        found["wsclean", "PyBDSF"] = [wsclean(path, *clean) for path in sets], [pybdsf("-image.fits")]
    if has_casa and has_bdsf:
        found["tclean", "PyBDSF"] = [tclean()], [pybdsf(".fits")]
    return found, [name for name, is_there in there.items() if not is_there]


def from_visibilities(work, archive, casa, repeat):
    """Seconds a field, from the MeasurementSets of a folder to catalogues; and what could not be measured."""
    for path in sorted((archive / "ms").glob("*.ms.tar.gz")) if archive else ():
        with tarfile.open(path) as packed:
            packed.extractall(work, filter="data")
    sets = sorted(work.glob("*.ms"))
    if not sets:
        return [], ["visibilities (a folder with ms/NNNN.ms.tar.gz)"]
    found, missing = chains(sets, casa)
    rows = []
    for (first, second), (one, other) in found.items():
        runs = []
        for _ in range(repeat):
            with tempfile.TemporaryDirectory() as folder:
                runs.append([timed(step, Path(folder)) for step in (one, other)])
        both = [statistics.median(run[step]["wall"] for run in runs) / len(sets) for step in (0, 1)]
        cpu = statistics.median(sum(step["cpu"] for step in run) for run in runs) / len(sets)
        rows.append(
            {"chain": f"{first}, {second}", "first": both[0], "second": both[1], "cpu": cpu, "fields": len(sets)}
        )
    return rows, missing


def cube(work, channels):
    """Simulated fields as the channels of a cube."""
    folder, path = simulated(work, 256, channels), work / f"cube{channels}.fits"
    images = [read_image(file) for file in sorted(folder.glob("*.dirty.fits"))[:channels]]
    header = images[0].wcs.to_header()
    header.update({name: images[0].meta[name] for name in ("BMAJ", "BMIN", "BPA")}, BUNIT="Jy/beam")
    header.update(CTYPE3="FREQ", CRVAL3=230e9, CRPIX3=1.0, CDELT3=1e7, CUNIT3="Hz", SPECSYS="LSRK")
    fits.writeto(path, np.array([image.data for image in images], np.float32), header)
    companions = ["--psf", folder / "psf.fits", "--pb", folder / "pb.fits"]
    return [*OURS, "image", path, *companions, "--seed", "1", "--quiet", "--output-dir", "out"]


@contextmanager
def dask(number):
    """A scheduler and workers of one thread each."""
    port = ADDRESS.rpartition(":")[2]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    program = Path(sys.executable).with_name("dask")
    commands = [[program, "scheduler", "--port", port, "--no-dashboard"]]
    commands += [[program, "worker", ADDRESS, "--nthreads", "1", "--no-dashboard", "--no-nanny"]] * number
    processes = [subprocess.Popen(command, env=os.environ | WORKER, **quiet) for command in commands]
    try:
        from distributed import Client

        with Client(ADDRESS, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=60)
        yield
    finally:
        for process in reversed(processes):  # a worker without a scheduler does not end
            process.terminate()
            process.wait(60)


def workers(work, numbers, fields):
    """Seconds a field on workers of a cluster, whose first field makes each of them import the package."""
    folder, rows = simulated(work, 512, fields), []
    for number in numbers:
        with dask(number):
            measured([image(folder, number, "--scheduler", ADDRESS)], 1)
            row = measured([image(folder, fields, "--scheduler", ADDRESS)], 1)
        alone = measured([image(folder, fields, "--threads", number)], 1)
        rows.append({"workers": number, "fields": fields, "wall": row["wall"], "here": alone["wall"]})
    return rows


def on_gpu(work, numbers, each):
    """Seconds for fields that processes share, which share a GPU, and on the CPU; how far catalogues differ."""
    try:
        DiffusionImager(device="cuda")
    except ModelError:
        return []
    folder, rows = simulated(work, 512, max(numbers) * each), []
    for number in numbers:
        row, found = {"processes": number, "fields": number * each}, []
        for device in ("cuda", "cpu"):
            options = ["--device", device, "--threads", max(1, cores() // number)]
            commands = [image(folder, each, *options, first=k * each) for k in range(number)]
            with tempfile.TemporaryDirectory() as out, ThreadPoolExecutor(number) as executor:
                places = [Path(out) / str(k) for k in range(number)]
                for place in places:
                    place.mkdir()
                began = time.perf_counter()
                list(executor.map(timed, [[command] for command in commands], places))
                row[device] = time.perf_counter() - began
                found.append([QTable.read(path) for path in sorted(Path(out).glob("*/out/*.catalog.ecsv"))])
        rows.append(row | differences(*found))
    return rows


def differences(one, other):
    """Rows of catalogues that are not in both, and the largest difference of a flux, in errors."""
    lonely, farthest = 0, 0.0
    for first, second in zip(one, other, strict=True):
        (x, y), (other_x, other_y) = ([np.array(catalog[axis]) for axis in "xy"] for catalog in (first, second))
        i, j = np.nonzero(np.hypot(x[:, None] - other_x, y[:, None] - other_y) < 1)
        lonely += len(first) + len(second) - 2 * len(i)
        apart = np.abs(first["flux"][i] - second["flux"][j]) / second["flux_err"][j]
        farthest = max(farthest, float(np.max(apart, initial=0)))
    return {"lonely": lonely, "farthest": farthest}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER")
    parser.add_argument("--casa", default=sys.executable, metavar="PYTHON", help="a Python that has casatasks")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="medians of so many runs (default: 1)")
    parser.add_argument("--smoke", action="store_true", help="small and few")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "speed.json", metavar="F")
    args = parser.parse_args()
    many, sizes, channels, numbers = (
        (2, (128, 256), (2,), (1,)) if args.smoke else (10, (256, 512, 1024, 2048), (2, 8, 16), (1, 2))
    )
    sharing = [number for number in (1, 2, 4, 8, 16) if number <= cores()]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="speed") as work:
        work = Path(work)
        folder = simulated(work, 512, many)
        rows, missing = from_visibilities(work, args.folder, args.casa, args.repeat)
        found = {
            "machine": f"{cores()} cores of {processor()}", "version": __version__, "python": platform.python_version(),
            "load": os.getloadavg()[0], "starts": starts(), "visibilities": rows, "missing": missing,
            "fields": [
                {"fields": number} | measured([image(folder, number)], repeat)
                for number, repeat in ((1, max(3, args.repeat)), (many, args.repeat))
            ],
            "sizes": [
                {"pixels": size} | measured([image(simulated(work, size, 1), 1)], args.repeat) for size in sizes
            ],
            "channels": [
                {"channels": number} | measured([cube(work, number)], args.repeat) for number in channels
            ],
            "workers": workers(work, numbers, many) if find_spec("distributed") else [],
            "gpu": on_gpu(work, sharing, many),
        }  # fmt: skip
    found["minutes"] = (time.perf_counter() - began) / 60
    args.output.write_text(json.dumps(found, indent=1) + "\n")
    subprocess.run([sys.executable, ROOT / "docs" / "speed.py", args.output], check=True)


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def processor():
    """The name of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
