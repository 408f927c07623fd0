"""Many files in one call: what goes wrong with one is said, and costs no other."""

import pytest
from astropy.io import fits

from astro_ddpm_imager import batch
from astro_ddpm_imager.cli import main

QUICK = ["--samples", "2", "--steps", "3", "--seed", "1", "--device", "cpu"]


@pytest.mark.parametrize("error", [IndexError("of nobody's"), MemoryError()])
def test_an_error_that_nobody_has_foreseen(demo, tmp_path, capsys, caplog, monkeypatch, error):
    data, header = fits.getdata(demo["dirty"], header=True)
    files = [tmp_path / name for name in ("a.fits", "b.fits", "c.fits")]
    for path in files:
        fits.writeto(path, data, header)
    read_image = batch.read_image

    def read(path, *planes):
        if path.name == "b.fits":
            raise error
        return read_image(path, *planes)

    monkeypatch.setattr(batch, "read_image", read)
    assert main(["image", *map(str, files), *QUICK, "--output-dir", str(tmp_path / "out")]) == 1
    assert {path.name for path in tmp_path.glob("out/*.reg")} == {"a.reg", "c.reg"}
    assert f"{files[1]}: {type(error).__name__}: {error}" in caplog.text
    assert f"1 of 3 images could not be used, for the reasons above: {files[1]}" in capsys.readouterr().err
