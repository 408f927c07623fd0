"""Tiles on disk: of a run that was interrupted, is alive, was another one, or has no room."""

import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

import astro_ddpm_imager.large as large
from astro_ddpm_imager.cli import main
from astro_ddpm_imager.errors import SettingError
from astro_ddpm_imager.products.writing import PRODUCTS

from ..conftest import with_another_model
from .conftest import ARGUMENTS, SHAPE, write

pytestmark = pytest.mark.usefixtures("plain_pictures")


def test_an_interrupted_image_goes_on_at_its_next_tile(tmp_path, field, seen, monkeypatch, capsys):
    write(tmp_path, field, seen.psf)
    call = ["image", str(tmp_path / "f.dirty.fits"), "--psf", str(tmp_path / "f.psf.fits"), *ARGUMENTS]
    assert main([*call, "--output-dir", str(tmp_path / "whole")]) == 0
    one_by_one, done = large.run_pieces, []

    def interrupted(function, imager, pieces):
        for piece, value in one_by_one(function, imager, pieces):
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(piece.number)
            yield piece, value

    monkeypatch.setattr(large, "run_pieces", interrupted)
    call += ["--output-dir", str(tmp_path / "out")]
    assert main(call) == 130
    assert not list((tmp_path / "out").glob("f.*"))
    monkeypatch.setattr(large, "run_pieces", lambda f, i, p: one_by_one(f, i, [done.append(x.number) or x for x in p]))
    assert main([*call, "--resume"]) == 0
    assert "2 of 6 tiles are done already" in capsys.readouterr().err
    assert sorted(done) == list(range(6))
    for product in ("model.fits", "image.fits", "residual.fits", "uncertainty.fits"):
        one, two = (fits.getdata(tmp_path / folder / f"f.{product}") for folder in ("whole", "out"))
        np.testing.assert_array_equal(one, two)
    whole, out = (QTable.read(tmp_path / folder / "f.catalog.ecsv") for folder in ("whole", "out"))
    for name in out.colnames:
        np.testing.assert_array_equal(whole[name], out[name])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of folders")
@pytest.mark.parametrize("how", [[], ["--resume"], ["--overwrite"]])
def test_tiles_of_a_run_that_is_alive_stay(tmp_path, field, seen, monkeypatch, capsys, how):
    write(tmp_path, field, seen.psf)
    call = ["image", str(tmp_path / "f.dirty.fits"), "--psf", str(tmp_path / "f.psf.fits"), *ARGUMENTS]
    call += ["--output-dir", str(tmp_path / "out")]
    run, others = large.run_pieces, []

    def beside_another(function, imager, pieces):
        for number, done in enumerate(run(function, imager, pieces)):
            if number == 2:
                others.append(main([*call, *how]))
            yield done

    monkeypatch.setattr(large, "run_pieces", beside_another)
    assert main(call) == 0
    assert others == [1] and len(list((tmp_path / "out").iterdir())) == len(PRODUCTS)
    assert f"{tmp_path / 'out' / '.f.tiles'} is written to by another process" in capsys.readouterr().err
    assert np.isfinite(fits.getdata(tmp_path / "out" / "f.image.fits")).all()


@pytest.mark.parametrize("pixels, where", [(10, "psf-0.part.npy"), (SHAPE[0] * SHAPE[1], "")])
def test_a_full_disk_is_said_with_the_path_of_the_tiles(in_tiles, field, middle, tmp_path, little_room, pixels, where):
    """Of a plane, or of what is larger than planes."""
    folder, given = tmp_path / ".f.tiles", {"psf": middle}
    with little_room(128 + 4 * pixels), pytest.raises(OSError, match=rf"{folder / where}: cannot be written"):
        large.image_in_tiles(in_tiles, field["dirty"].copy(), given, field["beam"], folder)


def test_tiles_that_were_made_otherwise_are_not_gone_on_with(in_tiles, field, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(large, "run_pieces", interrupted)
    given = {name: field[name] for name in ("psf",)}
    with pytest.raises(KeyboardInterrupt):
        large.image_in_tiles(in_tiles, field["dirty"].copy(), given, field["beam"], tmp_path / "t")
    for other, said in (
        (in_tiles.but(reliability=0.5), "reliability=0.22, not 0.5"), (in_tiles, "another dirty"),
        (in_tiles.but(insist=True), "insist=False, not True"), (with_another_model(in_tiles), "another model"),
    ):  # fmt: skip
        dirty = field["dirty"].copy()
        if other is in_tiles:
            dirty.data = 2 * dirty.data
        with pytest.raises(SettingError, match=f"t was made with {said}; give the same, or leave out --resume"):
            large.image_in_tiles(other, dirty, given, field["beam"], tmp_path / "t")
