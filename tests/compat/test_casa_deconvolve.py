"""deconvolve as a drop-in, with CASA: it goes on from the images of a tclean."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable

from astro_ddpm_imager.compat.casa import deconvolve

from .conftest import check_summary, names, pixels

casatasks = pytest.importorskip("casatasks", reason="CASA is not installed", exc_type=ImportError)
pytest.importorskip("casatools", reason="CASA is not installed", exc_type=ImportError)

pytestmark = [pytest.mark.casa, pytest.mark.filterwarnings("ignore::DeprecationWarning:casa")]


def test_deconvolve_images_that_are_there(clean, tmp_path, quick):
    clean(niter=0)
    for name in (".residual", ".psf", ".pb", ".model", ".sumwt"):
        shutil.copytree(f"x{name}", f"casa{name}")
    assert deconvolve("x", niter=0).keys() == casatasks.deconvolve("casa", niter=0).keys()
    answer = deconvolve("x", niter=100, imager=quick, gain=0.05)
    (result,), dirty = answer["results"], casatasks.deconvolve("casa", niter=100)
    check_summary(answer, dirty, "x", "x.image")
    assert answer["iterdone"] == 1 and answer["nmajordone"] == 0 and answer["imagename"] == "x"
    model, residual = pixels("x.model")[0], pixels("x.residual")[0]
    seen = result.dirty.convolve_psf(model)
    np.testing.assert_allclose(
        residual[result.dirty.allowed], (result.dirty.data - seen)[result.dirty.allowed], atol=1e-9
    )
    assert model.max() > 0 and len(QTable.read("x.catalog.ecsv")) == len(result.catalog) == len(answer["catalog"]) > 0
    assert casatasks.imhead("x.model")["unit"] == "Jy/pixel" and Path("x.reg").exists()
    ours, theirs = (casatasks.imhead(f"{name}.image") for name in ("x", "casa"))
    for key in ("shape", "unit", "refval", "refpix", "incr", "axisnames", "hasmask", "restoringbeam"):
        np.testing.assert_equal(ours.get(key), theirs.get(key))
    np.testing.assert_allclose(pixels("x.image")[0], result.dirty.convolve_beam(model) + residual, atol=1e-6)
    assert not [name for name in names(tmp_path) if name.startswith("deconvolve_")]


def test_deconvolve_keeps_what_is_left_below_the_limit(clean, quick):
    """It was 0, in ``.residual`` and ``.image``, where tclean with a lower ``pblimit`` has an image."""
    clean(niter=0, pblimit=-0.2, imsize=400)
    (dirty, inside), beyond = pixels("x.residual"), pixels("x.pb")[0] < quick.pblimit
    (result,) = deconvolve("x", imager=quick)["results"]
    seen = result.dirty.convolve_psf(pixels("x.model")[0])
    assert inside.all() and beyond.any() and not pixels("x.model")[0][beyond].any()
    for name in ("x.residual", "x.image"):
        np.testing.assert_allclose(pixels(name)[0][beyond], (dirty - seen)[beyond], atol=1e-6)
    assert np.abs(dirty[beyond]).mean() > 1e-5


def test_deconvolve_does_what_its_parameters_say(clean, quick, caplog):
    box = "box[[150pix,150pix],[190pix,190pix]]"
    clean(niter=0)
    with caplog.at_level(logging.WARNING):
        answer = deconvolve(
            "x", restoringbeam="1.5arcsec", mask=box, fullsummary=True, imager=quick, gain=0.05, fastnoise=False
        )
    assert casatasks.imhead("x.image")["restoringbeam"]["major"] == {"unit": "arcsec", "value": 1.5}
    mask, model = pixels("x.mask")[0], pixels("x.model")[0]
    assert mask.sum() == 41 * 41 and model[mask == 1].any() and not model[mask == 0].any()
    assert answer["summaryminor"][0][0][0]["masksum"] == [41 * 41]
    assert "gain=0.05" in caplog.text and "fastnoise=False" in caplog.text and "restoringbeam" not in caplog.text
    # It goes on from the model that is there.
    again = deconvolve("x", fullsummary=True, imager=quick)["summaryminor"][0][0][0]
    assert again["startModelFlux"] == pytest.approx(answer["summaryminor"][0][0][0]["modelFlux"], rel=1e-5)
    for name in ("mask", "model"):
        shutil.rmtree(f"x.{name}")
    deconvolve("x", usemask="pb", pbmask=0.9, restoration=False, imager=quick)
    np.testing.assert_array_equal(pixels("x.mask")[0] == 1, pixels("x.pb")[0] > 0.9)
    assert not Path("x.image").exists()


def test_deconvolve_a_cube(clean, quick, caplog):
    cube = {"specmode": "cube", "start": "230GHz", "width": "2GHz", "nchan": 3, "outframe": "TOPO", "imsize": 200}
    clean(["0000.ms", "higher.ms"], niter=0, **cube)
    with caplog.at_level(logging.WARNING):
        answer = deconvolve("x", imager=quick)
    assert "channel 1: has no data, stays blank" in caplog.text and list(answer["summaryminor"][0]) == [0, 2]
    assert [result is None for result in answer["results"]] == [False, True, False]
    assert set(answer["catalog"]["channel"]) == {0, 2} and answer["iterdone"] == 2
    assert [bool(pixels("x.model", channel)[0].any()) for channel in range(3)] == [True, False, True]
