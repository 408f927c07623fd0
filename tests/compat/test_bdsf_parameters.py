"""PyBDSF's parameters take effect, or say that they do not."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

import astro_ddpm_imager.compat.bdsf as bdsf
from astro_ddpm_imager.compat.bdsf import analysis, background, certainty
from astro_ddpm_imager.compat.bdsf.documentation import parameter_table
from astro_ddpm_imager.data import demo_files

from ..conftest import BRIGHT, near

DOCS = Path(__file__).parents[2] / "docs"
read = functools.partial(bdsf.process_image, stop_at="read", quiet=True)


def test_lower_threshold_finds_more(run):
    counts = [run(thresh_pix=threshold).nsrc for threshold in (0.0, 5.0, 50.0)]
    assert counts[0] > counts[1] >= counts[2] == 0
    assert run(reliability=0.0).nsrc >= counts[0]


def test_a_threshold_selects_by_certainty_and_a_high_one_by_brightness():
    table = QTable({"reliability": [0.2, 0.3, 0.85, 0.95, 0.99], "snr": [9.0, 3.0, 4.0, 5.0, 8.0]})
    select = certainty.select_certain
    assert list(select(table, 4.0)["snr"]) == [3.0, 4.0, 5.0, 8.0]
    assert list(select(table, 5.0)["snr"]) == [4.0, 5.0, 8.0]
    assert list(select(table, 7.0)["snr"]) == [8.0]
    assert list(select(table, 7.0, reliability=0.1)["snr"]) == list(table["snr"])


def test_required_reliability_is_what_was_measured():
    assert [round(certainty.required_reliability(sigma), 2) for sigma in (3, 4, 5, 20)] == [0.08, 0.23, 0.76, 0.9]
    assert certainty.required_reliability(0) == certainty.required_reliability(3.5)


def test_group_by_isl(run):
    many = run(reliability=0.0, thresh_isl=-9.0)
    one = run(reliability=0.0, thresh_isl=-9.0, group_by_isl=True)
    assert one.nsrc == one.nisl == many.nisl == 1 < many.nsrc == one.ngaus
    assert {source.code for source in many.sources} == {"C"}
    large = max(one.sources, key=lambda source: source.ngaus)
    assert large.code == "M" and large.total_flux == pytest.approx(sum(g.total_flux for g in large.gaussians))
    assert large.size_sky[0] > max(g.size_sky[0] for g in large.gaussians) * 0.8
    assert large.posn_sky_max in [g.centre_sky for g in large.gaussians]


def test_island_parameters(run):
    tight, wide = run(thresh_isl=4.0), run(thresh_isl=1.0)
    size = {img: img.islands[near(img.sources)[0].island_id].size_active for img in (tight, wide)}
    assert size[wide] > size[tight]
    assert run(minpix_isl=10**6).nsrc == 0 and run(maxpix_isl=1).nsrc == 0
    assert run(flag_bordersize=159).nsrc == 0 and run(flag_maxsize_bm=0.1).nsrc == 0


def test_an_island_threshold_above_that_of_peaks_counts_as_it(run):
    """Islands have no pixel between the two, as in PyBDSF, which then finds nothing that peaks there."""
    assert run(thresh_pix=4.0).nsrc > run(thresh_pix=4.0, thresh_isl=50.0).nsrc == 0


def test_trim_box(run):
    img = run(trim_box=(60, 260, 80, 280), thresh_pix=4.0, psf=demo_files()["psf"])
    assert img.ch0_arr.shape == (200, 200) and img.trim_box == [60, 260, 80, 280]
    assert len(near(img.sources)) == 1
    whole = run(thresh_pix=4.0)
    assert np.subtract(whole.sky2pix(BRIGHT), img.sky2pix(BRIGHT)) == pytest.approx([60, 80])
    img.export_image(outfile="cut.fits", img_type="gaus_model")
    img.export_image(outfile="padded.fits", img_type="gaus_model", pad_image=True)
    cut, padded = fits.getdata("cut.fits")[0, 0], fits.getdata("padded.fits")[0, 0]
    assert cut.shape == (200, 200) and padded.shape == (320, 320)
    np.testing.assert_array_equal(padded[80:280, 60:260], cut)
    assert fits.getheader("padded.fits")["CRPIX1"] == fits.getheader("field.fits")["CRPIX1"]


def test_aperture_flux(run):
    img = run(thresh_pix=4.0, aperture=12.0)
    img.write_catalog(outfile="a.fits", format="fits", catalog_type="srl")
    table = QTable.read("a.fits")
    assert table.colnames[10:12] == ["Aperture_flux", "E_Aperture_flux"]
    (source,) = near(img.sources)
    assert source.aperture_flux == pytest.approx(source.total_flux, rel=0.8) and source.aperture_fluxE > 0


def test_source_positions_given(run):
    img = run(src_ra_dec=[BRIGHT, (149.5, 1.8)])
    assert img.nsrc == 1 and len(near(img.sources)) == 1


def test_detection_image(run, field, quick):
    data, header = fits.getdata(field), fits.getheader(field)
    header["HISTORY"] = "doubled"
    fits.writeto("doubled.fits", 2 * data, header)
    alone = run(thresh_pix=4.0)
    img = bdsf.process_image("doubled.fits", detection_image=field, thresh_pix=4.0, quiet=True, imager=quick)
    assert img.nsrc == alone.nsrc
    assert near(img.sources)[0].total_flux == pytest.approx(2 * near(alone.sources)[0].total_flux, rel=1e-3)


def test_what_the_image_is_read_from_is_not_for_the_detection_image(run, field, monkeypatch):
    """``collapse_file`` took the place of the detection image, and ``rmsmean_map_filename`` that of its background."""
    data, header = fits.getdata(field), fits.getheader(field)
    fits.writeto("turned.fits", data[..., ::-1, ::-1], header)
    fits.writeto("mean.fits", 0 * data, header)
    for name in ("rms.fits", "there.fits"):
        fits.writeto(name, 0 * data + np.float32(4.8e-5), header)
    maps, there, asked = ["mean.fits", "rms.fits"], ["mean.fits", "there.fits"], []

    def measured(field, options):
        asked.append(options.rmsmean_map_filename)
        return background.measure_background(field, options)

    monkeypatch.setattr(analysis, "measure_background", measured)
    options = {"thresh_pix": 4.0, "collapse_mode": "file", "collapse_file": field, "rmsmean_map_filename": maps}
    assert len(near(run(**options).sources)) == 1
    img = run(**options, detection_image="turned.fits", rmsmean_map_filename_det=there)
    assert img.nsrc == 0 and asked == [maps, maps, there]
    assert img.export_image(outfile="there.fits", clobber=True) is False  # it is read


def test_maps_of_noise_may_be_0_where_the_image_is_blank(run, field):
    with fits.open(field, mode="update") as (hdu,):
        hdu.data[..., :20] = np.nan
        shape, header = hdu.data.shape, hdu.header.copy()
    noise = np.full(shape, 4.8e-5, np.float32)
    noise[..., :20] = 0
    fits.writeto("rms.fits", noise, header)
    fits.writeto("mean.fits", np.zeros_like(noise), header)
    maps = ["mean.fits", "rms.fits"]
    assert len(near(run(rmsmean_map_filename=maps, thresh_pix=4.0).sources)) == 1
    fits.writeto("rms.fits", np.where(np.arange(shape[-1]) < 30, 0, noise), header, overwrite=True)
    with pytest.raises(RuntimeError, match="unphysical rms value has been found: the noise is 0 Jy/beam somewhere"):
        run(rmsmean_map_filename=maps)


def test_noise_that_varies_is_divided_out(run, field, quick):
    """A primary-beam corrected image: fluxes are those of the flat image over the primary beam."""
    data, header = fits.getdata(field), fits.getheader(field)
    header["HISTORY"] = "corrected"
    pb = fits.getdata(demo_files()["pb"])
    fits.writeto("corrected.fits", (data / pb).astype("f4"), header)
    flat = run(thresh_pix=4.0)
    img = bdsf.process_image("corrected.fits", thresh_pix=4.0, rms_box=(60, 20), quiet=True, imager=quick)
    assert img.use_rms_map and not flat.use_rms_map
    assert np.nanmax(img.rms_arr) > 1.8 * np.nanmin(img.rms_arr)
    one, other = near(img.sources)[0], near(flat.sources)[0]
    assert one.total_flux == pytest.approx(other.total_flux / 0.9, rel=0.25)
    assert run(thresh_pix=4.0, rms_map=True).use_rms_map


def test_mean_map_and_rms_value(run, field, quick):
    data, header = fits.getdata(field), fits.getheader(field)
    header["HISTORY"] = "shifted"
    fits.writeto("shifted.fits", (data + 1e-3).astype("f4"), header)
    there = functools.partial(bdsf.process_image, "shifted.fits", thresh_pix=4.0, quiet=True)
    img = there(imager=quick)
    assert np.nanmedian(img.mean_arr) == pytest.approx(1e-3, rel=0.05)
    assert len(near(img.sources)) == 1
    assert np.nanmax(np.abs(run(mean_map="zero").mean_arr)) == 0
    img = run(rms_map=False, rms_value=1e-4)
    assert np.nanmax(img.rms_arr) == np.float32(1e-4) == np.nanmin(img.rms_arr)


def test_a_threshold_is_in_units_of_the_noise_that_is_given(run, field):
    """It was in those of the noise that is measured: sources far below the threshold were in the catalogue."""
    data, header = fits.getdata(field, header=True)
    for name, value in (("mean.fits", 0.0), ("rms.fits", 1e-4)):
        fits.writeto(name, np.full_like(data, value), header)
    found = run(thresh_pix=4.0)
    peak = near(found.sources)[0].peak_flux_max
    for given in (
        {"rms_value": 1e-4},
        {"rms_value": 1e-4, "rms_map": False},
        {"rmsmean_map_filename": ["mean.fits", "rms.fits"]},
    ):
        assert len(near(run(thresh_pix=0.8 * peak / 1e-4, **given).sources)) == 1
        assert run(thresh_pix=1.5 * peak / 1e-4, **given).nsrc == 0 < found.nsrc
    # A noise that is given too small lets in more, as a lower threshold does.
    assert run(thresh_pix=8.0, rms_value=2e-5).nsrc >= run(thresh_pix=3.5).nsrc > run(thresh_pix=8.0).nsrc


def test_no_positions_are_no_sources(run):
    assert run(src_ra_dec=[]).nsrc == 0


def test_channels_without_data_do_not_count(field, caplog):
    """Flagged to 0 or blank, or blank in a part of the image only: the mean is of the channels that have a pixel."""
    with fits.open(field, mode="update") as (hdu,):
        plane = hdu.data[0, 0].copy()
        half = plane.copy()
        half[:, :100] = np.nan
        hdu.data = np.stack([plane, np.zeros_like(plane), np.full_like(plane, np.nan), half])[None]
        hdu.header["CDELT3"] = 1e9
    for options in ({}, {"collapse_wt": "rms"}):
        caplog.clear()
        mean = read(field, **options).ch0_arr.T
        np.testing.assert_allclose(mean, plane, rtol=1e-6)
        assert "channel(s) 1, 2 without data or noise are left out" in caplog.text
    with fits.open(field, mode="update") as (hdu,):
        hdu.data[:] = np.nan
    with pytest.raises(RuntimeError, match=r"^All pixels in the image are blanked\.$"):
        read(field)


def test_borders_of_zeros_are_blank(field, caplog):
    with fits.open(field, mode="update") as (hdu,):
        hdu.data[..., :60] = 0
    data = read(field).ch0_arr.T
    assert np.isnan(data[:, :60]).all() and np.isfinite(data[100:200, 100:200]).all()
    assert "pixels in a piece are exactly 0; they are taken for blank" in caplog.text


def test_images_without_a_unit_or_with_another(field, caplog):
    """PyBDSF looks at none, and writes none."""
    with_unit = read(field).ch0_arr
    fits.delval(field, "BUNIT")
    np.testing.assert_array_equal(read(field).ch0_arr, with_unit)
    assert "field.fits: no BUNIT in the header; the pixels are taken for Jy/beam" in caplog.text
    fits.setval(field, "BUNIT", value="Jy")
    with pytest.raises(RuntimeError, match=r"field\.fits: the unit is 'Jy', not Jy/beam or a multiple of it"):
        read(field)


@pytest.mark.parametrize("inherits", [False, True])
def test_the_header_is_that_of_the_pixels(field, inherits):
    """An image in mJy/beam after a mask of bytes, or with its unit in the primary header."""
    expected = read(field).ch0_arr
    data, header = fits.getdata(field), fits.getheader(field)
    header["BUNIT"] = "mJy/beam"
    first = fits.PrimaryHDU(None if inherits else np.zeros(data.shape[-2:], np.uint8))
    if inherits:
        first.header["BUNIT"], header["INHERIT"] = header.pop("BUNIT"), True
    fits.HDUList([first, fits.ImageHDU(1e3 * data, header)]).writeto("second.fits")
    np.testing.assert_allclose(read("second.fits").ch0_arr, expected, rtol=1e-6)


def test_maps_of_noise_and_mean_have_units_and_are_cut(run, field):
    data = fits.getdata(field)
    header = fits.getheader(field)
    noise = np.linspace(4e-5, 6e-5, data.size).reshape(data.shape)
    fits.writeto("mean.fits", np.zeros_like(data), header)
    header["BUNIT"] = "mJy/beam"
    fits.writeto("rms.fits", 1e3 * noise, header)
    img = run(rmsmean_map_filename=["mean.fits", "rms.fits"], trim_box=(60, 260, 50, 250))
    np.testing.assert_allclose(img.rms_arr.T, noise[0, 0, 50:250, 60:260], rtol=1e-5)
    assert len(near(img.sources)) == 1


def test_cubes_are_collapsed(field):
    data, header = fits.getdata(field), fits.getheader(field)
    cube = np.concatenate([data, 3 * data], axis=1)
    header["HISTORY"] = "cube"
    fits.writeto("cube.fits", cube, header)
    there = functools.partial(bdsf.process_image, "cube.fits", stop_at="read", quiet=True)
    np.testing.assert_allclose(there().ch0_arr, 2 * data[0, 0].T, rtol=1e-6)
    np.testing.assert_allclose(there(collapse_av=[0]).ch0_arr, data[0, 0].T, rtol=1e-6)
    single = there(collapse_mode="single", collapse_ch0=1)
    np.testing.assert_allclose(single.ch0_arr, 3 * data[0, 0].T, rtol=1e-6)
    assert single.frequency == pytest.approx(header["CRVAL3"] + header["CDELT3"])
    weighted = there(collapse_wt="rms")
    np.testing.assert_allclose(weighted.ch0_arr, (1 + 3 / 9) / (1 + 1 / 9) * data[0, 0].T, rtol=1e-5)
    # The noise of the second channel is three times that of the first.
    assert weighted.frequency == pytest.approx(header["CRVAL3"] + 0.1 * header["CDELT3"], rel=1e-9)
    assert there().frequency == pytest.approx(header["CRVAL3"] + 0.5 * header["CDELT3"], rel=1e-9)


def test_the_beam_of_a_channel_without_data_is_not_that_of_a_cube(cube_files, tmp_path):
    """It was, where that channel was the first: 0 as CASA has it, or any other."""
    expected = bdsf.process_image(
        str(cube_files["dirty"]), collapse_av=[1, 3], stop_at="read", quiet=True, outdir=str(tmp_path)
    )
    with fits.open(cube_files["dirty"]) as hdus:
        hdus[0].data[0] = np.nan
        for name in ("BMAJ", "BMIN"):
            hdus["BEAMS"].data[name][0] = 0
        hdus.writeto(tmp_path / "cube.fits")
    img = bdsf.process_image(str(tmp_path / "cube.fits"), stop_at="read", quiet=True)
    assert img.beam == expected.beam and img.frequency == expected.frequency == pytest.approx(236e9)


def test_the_folder_of_the_image_may_be_another(field):
    """As in PyBDSF, products lie where the name of the image says."""
    Path("there").mkdir()
    data, header = fits.getdata(field), fits.getheader(field)
    fits.writeto("there/field.fits", 2 * data, header)
    img = read(field, indir="there")
    np.testing.assert_array_equal(img.ch0_arr.T, 2 * data[0, 0])
    assert Path(img.outdir) == Path.cwd() and Path("field.fits.pybdsf.log").exists()


def test_documented_table_is_complete():
    assert (DOCS / "pybdsf_parameters.rst").read_text() == parameter_table(), (
        "make it again: python -m astro_ddpm_imager.compat.bdsf.documentation docs/pybdsf_parameters.rst"
    )


@pytest.mark.parametrize(
    "values, said",
    [
        ({"aperture": 0}, "aperture=0: must be a number above 0 or None"),
        ({"src_ra_dec": ["a"]}, r"src_ra_dec=\['a'\]: must be a list of \(RA, Dec\) in degrees or None"),
        ({"src_ra_dec": [(1, 2), (3,)]}, r"src_ra_dec=\[\(1, 2\), \(3,\)\]: must be a list of \(RA, Dec\)"),
        ({"ncores": 0}, "ncores=0: must be a whole number above 0 or None"),
        ({"frequency": -1.0}, r"frequency=-1\.0: must be a number above 0 or None"),
    ],
)
def test_values_are_checked_before_the_work(run, values, said):
    with pytest.raises(RuntimeError, match=said):
        run(**values)


def test_maps_of_boxes_are_where_the_boxes_are():
    _, x = np.indices((120, 140), dtype=float)
    noise = np.random.default_rng(0).standard_normal((120, 140))
    mean, _ = background._maps(10 * x + noise, 20, 10, 10.0)
    np.testing.assert_allclose(np.median(mean - 10 * x, axis=0)[20:-20], 0, atol=1.5)


@pytest.mark.parametrize("kappa", [2.0, 3.0, 5.0])
def test_clipped_noise_is_the_noise(kappa):
    """That of a Gaussian clipped at 3 sigma was 1.5% low, at 2 sigma 24%."""
    noise = np.random.default_rng(0).standard_normal(200000)
    assert background._clipped(noise, kappa) == pytest.approx((0, 1), abs=0.005)


def test_noise_is_not_that_of_sources():
    """Clipped five times, it was 5.3 times the true one where there are many, 3.2 times where one is large."""
    y, x = np.indices((120, 140))
    noise = np.random.default_rng(0).standard_normal((120, 140))
    peak = 10 ** (3.5 * ((x // 20 + 3 * (y // 20)) % 7) / 6)
    many = peak * np.exp(-((x % 20 - 10) ** 2 + (y % 20 - 10) ** 2) / 12)
    assert background._clipped((noise + many).ravel(), 3.0)[1] < 1.4
    large = 95 * np.exp(-((x - 70) ** 2 / 200 + (y - 60) ** 2 / 80))
    assert background._maps(noise + large, 60, 20, 3.0)[1].max() < 1.8


def test_a_run_that_is_appended_has_one_folder(run, tmp_path):
    img = run(output_all=True, outdir=str(tmp_path), opdir_overwrite="append")
    assert Path(img.basedir).parent == tmp_path / "field_pybdsf" and list(Path(img.basedir).rglob("*.srl"))


def test_the_frequency_of_a_channel_is_that_of_its_images(cube_files, tmp_path):
    img = bdsf.process_image(
        str(cube_files["dirty"]), collapse_mode="single", collapse_ch0=3, quiet=True, outdir=str(tmp_path)
    )
    assert img.frequency == pytest.approx(239e9)
    img.export_image(outfile=str(tmp_path / "rms.fits"), img_type="rms")
    header = fits.getheader(tmp_path / "rms.fits")
    assert WCS(header).sub(["spectral"]).wcs_pix2world([[0]], 0)[0, 0] == pytest.approx(239e9)


def test_saved_parameters_are_loaded(run):
    img = run(thresh_pix=4.0, stop_at="read")
    img.save_pars("a.sav")
    before = img.opts.thresh_pix
    img.set_pars(thresh_pix=before + 1)
    img.load_pars("a.sav")
    assert img.opts.thresh_pix == before
    Path("bad.sav").write_text("nothing")
    with pytest.raises(RuntimeError, match=r"bad\.sav: is no file that save_pars has saved"):
        img.load_pars("bad.sav")
    with pytest.raises(RuntimeError, match=r"File 'gone\.sav' not found"):
        img.load_pars("gone.sav")
    assert img.opts.thresh_pix == before


def test_parameters_are_loaded_for_another_image(run, field, capsys):
    """All of them but the image's name, from the place where they are saved by default."""
    img = run(thresh_pix=4.0, stop_at="read")
    shutil.copy(field, "other.fits")
    img.set_pars(group_by_isl=True)
    img.save_pars()
    Path("field.fits.pybdsf.sav").rename("other.fits.pybdsf.sav")
    other = bdsf.process_image("other.fits", stop_at="read", rms_box=(50, 10), quiet=True)
    other.load_pars()
    assert "--> Loaded parameters from file 'other.fits.pybdsf.sav'" in capsys.readouterr().out
    assert other.opts.to_dict() == {**img.opts.to_dict(), "filename": "other.fits"}
