"""Region files as the programs that load them see them: the real DS9, and CASA's format through the regions package."""

import shutil
import subprocess

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from radio_beam import Beam
from regions import Regions

from astro_ddpm_imager.observation.beam import beam_covariance
from astro_ddpm_imager.products.region_files import catalog_to_regions, ds9_text

from ..conftest import make_wcs

BEAM = Beam(0.9 * u.arcsec, 0.5 * u.arcsec, 20 * u.deg)
TOLERANCE = 0.01  # arcsec


@pytest.fixture
def catalog():
    """Sources of different shapes, one of them a point."""
    return QTable(
        {
            "source_id": [1, 2, 3],
            "ra": [150.0, 150.001, 149.9995] * u.deg,
            "dec": [2.0, 2.0005, 1.999] * u.deg,
            "major": [0.8, 1.6, 0.0] * u.arcsec,
            "minor": [0.5, 0.4, 0.0] * u.arcsec,
            "pa": [30.0, 100.0, 0.0] * u.deg,
            "reliability": [0.95, 0.8, 0.2],
        }
    )


@pytest.fixture
def ds9(tmp_path):
    """Function that loads regions in DS9 on an image rotated by 30 degrees, and saves them in some coordinates."""
    for program, package in (("ds9", "saods9"), ("xvfb-run", "xvfb")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian package {package})")

    def load_and_save(path, frame, *system):
        header = make_wcs(angle=30.0).to_header()
        header["RADESYS"] = frame.upper()
        fits.PrimaryHDU(np.zeros((96, 96), "float32"), header).writeto(tmp_path / "image.fits", overwrite=True)
        save = ["-regions", "format", "ds9", *system, "-regions", "save", "saved.reg"]
        call = ["xvfb-run", "-a", "ds9", "image.fits", "-regions", "load", path.name, *save, "-exit"]
        subprocess.run(call, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        return tmp_path / "saved.reg"

    return load_and_save


def assert_same(saved, wanted):
    """Positions and axes agree within the tolerance, angles within a tenth of a degree."""
    for there, here in zip(saved, wanted, strict=True):
        assert there.center.separation(here.center).arcsec < TOLERANCE
        for name in ("width", "height"):
            assert abs(getattr(there, name) - getattr(here, name)).to_value(u.arcsec) < TOLERANCE
        difference = (there.angle - here.angle).to_value(u.deg) % 180
        assert min(difference, 180 - difference) < 0.1


def test_ellipses_are_the_sources_seen_with_the_beam(catalog):
    wide, across, point = catalog_to_regions(catalog, BEAM, "icrs")
    assert [point.width.value, point.height.value] == pytest.approx([0.9, 0.5])
    assert point.angle.to_value(u.deg) == pytest.approx(110)
    # Nearly aligned with the beam: almost the sums in quadrature; nearly across it: the shape of the source wins.
    assert wide.width.to_value(u.arcsec) == pytest.approx(np.hypot(0.8, 0.9), rel=0.01)
    assert across.width.to_value(u.arcsec) == pytest.approx(np.hypot(1.6, 0.5), rel=0.05)
    assert across.angle.to_value(u.deg) % 180 == pytest.approx(10, abs=5)
    assert [region.visual["color"] for region in (wide, across, point)] == ["green", "yellow", "red"]


@pytest.mark.ds9
@pytest.mark.parametrize("frame", ["icrs", "fk5"])
def test_ds9_keeps_positions_axes_names_and_colours(catalog, ds9, tmp_path, frame):
    wanted = catalog_to_regions(catalog, BEAM, frame)
    (tmp_path / "sources.reg").write_text(ds9_text(wanted))
    path = ds9(
        tmp_path / "sources.reg", frame, "-regions", "system", "wcs", "-regions", "sky", frame,
        "-regions", "skyformat", "degrees",
    )  # fmt: skip
    saved = Regions.read(path, format="ds9")
    assert_same(saved, wanted)
    assert [region.meta["text"] for region in saved] == ["1 (0.95)", "2 (0.80)", "3 (0.20)"]
    assert [region.visual["edgecolor"] for region in saved] == ["green", "yellow", "red"]


def ends_of_major_axis(region, wcs):
    """Pixels of the centre of an ellipse and of the end of its longer axis towards the right."""
    along = region.angle - 90 * u.deg
    ends = [region.center.directional_offset_by(along + half, region.width / 2) for half in (0, 180) * u.deg]
    pixels = [wcs.world_to_pixel(place) for place in (region.center, *ends)]
    return [float(value) for place in (pixels[0], max(pixels[1:])) for value in place]


@pytest.mark.ds9
def test_ds9_draws_ellipses_where_the_sources_are(catalog, ds9, tmp_path):
    """In pixels, so that DS9's own idea of position angles counts."""
    (tmp_path / "sources.reg").write_text(ds9_text(catalog_to_regions(catalog, BEAM, "icrs")))
    saved = Regions.read(ds9(tmp_path / "sources.reg", "icrs", "-regions", "system", "image"), format="ds9")
    wcs = make_wcs(angle=30.0)
    for region, row in zip(saved, catalog, strict=True):
        shape = Beam(row["major"], row["minor"], row["pa"]).convolve(BEAM)
        centre = SkyCoord(row["ra"], row["dec"])
        end = centre.directional_offset_by(shape.pa, shape.major / 2)
        x, y = np.array([wcs.world_to_pixel(centre), wcs.world_to_pixel(end)], dtype=float).T
        pixels = TOLERANCE / 0.1
        assert (region.center.x, region.center.y) == pytest.approx((x[0], y[0]), abs=pixels)
        assert region.width == pytest.approx(2 * np.hypot(np.diff(x), np.diff(y)).item(), abs=pixels)
        difference = region.angle.to_value(u.deg) - np.rad2deg(np.arctan2(*np.diff([y, x])).item())
        assert min(difference % 180, -difference % 180) < 0.1


def test_ds9_text_keeps_axes_of_milliarcseconds(catalog):
    beam = Beam(0.9 * u.mas, 0.5 * u.mas, 20 * u.deg)
    (wanted,) = catalog_to_regions(catalog[2:], beam, "icrs")
    (saved,) = Regions.parse(ds9_text([wanted]), format="ds9")
    assert [saved.width.to_value(u.mas), saved.height.to_value(u.mas)] == pytest.approx([0.9, 0.5], rel=1e-3)


@pytest.mark.parametrize("frame", ["icrs", "fk5"])
def test_crtf_keeps_positions_axes_names_and_colours(catalog, tmp_path, frame):
    wanted = catalog_to_regions(catalog, BEAM, frame)
    wanted.write(tmp_path / "sources.crtf", format="crtf")
    saved = Regions.read(tmp_path / "sources.crtf", format="crtf")
    assert_same(saved, wanted)
    assert [region.meta["label"] for region in saved] == ["1 (0.95)", "2 (0.80)", "3 (0.20)"]
    assert [region.visual["color"] for region in saved] == ["green", "yellow", "red"]


@pytest.mark.ds9
def test_ds9_loads_regions_as_pybdsf_writes_them(run, ds9, tmp_path):
    img = run(thresh_pix=4.0)
    img.write_catalog(outfile="sources.reg", format="ds9", catalog_type="srl")
    path = ds9(tmp_path / "sources.reg", img.frame, "-regions", "system", "wcs", "-regions", "sky", img.frame,
               "-regions", "skyformat", "degrees")  # fmt: skip
    saved = Regions.read(path, format="ds9")
    assert_same(saved, Regions.read(tmp_path / "sources.reg", format="ds9"))
    assert len(saved) == img.nsrc > 0
    assert [region.meta["text"] for region in saved] == [f"field_i{s.island_id}_s{s.source_id}" for s in img.sources]


def test_ellipses_in_galactic_images_lie_on_the_image_as_in_others(imager, tmp_path):
    """The same pixels; position angles of catalogues are from the north of ICRS in both."""
    beam = {"BMAJ": 0.9 / 3600, "BMIN": 0.5 / 3600, "BPA": 20.0, "BUNIT": "Jy/beam"}
    equatorial, galactic = make_wcs(), make_wcs()
    galactic.wcs.ctype, galactic.wcs.radesys = ["GLON-SIN", "GLAT-SIN"], ""
    y, x = np.mgrid[:96, :96]
    (xx, xy), (_, yy) = np.linalg.inv(beam_covariance(BEAM, equatorial, (96, 96)))
    data = 1e-4 * np.random.default_rng(0).standard_normal((96, 96))
    for x0, y0 in ((30, 40), (60.3, 65.8)):
        dx, dy = x - x0, y - y0
        data += 3e-3 * np.exp(-0.5 * (xx * dx**2 + 2 * xy * dx * dy + yy * dy**2))
    drawn = {}
    for name, wcs in (("equatorial", equatorial), ("galactic", galactic)):
        imager(CCDData(data, unit="Jy/beam", wcs=wcs, meta=beam)).write(tmp_path / name)
        regions = Regions.read(tmp_path / f"{name}.reg", format="ds9")
        # Those at the image's edge have the same x, but for rounding.
        drawn[name] = sorted(
            (ends_of_major_axis(region, wcs) for region in regions), key=lambda ends: np.round(ends, 1).tolist()
        )
    assert len(drawn["equatorial"]) >= 2
    np.testing.assert_allclose(drawn["galactic"], drawn["equatorial"], atol=0.05)
