"""PyBDSF's surface: the same calls, names, columns, files and return values."""

import logging
import pickle
import re
import runpy
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import ascii as ascii_tables
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from regions import Regions

import astro_ddpm_imager.compat.bdsf as bdsf
from astro_ddpm_imager.compat.bdsf import analysis
from astro_ddpm_imager.compat.bdsf.parameters import Options
from astro_ddpm_imager.compat.bdsf.region_formats import casabox_text
from astro_ddpm_imager.data import demo_files

from ..conftest import near

DOCS = Path(__file__).parents[2] / "docs"
EXTRA = ["Reliability", "Sample_fraction", "SNR", "PB"]


@pytest.fixture
def img(run):
    return run(thresh_pix=4.0, psf=demo_files()["psf"], pb=demo_files()["pb"])


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


def test_formats_may_be_in_capitals_and_names_empty(img):
    """As in PyBDSF."""
    assert img.write_catalog(format="FITS", outfile="") and Path("field.pybdsf.gaul.fits").exists()
    assert img.write_catalog(format="BBS", bbs_patches="Single", outfile="patches.sky_in")
    assert img.export_image(img_format="FITS", img_type="rms", outfile="") and Path("field.pybdsf_rms.fits").exists()


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


@pytest.mark.parametrize("kind", ["srl", "gaul"])
def test_fits_catalogue(img, kind):
    assert img.write_catalog(format="fits", catalog_type=kind) is True
    path = f"field.pybdsf.{kind}.fits"
    table, header = QTable.read(path), fits.getheader(path, 1)
    assert table.colnames[-4:] == EXTRA and len(table.colnames) == {"srl": 45, "gaul": 49}[kind] + 4
    assert str(table["Maj"].unit) == "deg" and str(table["Peak_flux"].unit) == "Jy / beam"
    assert table["Total_flux"].to_value("Jy").sum() == pytest.approx(img.total_flux_gaus)
    assert (header["INIMAGE"], header["FREQ0"], header["EQUINOX"]) == ("field.fits", 230e9, 2000.0)
    assert "FILEPATH" not in str(header)
    assert np.all((table["Reliability"] > 0) & (table["Reliability"] <= 1))


def test_fits_catalogue_of_a_name_that_fits_has_not(img, monkeypatch):
    monkeypatch.setattr(img, "filename", "é.fits")
    img.write_catalog(format="fits", outfile="ascii.fits")
    header = fits.getheader("ascii.fits", 1)
    assert header["INIMAGE"] == "%C3%A9.fits" and "list for %C3%A9.fits" in str(header["COMMENT"])


def test_text_catalogues_hold_what_fits_holds(img):
    img.write_catalog(outfile="a.fits", format="fits", catalog_type="srl")
    wanted = QTable.read("a.fits")
    for name, delimiter in (("ascii", r"\s"), ("csv", ",")):
        assert img.write_catalog(outfile=f"a.{name}", format=name, catalog_type="srl") is True
        lines = Path(f"a.{name}").read_text().splitlines()
        assert lines[0] == "# Source list for field.fits" and lines[5].startswith("# Source_id")
        table = ascii_tables.read(
            [line.lstrip("# ") for line in lines[5:]], format="basic", delimiter=delimiter, guess=False
        )
        assert table.colnames == wanted.colnames
        np.testing.assert_allclose(table["RA"], wanted["RA"].value, rtol=1e-13)


def test_regions_load_with_names_and_sizes(img):
    assert img.write_catalog(format="ds9", catalog_type="srl") is True
    regions = Regions.read("field.pybdsf.srl.reg", format="ds9")
    assert [region.meta["text"] for region in regions] == [f"field_i{s.island_id}_s{s.source_id}" for s in img.sources]
    for region, source in zip(regions, img.sources, strict=True):
        # DS9 takes semi-axes, PyBDSF gives it the FWHM.
        assert region.width.to_value("deg") / 2 == pytest.approx(source.size_sky[0])
        assert region.center.ra.deg == pytest.approx(source.posn_sky_centroid[0], abs=1e-9)
        turned = region.angle.to_value("deg") - source.size_sky[2] - 90
        assert (turned + 180) % 360 == pytest.approx(180, abs=1e-6)


def test_casabox_encloses_the_sources(img):
    assert img.write_catalog(format="casabox", catalog_type="srl") is None
    lines = Path("field.pybdsf.box").read_text().splitlines()
    assert lines[0].startswith("#CRTFv0") and len(lines) == img.nsrc + 1
    boxes = Regions.read("field.pybdsf.box", format="crtf")
    for box, source in zip(boxes, img.sources, strict=True):
        assert box.center.dec.deg == pytest.approx(source.posn_sky_centroid[1], abs=1e-6)
        assert source.size_sky[1] * 0.99 < box.height.to_value("deg") / 6 < source.size_sky[0] * 1.01


@pytest.mark.parametrize("ra", [1e-4, 359.9999])
def test_a_casabox_across_0h_lies_where_its_source_does(ra):
    source = SimpleNamespace(posn_sky_centroid=(ra, -30.0), size_sky=(1e-3, 1e-3, 0.0))
    text = casabox_text([source], "srl", SimpleNamespace(frame="fk5"))
    (box,) = Regions.parse(text, format="crtf")
    assert box.center.separation(SkyCoord(ra, -30, unit="deg", frame="fk5")).arcsec < 0.1
    assert box.height.to_value("arcsec") == pytest.approx(21.6, abs=0.01)


def test_sky_models_of_gaussians(img):
    for name, path in (("kvis", "kvis.ann"), ("star", "star"), ("bbs", "sky_in")):
        assert img.write_catalog(format=name) is True
        text = Path(f"field.pybdsf.{path}").read_text()
        assert (
            len([line for line in text.splitlines() if line.startswith(("ellipse", " 9 58", "field_w0"))]) == img.ngaus
        )
        assert img.write_catalog(format=name, catalog_type="srl", clobber=True) is False
    lines = text.splitlines()
    assert lines[0].startswith("format = Name, Type, Ra, Dec, I,") and lines[2].endswith("[]")
    fluxes = [float(line.split(", ")[4]) for line in lines[2:]]
    assert fluxes == sorted(fluxes, reverse=True)
    assert img.write_catalog(outfile="p", bbs_patches="source", srcroot="abc") is True
    text = Path("p").read_text()
    assert text.count(", , abc_patch_s") == img.nsrc and "abc_w0_" in text


@pytest.mark.parametrize("cut", [0, 80])
def test_patches_of_a_mask_are_those_of_the_places(run, field, capsys, cut):
    """Whatever pixels the image was cut to, and the mask has."""
    img = run(thresh_pix=4.0, trim_box=(60, 260, 50, 250))
    data, header = fits.getdata(field), fits.getheader(field)
    numbers = np.indices(data.shape)[-1][..., cut:]
    header["CRPIX1"] -= cut
    fits.writeto("patches.fits", numbers.astype("f4"), header)
    assert img.write_catalog(outfile="p", bbs_patches="mask", bbs_patches_mask="patches.fits") is True
    lines = [line.split(", ") for line in Path("p").read_text().splitlines() if line.startswith("field_w")]
    found = {line[0]: line[2] for line in lines}
    for gaussian in img.gaussians:
        name = f"field_w0_i{gaussian.island_id}_s{gaussian.source_id}_g{gaussian.gaus_num}"
        assert found[name] == f"field_patch_m{round(gaussian.centre_pix[0] + 60)}"
    small = np.full((1, 1, 9, 9), 5.0, "f4")
    fits.writeto("small.fits", small, header)
    for mask, said in (("small.fits", "has no number at"), ("gone.fits", "No such file")):
        capsys.readouterr()
        assert img.write_catalog(outfile="q", bbs_patches="mask", bbs_patches_mask=mask) is False
        assert f"ERROR: bbs_patches_mask='{mask}': " in (told := capsys.readouterr().out) and said in told
    assert not Path("q").exists()


def test_sky_models_are_of_j2000(tmp_path, monkeypatch, quick, caplog):
    monkeypatch.chdir(tmp_path)
    data, header = fits.getdata(demo_files()["dirty"], header=True)
    header["RADESYS"], header["EQUINOX"] = "FK4", 1950.0
    fits.writeto("b.fits", data, header)
    img = bdsf.process_image("b.fits", quiet=True, imager=quick)
    brightest = max(img.gaussians, key=lambda gaussian: gaussian.total_flux)
    img.write_catalog(outfile="b.sky", format="bbs")
    ra, dec = Path("b.sky").read_text().splitlines()[2].split(", ")[2:4]
    found = SkyCoord(ra, dec.replace(".", ":", 2), unit=("hourangle", "deg"))
    wanted = SkyCoord(*brightest.centre_sky, unit="deg", frame="fk4")
    assert found.separation(wanted.icrs).arcsec < 0.1 and "precessed to J2000" in caplog.text
    for name in ("kvis", "star"):  # drawn on the image
        img.write_catalog(outfile="b." + name, format=name)
    degrees = [float(line.split()[1]) for line in Path("b.kvis").read_text().splitlines() if line.startswith("ell")]
    assert brightest.centre_sky[0] == pytest.approx(min(degrees, key=lambda ra: abs(ra - wanted.ra.deg)), abs=1e-5)
    assert Path("b.star").read_text().startswith(" 9 58")
    img.write_catalog(outfile="b.reg", format="ds9")
    assert Path("b.reg").read_text().splitlines()[2] == "fk4"


def test_export_image(img):
    for name in ("ch0", "rms", "mean", "gaus_resid", "gaus_model", "island_mask"):
        assert img.export_image(img_type=name) is True
        with fits.open(f"field.pybdsf_{name}.fits") as hdus:
            assert hdus[0].data.shape == (1, 1, 320, 320)
            assert hdus[0].header.get("BUNIT") == (None if name == "island_mask" else "Jy/beam")
    wcs_keys = ("CRVAL1", "CRPIX1", "CDELT1", "CTYPE1", "CRVAL2", "CDELT2", "BMAJ", "EQUINOX")
    ours, input_header = fits.getheader("field.pybdsf_rms.fits"), fits.getheader("field.fits")
    for key in wcs_keys:
        wanted = input_header[key]
        assert ours[key] == (wanted if isinstance(wanted, str) else pytest.approx(wanted)), key
    plain, wide = fits.getdata("field.pybdsf_island_mask.fits"), "wide.fits"
    assert set(np.unique(plain)) == {0.0, 1.0}
    img.export_image(outfile=wide, img_type="island_mask", mask_dilation=2)
    assert fits.getdata(wide).sum() > plain.sum()


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
        ({"img_format": "casa"}, "importfits"),
    ):
        assert img.export_image(**arguments) is False
        assert told in capsys.readouterr().out
    assert img.show_fit(foo=1) is False
    with pytest.raises(TypeError, match="foo"):
        img.write_catalog(foo=1)


def test_what_is_read_is_never_replaced(run, tmp_path, capsys):
    names = {name: f"{name}.fits" for name in ("psf", "pb")}
    for name, file in names.items():
        shutil.copy(demo_files()[name], file)
    img = run(thresh_pix=4.0, **names)
    before = {name: Path(name).read_bytes() for name in ("field.fits", *names.values())}
    Path("link.fits").symlink_to("pb.fits")
    capsys.readouterr()
    for name in (*before, tmp_path / "link.fits"):
        for write in (img.write_catalog, img.export_image):
            assert write(outfile=name, clobber=True) is False
            assert f"ERROR: {name} would be replaced by a product, but is read" in capsys.readouterr().out
        with pytest.raises(RuntimeError, match="would be replaced by a product, but is read"):
            img.save_pars(name)
    patches = {"bbs_patches": "mask", "bbs_patches_mask": "patches.fits"}
    img.export_image(outfile="patches.fits", img_type="island_mask")
    assert img.write_catalog(outfile="patches.fits", clobber=True, **patches) is False
    assert {name: Path(name).read_bytes() for name in before} == before


def test_an_extension_in_brackets(run, quick, img):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(*fits.getdata("field.fits", header=True))]).writeto("b.fits")
    other = bdsf.process_image("b.fits[1]", quiet=True, imager=quick)
    assert other.parentname == "b" and other.nisl and Path("b.fits.pybdsf.log").exists()
    assert other.export_image(outfile="b.fits", clobber=True) is False
    np.testing.assert_array_equal(other.ch0_arr, img.ch0_arr)


def test_maps_that_are_read_are_not_written_anew(run):
    run(output_all=True)
    maps = [f"field_pybdsf/background/field.pybdsf.{kind}_I.fits" for kind in ("mean", "rmsd")]
    before = [Path(name).read_bytes() for name in maps]
    with pytest.raises(RuntimeError, match=r"mean_I.fits would be replaced by a product|rmsd_I.fits would be"):
        run(rmsmean_map_filename=maps, output_all=True)
    assert [Path(name).read_bytes() for name in maps] == before
    assert run(rmsmean_map_filename=maps, output_all=True, opdir_overwrite="append").nsrc


def test_without_sources_no_file_is_written(run, capsys):
    img = run(thresh_pix=50.0)
    assert (img.nsrc, img.ngaus, img.nisl, img.sources, img.total_flux_gaus) == (0, 0, 0, [], 0.0)
    for name in ("fits", "ascii", "csv", "ds9", "casabox", "kvis", "star", "bbs"):
        assert img.write_catalog(outfile="none", format=name) is False
        assert "No sources were found" in capsys.readouterr().out and not Path("none").exists()
        assert img.write_catalog(outfile=f"forced.{name}", format=name, force_output=True) in (True, None)
        assert Path(f"forced.{name}").exists()
    assert len(QTable.read("forced.fits")) == 0
    assert img.export_image(img_type="gaus_resid") is True


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
    run(thresh_pix=50.0, quiet=False)
    assert "--> Opened 'field.fits'" in capsys.readouterr().out
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


def test_output_all(run):
    img = run(thresh_pix=4.0, output_all=True, outdir="out", solnname="_1")
    names = {str(path.relative_to(img.basedir)) for path in Path(img.basedir).rglob("*") if path.is_file()}
    assert Path(img.basedir) == Path("out/field_pybdsf_1").resolve()
    assert names == {
        *(f"catalogues/field.pybdsf.{kind}{end}" for kind in ("srl", "gaul") for end in ("", ".FITS", ".ds9.reg")),
        *(f"catalogues/field.pybdsf.{end}" for end in ("sky_in", "star", "kvis.ann")),
        *(f"background/field.pybdsf.{end}_I.fits" for end in ("rmsd", "mean", "norm")),
        "residual/field.pybdsf.resid_gaus.fits", "model/field.pybdsf.model.fits", "misc/field.pybdsf_pyrank.fits",
        "misc/parameters_used", "misc/parameters.sav",
    }  # fmt: skip
    for path in Path(img.basedir).rglob("*.fits"):
        counts = "pyrank" in path.name or "norm" in path.name  # islands, or the noise
        assert fits.getheader(path).get("BUNIT") == (None if counts else "Jy/beam"), path.name
    again = run(output_all=True, outdir="out", solnname="_1", opdir_overwrite="append", thresh_pix=50.0)
    assert Path(again.basedir).parent == Path(img.basedir)


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


def test_names_of_folders_are_text(img):
    assert all(isinstance(name, str) for name in (img.outdir, img.basedir, img.indir, img.logfilename))


def test_numbers_may_be_text_as_in_a_parset():
    options = Options()
    options.update({"thresh_pix": "5.5", "ncores": "2", "quiet": "True", "frequency": "1e8"})
    assert (options.thresh_pix, options.ncores, options.quiet, options.frequency) == (5.5, 2, True, 1e8)
    with pytest.raises(RuntimeError, match="thresh_pix='high': must be a number"):
        options.update({"thresh_pix": "high"})


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_exported_images_have_the_frequency_that_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, header = fits.getdata(demo_files()["dirty"], header=True)
    for key in list(header):
        if (key[-1:] in "34" and key[:5] in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT")) or key == "RESTFRQ":
            del header[key]
    fits.writeto("flat.fits", np.squeeze(data), WCS(header).celestial.to_header() + _beam(header))
    img = bdsf.process_image("flat.fits", frequency=1.5e8, quiet=True)
    img.export_image(outfile="rms.fits", img_type="rms")
    ours = fits.getheader("rms.fits")
    assert (ours["CTYPE3"], ours["CTYPE4"], ours["CRVAL4"], ours["RESTFRQ"]) == ("STOKES", "FREQ", 1.5e8, 1.5e8)


def _beam(header):
    return fits.Header({key: header[key] for key in ("BMAJ", "BMIN", "BPA", "BUNIT")})


def test_a_star_file_has_its_sign_beside_the_degrees(img):
    img.write_catalog(outfile="a.star", format="star", catalog_type="gaul")
    for line in Path("a.star").read_text().splitlines():
        assert line.split()[3][0] in "+-" and (line.split()[3][1:].isdigit() or len(line.split()[3]) == 1)
    assert len(line.split()) in (11, 12)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_positions_of_a_galactic_image_are_those_of_its_pixels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, header = fits.getdata(demo_files()["dirty"], header=True)
    wcs = WCS(header).celestial
    wcs.wcs.ctype, wcs.wcs.radesys = ["GLON-SIN", "GLAT-SIN"], ""
    fits.writeto("galactic.fits", np.squeeze(data), wcs.to_header() + _beam(header))
    img = bdsf.process_image("galactic.fits", frequency=1e9, quiet=True)
    source = img.sources[0]
    assert img.sky2pix(source.posn_sky_centroid) == pytest.approx(list(source.posn_pix_centroid), abs=0.01)
    assert img.pix2sky(source.posn_pix_centroid) == pytest.approx(list(source.posn_sky_centroid), abs=1e-6)
    place = tuple(source.posn_sky_centroid)
    assert bdsf.process_image("galactic.fits", frequency=1e9, quiet=True, src_ra_dec=[place]).nsrc == 1
