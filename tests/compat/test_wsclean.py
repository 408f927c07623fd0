"""WSClean's files in and out: names, units, headers, and the real WSClean where it is installed."""

import json
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from regions import Regions

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.compat import wsclean
from astro_ddpm_imager.errors import DirtyImageError, SettingError

pytestmark = pytest.mark.usefixtures("plain_pictures")

QUICK = ["--samples", "2", "--steps", "3", "--seed", "1", "--device", "cpu", "--threads", "1"]
IMAGES = ("model", "image", "residual", "uncertainty")
REST = ["catalog.ecsv", "catalog.reg", "plot.png"]


def plane(path):
    """Pixels of an image without its axes of length 1."""
    return fits.getdata(path).astype(float).squeeze()


@pytest.fixture
def run(demo, tmp_path):
    """Function that lays the demonstration field out as a run of WSClean with ``-niter 0``; returns its name."""

    def lay_out(start="field", psf=None, beams=False, kinds=("dirty", "image"), **cards):
        header = {"ORIGIN": "WSClean", "WSCNITER": 0.0, "WSCIMGWG": 433440.0, "WSCVERSI": "3.1.0", **cards}
        with fits.open(demo["dirty"]) as hdus:
            hdus[0].header.update(header)
            # WSClean does not blank, CASA does.
            data = hdus[0].data
            data[:] = np.where(np.isfinite(data), data, 48e-6 * np.random.default_rng(0).standard_normal(data.shape))
            for kind in kinds:
                hdus.writeto(tmp_path / f"{start}-{kind}.fits")
        shutil.copy(demo["psf"], tmp_path / f"{psf or start}-psf.fits")
        if beams:
            with fits.open(demo["pb"]) as hdus:
                for index, factor in {0: 0.9, 15: 1.1, 3: 0.5}.items():
                    fits.PrimaryHDU(factor * hdus[0].data, hdus[0].header).writeto(
                        tmp_path / f"{start}-beam-{index}.fits"
                    )
        return tmp_path / "field"

    return lay_out


def names(folder, start="field"):
    """What follows the start in the names of the products."""
    inputs = ("-dirty", "-psf", "-beam")
    paths = sorted(folder.glob(f"{start}-*"))
    return [path.name.removeprefix(f"{start}-") for path in paths if not any(kind in path.name for kind in inputs)]


def test_products_and_their_sum(run, quick):
    prefix = run()
    (result,) = wsclean.deconvolve(prefix, quick).values()
    assert names(prefix.parent) == sorted([f"{kind}.fits" for kind in IMAGES] + REST)
    dirty, model, image, residual = (plane(f"{prefix}-{kind}.fits") for kind in ("dirty", *IMAGES[:3]))
    np.testing.assert_allclose(residual, dirty - result.dirty.convolve_psf(model), atol=1e-10)
    np.testing.assert_allclose(image, result.dirty.convolve_beam(model) + residual, atol=1e-10)
    np.testing.assert_allclose(model, result.image.data, atol=1e-12)
    units = [fits.getheader(f"{prefix}-{kind}.fits")["BUNIT"] for kind in IMAGES]
    assert units == ["JY/PIXEL", "JY/BEAM", "JY/BEAM", "JY/PIXEL"]
    theirs, header = (fits.getheader(f"{prefix}-{kind}.fits") for kind in ("dirty", "model"))
    assert header["WSCVERSI"] == "3.1.0" and header["DSEED"] == 1 and header["ORIGIN"].startswith("astro_ddpm_imager")
    for key in ("NAXIS", "NAXIS4", "CTYPE3", "CRVAL3", "CTYPE4", "CRPIX1", "CRVAL2", "BMAJ"):
        assert header[key] == theirs[key]
    catalog = QTable.read(f"{prefix}-catalog.ecsv")
    assert len(catalog) == len(result.catalog) == len(Regions.read(f"{prefix}-catalog.reg", format="ds9")) > 0


def test_runs_of_one_name_are_told_apart(run, tmp_path, capsys):
    """The same run is imaged once; another one of its name would be replaced by its products, or replace them."""
    prefix, other = run(), tmp_path / "other"
    other.mkdir()
    for path in tmp_path.glob("field-*"):
        shutil.copy(path, other)
    call, options = ["image", "--wsclean", str(prefix)], [*QUICK, "--output-dir", str(tmp_path / "out")]
    assert main([*call, str(other / "field"), *options]) == 1
    said = capsys.readouterr().err
    assert f"field-dirty.fits and {other / 'field-dirty.fits'} would be written as field" in said
    assert not (tmp_path / "out").exists()
    assert main([*call, str(other / ".." / "field"), *options]) == 0
    printed = capsys.readouterr()
    assert "is given twice" in printed.err and printed.out.count("noise") == 1


def test_images_in_tiles_are_as_blank_as_others(run, quick, demo):
    """Corrected for the primary beam, noise was divided by next to nothing beyond its limit."""
    prefix = run()
    (result,) = wsclean.deconvolve(prefix, quick.but(n_samples=1, steps=1, tile=260), pb=demo["pb"]).values()
    assert result.meta["tiles"] > 1
    for kind in IMAGES[:3]:
        np.testing.assert_array_equal(
            np.isnan(plane(f"{prefix}-{kind}-pb.fits")), ~(plane(demo["pb"]) >= quick.pblimit)
        )


@pytest.mark.parametrize("given", [False, True])
def test_primary_beam(run, quick, demo, given):
    prefix = run(beams=not given)
    (result,) = wsclean.deconvolve(prefix, quick, pb=demo["pb"] if given else None).values()
    np.testing.assert_allclose(
        result.dirty.pb, np.where(plane(demo["pb"]) >= quick.pblimit, plane(demo["pb"]), np.nan), rtol=1e-5
    )
    assert names(prefix.parent) == sorted([f"{kind}{pb}.fits" for kind in IMAGES for pb in ("", "-pb")] + REST)
    made_of = QTable.read(f"{prefix}-catalog.ecsv").meta["pb"]
    assert made_of == (demo["pb"].name if given else "field-beam-0.fits, field-beam-15.fits")
    seen = np.isfinite(result.dirty.pb)
    for kind in IMAGES:
        apparent, corrected = (plane(f"{prefix}-{kind}{pb}.fits") for pb in ("", "-pb"))
        np.testing.assert_allclose(corrected[seen], (apparent / result.dirty.pb)[seen], rtol=1e-5, atol=1e-15)
        assert np.isnan(corrected[~seen]).all()
    # As WSClean's: not blank outside the primary beam, where the residual is the dirty image.
    assert not seen.all()
    for kind in ("model", "uncertainty"):
        assert (plane(f"{prefix}-{kind}.fits")[~seen] == 0).all()
    assert np.isfinite(plane(f"{prefix}-image.fits")).all()
    np.testing.assert_allclose(plane(f"{prefix}-model-pb.fits"), result.image.data, rtol=1e-5, atol=1e-12)


def test_channels_intervals_and_polarizations(run, quick, caplog):
    starts = ["field-0000", "field-0001", "field-MFS"]
    for start in starts:
        prefix = run(start)
    assert list(wsclean.deconvolve(prefix, quick)) == starts
    for start in starts:
        assert names(prefix.parent, start) == sorted([f"{kind}.fits" for kind in IMAGES] + REST)
    run("field-t0001-0000-I", psf="field-t0001-0000")
    run("field-t0001-0000-Q", psf="field-t0001-0000")
    run("field-0002", WSCIMGWG=0.0)
    found = wsclean.find_images(prefix, folder="elsewhere")
    assert [str(one.prefix) for one in found] == [f"elsewhere/{start}" for start in [*starts, "field-t0001-0000-I"]]
    assert found[-1].psf.name == "field-t0001-0000-psf.fits"
    left_out = [record.getMessage().split(":")[0] for record in caplog.records if "left out" in record.getMessage()]
    assert left_out == ["field-0002 is left out", "field-t0001-0000-Q is left out"]


def test_what_exists_is_kept(run, quick, capsys):
    prefix = run()
    shutil.copy(f"{prefix}-dirty.fits", f"{prefix}-residual.fits")
    with fits.open(f"{prefix}-residual.fits", mode="update") as hdus:
        hdus[0].header["WSCNITER"] = 1000.0
    call = ["image", "--wsclean", str(prefix), *QUICK]
    assert main(call) == 1
    assert "field-residual.fits exists; give overwrite=True (--overwrite" in capsys.readouterr().err
    assert names(prefix.parent) == ["image.fits", "residual.fits"]
    assert main([*call, "--overwrite"]) == 0
    printed = capsys.readouterr()
    assert "noise 47.1 uJy/beam" in printed.out and "wrote field-model.fits, field-image.fits" in printed.err
    # Now the restored image is one; it is not taken for WSClean's, nor replaced unasked.
    assert main(call) == 1
    assert main([*call, "--resume"]) == 0
    assert main([*call, "--output-dir", str(prefix.parent / "out")]) == 0
    assert "model.fits" in names(prefix.parent / "out")


@pytest.mark.parametrize("beams, kinds", [(False, ("dirty", "image")), (True, ("image",))])
def test_resume_takes_nothing_that_is_made_otherwise_for_done(run, capsys, beams, kinds):
    prefix = run(beams=beams, kinds=kinds)
    call = ["image", "--wsclean", str(prefix), *QUICK, "--overwrite"]
    assert main(call) == 0
    capsys.readouterr()
    call[-1] = "--resume"
    assert main([*call, "--json"]) == 0 and '"skipped": true' in capsys.readouterr().out
    assert main([*call, "--samples", "3"]) == 1
    assert "field: its products were made with samples=2, not 3; give the same" in capsys.readouterr().err
    fits.setval(prefix.with_name("field-psf.fits"), "OBJECT", value="another")
    assert main(call) == 1
    assert "its products were made with another psf" in capsys.readouterr().err


def test_a_mask_is_not_replaced(run, quick):
    prefix = run()
    mask = shutil.copy(f"{prefix}-dirty.fits", f"{prefix}-model.fits")
    with fits.open(mask, mode="update") as hdus:
        hdus[0].data = (hdus[0].data > 0).astype(np.float32)
    with pytest.raises(SettingError, match=r"-model.fits would be replaced by a product, but is read"):
        wsclean.deconvolve(prefix, quick, mask=mask, overwrite=True)


def test_without_a_dirty_image(run, quick):
    prefix = run(kinds=["image"])
    uncleaned = plane(f"{prefix}-image.fits")
    wsclean.deconvolve(prefix, quick)
    np.testing.assert_array_equal(plane(f"{prefix}-dirty.fits"), uncleaned)
    assert fits.getheader(f"{prefix}-image.fits")["ORIGIN"].startswith("astro_ddpm_imager")
    cleaned = run(kinds=["image"], start="field-0001", WSCNITER=1000.0)
    with pytest.raises(FileNotFoundError, match=r"field-0001-image\.fits is no dirty image"):
        wsclean.find_images(cleaned)


@pytest.mark.parametrize(("option", "said"), [("-continue", "-continue"), ("--subtract-model", "-subtract-model")])
def test_without_a_model_that_was_subtracted(run, quick, option, said):
    # FITS drops the blank at the end of the first card.
    prefix = run(HISTORY=f"{'wsclean -name field -size 512 512 -niter 0 -make-psf':71} {option} a.ms")
    with pytest.raises(DirtyImageError, match=rf"field-dirty.fits: .* a model from it \({said} in its"):
        wsclean.deconvolve(prefix, quick)


def test_errors(run, demo, quick, tmp_path, noise_image, capsys):
    assert main(["image", "--wsclean", str(tmp_path / "none"), *QUICK]) == 1
    assert "none-dirty.fits: there is no such file, nor a channel such as none-0000-dirty" in capsys.readouterr().err
    prefix = run()
    assert main(["image", "--wsclean", str(prefix), "--psf", str(demo["psf"]), *QUICK]) == 1
    assert "--psf: with --wsclean the names of the files say it" in capsys.readouterr().err
    shutil.copy(demo["pb"], f"{prefix}-beam-XX.fits")
    with pytest.raises(DirtyImageError, match=r"/field-beam-0\.fits: there is no such file, but others of a primary"):
        wsclean.deconvolve(prefix, quick)
    noise_image().write(f"{prefix}-psf.fits", overwrite=True)
    with pytest.raises(DirtyImageError, match=r"field-dirty\.fits: psf: "):
        wsclean.deconvolve(prefix, quick, pb=demo["pb"])
    (tmp_path / "field-psf.fits").unlink()
    with pytest.raises(FileNotFoundError, match=r"field-psf\.fits: there is no such file; run wsclean .* -make-psf"):
        wsclean.deconvolve(prefix, quick)
    for kind in ("dirty", "image"):
        (tmp_path / f"field-{kind}.fits").unlink()
    run(WSCIMGWG=0.0)
    with pytest.raises(DirtyImageError, match="none of field is an image of Stokes I with data"):
        wsclean.find_images(prefix)


def damaged(kind, path):
    """What is left of a file."""
    content = path.read_bytes()
    return {"empty": b"", "junk": b"no FITS" * 999, "cut off": content[:9000], "cut off early": content[:999]}[kind]


@pytest.mark.parametrize("kind", ["empty", "junk", "cut off", "cut off early"])
def test_a_damaged_file_does_not_stop_the_others(run, capsys, kind):
    for start in ("field-0000", "field-0001"):
        prefix = run(start, kinds=["dirty"])
    bad = prefix.with_name("field-0000-dirty.fits")
    bad.write_bytes(damaged(kind, bad))
    assert main(["image", "--wsclean", str(prefix), *QUICK, "--json", "-q"]) == 1
    printed = capsys.readouterr()
    lines = {line["file"]: line for line in map(json.loads, printed.out.splitlines())}
    assert "field-0000-dirty.fits is not a FITS file" in lines[str(bad)]["error"] and len(lines) == 2
    assert "1 of 2 images could not be used" in printed.err and f"{bad} is not a FITS file" in printed.err
    assert names(prefix.parent) == sorted(f"0001-{name}" for name in [*(f"{kind}.fits" for kind in IMAGES), *REST])


@pytest.mark.parametrize("kind", ["empty", "junk", "cut off early"])
def test_a_damaged_restored_image_is_not_taken_for_the_dirty_one(run, quick, kind):
    prefix = run()
    bad = prefix.with_name("field-image.fits")
    bad.write_bytes(damaged(kind, bad))
    with pytest.raises(FileExistsError, match=r"field-image\.fits exists; give overwrite=True"):
        wsclean.deconvolve(prefix, quick)
    prefix.with_name("field-dirty.fits").unlink()
    with pytest.raises(DirtyImageError, match=r"field-image\.fits is not a FITS file"):
        wsclean.deconvolve(prefix, quick, overwrite=True)


@pytest.mark.parametrize("case", ["no run", "no PSF", "no data", "no beam", "a model"])
def test_each_run_that_cannot_be_used_has_a_line_of_json(run, capsys, demo, case):
    cards = {"no data": {"WSCIMGWG": 0.0}, "a model": {"HISTORY": "wsclean -continue -name field a.ms"}}
    prefix = run(kinds=["dirty"], **cards.get(case, {}))
    if case == "no PSF":
        prefix.with_name("field-psf.fits").unlink()
    if case == "no beam":
        shutil.copy(demo["pb"], f"{prefix}-beam-0.fits")
    given, file, said = {
        "no run": ("none", "none", "none-dirty.fits: there is no such file"),
        "no PSF": ("field", "field", "field-psf.fits: there is no such file"),
        "no data": ("field", "field", "none of field is an image of Stokes I with data"),
        "no beam": ("field", "field-dirty.fits", "field-beam-15.fits: there is no such file, but others"),
        "a model": ("field", "field-dirty.fits", "field-dirty.fits: WSClean has subtracted a model from it"),
    }[case]
    assert main(["image", "--wsclean", str(prefix.with_name(given)), *QUICK, "--json", "-q"]) == 1
    printed = capsys.readouterr()
    (line,) = map(json.loads, printed.out.splitlines())
    assert line["file"] == str(prefix.with_name(file)) and said in line["error"]
    assert f"{prefix.parent}/" in line["error"] and line["error"] in printed.err


@pytest.mark.wsclean
def test_real_wsclean_there_and_back(casa_fields, quick, tmp_path):
    """WSClean makes the files, and predicts from the model what the residual leaves out of the dirty image."""
    if shutil.which("wsclean") is None:
        pytest.skip("WSClean is not installed (Debian package wsclean)")
    with tarfile.open(casa_fields / "ms" / "0000.ms.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")

    def run_wsclean(*options):
        call = ["wsclean", "-j", "1", "-size", "512", "512", "-scale", "0.1asec", "-weight", "natural", *options]
        subprocess.run([*call, "0000.ms"], cwd=tmp_path, check=True, capture_output=True)

    prefix = tmp_path / "field"
    run_wsclean("-name", "field", "-niter", "0", "-no-update-model-required")
    with pytest.raises(FileNotFoundError, match="run wsclean again, with -make-psf"):
        wsclean.deconvolve(prefix, quick)
    run_wsclean("-name", "field", "-niter", "0", "-make-psf", "-no-update-model-required")
    wsclean.deconvolve(prefix, quick)
    made = set(names(tmp_path))
    run_wsclean("-predict", "-name", "field")
    run_wsclean("-name", "back", "-niter", "0", "-data-column", "MODEL_DATA", "-no-update-model-required")
    predicted = plane(tmp_path / "back-dirty.fits")
    convolved = plane(f"{prefix}-dirty.fits") - plane(f"{prefix}-residual.fits")
    near = np.s_[156:356, 156:356]  # further out the image of the PSF ends
    np.testing.assert_allclose(predicted[near], convolved[near], atol=0.02 * convolved.max())
    assert convolved.max() > 1e-4

    run_wsclean("-name", "clean", "-niter", "1000", "-auto-threshold", "3", "-no-update-model-required")
    assert set(names(tmp_path, "clean")) < made
    for kind in IMAGES[:3]:
        ours, theirs = (fits.getheader(tmp_path / f"{start}-{kind}.fits") for start in ("field", "clean"))
        assert {key for key in theirs if key != "EXTEND"} - set(ours) <= {"BSCALE", "BZERO", "WSCMAJOR", "WSCMINOR"}
        for key in ("BUNIT", "NAXIS", "CTYPE3", "CRVAL3", "CRPIX1", "CDELT1", "BMAJ", "WSCWEIGH", "WSCVWSUM"):
            assert ours[key] == theirs[key], (kind, key)
