"""What an image of compat.bdsf has besides sources: conversions, maps, tiles; and what is said of what it has not."""

import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.wcs import WCS

import astro_ddpm_imager.compat.bdsf as bdsf
from astro_ddpm_imager.data import demo_files
from astro_ddpm_imager.tiled_result import TiledResult

from ..conftest import near


@pytest.mark.parametrize("location", [None, (40, 250)])
def test_gaussians_go_into_pixels_and_back(img, location):
    shape = (img.beam[0] * 2, img.beam[1], 30.0)
    in_pixels = img.gaus2pix(shape, location)
    assert img.pix2gaus(in_pixels, location) == pytest.approx(shape)
    assert in_pixels[0] == pytest.approx(shape[0] * 3600 / 0.1, rel=1e-4)  # pixels of 0.1 arcsec
    assert img.gaus2pix((shape[1], shape[0], 120.0), location) == pytest.approx(in_pixels)
    assert img.pix2coord((1, 2), location) == pytest.approx((0.1 / 3600, 0.2 / 3600), rel=1e-4)


def test_beams_go_into_pixels_and_back(img):
    major, minor, angle = img.beam2pix(img.beam)
    assert img.pix2beam((major, minor, angle)) == pytest.approx(list(img.beam))
    assert img.pix2beam((minor, major, 170.0)) == pytest.approx([*img.beam[:2], 80.0])
    assert img.pix2beam((minor, major, 170.0), is_error=True) == pytest.approx([*img.beam[1::-1], 170.0])
    assert img.pixel_beam() == pytest.approx((major / 2.354820, minor / 2.354820, angle))
    assert img.gaus2pix(img.beam, use_wcs=False) == pytest.approx(img.beam2pix(img.beam))


def test_sizes_in_pixels_are_those_on_the_sky(img):
    for gaussian in img.gaussians:
        assert gaussian.size_pix == pytest.approx(img.gaus2pix(gaussian.size_sky, gaussian.centre_pix), rel=1e-4)
        peak, x, y, major, minor, _ = gaussian.parameters
        assert (peak, x, y) == pytest.approx((gaussian.peak_flux * gaussian.pb, *gaussian.centre_pix))
        assert [2.354820 * major, 2.354820 * minor] == pytest.approx(gaussian.size_pix[:2])


def test_the_border_of_an_island_is_its_edge(img):
    for island in img.islands:
        x, y = island.border
        assert (img.pyrank[x, y] == island.island_id).all() and len(x) < island.size_active
        neighbours = [img.pyrank[x + dx, y + dy] for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        assert (np.array(neighbours) != island.island_id).any(0).all()


def test_maps_go_by_name(img):
    assert img.get_map("rms_arr") is img.rms_arr
    img.put_map("mean_arr", 2 * img.rms_arr)
    np.testing.assert_array_equal(img.mean_arr, 2 * img.rms_arr)


@pytest.mark.parametrize(
    ("name", "told"),
    [("resid_shap_arr", "no shapelets"), ("psf_vary_maj_arr", "variation of the PSF"), ("ch0_pi_arr", "only Stokes I"),
     ("bmpersrc_th", "posterior samples"), ("foo", "'Image' object has no attribute 'foo'$")],
)  # fmt: skip
def test_what_an_image_does_not_have_is_said(img, name, told):
    with pytest.raises(AttributeError, match=told):
        getattr(img, name)


@pytest.mark.parametrize(
    ("name", "told"),
    [("spec_indx", "image_jointly"), ("lpol_fraction", "only Stokes I"), ("shapelet_beta", "no shapelets"),
     ("foo", "'Source' object has no attribute 'foo'$")],
)  # fmt: skip
def test_what_a_source_does_not_have_is_said(img, name, told):
    with pytest.raises(AttributeError, match=told):
        getattr(img.sources[0], name)
    assert pickle.loads(pickle.dumps(img.sources[0])).total_flux == img.sources[0].total_flux


def test_what_an_image_does_not_have_yet_is_said(field):
    img = bdsf.process_image(field, stop_at="read", quiet=True)
    assert img.completed_Ops == ["readimage", "collapse", "preprocess"] and img.max_value == np.nanmax(img.ch0_arr)
    with pytest.raises(
        AttributeError, match=r"'gaussians', before process\(\) has gone through, which stop_at='read' ends"
    ):
        img.gaussians  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'functions': of PyBDSF there is process_image"):
        bdsf.functions  # noqa: B018


def test_large_images_are_worked_on_in_tiles(run, quick):
    """And have the sources of one that is worked on at once, but for samples of their own."""
    whole = run(thresh_pix=5.0, psf=demo_files()["psf"], pb=demo_files()["pb"])
    tiled = run(thresh_pix=5.0, psf=demo_files()["psf"], pb=demo_files()["pb"], imager=quick.but(tile=300))
    assert isinstance(tiled.result, TiledResult) and tiled.result.meta["tiles"] == 4
    (one,), (other,) = near(whole.sources), near(tiled.sources)
    assert one.total_flux == pytest.approx(other.total_flux, rel=0.2)
    assert tiled.ch0_arr.shape == whole.ch0_arr.shape and tiled.export_image(img_type="gaus_resid")


def test_dilation_of_the_mask_closes_gaps(run):
    """Of less than one and a half beams, as in PyBDSF."""
    img = run(thresh_pix=4.0)
    rank = np.full_like(img.pyrank, -1)
    rank[100:120, 100:120], rank[130:150, 100:120] = 0, 1
    img.pyrank = rank
    for name, dilation in (("plain", 0), ("dilated", 1)):
        img.export_image(outfile=f"{name}.fits", img_type="island_mask", mask_dilation=dilation)
    assert fits.getdata("plain.fits")[0, 0, 110, 125] == 0 and fits.getdata("dilated.fits")[0, 0, 110, 125] == 1


def test_four_axes_are_said_to_be_four(img):
    """Two in WCSAXES would leave frequency and Stokes without their places."""
    img.export_image(img_type="rms", outfile="rms.fits")
    assert fits.getheader("rms.fits")["WCSAXES"] == 4 and WCS(fits.getheader("rms.fits")).naxis == 4


@pytest.mark.parametrize(
    ("kind", "value", "unit", "frequency"), [("FREQ", 230.0, "GHZ", 230e9), ("SPECLNMF", 1.28e9, "", 1.28e9)]
)
def test_the_frequency_is_that_of_the_plane_in_hertz(field, kind, value, unit, frequency):
    with fits.open(field) as hdus:
        header = hdus[0].header
        axis = next(axis for axis in (3, 4) if header[f"CTYPE{axis}"] == "FREQ")
        header.remove("RESTFRQ")
        header.update({f"CTYPE{axis}": kind, f"CRVAL{axis}": value, f"CRPIX{axis}": 1.0, f"CUNIT{axis}": unit})
        hdus.writeto("other.fits")
    img = bdsf.process_image("other.fits", quiet=True, stop_at="read")
    assert img.frequency == pytest.approx(frequency)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_exported_images_are_in_the_frame_of_the_image(tmp_path, monkeypatch):
    """Also where that is said by EPOCH."""
    monkeypatch.chdir(tmp_path)
    data, header = fits.getdata(demo_files()["dirty"], header=True)
    for key in ("RADESYS", "EQUINOX"):
        header.remove(key, ignore_missing=True)
    header["EPOCH"] = "B1950"
    fits.writeto("old.fits", data, header)
    img = bdsf.process_image("old.fits", quiet=True)
    img.export_image(outfile="rms.fits", img_type="rms")
    ours = fits.getheader("rms.fits")
    assert (ours["RADESYS"], ours["EQUINOX"], img.equinox) == ("FK4", 1950.0, 1950.0)


def test_a_psf_is_what_the_imager_takes_for_one(run):
    """NDData, and an image with zeros around what is known, which is all that counts."""
    psf = fits.getdata(demo_files()["psf"]).squeeze()
    for given, same in ((NDData(psf), psf), (np.pad(psf, 160), psf[1:, 1:])):  # 160 pixels to the left, and 159
        one, other = (run(thresh_pix=4.0, psf=each, pb=demo_files()["pb"]) for each in (given, same))
        assert len(one.sources) > 1
        assert [source.total_flux for source in one.sources] == pytest.approx(
            [source.total_flux for source in other.sources], rel=1e-4
        )


def test_a_masked_primary_beam_is_blank_there(run):
    pb = fits.getdata(demo_files()["pb"]).squeeze()
    img = run(thresh_pix=4.0, pb=CCDData(pb, unit="", mask=np.indices(pb.shape)[0] < 100))
    assert np.isnan(img.resid_gaus_arr[:, :100]).all() and np.isfinite(img.resid_gaus_arr[160, 160])


def test_a_primary_beam_of_another_place_is_refused(run, field):
    data, header = fits.getdata(demo_files()["pb"], header=True)
    header["CDELT1"] *= -1
    fits.writeto("pb.fits", data, header)
    with pytest.raises(RuntimeError, match="pb: its header has it flipped"):
        run(pb="pb.fits")
