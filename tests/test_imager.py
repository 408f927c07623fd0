"""The whole way from a dirty image to image, uncertainty and catalogue."""

import copy
import pickle
from dataclasses import fields

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable, Table

from astro_ddpm_imager import CubeResult, DiffusionImager, DirtyImage, JointResult, SettingError, read_image
from astro_ddpm_imager.data import FOLDER
from astro_ddpm_imager.diffusion.reconstruction import reconstruct
from astro_ddpm_imager.evaluate import Evaluation
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.simulate import Array, DrawnSky, Field, Instrument, Sources
from astro_ddpm_imager.sources.catalog import COLUMNS

from .conftest import exact_session

CPU = {"device": "cpu", "progress": False}


def test_result_unpacks_with_units_wcs_and_beam(result):
    image, uncertainty, catalog = result
    dirty = read_image(FOLDER / "demo.dirty.fits")
    for product, unit in [
        (image, u.Jy / u.pix),
        (uncertainty, u.Jy / u.pix),
        (result.residual, u.Jy / u.beam),
        (result.restored, u.Jy / u.beam),
    ]:
        assert product.unit == unit
        assert product.shape == (320, 320)
        np.testing.assert_array_equal(np.isnan(product.data), np.isnan(dirty.data))
        assert product.wcs.pixel_to_world(10, 20).separation(dirty.wcs.pixel_to_world(10, 20)).arcsec < 1e-6
        assert product.meta["BMAJ"] == pytest.approx(dirty.meta["BMAJ"])
        assert product.meta["TELESCOP"] == "ALMA"
        assert product.meta["DSEED"] == 1
    assert result.samples.shape == (2, 320, 320) and result.samples.unit == u.Jy / u.pix
    assert isinstance(catalog, QTable)
    assert list(catalog.colnames) == list(COLUMNS)
    assert "2 samples" in repr(result)


def test_repr_shows_the_settings(imager):
    assert "n_samples=2" in repr(imager) and "CPUExecutionProvider" in repr(imager)


def test_products_fit_together(result):
    """dirty = PSF * apparent model + residual, and restored = beam * apparent model + residual."""
    apparent = result.apparent(result.sky)  # flux beyond the blanked edge, too
    dirty, residual, restored = result.dirty, result.residual.data, result.restored.data
    inside = np.isfinite(dirty.data)
    np.testing.assert_allclose((dirty.convolve_psf(apparent) + residual)[inside], dirty.data[inside], atol=1e-9)
    np.testing.assert_allclose((dirty.convolve_beam(apparent) + residual)[inside], restored[inside], atol=1e-9)
    np.testing.assert_allclose(result.image.data[inside] * dirty.pb[inside], apparent[inside], atol=1e-12)


@pytest.mark.parametrize("n_samples", [20, 8])
def test_the_bright_source_of_the_demonstration_is_found(demo, n_samples):
    """Its position within a third of the beam, its flux within the paper's noise amplitude or three errors."""
    catalog = DiffusionImager(n_samples=n_samples, steps=12, seed=3, **CPU)(**demo).catalog
    truth = QTable.read(FOLDER / "demo.truth.ecsv")
    brightest = truth[np.argmax(truth["flux_jy"])]
    sky = SkyCoord(catalog["ra"], catalog["dec"], frame=catalog.meta["frame"])
    apart = sky.separation(SkyCoord(brightest["ra"], brightest["dec"], unit="deg", frame="fk5"))
    nearest = np.argmin(apart)
    assert apart[nearest] < 0.3 * u.arcsec
    found = catalog[nearest]
    error = abs(found["flux"].to_value(u.Jy) - brightest["flux_jy"])
    assert error < max(100e-6, 3 * found["flux_err"].to_value(u.Jy))
    assert found["reliability"] >= 0.8
    assert sky[nearest].separation(read_image(demo["dirty"]).wcs.pixel_to_world(found["x"], found["y"])).arcsec < 0.01


def test_the_seed_decides_and_nothing_else(demo, result):
    threads = DiffusionImager(n_samples=2, steps=3, seed=1, threads=1, **CPU)(**demo)
    np.testing.assert_array_equal(threads.samples, result.samples)
    more = DiffusionImager(n_samples=3, steps=3, seed=1, **CPU)(**demo)
    np.testing.assert_array_equal(more.samples[:2], result.samples)
    other = DiffusionImager(n_samples=2, steps=3, seed=2, **CPU)(**demo)
    assert np.nanmax(np.abs(other.samples - result.samples).value) > 0


@pytest.mark.parametrize("again", [lambda imager: pickle.loads(pickle.dumps(imager)), copy.deepcopy])
def test_pickled_and_copied_imagers_draw_the_same_samples(demo, again):
    imager = DiffusionImager(n_samples=1, steps=2, seed=1, threads=1, **CPU)
    other = again(imager)
    assert repr(other) == repr(imager)
    np.testing.assert_array_equal(other(**demo).samples, imager(**demo).samples)


@pytest.mark.parametrize("again", [lambda thing: pickle.loads(pickle.dumps(thing)), copy.copy, copy.deepcopy])
def test_pickled_and_copied_results_are_the_same(result, tmp_path, again):
    other = again(result)
    assert other.dirty.beam == again(result.dirty).beam == result.dirty.beam
    np.testing.assert_array_equal(other.image.data, result.image.data)
    assert other.image.meta == result.image.meta
    assert len(other.write(tmp_path / "f")) == 7


@pytest.mark.parametrize(
    "kind", [DirtyImage, CubeResult, JointResult, Array, Sources, DrawnSky, Field, Instrument, Evaluation]
)
def test_what_has_arrays_is_equal_to_itself_only(kind):
    """Arrays are compared pixel by pixel, so that ``==``, and ``in`` of a list, would be no answer but an error."""
    one, other = object.__new__(kind), object.__new__(kind)
    for thing in (one, other):
        for field in fields(kind):
            object.__setattr__(thing, field.name, np.arange(3.0))
    assert one != other and one in [other, one] and len({one, other}) == 2


def test_without_a_seed_the_one_taken_is_kept(demo):
    imager = DiffusionImager(n_samples=1, steps=2, **CPU)
    first, second = imager(**demo), imager(**demo)
    assert first.meta["seed"] != second.meta["seed"]
    again = DiffusionImager(n_samples=1, steps=2, seed=first.meta["seed"], **CPU)(**demo)
    np.testing.assert_array_equal(again.samples, first.samples)


def test_ccddata_path_and_millijansky_are_the_same(demo, imager, result):
    dirty = read_image(demo["dirty"])
    data = 1e3 * dirty.data.astype(float)  # in single precision it would be another image, if in its last digits only
    in_memory = imager(CCDData(data, unit="mJy/beam", wcs=dirty.wcs, meta=dirty.meta), demo["psf"], demo["pb"])
    np.testing.assert_allclose(in_memory.image.data, result.image.data, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("packed", ["alone", "in tiles", "with components", "with another image"])
def test_a_psf_of_an_open_file_is_that_of_the_path(demo, imager, result, packed, tmp_path):
    psf, header = fits.getdata(demo["psf"], header=True)
    hdus = {
        "alone": [fits.PrimaryHDU(psf, header)],
        "in tiles": [fits.PrimaryHDU(), fits.CompImageHDU(psf, header, compression_type="GZIP_2", quantize_level=0)],
        "with components": [fits.PrimaryHDU(psf, header), fits.table_to_hdu(Table({"FLUX": [1.0]}))],
        "with another image": [fits.PrimaryHDU(psf, header), fits.ImageHDU(psf[..., :9, :9])],
    }[packed]
    fits.HDUList(hdus).writeto(tmp_path / "psf.fits")
    with fits.open(tmp_path / "psf.fits") as opened:
        seen = imager(demo["dirty"], opened, demo["pb"])
    assert type(seen) is type(result)
    np.testing.assert_array_equal(seen.image.data, result.image.data)


@pytest.mark.parametrize("aggregate", ["mean", "median", "single"])
@pytest.mark.parametrize("catalog", ["detect-aggregate", "aggregate-detect"])
def test_all_aggregations(demo, aggregate, catalog):
    imager = DiffusionImager(n_samples=3, steps=6, seed=1, reliability=0, aggregate=aggregate, catalog=catalog, **CPU)
    found = imager(**demo)
    gridded = GriddedObservation.of(found.dirty, found.grid)
    samples, expected = reconstruct(found.drawn_samples, gridded, aggregate, 2.2, 1)
    np.testing.assert_array_equal(samples, found.sky_samples)
    np.testing.assert_allclose(found.image.data, found.apparent(expected) / found.dirty.pb, atol=1e-12)
    assert ((found.catalog["reliability"] >= 0) & (found.catalog["reliability"] <= 1)).all()
    assert found.catalog.meta["aggregate"] == aggregate


def test_reliability_and_mask_choose_sources(demo):
    imager = DiffusionImager(n_samples=4, steps=6, seed=1, reliability=0, **CPU)
    everything = imager(**demo).catalog
    mask = np.zeros((320, 320))
    mask[:, :160] = 1
    left = imager(**demo, mask=mask).catalog
    assert 0 < len(left) < len(everything)
    assert left["x"].max() < 160
    assert len(left) == (np.round(everything["x"]) < 160).sum()
    np.testing.assert_array_equal(everything["source_id"], np.arange(1, len(everything) + 1))
    assert (np.diff(everything["snr"]) <= 0).all()


def test_no_sources_give_an_empty_catalog_with_all_columns(demo):
    catalog = DiffusionImager(n_samples=1, steps=2, threshold=1e6, **CPU)(**demo).catalog
    assert len(catalog) == 0
    assert {name: catalog[name].unit for name, (unit, _) in COLUMNS.items() if unit} == {
        name: unit for name, (unit, _) in COLUMNS.items() if unit
    }


def test_blank_borders_and_masked_pixels_stay_blank(noise_image, imager):
    image = noise_image((120, 140))
    image.data[:15] = np.nan
    image.mask = np.zeros(image.shape, dtype=bool)
    image.mask[:, 130:] = True
    found = imager(image)
    assert np.isnan(found.image.data[:15]).all() and np.isnan(found.image.data[:, 130:]).all()
    assert np.isfinite(found.image.data[15:, :130]).all()


def test_without_psf_the_residual_says_so(noise_image, imager, caplog):
    imager(noise_image())
    assert "no PSF given: the restoring beam takes its place" in caplog.text


def test_the_primary_beam_of_the_catalogue_is_that_of_the_file(demo):
    """And the S/N is that of the peak before the correction."""
    imager = DiffusionImager(n_samples=3, steps=6, seed=1, reliability=0, **CPU)
    found = imager(**demo)
    catalog = found.catalog
    nearest = np.round(catalog["y"]).astype(int), np.round(catalog["x"]).astype(int)
    pb = fits.getdata(demo["pb"]).squeeze()[nearest]
    np.testing.assert_allclose(catalog["pb"], pb, rtol=0.02)
    noise = (found.dirty.loudness * np.ones(found.dirty.shape))[nearest]
    np.testing.assert_allclose(catalog["peak_flux"].value * catalog["pb"], catalog["snr"] * noise, rtol=1e-6)


def test_tiles_join_without_a_seam(monkeypatch, demo):
    """A field cut into tiles gives the samples of the field in one piece."""
    image = read_image(demo["dirty"])[96:224]
    wide = CCDData(np.tile(image.data, (1, 2)), unit=image.unit, wcs=image.wcs, meta=image.meta)
    psf = np.pad(fits.getdata(demo["psf"]).squeeze(), ((0, 0), (160, 160)))
    imager = DiffusionImager(n_samples=1, steps=3, seed=1, **CPU)
    whole = imager(wide, psf)
    tile = 2 * imager.card.reach + 32
    assert whole.grid.shape[1] > tile
    with monkeypatch.context() as patch:
        patch.setattr("astro_ddpm_imager.diffusion.denoiser.TILE", tile)
        difference = np.nanmax(np.abs(imager(wide, psf).samples - whole.samples))
    # Eight bits round what differs in its last digits to one number or the next.
    assert 0 < difference < 0.03 * np.nanmax(whole.samples)
    imager.denoiser._session = exact_session()
    whole = imager(wide, psf)
    monkeypatch.setattr("astro_ddpm_imager.diffusion.denoiser.TILE", tile)
    difference = np.nanmax(np.abs(imager(wide, psf).samples - whole.samples))
    assert 0 < difference < 0.01 * np.nanmax(whole.samples)


@pytest.mark.parametrize(
    "name, value",
    [
        ("reliability", 2), ("aggregate", "foo"), ("n_samples", -1), ("calibrate", 1), ("seed", 1.5), ("steps", 1001),
        ("steps", 0), ("progress", "yes"), ("client", "localhost"), ("tile", 5),
    ],
)  # fmt: skip
def test_settings_are_checked_when_they_are_changed(imager, name, value):
    other = imager.but()
    before = getattr(other, name)
    with pytest.raises(SettingError, match=f"{name}={value!r}: "):
        setattr(other, name, value)
    assert getattr(other, name) == before
    setattr(other, name, before)


def test_numbers_of_numpy_are_shown_as_those_of_python(imager):
    for value in (np.int64(1001), np.float64(5.0)):
        with pytest.raises(SettingError, match=f"^steps={value}: "):
            imager.steps = value


def test_default_steps_are_those_of_the_sampler_also_when_it_is_changed():
    imager = DiffusionImager(**CPU)
    assert imager.steps == imager.card.steps
    imager.sampler = "ddpm"
    assert imager.steps == imager.provenance(1, {})["steps"] == 250
    imager.steps = 7
    imager.sampler = "unipc"
    assert imager.steps == 7


@pytest.mark.parametrize(
    "name, value", [("model", "paper-gamma2"), ("purity", 0.95), ("device", "cuda"), ("threads", 3)]
)
def test_what_counts_when_the_imager_is_made_cannot_be_changed(imager, name, value):
    """It changed nothing, but for what the imager said of itself."""
    with pytest.raises(SettingError, match=f"{name}={value!r}: cannot be changed any more; make another"):
        setattr(imager, name, value)
    assert (imager.model, imager.purity, imager.device, imager.threads) == ("default", None, "cpu", None)
