"""From model pixels to the sky: positions, angles, sizes and regions."""

import re
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.stats import gaussian_fwhm_to_sigma
from radio_beam import Beam
from regions import Regions

from astro_ddpm_imager.observation.beam import beam_covariance
from astro_ddpm_imager.observation.grid import ModelGrid
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.products.region_files import catalog_to_regions, ds9_text
from astro_ddpm_imager.sources.aggregation import MergedSources
from astro_ddpm_imager.sources.catalog import COLUMNS, build_catalog
from astro_ddpm_imager.sources.fit import Residual
from astro_ddpm_imager.sources.fluxes import as_components

from ..conftest import make_wcs


def merged(covariance, grid, y=48.0, x=48.0, area=2.0):
    """One source of a flux of 10, with this flux over its peak."""
    one = np.ones(1)
    return MergedSources(
        x=one * x / grid.ratio[1], y=one * y / grid.ratio[0], flux=10 * one, x_err=0.2 * one, y_err=0.1 * one,
        flux_err=2 * one, covariance=np.asarray(covariance)[None], peak=10 * one / area, fraction=0.7 * one,
        reliability=0.8 * one, sample_flux=10 * one[:, None], whole=np.zeros(1, int), whole_flux=10 * one[:, None],
    )  # fmt: skip


def nothing_left(grid):
    return Residual(np.zeros(grid.shape), np.ones(grid.shape, dtype=bool), 1.0, 2.2)


@pytest.mark.parametrize("rotation", [0, 30])
@pytest.mark.parametrize("pa", [0, 25, 120])
def test_sizes_and_angles_survive_the_way_to_pixels_and_back(noise_image, pa, rotation):
    """A source with the shape of a beam of 0.9 x 0.6 arcsec comes out with these axes and this angle."""
    image = noise_image((96, 96))
    image.wcs = make_wcs((96, 96), angle=rotation)
    dirty = prepare(image)
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    shape = beam_covariance(Beam(0.9 * u.arcsec, 0.6 * u.arcsec, pa * u.deg), image.wcs, image.shape)
    on_model = shape / np.outer(grid.ratio[::-1], grid.ratio[::-1]) + np.eye(2) / 12
    area = np.sqrt(np.linalg.det(dirty.beam_covariance + shape) / np.linalg.det(dirty.beam_covariance))
    row = build_catalog(merged(on_model, grid, area=area), grid, dirty, nothing_left(grid), 0.5, {})[0]
    assert row["major"].to_value(u.arcsec) == pytest.approx(0.9)
    assert row["minor"].to_value(u.arcsec) == pytest.approx(0.6)
    assert (row["pa"].to_value(u.deg) - pa + 90) % 180 - 90 == pytest.approx(0, abs=1e-6)
    assert row["flux"].to_value(u.Jy) == pytest.approx(10 * dirty.rms)


def test_position_angle_runs_from_north_to_east():
    """With north up and east left, 0 degrees is the y axis and 45 degrees the upper left."""
    wcs = make_wcs((96, 96))
    upright = beam_covariance(Beam(1 * u.arcsec, 0.4 * u.arcsec, 0 * u.deg), wcs, (96, 96))
    assert upright[1, 1] > upright[0, 0]
    assert beam_covariance(Beam(1 * u.arcsec, 0.4 * u.arcsec, 45 * u.deg), wcs, (96, 96))[0, 1] < 0


def test_positions_are_those_of_the_wcs(noise_image):
    dirty = prepare(noise_image())
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    row = build_catalog(merged(np.eye(2) / 12, grid, y=30.25, x=61.5), grid, dirty, nothing_left(grid), 0, {})[0]
    expected = dirty.wcs.pixel_to_world(61.5, 30.25)
    assert SkyCoord(row["ra"], row["dec"]).separation(expected).arcsec < 1e-6
    assert (row["x"], row["y"]) == pytest.approx((61.5, 30.25))
    assert row["ra_err"].to_value(u.arcsec) == pytest.approx(0.2 * 0.1 * grid.ratio[1])
    assert row["dec_err"].to_value(u.arcsec) == pytest.approx(0.1 * 0.1 * grid.ratio[0])


@pytest.mark.parametrize(
    ("axes", "frame", "expected"),
    [(("RA", "DEC"), {}, "icrs"), (("GLON", "GLAT"), {}, "icrs"), (("RA", "DEC"), {"radesys": "FK5"}, "fk5"),
     (("RA", "DEC"), {"radesys": "FK5", "equinox": 1975.0}, "icrs"), (("RA", "DEC"), {"radesys": "FK4"}, "fk4"),
     (("RA", "DEC"), {"radesys": "FK4-NO-E"}, "icrs")],
)  # fmt: skip
@pytest.mark.parametrize("latitude", [20.0, 89.99])
def test_angles_and_errors_are_those_of_the_frame_of_the_positions(noise_image, axes, frame, expected, latitude):
    """A source 3 arcsec from the middle, long along the y axis of the image, whatever north is there."""
    image = noise_image()
    image.wcs.wcs.ctype = [f"{axes[0]:-<5}SIN", f"{axes[1]:-<5}SIN"]
    image.wcs.wcs.crval = [40.0, latitude]
    for name, value in frame.items():
        setattr(image.wcs.wcs, name, value)
    image.wcs.wcs.set()
    dirty = prepare(image)
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    table = build_catalog(merged(np.diag([0.5, 1.5]), grid, y=48.0, x=78.0), grid, dirty, nothing_left(grid), 0, {})
    assert table.meta["frame"] == expected
    here, above, right = (SkyCoord(image.wcs.pixel_to_world(78.0 + x, 48.0 + y)) for x, y in ((0, 0), (0, 1), (1, 0)))
    here, above, right = (SkyCoord(sky.transform_to(expected)) for sky in (here, above, right))
    assert SkyCoord(table["ra"], table["dec"], frame=expected)[0].separation(here).arcsec < 1e-3
    turned = (table["pa"][0] - here.position_angle(above)).to_value(u.deg)
    assert (turned + 90) % 180 - 90 == pytest.approx(0, abs=0.1)
    east = [
        0.2 * grid.ratio[1] * here.spherical_offsets_to(right)[0],
        0.1 * grid.ratio[0] * here.spherical_offsets_to(above)[0],
    ]
    assert table["ra_err"][0].to_value(u.arcsec) == pytest.approx(np.hypot(*[e.arcsec for e in east]), rel=1e-3)


@pytest.mark.parametrize("angle", [0, 45])
def test_errors_of_positions_are_along_the_beam_whatever_way_the_pixels_lie(noise_image, angle):
    """Of a beam twice as long as wide, north to south, they are twice as large in declination."""
    image = noise_image(BMAJ=0.8 / 3600, BMIN=0.4 / 3600, BPA=0.0)
    image.wcs = make_wcs((96, 96), angle=angle)
    dirty = prepare(image)
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    covariance = 0.01 * dirty.beam_covariance / np.outer(grid.ratio[::-1], grid.ratio[::-1])
    x_err, y_err = np.sqrt(np.diag(covariance))[:, None]
    source = replace(merged(np.eye(2) / 12, grid), x_err=x_err, y_err=y_err)
    row = build_catalog(source, grid, dirty, nothing_left(grid), 0, {})[0]
    assert row["ra_err"].to_value(u.arcsec) == pytest.approx(0.04 * gaussian_fwhm_to_sigma, rel=0.01)
    assert row["dec_err"].to_value(u.arcsec) == pytest.approx(0.08 * gaussian_fwhm_to_sigma, rel=0.01)


def test_half_the_primary_beam_doubles_the_fluxes(noise_image):
    """Of the same apparent source; its S/N stays."""
    whole, half = (prepare(noise_image(), pb=np.full((96, 96), pb)) for pb in (0.8, 0.4))
    grid = ModelGrid(whole.shape, whole.beam_pixels, 2.2, 8)
    one, other = (
        build_catalog(merged(np.eye(2), grid), grid, dirty, nothing_left(grid), 0, {})[0] for dirty in (whole, half)
    )
    for name in ("flux", "flux_err", "peak_flux"):
        assert other[name].value == pytest.approx(2 * one[name].value)
    assert other["snr"] == pytest.approx(one["snr"]) and (one["pb"], other["pb"]) == (0.8, 0.4)


def test_snr_is_over_all_that_counts_as_noise_there(noise_image):
    """Of two like sources, one is amid unknown sidelobes, with which the noise is three times as high."""
    dirty = prepare(noise_image())
    dirty = replace(dirty, noise_ratio=np.where(np.arange(96) < 48, 3.0, 1.0) * np.ones((96, 1)))
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    amid, beside = (
        build_catalog(merged(np.eye(2), grid, x=x), grid, dirty, nothing_left(grid), 0, {})[0] for x in (24.0, 72.0)
    )
    assert amid["peak_flux"] == beside["peak_flux"]
    assert 3 * amid["snr"] == pytest.approx(beside["snr"])


@pytest.mark.parametrize(("area", "listed"), [(0.9, 1), (1, 1), (1.2, 1.2), (1.7, 1.7), (2.2, 2.2), (9, 2.5)])
def test_sizes_agree_with_flux_and_peak(noise_image, area, listed):
    """The samples have the size of the beam, and so twice its area; more than 1.5 times that size is not listed."""
    dirty = prepare(noise_image(BMAJ=0.9 / 3600, BMIN=0.6 / 3600, BPA=30.0))
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    on_model = dirty.beam_covariance / np.outer(grid.ratio[::-1], grid.ratio[::-1]) + np.eye(2) / 12
    table = build_catalog(merged(on_model, grid, area=area), grid, dirty, nothing_left(grid), 0, {})
    assert (table["flux"][0] / table["peak_flux"][0]).value == pytest.approx(area)
    seen = dirty.beam_covariance + as_components(table, dirty.wcs).covariance[0]
    assert np.sqrt(np.linalg.det(seen) / np.linalg.det(dirty.beam_covariance)) == pytest.approx(listed, rel=1e-4)


def test_regions_come_back_from_ds9_format(noise_image):
    dirty = prepare(noise_image())
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    table = build_catalog(merged(np.diag([0.5, 1.5]), grid), grid, dirty, nothing_left(grid), 0, {})
    text = ds9_text(catalog_to_regions(table, dirty.beam, "icrs"))
    (region,) = Regions.parse(text, format="ds9")
    assert region.center.separation(SkyCoord(table["ra"][0], table["dec"][0])).arcsec < 0.01
    assert text.splitlines()[1].endswith("# color=yellow text={1 (0.80)}")
    # The longer axis on the sky is north-south here: the region's angle runs from the west-east axis.
    assert (table["pa"][0].to_value(u.deg) + 90) % 180 - 90 == pytest.approx(0, abs=1e-6)
    assert region.width > region.height and region.angle.to_value(u.deg) == pytest.approx(90)


def test_the_columns_are_those_of_the_documentation():
    """In their order, with their units; those that go together are one row."""
    page = (Path(__file__).parents[2] / "docs" / "usage.rst").read_text()
    table = page.split("The catalogue\n---")[1].split("``reliability`` says")[0]
    rows = re.findall(r"\* - (``.+)\n +-(.*)\n", table)
    documented = [(name, unit.strip()) for names, unit in rows for name in re.findall(r"``(\w+)``", names)]
    assert documented == [(name, "" if unit is None else unit.to_string()) for name, (unit, _) in COLUMNS.items()]


def test_a_source_just_beyond_the_edge_is_put_there_with_its_flux(noise_image):
    dirty = prepare(noise_image((96, 96)))
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    row = build_catalog(merged(np.eye(2), grid, x=95.8), grid, dirty, nothing_left(grid), 0, {})[0]
    assert row["x"] == pytest.approx(95.49) and np.isfinite(row["flux"]) and np.isfinite(row["pb"])


def test_a_ring_about_a_masked_middle_stays_in_the_catalogue(noise_image):
    mask = np.ones((96, 96))
    mask[44:53, 44:53] = 0
    dirty = prepare(noise_image((96, 96)), mask=mask)
    grid = ModelGrid(dirty.shape, dirty.beam_pixels, 2.2, 8)
    four = [merged(np.eye(2), grid, y=48 + dy, x=48 + dx) for dy, dx in ((12, 0), (0, 12), (-12, 0), (0, -12))]
    ring = MergedSources(
        **{name: np.concatenate([getattr(one, name) for one in four]) for name in MergedSources.__dataclass_fields__}
    )
    table = build_catalog(ring, grid, dirty, nothing_left(grid), 0, {})
    assert table["n_components"].tolist() == [4]
