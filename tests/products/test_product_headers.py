"""Provenance in every product, and the axes that other programs want."""

import hashlib
import pickle
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable
from astropy.time import Time
from astropy.wcs import WCS

from astro_ddpm_imager import __version__, read_companion, read_image
from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.products.headers import cube_header
from astro_ddpm_imager.products.writing import IMAGES

from ..conftest import make_wcs


@pytest.fixture(scope="module")
def written(tmp_path_factory, imager, demo_of_four_axes):
    """Products, with and without the axes of their input."""
    folder = tmp_path_factory.mktemp("written")
    result = imager(demo_of_four_axes)
    result.write(folder / "two")
    result.write(folder / "four", keep_axes=True)
    return folder


@pytest.fixture(scope="module")
def demo_of_four_axes(tmp_path_factory):
    """A CASA-like image with a history."""
    path = tmp_path_factory.mktemp("input") / "field.fits"
    rng = np.random.default_rng(0)
    header = fits.Header(
        {"CTYPE1": "RA---SIN", "CRVAL1": 150.0, "CRPIX1": 49.0, "CDELT1": -0.1 / 3600, "CUNIT1": "deg",
         "CTYPE2": "DEC--SIN", "CRVAL2": 2.0, "CRPIX2": 49.0, "CDELT2": 0.1 / 3600, "CUNIT2": "deg",
         "CTYPE3": "STOKES", "CRVAL3": 1.0, "CRPIX3": 1.0, "CDELT3": 1.0,
         "CTYPE4": "FREQ", "CRVAL4": 2.3e11, "CRPIX4": 1.0, "CDELT4": 2e9, "CUNIT4": "Hz",
         "BMAJ": 0.5 / 3600, "BMIN": 0.5 / 3600, "BPA": 0.0, "BUNIT": "Jy/beam", "RADESYS": "ICRS",
         "SPECSYS": "LSRK", "RESTFRQ": 2.3e11}
    )  # fmt: skip
    header.add_history("tclean(vis='a.ms', niter=0)")
    fits.PrimaryHDU((1e-4 * rng.standard_normal((1, 1, 96, 96))).astype("float32"), header).writeto(path)
    return path


def test_names_as_long_as_those_of_archives_are_whole_and_cause_no_warning(tmp_path, imager, demo_of_four_axes):
    for length in (58, 80):  # with its comment it fits no card; and not even alone
        path = tmp_path / f"{'member.uid___A001_X133d_X1.'.ljust(length, 'x')}.fits"
        path.write_bytes(demo_of_four_axes.read_bytes())
        with warnings.catch_warnings(action="error"):
            model = imager(path).write(tmp_path / "out", overwrite=True)[0]
        assert fits.getheader(model)["DINPUT"] == path.name


@pytest.mark.parametrize("suffix", IMAGES)
def test_every_image_says_what_it_was_made_of(written, demo_of_four_axes, suffix):
    header = fits.getheader(written / f"two{suffix}")
    assert header["DINPUT"] == "field.fits"
    assert header["DINPSHA"] == hashlib.sha256(demo_of_four_axes.read_bytes()).hexdigest()
    assert header["DPSF"] == header["DPB"] == header["DMASK"] == "none" and header["DPSFSHA"] == ""
    assert 0 <= (Time.now() - Time(header["DATE"])).sec < 3600
    history = list(header["HISTORY"])
    assert history[0] == "tclean(vis='a.ms', niter=0)"
    assert "".join(history[1:]) == f"astro_ddpm_imager {__version__}: model default on field.fits"


def test_the_catalogue_says_it_too(result, written):
    meta = QTable.read(written / "two.catalog.ecsv").meta
    assert (meta["input"], meta["psf"]) == ("field.fits", "none") and Time(meta["date"])
    assert result.meta["psf"] == "demo.psf.fits" and len(result.meta["pb_sha256"]) == 64


def test_what_is_in_memory_has_no_name(imager, noise_image):
    assert imager(noise_image()).image.meta["DINPUT"] == "in memory"


@pytest.mark.parametrize("suffix", IMAGES)
def test_the_axes_of_the_input_can_be_kept(written, demo_of_four_axes, suffix):
    two, (four, header) = fits.getdata(written / f"two{suffix}"), fits.getdata(written / f"four{suffix}", header=True)
    assert two.shape == (96, 96) and four.shape == (1, 1, 96, 96)
    np.testing.assert_array_equal(two, four[0, 0])
    wcs, given = WCS(header), WCS(fits.getheader(demo_of_four_axes))
    assert list(wcs.wcs.ctype) == list(given.wcs.ctype)
    np.testing.assert_allclose(wcs.wcs_pix2world([[3, 4, 0, 0]], 0), given.wcs_pix2world([[3, 4, 0, 0]], 0))
    assert header["SPECSYS"] == "LSRK"
    if suffix == ".image.fits":
        assert read_image(written / f"four{suffix}").shape == (96, 96)


def test_spectral_cube_reads_what_has_its_axes(written):
    spectral_cube = pytest.importorskip("spectral_cube")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has a Stokes axis
        cube = spectral_cube.SpectralCube.read(written / "four.image.fits")
    assert cube.shape == (1, 96, 96) and cube.spectral_axis[0].value == 2.3e11


def test_an_image_of_two_axes_stays_one(imager, noise_image, tmp_path):
    imager(noise_image()).write(tmp_path / "a", keep_axes=True)
    assert fits.getdata(tmp_path / "a.model.fits").shape == (96, 96)


def test_errors_and_blanks_go_with_the_image(result, tmp_path):
    image, uncertainty, _ = result
    assert isinstance(image.uncertainty, StdDevUncertainty) and image.uncertainty.unit == image.unit
    np.testing.assert_array_equal(image.uncertainty.array, uncertainty.data)
    np.testing.assert_array_equal(image.mask, np.isnan(image.data))
    assert image.mask.any() and not image.mask.all()
    doubled = image.multiply(2)
    np.testing.assert_allclose(doubled.uncertainty.array, 2 * uncertainty.data)
    image.write(tmp_path / "a.fits")
    again = CCDData.read(tmp_path / "a.fits")
    np.testing.assert_array_equal(again.mask, image.mask)
    np.testing.assert_allclose(again.uncertainty.array[~image.mask], uncertainty.data[~image.mask])


def test_a_single_sample_has_no_errors(demo):
    from astro_ddpm_imager import DiffusionImager

    image, uncertainty, _ = DiffusionImager(n_samples=1, steps=2, seed=1, device="cpu", progress=False)(**demo)
    assert image.uncertainty is None and np.isnan(uncertainty.data).all()


@pytest.mark.parametrize("unit, scale", [("Hz", 1), ("GHz", 1e9)])
def test_the_axes_of_a_plane_are_those_of_its_channel(imager, cube_files, tmp_path, unit, scale):
    with fits.open(cube_files["dirty"]) as hdus:
        for card in ("CRVAL4", "CDELT4"):
            hdus[0].header[card] /= scale
        hdus[0].header["CUNIT4"] = unit
        hdus.writeto(tmp_path / "cube.fits")
    image = read_image(tmp_path / "cube.fits", channel=3)
    imager(image, read_companion(cube_files["psf"], channel=3)).write(tmp_path / "plane", keep_axes=True)
    header = fits.getheader(tmp_path / "plane.model.fits")
    assert WCS(header).sub(["spectral"]).wcs_pix2world([[0]], 0)[0, 0] == pytest.approx(239e9)
    assert header["FREQ"] == pytest.approx(239e9)


def test_a_stokes_axis_after_others_keeps_the_sky(cube_files):
    meta = fits.Header({"CTYPE3": "FREQ", "CTYPE4": "", "CTYPE5": "STOKES", "CRVAL5": 1.0, "CRPIX5": 1.0})
    cards = {"CTYPE": "FREQ", "CUNIT": "Hz", "CRVAL": 230e9, "CRPIX": 1.0, "CDELT": 3e9}
    header, shape = cube_header(make_wcs(), fits.Header(), meta, cards, range(4), keep_axes=True)
    assert [header[f"CTYPE{axis}"] for axis in range(1, 5)] == ["RA---SIN", "DEC--SIN", "FREQ", "STOKES"]
    assert shape == (1, 4)


def test_the_observatory_stays_in_headers_and_nothing_warns_of_it(result, tmp_path):
    """Of a WCS that has its place, astropy warns whenever it is unpickled, or read again with one way of saying it."""
    result.write(tmp_path / "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for thing in (result, result.image, result.dirty, read_image(demo_files()["dirty"])):
            pickle.loads(pickle.dumps(thing))
        header = fits.getheader(tmp_path / "a.image.fits")
        WCS(header)
    given = fits.getheader(demo_files()["dirty"])
    assert [header[f"OBSGEO-{axis}"] for axis in "XYZ"] == [given[f"OBSGEO-{axis}"] for axis in "XYZ"]
    assert header["OBSGEO-L"] == pytest.approx(-67.754929) and header["OBSGEO-H"] == pytest.approx(5053.8, abs=0.1)
