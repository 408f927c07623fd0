"""Catalogues, regions, sky models and images that PyBDSF's calls write: the same names, columns and formats."""

import shutil
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
from astro_ddpm_imager.compat.bdsf.region_formats import casabox_text
from astro_ddpm_imager.data import demo_files

EXTRA = ["Reliability", "Sample_fraction", "SNR", "PB"]


def test_formats_may_be_in_capitals_and_names_empty(img):
    """As in PyBDSF."""
    assert img.write_catalog(format="FITS", outfile="") and Path("field.pybdsf.gaul.fits").exists()
    assert img.write_catalog(format="BBS", bbs_patches="Single", outfile="patches.sky_in")
    assert img.export_image(img_format="FITS", img_type="rms", outfile="") and Path("field.pybdsf_rms.fits").exists()


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
    assert run(output_all=True, outdir="out", solnname="_1", thresh_pix=50.0).nsrc == 0
    assert not list(Path(img.basedir, "catalogues").iterdir())  # those of the run before are not of this one


def _beam(header):
    return fits.Header({key: header[key] for key in ("BMAJ", "BMIN", "BPA", "BUNIT")})


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
