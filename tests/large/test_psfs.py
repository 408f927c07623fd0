"""What is given with a large image: PSFs of several places, one or none, and its noise."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

import astro_ddpm_imager.large as large
from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import DirtyImageError

from .conftest import ARGUMENTS, RMS, SHAPE, SOURCES, write

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture
def pieces(monkeypatch):
    """The tiles that an image is cut into; none of them is worked on."""
    cut = []
    monkeypatch.setattr(large, "run_pieces", lambda function, imager, given: cut.extend(given) or iter(()))
    monkeypatch.setattr(large._Work, "_joined", lambda self, seed: type("Result", (), {})())
    return cut


def test_noise_and_several_psfs_on_the_command_line(tmp_path, field, seen, capsys):
    write(tmp_path, field, seen.psf, other=seen.psf.astype(np.float32), noise=np.ones(SHAPE, np.float32))
    psfs = [part for name in ("f.psf", "other") for part in ("--psf", str(tmp_path / f"{name}.fits"))]
    call = ["image", str(tmp_path / "f.dirty.fits"), *psfs, "--noise", str(tmp_path / "noise.fits"), *ARGUMENTS]
    assert main([*call, "--output-dir", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_sources"] >= len(SOURCES) - 1
    header = fits.getheader(tmp_path / "out" / "f.model.fits")
    assert (header["DPSF"], header["DNOISEMP"]) == ("2 PSFs", "noise.fits")


def test_of_several_psfs_the_nearest_counts(in_tiles, field, middle, pieces):
    places = [field["dirty"].wcs.pixel_to_world(105, y) for y in (0, SHAPE[0] - 1)]
    in_tiles(field["dirty"].copy(), list(zip(places, (middle, middle[10:-10]), strict=True)), beam=field["beam"])
    assert [piece.psf.shape[0] for piece in pieces] == [230] * 4 + [210] * 2


def test_hdus_of_an_open_file_are_one_psf(in_tiles, field, middle, pieces):
    hdus = fits.HDUList([fits.PrimaryHDU(middle, field["dirty"].wcs.to_header()), fits.ImageHDU(middle[:9, :9])])
    for psf in (middle, hdus):
        in_tiles(field["dirty"].copy(), psf, beam=field["beam"])
    np.testing.assert_array_equal([piece.psf for piece in pieces[6:]], [piece.psf for piece in pieces[:6]])


def test_where_a_psf_belongs_must_be_known(in_tiles, field, middle):
    with pytest.raises(DirtyImageError, match="psf: one of several has no WCS"):
        in_tiles(field["dirty"].copy(), [middle, middle], beam=field["beam"])
    with pytest.raises(TypeError, match="must be a SkyCoord"):
        in_tiles(field["dirty"].copy(), [((1, 2), middle)], beam=field["beam"])


def test_an_empty_list_of_psfs(in_tiles, field):
    with pytest.raises(DirtyImageError, match=r"psf=\[\]: must hold one PSF at least"):
        in_tiles(field["dirty"], [], beam=field["beam"])


def test_psfs_that_no_tile_takes_are_said(in_tiles, field, caplog):
    ((place, psf),) = field["psf"]
    far = field["dirty"].wcs.pixel_to_world(-500, -500)
    in_tiles.but(n_samples=1, steps=1)(field["dirty"], [(place, psf), (far, psf)], beam=field["beam"])
    assert "psf: 1 of the 2 that were given are the nearest one to no tile" in caplog.text


def test_tiles_are_so_small_that_all_psfs_are_used(field, middle, pieces, caplog):
    ny, nx = 300, 300
    wide = CCDData(np.random.default_rng(1).normal(0, RMS, (ny, nx)), unit="Jy/beam", wcs=field["dirty"].wcs)
    places = [wide.wcs.pixel_to_world(150, y) for y in (60, 240)]
    imager = DiffusionImager(n_samples=2, steps=2, seed=1, device="cpu", progress=False)
    imager(wide, list(zip(places, (middle, middle[10:-10]), strict=True)), beam=field["beam"])
    assert {piece.psf.shape[0] for piece in pieces} == {middle.shape[0], middle.shape[0] - 20}
    assert "are not used" not in caplog.text


def test_without_a_psf_it_is_said_of_tiles_as_well(in_tiles, field, caplog):
    in_tiles.but(n_samples=1, steps=1)(field["dirty"], beam=field["beam"])
    assert caplog.text.count("no PSF given: the restoring beam takes its place") == 1


def test_misfits_are_named_and_explained(in_tiles, field):
    """Of a PSF whose sidelobes are those of another image."""
    place, psf = field["psf"][0]
    wrong = in_tiles(field["dirty"], [(place, psf[:, ::-1].copy())], beam=field["beam"])
    assert wrong.fit.misfits and wrong.meta["misfit"] == ", ".join(wrong.fit.misfits)
    assert all("?" in text for text in wrong.fit.misfits.values())


def test_an_image_corrected_for_its_primary_beam_goes_with_its_noise(in_tiles, field):
    """The same, in tiles and at once, as one that is not goes with its primary beam."""
    ny, nx = SHAPE
    y, x = np.mgrid[:ny, :nx]
    pb = np.exp(-((x - nx / 2) ** 2 + (y - ny / 2) ** 2) / (2 * 90**2))
    corrected = field["dirty"].copy()
    corrected.data = field["dirty"].data / pb
    noise = CCDData(RMS / pb, unit="Jy/beam")
    for imager in (in_tiles.but(n_samples=2), in_tiles.but(n_samples=2, tile=0)):
        one = imager(corrected, field["psf"][0][1], beam=field["beam"], noise=noise)
        other = imager(field["dirty"], field["psf"][0][1], pb, beam=field["beam"])
        for x0, y0, _ in SOURCES:
            flux = [
                catalog["flux"][np.argmin(np.hypot(catalog["x"] - x0, catalog["y"] - y0))].to_value("Jy")
                for catalog in (one.catalog, other.catalog)
            ]
            assert flux[0] == pytest.approx(flux[1], rel=0.01)
