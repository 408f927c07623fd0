"""The same script with the real PyBDSF and with this package."""

import gc
import inspect
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from regions import Regions

import astro_ddpm_imager.compat.bdsf as ours
from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.data import demo_files

real = pytest.importorskip("bdsf", reason="the real PyBDSF is not installed: pip install bdsf")
pytestmark = [pytest.mark.bdsf, pytest.mark.filterwarnings("ignore")]  # its own warnings are not ours to judge

EXTRA = ["Reliability", "Sample_fraction", "SNR", "PB"]
NOT_WRITTEN = {"demo.pybdsf.lsm", "island_file"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """PyBDSF's image and this package's, of the demonstration field."""
    folder = tmp_path_factory.mktemp("bdsf")
    path = shutil.copy(demo_files()["dirty"], folder / "demo.fits")
    arguments = {"thresh_pix": 4.0, "quiet": True, "output_all": True}
    imager = DiffusionImager(n_samples=4, steps=6, seed=1, device="cpu", threads=1, progress=False)
    pair = [
        real.process_image(path, **arguments, outdir=str(folder / "real"), ncores=1),
        ours.process_image(path, **arguments, outdir=str(folder / "ours"), imager=imager),
    ]
    yield pair
    pair.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # PyBDSF leaves files open
        gc.collect()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_parameters_and_defaults(images):
    wanted = {name: option._default for name, option in images[0].opts.to_list()}
    found = {name: parameter.default for name, parameter in ours.PARAMETERS.items()}
    assert found == wanted


def test_values_are_kept_as_pybdsf_keeps_them(images):
    """One value per parameter: what PyBDSF takes is taken, and stored alike."""
    theirs, own = images
    for name, option in theirs.opts.to_list():
        value = {"rms_box": (40, 10), "beam": (1.0, 1.0, 0.0), "frequency": 10, "ncores": 1}.get(name, option._default)
        assert ours.PARAMETERS[name].check(name, value) == value, name
    assert own.opts.thresh_pix == theirs.opts.thresh_pix and own.opts.rms_map == theirs.opts.rms_map


@pytest.mark.parametrize("name", ["write_catalog", "export_image", "process", "save_pars", "list_pars", "set_pars"])
def test_methods_are_there(images, name):
    assert callable(getattr(images[0], name)) and inspect.getdoc(getattr(images[1], name))


@pytest.mark.parametrize(
    "name",
    ["ch0_arr", "rms_arr", "mean_arr", "resid_gaus_arr", "model_gaus_arr", "mask_arr", "pyrank", "image_arr", "shape"]
    + [
        "nsrc",
        "ngaus",
        "nisl",
        "total_flux_gaus",
        "clipped_rms",
        "clipped_mean",
        "beam",
        "frequency",
        "equinox",
        "masked",
    ]
    + ["imagename", "parentname", "filename", "max_value", "min_value", "raw_rms", "blankpix", "use_rms_map"],
)
def test_attributes(images, name):
    theirs, own = (getattr(img, name) for img in images)
    assert np.shape(own) == np.shape(theirs)
    assert np.asarray(own).dtype.kind == np.asarray(theirs).dtype.kind
    if name in ("ch0_arr", "mask_arr"):
        np.testing.assert_array_equal(own, theirs)
    elif name in ("beam", "frequency", "equinox", "blankpix", "masked", "shape", "max_value", "min_value", "raw_rms"):
        assert own == pytest.approx(theirs, rel=1e-5)
    elif name in ("clipped_rms", "rms_arr"):
        np.testing.assert_allclose(own, theirs, rtol=0.05)
    elif isinstance(own, str):
        assert own == theirs
    if name.endswith("_arr") and name != "mask_arr":
        np.testing.assert_array_equal(np.isnan(own), np.isnan(theirs))


@pytest.mark.parametrize(
    ("what", "extra"), [("sources", {"deconv_size_sky"}), ("gaussians", set()), ("islands", set())]
)
def test_objects_have_what_scripts_read(images, what, extra):
    theirs, own = (getattr(img, what)[0] for img in images)
    data = {name for name in vars(theirs) | {k: 0 for k in dir(theirs)} if not name.startswith("_")}
    data = {name for name in data if not name.endswith("_def") and not callable(getattr(theirs, name, None))}
    inner = {"oldbbox", "oldidx", "mg_fcn"}  # the state of PyBDSF's fit
    missing = data - set(vars(own)) - inner
    assert not missing
    for name in data & set(vars(own)):
        assert (
            np.shape(getattr(own, name)) == np.shape(getattr(theirs, name)) or what == "islands" or name == "gaussians"
        ), name


def test_images_have_what_scripts_read(images):
    theirs, own = images
    inner = {"j", "log", "mylog", "do_cache", "tempdir", "extraparams", "use_io", "coords_dict", "bbspatchnum"}
    inner |= {"confused", "waveletimage", "dsources"}  # the state of PyBDSF's operations
    wanted = {name for name in dir(theirs) if not name.startswith("_") and not name.endswith("_def")} - inner
    missing = {name for name in wanted if not hasattr(own, name)}
    for name in missing:
        with pytest.raises(AttributeError, match=f"^{name}: "):  # why, and what else there is
            getattr(own, name)
    assert "psf_vary_maj_arr" not in dir(theirs) and missing == {
        "ch0_Q_arr", "ch0_U_arr", "ch0_V_arr", "rms_box_bright", "bmpersrc_th", "freq_pars", "pyrsrcs",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["omega", "ch0_sum_jy", "maxpix_coord", "minpix_coord", "nchan", "nstokes", "shape"])
def test_values_of_the_pixels(images, name):
    theirs, own = (getattr(img, name) for img in images)
    assert own == pytest.approx(theirs, rel=1e-4)


def turned(source, target):
    """The field by 30 degrees, with large pixels, so that the projection counts."""
    data, header = fits.getdata(source, header=True)
    sine, cosine = np.sin(np.deg2rad(30)), np.cos(np.deg2rad(30))
    header.update({"PC1_1": cosine, "PC1_2": -sine, "PC2_1": sine, "PC2_2": cosine})
    for key in ("CDELT1", "CDELT2", "BMAJ", "BMIN"):
        header[key] *= 300
    fits.writeto(target, data, header)
    return str(target)


def test_conversions(images, here):
    for path in (images[0].filename, turned(images[0].filename, "turned.fits")):
        theirs, own = (module.process_image(path, stop_at="read", quiet=True, outdir=".") for module in (real, ours))
        size = theirs.beam[0]
        for name, arguments in (
            ("beam2pix", [(size, size / 2, 30.0)]), ("pix2beam", [(7, 9, 30.0)]), ("pix2beam", [(7, 9, 30.0), True]),
            ("gaus2pix", [(size, size / 2, 200.0)]), ("gaus2pix", [(size, size / 3, 30.0), (40, 250)]),
            ("gaus2pix", [theirs.beam, None, False]), ("pix2gaus", [(9, 4, 20.0)]), ("pix2gaus", [(0, 0, 20.0)]),
            ("pix2gaus", [(4, 9, 20.0), (40, 250)]), ("pix2gaus", [(1, 0.4, 20.0), (40, 250), True, True]),
            ("pix2coord", [(1.0, 0.4)]), ("pix2coord", [(1.0, 0.4), (40, 250)]), ("pixel_beam", []),
            ("pixel_beamarea", []), ("pix2sky", [[40, 250]]), ("sky2pix", [theirs.pix2sky([40, 250])]),
        ):  # fmt: skip
            wanted, found = (getattr(img, name)(*arguments) for img in (theirs, own))
            assert type(found) is type(wanted) and found == pytest.approx(wanted, rel=1e-3), (name, arguments)
            signatures = [inspect.signature(getattr(img, name)) for img in (theirs, own)]
            assert [*signatures[0].parameters] == [*signatures[1].parameters]
        assert own.wcs_obj.naxis == theirs.wcs_obj.naxis and own.wcs_obj.acdelt == pytest.approx(theirs.wcs_obj.acdelt)
        place = np.array([[40.0, 250.0, 0.0, 0.0]])
        np.testing.assert_allclose(own.wcs_obj.wcs_pix2world(place, 0), theirs.wcs_obj.wcs_pix2world(place, 0))


def test_parameters_of_another_image(images, here):
    images[0].save_pars("real.sav")
    for img in images:
        shutil.copy(img.filename, "other.fits")
        module = real if img is images[0] else ours
        other = module.process_image("other.fits", stop_at="read", quiet=True, outdir=".")
        other.load_pars("real.sav")
        assert (other.opts.filename, other.opts.thresh_pix, other.opts.stop_at) == ("other.fits", 4.0, None)
        with pytest.raises(RuntimeError, match="not found"):
            other.load_pars("gone.sav")


@pytest.mark.parametrize("kind", ["srl", "gaul"])
def test_fits_columns_units_formats_and_header(images, here, kind):
    tables = []
    for prefix, img in zip(("real", "ours"), images, strict=True):
        assert img.write_catalog(outfile=f"{prefix}.fits", format="fits", catalog_type=kind) is True
        with fits.open(f"{prefix}.fits") as hdus:
            tables.append((hdus[1].columns, hdus[1].header.copy(), hdus[0].header.copy(), len(hdus)))
    (theirs, their_header, *_), (own, own_header, *_) = tables
    assert own.names == theirs.names + EXTRA
    assert own.formats[: len(theirs)] == theirs.formats
    assert [unit or "" for unit in own.units][: len(theirs)] == [(unit or "").strip() for unit in theirs.units]
    for key in ("INIMAGE", "FREQ0", "EQUINOX"):
        assert own_header[key] == their_header[key] and own_header.comments[key] == their_header.comments[key]
    assert str(own_header["COMMENT"][0]) == str(their_header["COMMENT"][0])


@pytest.mark.parametrize("name", ["ascii", "csv"])
@pytest.mark.parametrize("kind", ["srl", "gaul"])
def test_text_catalogues(images, here, name, kind):
    texts = []
    for prefix, img in zip(("real", "ours"), images, strict=True):
        assert img.write_catalog(outfile=prefix, format=name, catalog_type=kind) is True
        texts.append(Path(prefix).read_text().splitlines())
    theirs, own = texts
    assert [own[i] for i in (0, 2, 3, 4)] == [theirs[i] for i in (0, 2, 3, 4)]
    separator = ", " if name == "csv" else " "
    assert own[5] == separator.join([theirs[5], *EXTRA])
    for mine, other in zip(
        own[6].split(separator.strip() or None), theirs[6].split(separator.strip() or None), strict=False
    ):
        assert len(mine.partition(".")[2].strip()) == len(other.partition(".")[2].strip())


def test_regions(images, here):
    lines = []
    for prefix, img in zip(("real", "ours"), images, strict=True):
        img.write_catalog(outfile=f"{prefix}.reg", format="ds9", catalog_type="srl")
        lines.append(Path(f"{prefix}.reg").read_text().splitlines())
        assert len(Regions.read(f"{prefix}.reg", format="ds9")) == img.nsrc
    assert lines[0][:3] == lines[1][:3]
    theirs, own = (Regions.read(f"{prefix}.reg", format="ds9") for prefix in ("real", "ours"))
    for region in theirs:
        distance = min(region.center.separation(other.center).arcsec for other in own)
        if region.meta["text"].endswith("_s1"):  # the bright source
            assert distance < 0.4


@pytest.mark.parametrize("name", ["fits", "ascii", "csv", "ds9", "casabox", "kvis", "star", "bbs", "xx", "shap"])
@pytest.mark.parametrize("kind", ["srl", "gaul"])
def test_return_values_and_file_names(images, tmp_path, monkeypatch, name, kind):
    returned, written = [], []
    for prefix, img in zip(("real", "ours"), images, strict=True):
        folder = tmp_path / prefix
        folder.mkdir()
        monkeypatch.chdir(folder)
        arguments = (
            {"format": "fits", "catalog_type": "shap"} if name == "shap" else {"format": name, "catalog_type": kind}
        )
        returned.append(
            [
                img.write_catalog(**arguments),
                img.write_catalog(**arguments),
                img.write_catalog(**arguments, clobber=True),
            ]
        )
        written.append(sorted(path.name for path in folder.iterdir()))
    assert returned[0] == returned[1]
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "name", ["ch0", "rms", "mean", "gaus_resid", "gaus_model", "island_mask", "pi", "shap_model", "psf_pa", "zz"]
)
def test_exported_images(images, tmp_path, monkeypatch, name):
    returned, headers = [], []
    for prefix, img in zip(("real", "ours"), images, strict=True):
        folder = tmp_path / prefix
        folder.mkdir()
        monkeypatch.chdir(folder)
        returned.append([img.export_image(img_type=name), img.export_image(img_type=name)])
        headers.append({path.name: fits.getheader(path) for path in folder.iterdir()})
    assert returned[0] == returned[1] and list(headers[0]) == list(headers[1])
    for theirs, own in zip(headers[0].values(), headers[1].values(), strict=True):
        for key in ("BITPIX", "NAXIS", "NAXIS1", "NAXIS4", "TELESCOP", "RESTFRQ", "BMAJ", "BPA", "EQUINOX"):
            assert key not in theirs or own[key] == theirs[key], key
        for axis in (1, 2, 3, 4):
            assert own[f"CTYPE{axis}"] == theirs[f"CTYPE{axis}"]
            # PyBDSF does not keep the width of the channel.
            for key in ("CRVAL", "CRPIX", "CDELT") if axis < 4 else ("CRVAL", "CRPIX"):
                assert own[f"{key}{axis}"] == pytest.approx(theirs[f"{key}{axis}"], rel=1e-10)


def test_text_formats_line_by_line(images, here):
    """The same number of fields, and the same words, in the lines of a source."""
    for name in ("kvis", "star", "bbs", "casabox"):
        first = []
        for prefix, img in zip(("real", "ours"), images, strict=True):
            img.write_catalog(outfile=prefix, format=name, clobber=True)
            first.append(Path(prefix).read_text().splitlines())
        theirs, own = first
        assert len(own[-1].split()) == len(theirs[-1].split())
        if name != "star":
            assert own[0] == theirs[0]


def test_files_of_output_all(images):
    theirs, own = (
        {str(path.relative_to(img.basedir)) for path in Path(img.basedir).rglob("*") if path.is_file()}
        for img in images
    )
    assert {path for path in theirs if Path(path).name not in NOT_WRITTEN} == own
    logs = [sorted(path.name for path in Path(img.outdir).glob("*.log")) for img in images]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("parameters", [{"foo": 1}, {"thr": 4}, {"thresh": 1}, {"rms_map": "x"}])
def test_errors(images, parameters):
    for module in (real, ours):
        with pytest.raises(RuntimeError, match=next(iter(parameters))):
            module.process_image(images[0].filename, quiet=True, **parameters)


def test_each_reads_the_parameters_that_the_other_saved(images, here):
    images[0].save_pars("real.sav")
    images[1].save_pars("ours.sav")
    own = ours.process_image("real.sav", stop_at="read", outdir="x")
    theirs = real.process_image("ours.sav", stop_at="read", outdir="x", output_all=False)
    assert own.opts.thresh_pix == theirs.opts.thresh_pix == 4.0
    assert own.filename == theirs.filename == images[0].filename
