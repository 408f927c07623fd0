"""PyBDSF's surface: the same calls, attributes, messages and return values."""

import logging
import pickle
import re
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from regions import Regions

import astro_ddpm_imager.compat.bdsf as bdsf
from astro_ddpm_imager.compat.bdsf import analysis
from astro_ddpm_imager.compat.bdsf.parameters import Options
from astro_ddpm_imager.data import demo_files

from ..conftest import near

DOCS = Path(__file__).parents[2] / "docs"


def test_attributes_that_scripts_read(img):
    assert img.nsrc == len(img.sources) == img.ngaus == len(img.gaussians) > 0
    assert img.nisl == len(img.islands) == img.pyrank.max() + 1
    assert img.total_flux_gaus == pytest.approx(sum(g.total_flux for g in img.gaussians))
    assert img.beam == pytest.approx((0.00024757612, 0.00022762999, 83.240257), rel=1e-6)
    assert img.frequency == 230e9 and img.opts.thresh_pix == 4.0 and img.opts.thresh_isl == 3.0
    assert img.clipped_rms == pytest.approx(4.8e-5, rel=0.05)
    assert (img.imagename, img.parentname) == ("field.pybdsf", "field")
    (source,) = near(img.sources)
    assert 2e-4 < source.total_flux < 1e-3 and source.total_fluxE > 0  # true: 4.4e-4, from two quick samples
    assert source.code == "S" and source.gaussians[0].source_id == source.source_id
    assert img.sky2pix(source.posn_sky_centroid) == pytest.approx(source.gaussians[0].centre_pix)
    assert img.pix2sky(source.gaussians[0].centre_pix) == pytest.approx(source.posn_sky_centroid)
    assert len(img.result.samples) == 2


@pytest.mark.parametrize("reliability", [90, -0.1, "0.5"])
def test_a_reliability_that_is_none_is_refused(run, reliability):
    with pytest.raises(RuntimeError, match=rf"reliability={reliability!r}: must be a number from 0 to 1"):
        run(reliability=reliability)


def test_arrays_are_transposed_and_add_up(img, field):
    data = fits.getdata(field)[0, 0]
    inside = np.isfinite(img.model_gaus_arr)
    np.testing.assert_array_equal(img.ch0_arr[inside], data.T[inside])
    np.testing.assert_allclose((img.resid_gaus_arr + img.model_gaus_arr)[inside], img.ch0_arr[inside], atol=1e-9)
    assert img.rms_arr.shape == img.mean_arr.shape == img.ch0_arr.shape and img.ch0_arr.dtype == np.float32
    (source,) = near(img.sources)
    x, y = np.round(source.posn_pix_max).astype(int)
    assert img.model_gaus_arr[x, y] == pytest.approx(source.peak_flux_max * source.pb, rel=0.05)
    island = img.islands[source.island_id]
    assert img.pyrank[x, y] == island.island_id and (~island.mask_active).sum() == island.size_active
    assert island.bbox[0].start <= x < island.bbox[0].stop


def test_numbers_of_islands_are_corrected_as_fluxes_are(run):
    img = run(reliability=0.0, psf=demo_files()["psf"], pb=demo_files()["pb"])
    pb = fits.getdata(demo_files()["pb"]).squeeze().T
    for thing in (*img.sources, *img.gaussians):
        inside = img.pyrank == thing.island_id
        above, rms, left = (values[inside] / pb[inside] for values in (img.ch0_arr, img.rms_arr, img.resid_gaus_arr))
        above -= img.mean_arr[inside] / pb[inside]
        assert thing.total_flux_isl == pytest.approx(above.sum() / img.pixel_beamarea(), rel=1e-3)
        assert (thing.rms_isl, thing.gresid_rms) == pytest.approx((rms.mean(), left.std()), rel=1e-3)
    assert min(source.pb for source in img.sources) < 0.7
    tables = []
    for kind in ("srl", "gaul"):
        img.write_catalog(outfile=kind, format="fits", catalog_type=kind)
        tables.append(QTable.read(kind, format="fits"))
    for name in ("Isl_rms", "Isl_mean", "Resid_Isl_rms", "Isl_Total_flux"):
        for row in tables[1]:
            assert row[name] == tables[0][name][tables[0]["Source_id"] == row["Source_id"]]


def test_model_holds_the_flux_of_the_catalogue(img):
    (source,) = near(img.sources)
    total = np.nansum(img.model_gaus_arr[tuple(img.islands[source.island_id].bbox)]) / img.pixel_beamarea()
    assert total == pytest.approx(source.total_flux * source.pb, rel=0.35)
    assert source.size_sky[0] > img.beam[0] * 0.99 and source.size_sky[0] >= source.size_sky[1]


def test_bad_arguments_print_and_return_false(img, capsys):
    img.write_catalog(outfile="a", format="fits")
    for arguments, told in (
        ({"outfile": "a", "format": "fits"}, "File exists and clobber = False: a"),
        ({"format": "xx"}, "format='xx': must be 'fits'"),
        ({"format": "sagecal"}, "format='sagecal'"),
        ({"catalog_type": "xx"}, "catalog_type='xx'"),
        ({"catalog_type": "shap"}, "no shapelets"),
        ({"bbs_patches": "mask"}, "bbs_patches_mask"),
    ):
        capsys.readouterr()
        assert img.write_catalog(**arguments) is False
        assert told in capsys.readouterr().out
    assert img.write_catalog(outfile="a", format="fits", clobber=True) is True
    for arguments, told in (
        ({"img_type": "pi"}, "Stokes I"),
        ({"img_type": "zz"}, "not recognized"),
        ({"img_format": "miriad"}, "must be 'fits' or 'casa'"),
    ):
        assert img.export_image(**arguments) is False
        assert told in capsys.readouterr().out
    assert img.show_fit(foo=1) is False
    with pytest.raises(TypeError, match="foo"):
        img.write_catalog(foo=1)


def test_an_extension_in_brackets(run, quick, img):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(*fits.getdata("field.fits", header=True))]).writeto("b.fits")
    other = bdsf.process_image("b.fits[1]", quiet=True, imager=quick)
    assert other.parentname == "b" and other.nisl and Path("b.fits.pybdsf.log").exists()
    assert other.export_image(outfile="b.fits", clobber=True) is False
    np.testing.assert_array_equal(other.ch0_arr, img.ch0_arr)


def test_parameters_may_be_abbreviated(run):
    assert run(thresh_p=50, mean_m="zero", stop="read").opts.thresh_pix == 50.0
    with pytest.raises(
        RuntimeError, match="Input parameter 'thr' matches to more than one possible parameter: thresh, "
    ):
        run(thr=1)
    with pytest.raises(RuntimeError, match="Input parameter 'foo' not recognized"):
        run(foo=1)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("thresh_pix", "a", "must be a number"), ("rms_map", "x", "choose one of None, True, False"),
        ("rms_box", 3, "must be two numbers"), ("beam", "x", "must be three numbers"), ("beam", (1, 2), "three"),
        ("quiet", 3, "True or False"), ("mean_map", "none", "'default', 'zero'"), ("ncores", 1.5, "a whole number"),
        ("trim_box", (500, 600, 0, 10), "holds no pixel"), ("rms_box", (0, 0), "at least 1 pixel"),
        ("collapse_av", [3], "has no channel 3; there are 0 to 0"), ("detection_image", "gone.fits", "gone.fits"),
    ],
)  # fmt: skip
def test_values_that_cannot_be(field, quick, name, value, told):
    with pytest.raises(RuntimeError, match=told) as caught:
        bdsf.process_image(field, imager=quick, **{"quiet": True, name: value})
    assert name in str(caught.value) or name == "detection_image"


def test_images_that_cannot_be_used(field, tmp_path):
    with pytest.raises(RuntimeError, match=r"File 'gone\.fits' not found"):
        bdsf.process_image("gone.fits")
    Path("junk.fits").write_text("hello")
    with pytest.raises(RuntimeError, match=r"Cannot open file 'junk\.fits'"):
        bdsf.process_image("junk.fits", quiet=True)
    Path("casa.image").mkdir()
    with pytest.raises(RuntimeError, match=r"casa\.image"):
        bdsf.process_image("casa.image", quiet=True)
    for keys, told in ((("BMAJ", "BMIN", "BPA"), r"give beam="), (("CTYPE3", "RESTFRQ"), "give frequency= in Hz")):
        data, header = fits.getdata(field), fits.getheader(field)
        for key in keys:
            header.remove(key)
        if "CTYPE3" in keys:
            header["CTYPE3"] = "LINEAR"
        header["HISTORY"] = "changed"
        fits.writeto("changed.fits", data, header, overwrite=True)
        with pytest.raises(RuntimeError, match=told):
            bdsf.process_image("changed.fits", quiet=True)
    img = bdsf.process_image("changed.fits", quiet=True, frequency=1e9, stop_at="read")
    assert img.frequency == 1e9 and not hasattr(img, "sources") and img.write_catalog() is False


def test_log_names_what_has_no_counterpart_once(run):
    run(thresh_pix=50.0, atrous_do=True, shapelet_do=True, outdir="logs")
    text = Path("logs/field.fits.pybdsf.log").read_text()
    lines = [line for line in text.splitlines() if "no counterpart" in line]
    assert len(lines) == 1 and "atrous_do (" in lines[0] and "shapelet_do (" in lines[0]
    assert "thresh_pix (" not in lines[0] and "psf_vary_do" not in text
    assert "the restoring beam takes its place" in text


def test_loggers_are_left_alone_and_quiet_is_quiet(run, capsys):
    before = {
        name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers))
        for name in ("", "astro_ddpm_imager")
    }
    run(thresh_pix=50.0)
    assert capsys.readouterr().out == ""
    run(thresh_pix=50.0, quiet=False, atrous_do=True)
    said = capsys.readouterr().out
    assert "--> Opened 'field.fits'" in said and "WARNING: no PSF given" in said
    assert "WARNING: these parameters have no counterpart here: atrous_do (" in said
    assert before == {name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in before}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"rms_map": False, "mean_map": "zero"},
            r"rms \.+ : 4\.\d+e-05 .*\nValue of background mean \.+ : 0.00e\+00",
        ),
        ({"rms_map": True, "mean_map": "map"}, r"rms map \.* *: \(.*\) Jy/beam\nMin/max values of background mean map"),
        ({"rms_map": False, "rms_value": 1e-3, "mean_map": "const"}, r"Value of background rms \.+ : 1.00e-03 Jy/beam"),
    ],
)
def test_the_background_that_counts_is_told(run, capsys, options, told):
    run(thresh_pix=50.0, quiet=False, **options)
    assert re.search(told, capsys.readouterr().out)


def test_scripts_find_in_the_log_what_they_look_for(run):
    """Regular expressions of pipelines in use; a log is appended to, and the last run counts."""
    for threshold in (50.0, 4.0):
        img = run(thresh_pix=threshold, outdir="logs", rms_box=(60, 20))
    first, text = re.split(r"(?m)^=+\s*$", Path("logs/field.fits.pybdsf.log").read_text())[1:]
    for pattern, value in (
        (r"Flux from sum of \(non-blank\) pixels ..... : (-?\d+\.\d+) Jy", img.ch0_sum_jy),
        (r"Total flux density in model ............. : (-?\d+\.\d+) Jy", img.total_flux_gaus),
        (r"Raw mean \(Stokes I\) =  (-?\d+\.\d+) mJy", img.raw_mean * 1e3),
        (r"raw rms =  (-?\d+\.\d+) mJy", img.raw_rms * 1e3),
        (r"sigma clipped mean \(Stokes I\) =  (-?\d+\.\d+) mJy", img.clipped_mean * 1e3),
        (r"sigma clipped rms =  (-?\d+\.\d+) mJy", img.clipped_rms * 1e3),
        (r"std. dev:\s(.*)\s\(", np.nanstd(img.resid_gaus_arr)),
        (r"Number of sources formed from Gaussians +: (\d+)", img.nsrc),
    ):
        assert float(re.search(pattern, text)[1]) == pytest.approx(value, abs=1e-4 if "mJy" in pattern else 1e-6)
    assert re.search(r".*rms_box.*:\s(\(.*\))", text)[1] == "(60, 20)" == str(img.rms_box)
    assert f"--> Using {'2D map for' if img.use_rms_map else 'constant'} background rms" in text
    assert "Total flux density in model ............. : 0.000000 Jy" in first


def test_saved_parameters_come_back(run, quick):
    img = run(thresh_pix=50.0, rms_box=(100, 30))
    img.save_pars("a.sav")
    again = bdsf.process_image("a.sav", imager=quick, stop_at="read")
    assert again.opts.to_dict() == {**img.opts.to_dict(), "stop_at": "read"}
    assert bdsf.process_image({"filename": "field.fits", "thresh_pix": 9}, stop_at="read").opts.thresh_pix == 9.0
    # A pickle that would run code is no save file; it is then taken for an image.
    Path("evil.sav").write_bytes(pickle.dumps(Path))
    with pytest.raises(RuntimeError, match=r"Cannot open file 'evil\.sav'"):
        bdsf.process_image("evil.sav", quiet=True)


def test_show_fit(img, monkeypatch):
    from matplotlib import pyplot as plt

    plt.switch_backend("agg")
    assert img.show_fit() is True
    assert len(plt.gcf().axes) == 12  # six images, each with a colour bar
    plt.close("all")
    assert img.show_fit(rms_image=False, mean_image=False) is True
    assert len(plt.gcf().axes) == 8
    plt.close("all")


def test_documented_script_runs_after_changing_its_import(field, quick, monkeypatch, capsys):
    before, after = ((DOCS / "scripts" / f"pybdsf_{name}.py").read_text().splitlines() for name in ("before", "after"))
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert changed == [("import bdsf", "import astro_ddpm_imager.compat.bdsf as bdsf")]
    monkeypatch.setattr(analysis, "DiffusionImager", lambda threads: quick)
    names = runpy.run_path(str(DOCS / "scripts" / "pybdsf_after.py"))
    assert names["img"].nsrc == len(QTable.read("field.srl.fits")) == len(Regions.read("field.reg", format="ds9"))
    assert f"{names['img'].nsrc} sources" in capsys.readouterr().out


def test_an_image_can_be_pickled(img):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = pickle.loads(pickle.dumps(img))
    assert again.nsrc == img.nsrc and again.pixel_beam() == img.pixel_beam()
    assert again.pixel_beamarea() == img.pixel_beamarea()


def test_what_is_printed_of_an_island_is_a_line(img):
    assert len(repr(img.islands[0])) < 1000 and "island_id=" in repr(img.islands[0])
    assert "np." not in repr(img.islands[0]) + repr(img.gaussians[0])


def test_nothing_is_written_of_a_run_before(img, capsys):
    """After a run that failed, the sources of the image before were written under the name of the new one."""
    fits.writeto("other.fits", np.zeros((40, 40)))
    with pytest.raises(RuntimeError, match=r"other\.fits: no celestial WCS"):
        img.process(filename="other.fits")
    assert img.write_catalog(format="fits") is False and img.export_image() is False
    assert "has not been processed" in capsys.readouterr().out
    with pytest.raises(AttributeError, match=r"'sources', before process\(\) has gone through"):
        img.sources  # noqa: B018


def test_residuals_of_an_island_are_of_pixels_that_are_not_blank(run, img):
    """Those of a source with a blank pixel in a small hole were NaN."""
    (source,) = near(img.sources)
    x, y = np.round(source.posn_pix_max).astype(int)
    with fits.open("field.fits", mode="update") as (hdu,):
        hdu.data[..., y, x] = np.nan
    (again,) = near(run(thresh_pix=4.0, psf=demo_files()["psf"], pb=demo_files()["pb"]).sources)
    assert again.gresid_rms == pytest.approx(source.gresid_rms, rel=0.5)
    assert abs(again.gresid_mean) < 3 * again.gresid_rms


def test_names_of_folders_are_text(img):
    assert all(isinstance(name, str) for name in (img.outdir, img.basedir, img.indir, img.logfilename))


def test_numbers_may_be_text_as_in_a_parset():
    options = Options()
    options.update({"thresh_pix": "5.5", "ncores": "2", "quiet": "True", "frequency": "1e8"})
    assert (options.thresh_pix, options.ncores, options.quiet, options.frequency) == (5.5, 2, True, 1e8)
    with pytest.raises(RuntimeError, match="thresh_pix='high': must be a number"):
        options.update({"thresh_pix": "high"})


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("thresh_isl", True, 1.0), ("quiet", "true", True), ("output_all", "no", False), ("clobber", None, False),
        ("frequency", "none", None), ("rms_map", "none", None), ("rms_map", np.True_, True), ("spline_rank", 2.0, 2),
        ("minpix_isl", 5.7, 5), ("collapse_file", None, "None"), ("detection_image", None, ""), ("src_ra_dec", [], []),
        ("rms_box", [40.7, 10], (40, 10)), ("beam", [1, 1, 0], (1.0, 1.0, 0.0)), ("rms_value", np.array(2.0), 2.0),
    ],
)  # fmt: skip
def test_what_pybdsf_takes_for_a_value_is_taken(name, value, kept):
    options = Options()
    setattr(options, name, value)
    found = getattr(options, name)
    assert found == kept and type(found) is type(kept)
    assert all(type(item) is type(other) for item, other in zip(np.ravel(found), np.ravel(kept), strict=True))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("minpix_isl", np.nan, "a whole number"), ("rms_box", (np.nan, 3), "two numbers"), ("quiet", "x", "True or"),
        ("rms_map", 1, "choose one of"), ("rms_map", np.array([True, False]), "choose one of"),
        ("src_ra_dec", [(None, 1)], "must be a list"), ("src_ra_dec", 3, "must be a list"), ("filename", 3, "a string"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(name, value, told):
    with pytest.raises(RuntimeError, match=told):
        setattr(Options(), name, value)


def test_options_have_the_methods_of_pybdsf():
    options = Options()
    options.set_opts({"thresh_pix": 4, "rms_box": (40, 10), "collapse_av": [1, 2]})
    assert options.get_names() == sorted(options.to_dict()) == [name for name, _ in options.to_list()]
    assert options.thresh_pix == 4.0 and dict(options.to_list())["thresh_pix"].default == 5.0
    options.set_default("thresh_pix")
    assert options.thresh_pix == 5.0 and options.rms_box == (40, 10)
    options.set_default(["rms_box"])
    assert options.rms_box is None and options.collapse_av == [1, 2]
    options.set_default()
    assert options.to_dict() == Options().to_dict() and options.collapse_av is not Options().collapse_av
    assert re.search(r"^thresh_isl +3\.0 +islands reach", options.info(), re.MULTILINE)


def test_threads_of_an_imager_are_its_own(run, capsys):
    """They were not those of ncores, silently."""
    run(thresh_pix=50.0, quiet=False, ncores=3)
    assert "WARNING: ncores=3 has no effect: imager= has threads of its own" in capsys.readouterr().out


def test_parameters_are_checked_where_a_script_sets_them_as_attributes():
    options = Options()
    options.rms_box, options.thresh_p = [60, 20], "4"
    assert options.rms_box == (60, 20) and options.thresh_pix == 4.0
    with pytest.raises(RuntimeError, match="rms_map='yes': choose one of None, True, False"):
        options.rms_map = "yes"
    with pytest.raises(RuntimeError, match="Input parameter 'thresh_px' not recognized"):
        options.thresh_px = 4
    assert options.rms_map is None and "thresh_px" not in vars(options)


@pytest.mark.parametrize("outdir", ["field.fits", "field.fits/below"])
def test_a_folder_that_cannot_be_written_to_is_an_error_of_pybdsf(run, outdir):
    """Which scripts catch; images of an archive lie in folders that only some may write to."""
    with pytest.raises(RuntimeError, match=r"the log cannot be written \(.*\); give outdir=, another folder"):
        run(outdir=outdir)
