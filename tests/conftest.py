"""Files and images that the tests share."""

import functools
import pickle
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import onnxruntime
import pytest
import yaml
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

import astro_ddpm_imager.compat.bdsf as bdsf
from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.diffusion.denoiser import QUICK_UNTIL, _never
from astro_ddpm_imager.diffusion.models.card import SHIPPED
from astro_ddpm_imager.products.writing import PRODUCTS, WITH_AXES
from astro_ddpm_imager.simulate import Observation, Sources, read_array

BRIGHT = (149.54260274, 1.86188447)  # the demonstration field's brighter source, degrees
SHARED = Path(__file__).parents[2] / "shared" / "casa_fields"


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Let tests interrupt the processes they start, also where these tests run in the background of a script.

    There a shell has SIGINT ignored, and what they start inherits that.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def casa_fields():
    """Folder of the CASA fields used in development."""
    if not SHARED.is_dir():
        pytest.skip(f"the development data are not at {SHARED}")
    return SHARED


@pytest.fixture
def little_room():
    """A context in which no file can grow beyond some bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits")

    @contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def demo():
    """Arguments of a DiffusionImager: the demonstration field."""
    return demo_files()


@pytest.fixture(scope="session")
def small_field(tmp_path_factory):
    """As `demo`, the middle of it, without its history: for tests that look at files and words, not at sources."""
    folder, paths = tmp_path_factory.mktemp("small"), {}
    for name, path in demo_files().items():
        data, header = fits.getdata(path, header=True)
        y, x = (np.array(data.shape[-2:]) - 128) // 2 if name == "psf" else (73, 49)
        header.remove("HISTORY", remove_all=True)
        header["CRPIX1"], header["CRPIX2"] = header["CRPIX1"] - x, header["CRPIX2"] - y
        paths[name] = folder / path.name
        fits.writeto(paths[name], data[..., y : y + 128, x : x + 128], header)
    return paths


@pytest.fixture
def plain_pictures(monkeypatch):
    """Pictures of nothing: to draw one takes as long as to image `small_field` and to write all its other products."""
    for products in (PRODUCTS, WITH_AXES):
        monkeypatch.setitem(products, ".png", lambda result, path: path.write_text("a picture"))


@pytest.fixture(scope="session")
def imager():
    """A quick imager: few samples, few steps."""
    return DiffusionImager(n_samples=2, steps=3, seed=1, device="cpu", progress=False)


@pytest.fixture(scope="session")
def result(imager):
    """The quick imager's result on the demonstration field."""
    return imager(**demo_files())


@pytest.fixture(scope="session")
def cube_files(tmp_path_factory):
    """Cube, PSF and primary beam as CASA exports them, of four channels with beams of their own; the third is blank.

    A point of 2 mJy at pixel (x, y) = (40, 52) is in all channels, one of 3 mJy at (60, 30) in the second.
    """
    folder, planes = tmp_path_factory.mktemp("cube"), {"dirty": [], "psf": [], "pb": []}
    frequencies, rng = np.array([230.0, 233.0, 236.0, 239.0]), np.random.default_rng(1)
    for channel, frequency in enumerate(frequencies):
        seen = Observation(
            read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=300 * u.s, shape=(96, 96),
            cell=0.2 * u.arcsec, frequency=frequency * u.GHz,
        )  # fmt: skip
        flux, zero = np.array([2e-3, 3e-3 if channel == 1 else 0]), np.zeros(2)
        sources = Sources(np.array([40.0, 60.0]), np.array([52.0, 30.0]), flux, zero, zero, zero)
        planes["dirty"].append(seen.dirty(sources, 60e-6, rng) * (np.nan if channel == 2 else 1))
        planes["psf"].append(seen.psf)
        planes["pb"].append(seen.pb)
    beams = np.array([230.0 / frequencies * seen.beam.major.to_value("arcsec")] * 2)
    header = seen.wcs.to_header()
    header.update(BUNIT="Jy/beam", CASAMBM=True, SPECSYS="LSRK", RESTFRQ=230.538e9)
    header.update(CTYPE3="STOKES", CRVAL3=1.0, CRPIX3=1.0, CDELT3=1.0, CUNIT3="")
    header.update(CTYPE4="FREQ", CRVAL4=230e9, CRPIX4=1.0, CDELT4=3e9, CUNIT4="Hz")
    columns = [fits.Column(name, "E", "arcsec", array=beams[i]) for i, name in enumerate(("BMAJ", "BMIN"))]
    columns += [fits.Column("BPA", "E", "deg", array=np.zeros(4))]
    columns += [fits.Column("CHAN", "J", array=np.arange(4)), fits.Column("POL", "J", array=np.zeros(4))]
    paths = {}
    for name, images in planes.items():
        paths[name] = folder / f"cube.{name}.fits"
        table = fits.BinTableHDU.from_columns(columns, name="BEAMS")
        image = fits.PrimaryHDU(np.array(images, np.float32)[:, None], header)
        fits.HDUList([image, table]).writeto(paths[name])
    return paths


@pytest.fixture(scope="session")
def uneven(imager):
    """A dirty image whose noise rises fivefold, with a point of 5 mJy at (130, 100); its PSF; and the result."""
    seen = Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=300 * u.s, shape=(200, 200),
        cell=0.2 * u.arcsec,
    )  # fmt: skip
    zero = np.zeros(1)
    source = Sources(np.array([130.0]), np.array([100.0]), np.array([5e-3]) / seen.pb[100, 130], zero, zero, zero)
    noise = seen.image(seen.noise(60e-6, np.random.default_rng(8))) * np.linspace(1, 5, 200)
    header = {"BMAJ": seen.beam.major.to_value("deg"), "BMIN": seen.beam.minor.to_value("deg"), "BPA": 0.0}
    header["BPA"] = seen.beam.pa.to_value("deg")
    data = seen.dirty(source, 0, np.random.default_rng(1)) + noise
    dirty = CCDData(data, unit=u.Jy / u.beam, wcs=seen.wcs, meta=header)
    return dirty, seen.psf, imager(dirty, seen.psf)


@pytest.fixture(scope="session")
def stilts():
    """Function that runs a task of STILTS and returns what it prints."""
    if shutil.which("stilts") is None:
        pytest.skip("stilts is not installed (Debian package stilts)")

    def run(*call):
        done = subprocess.run(["stilts", *call], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout

    return run


def ecsv_head(path):
    """The head of an ECSV file as any reader of YAML sees it, who stops at what is of Python only."""
    lines = [line.removeprefix("# ") for line in path.read_text().splitlines() if line.startswith("# ")]
    return yaml.safe_load("\n".join(lines[1:]))


def with_another_model(imager):
    """An imager whose model has the same name and other weights; it cannot run."""
    return imager.but(denoiser=SimpleNamespace(card=replace(imager.card, sha256="0" * 64)))


def make_wcs(shape=(96, 96), cell=0.1, angle=0.0):
    """A celestial WCS with pixels of ``cell`` arcsec, rotated by ``angle`` degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---SIN", "DEC--SIN"], [150.0, 2.0]
    wcs.wcs.crpix = [shape[1] // 2 + 1, shape[0] // 2 + 1]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * cell / 3600
    wcs.wcs.radesys = "ICRS"
    return wcs


def ring_psf(n):
    """A narrow beam with a sidelobe of 20% at ten pixels, covering an image of n pixels."""
    y, x = np.mgrid[: 2 * n, : 2 * n] - n
    r = np.hypot(x, y)
    return np.exp(-((r / 1.3) ** 2)) + 0.2 * np.exp(-(((r - 10) / 1.5) ** 2))


def write_image(path, data, **header):
    """A FITS file of an image in Jy/beam, with other cards."""
    wcs_header = make_wcs(data.shape[-2:]).to_header()
    wcs_header.update({"BUNIT": "Jy/beam", "BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600, "BPA": 0.0, **header})
    fits.PrimaryHDU(data, wcs_header).writeto(path)
    return path


def gaussian_psf(fwhm=5.0, shape=(96, 96), at=None):
    """A round Gaussian PSF, ``fwhm`` in pixels; by default that of `noise_image`, in the middle."""
    y, x = np.indices(shape) - np.reshape([n // 2 for n in shape] if at is None else at, (2, 1, 1))
    return np.exp(-4 * np.log(2) * (x**2 + y**2) / fwhm**2)


@pytest.fixture
def noise_image():
    """Function making a dirty image of noise with a beam of 0.5 arcsec in its header."""

    def make(shape=(96, 96), cell=0.1, unit=u.Jy / u.beam, **header):
        data = 1e-4 * np.random.default_rng(0).standard_normal(shape)
        meta = {"BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600, "BPA": 0.0, **header}
        return CCDData(data, unit=unit, wcs=make_wcs(shape[-2:], cell), meta=meta)

    return make


@pytest.fixture(scope="session")
def quick():
    """The quickest imager, on one thread."""
    return DiffusionImager(n_samples=2, steps=3, seed=1, device="cpu", threads=1, progress=False)


@pytest.fixture
def field(tmp_path, monkeypatch):
    """Name of the demonstration field in a folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(demo_files()["dirty"], tmp_path / "field.fits")
    return "field.fits"


@pytest.fixture
def run(field, quick):
    """Function that processes the field as PyBDSF would be called."""
    return functools.partial(bdsf.process_image, field, quiet=True, imager=quick)


@pytest.fixture(scope="session")
def found(quick, tmp_path_factory):
    """What PyBDSF would have found in the field, pickled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("found"))
        shutil.copy(demo_files()["dirty"], "field.fits")
        companions = {name: demo_files()[name] for name in ("psf", "pb")}
        return pickle.dumps(bdsf.process_image("field.fits", quiet=True, imager=quick, thresh_pix=4.0, **companions))


@pytest.fixture
def img(found, field):
    """What PyBDSF would have found in the field: of each test its own."""
    img = pickle.loads(found)
    img._set_names()  # of the folder that is the current one now
    return img


def near(sources, position=BRIGHT, radius=0.5):
    """Those of PyBDSF's sources within a radius in arcsec."""
    return [s for s in sources if np.hypot(*np.subtract(s.posn_sky_centroid, position)) * 3600 < radius]


def exact_session():
    """The default network without its quick half."""
    options = onnxruntime.SessionOptions()
    options.add_initializer(QUICK_UNTIL, _never())
    return onnxruntime.InferenceSession(SHIPPED / "default.onnx", options, providers=["CPUExecutionProvider"])
