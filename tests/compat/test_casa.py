"""tclean as a drop-in, with CASA: its products are CASA images that CASA's own tools read and find consistent."""

import inspect
import logging
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from regions import Regions
from scipy.signal import fftconvolve

from astro_ddpm_imager import DiffusionImager, read_image
from astro_ddpm_imager.compat import major_cycles
from astro_ddpm_imager.compat.casa import DECONVOLVE, PARAMETERS, deconvolve, tclean
from astro_ddpm_imager.errors import DirtyImageError, SettingError

casatasks = pytest.importorskip("casatasks", reason="CASA is not installed", exc_type=ImportError)
casatools = pytest.importorskip("casatools", reason="CASA is not installed", exc_type=ImportError)

pytestmark = [pytest.mark.casa, pytest.mark.filterwarnings("ignore::DeprecationWarning:casa")]

IMAGE = {"imsize": 256, "cell": "0.1arcsec", "weighting": "natural"}
SOURCE = SkyCoord(150.5483381578135, 2.4656293737044304, unit="deg")  # the brightest of field 0, 377 uJy
PRODUCTS = [".image", ".model", ".residual", ".psf", ".pb", ".sumwt", ".mask", ".uncertainty", ".catalog.ecsv", ".reg"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Folder of MeasurementSets: two fields, and the first one at another frequency."""
    from ..conftest import SHARED

    if not (SHARED / "ms").is_dir():
        pytest.skip(f"the MeasurementSets are not at {SHARED / 'ms'}")
    folder = tmp_path_factory.mktemp("sets")
    for number in (0, 1):
        with tarfile.open(SHARED / "ms" / f"{number:04d}.ms.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    shutil.copytree(folder / "0000.ms", folder / "higher.ms")
    with opened(folder / "higher.ms" / "SPECTRAL_WINDOW") as spectral:
        for column in ("CHAN_FREQ", "REF_FREQUENCY"):
            spectral.putcol(column, spectral.getcol(column) + 4e9)
    return folder


class opened:  # noqa: N801
    """A table of CASA, to change."""

    def __init__(self, path):
        self.path, self.table = str(path), casatools.table()

    def __enter__(self):
        self.table.open(self.path, nomodify=False)
        return self.table

    def __exit__(self, *error):
        self.table.close()


@pytest.fixture
def clean(sets, tmp_path, monkeypatch, quick):
    """Function that calls tclean in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(vis="0000.ms", imagename="x", niter=100, imager=quick, **parameters):
        vis = [str(sets / name) for name in vis] if isinstance(vis, list) else str(sets / vis)
        return tclean(vis, imagename=imagename, niter=niter, imager=imager, **(IMAGE | parameters))

    return run


def pixels(name, channel=0):
    """Pixels [y, x] and mask of a CASA image, as CASA reads it."""
    image = casatools.image()
    image.open(name)
    try:
        return [image.getchunk(getmask=mask)[:, :, 0, channel].T for mask in (False, True)]
    finally:
        image.close()


def check_summary(ours, theirs, name, dirty):
    """What CASA returns, of the same types, and with what the images say."""
    assert set(ours) == set(theirs) | {"stopDescription"} and {"imagename", "catalog", "results"} == set(ours.found)
    for key in ("niter", "iterdone", "nmajordone", "stopcode", "threshold", "nsigma", "cyclethreshold", "summarymajor"):
        assert np.asarray(ours[key]).dtype.kind == np.asarray(theirs[key]).dtype.kind, key
    (rows,), (their_rows,) = (summary["summaryminor"][0][0].values() for summary in (ours, theirs))
    assert set(rows) == set(their_rows)
    assert sum(rows["iterDone"]) == ours["iterdone"] > 0 and ours["stopcode"] in (1, 2, 4, 8, 9)
    assert rows["peakRes"][-1] == pytest.approx(np.abs(pixels(f"{name}.residual")[0]).max())
    assert rows["modelFlux"][-1] == pytest.approx(pixels(f"{name}.model")[0].sum(), rel=1e-5)
    assert rows["peakRes"][-1] < np.abs(pixels(dirty)[0]).max()


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".log"))


@pytest.mark.parametrize(("name", "table"), [("tclean", PARAMETERS), ("deconvolve", DECONVOLVE)])
def test_parameters_are_casas(name, table):
    theirs = inspect.signature(getattr(casatasks, name)).parameters
    assert list(table) == list(theirs)
    for parameter in theirs.values():
        assert table[parameter.name].default == parameter.default, parameter.name


def test_products(clean, tmp_path, sets, quick):
    answer = clean(pbcor=True, nsigma=3.0)
    assert names(tmp_path) == sorted(f"x{ending}" for ending in [*PRODUCTS, ".image.pbcor"])
    assert answer["imagename"] == "x" and answer["nsigma"] == 3.0 and answer["niter"] == 100

    # The same images as CASA's, but for the sky.
    cleaned = casatasks.tclean(str(sets / "0000.ms"), imagename="clean", niter=100, nsigma=3.0, **IMAGE)
    casatasks.tclean(str(sets / "0000.ms"), imagename="casa", niter=0, pbcor=True, **IMAGE)
    for ending in (".image", ".image.pbcor", ".model", ".residual", ".psf", ".pb", ".sumwt"):
        ours, theirs = (casatasks.imhead(f"{name}{ending}") for name in ("x", "casa"))
        for key in ("shape", "unit", "refval", "refpix", "incr", "axisnames", "hasmask", "objectname", "restoringbeam"):
            np.testing.assert_equal(ours.get(key), theirs.get(key))
    for ending in (".psf", ".pb"):
        np.testing.assert_array_equal(pixels(f"x{ending}")[0], pixels(f"casa{ending}")[0])
    assert casatasks.imhead("x.uncertainty")["unit"] == "Jy/pixel"

    check_summary(answer, cleaned, "x", "casa.image")
    assert answer["nmajordone"] == len(answer["summarymajor"]) > answer["iterdone"] > 0
    assert answer["summarymajor"][0] == 0 and answer["summarymajor"][-1] == answer["iterdone"]

    # residual = dirty - PSF * model, with a PSF that reaches from one edge to the other
    casatasks.tclean(str(sets / "0000.ms"), imagename="wide", niter=0, **(IMAGE | {"imsize": 512}))
    dirty, model, psf = pixels("casa.image")[0], pixels("x.model")[0], pixels("wide.psf")[0]
    residual, image = pixels("x.residual")[0], pixels("x.image")[0]
    seen = fftconvolve(model, psf)[256:512, 256:512]
    assert np.abs(seen).max() > 1e-4
    np.testing.assert_allclose(residual, dirty - seen, atol=2e-7)
    # image = model * beam + residual
    result = answer["results"][0]
    np.testing.assert_allclose(image, result.dirty.convolve_beam(model) + residual, atol=2e-7)
    pb, inside = pixels("x.pb")
    np.testing.assert_allclose(pixels("x.image.pbcor")[0][inside], (image / pb)[inside], rtol=1e-5)
    # The model is the apparent sky.
    apparent = np.nan_to_num(result.image.data * result.dirty.pb)
    kept = model != 0
    np.testing.assert_allclose(model[kept], apparent[kept].astype("float32"))
    assert 0.5 < model[kept].sum() / apparent[apparent > 0].sum() < 1.1
    assert pixels("x.uncertainty")[0].max() > 0 and (pixels("x.mask")[0] == 1).all()


def test_casas_tools_and_the_package_read_them(clean, tmp_path):
    answer = clean()
    for ending in (".image", ".model", ".residual", ".uncertainty", ".mask"):
        casatasks.exportfits(imagename=f"x{ending}", fitsimage="a.fits", overwrite=True)
        assert casatasks.imstat(f"x{ending}")["max"][0] == pytest.approx(read_image("a.fits", unit="").data.max())
    assert "model = default" in casatasks.imhistory("x.image", verbose=False)
    catalog = QTable.read("x.catalog.ecsv")
    assert len(catalog) == len(answer["catalog"]) == len(Regions.read("x.reg", format="ds9")) > 0
    found = SkyCoord(catalog["ra"], catalog["dec"])
    assert SOURCE.separation(found).min().arcsec < 0.5
    again = read_image("x.image")
    assert again.shape == (256, 256) and again.meta["BMAJ"] > 0


def test_without_iterations_it_is_casa(clean, tmp_path):
    answer = clean(niter=0)
    assert "catalog" not in answer and "summaryminor" in answer
    assert names(tmp_path) == [f"x{ending}" for ending in (".image", ".model", ".pb", ".psf", ".residual", ".sumwt")]


def test_threshold_and_nsigma_say_how_deep(clean):
    doubtful = DiffusionImager(n_samples=4, steps=6, seed=1, reliability=0.05, device="cpu", threads=1, progress=False)
    found = {}
    for name, depth in (("all", {}), ("some", {"threshold": "0.2mJy"}), ("none", {"nsigma": 50.0})):
        found[name] = clean(imagename=name, imager=doubtful, **depth)["catalog"]
        assert (pixels(f"{name}.model")[0] != 0).any() == (len(found[name]) > 0)
    assert len(found["all"]) > len(found["some"]) > len(found["none"]) == 0
    image = pixels("all.image")[0]
    for x, y in np.round([found["some"]["x"], found["some"]["y"]]).astype(int).T:
        assert image[y - 4 : y + 5, x - 4 : x + 5].max() >= 2e-4
    np.testing.assert_array_equal(pixels("none.residual")[0], pixels("none.image")[0])


def test_mask(clean, caplog):
    box = "box[[150pix,150pix],[190pix,190pix]]"  # of two sources, the second of which has 0.14 mJy
    catalog = clean(mask=box)["catalog"]
    mask, model = pixels("x.mask")[0], pixels("x.model")[0]
    assert mask.sum() == 41 * 41 and mask[150:191, 150:191].all() and not model[mask == 0].any()
    assert np.all((catalog["x"] > 149) & (catalog["x"] < 191) & (catalog["y"] > 149) & (catalog["y"] < 191))
    # As CASA, it takes the mask that lies there.
    with caplog.at_level(logging.INFO):
        clean()
    assert "there is x.mask from before" in caplog.text and pixels("x.mask")[0].sum() == 41 * 41
    shutil.rmtree("x.mask")
    clean(mask=["circle[[128pix,128pix],20pix]", box])
    assert 41 * 41 < pixels("x.mask")[0].sum() < 41 * 41 + 1300
    clean(mask=box, pbmask=0.8, imagename="both")
    np.testing.assert_array_equal(pixels("both.mask")[0] == 1, (mask == 1) & (pixels("both.pb")[0] > 0.8))
    clean(usemask="pb", pbmask=0.9, imagename="pb")
    np.testing.assert_array_equal(pixels("pb.mask")[0] == 1, pixels("pb.pb")[0] > 0.9)
    clean(usemask="auto-multithresh", imagename="auto")
    np.testing.assert_array_equal(pixels("auto.mask")[0] == 1, pixels("auto.model")[0] != 0)
    assert 0 < pixels("auto.mask")[0].mean() < 0.1


def test_bad_mask_leaves_what_is_there(clean, tmp_path):
    (tmp_path / "x.image").mkdir()
    with pytest.raises(SettingError, match=r"mask='nope': give a CASA image, a region .*nope is not an existing"):
        clean(mask="nope")
    with pytest.raises(SettingError, match=r"mask='circle.*': give a CASA image, a region or a region file"):
        clean(mask="circle[[1000pix,1000pix],20pix]")
    with pytest.raises(SettingError, match=r"usemask='pb', pbmask=2: the primary beam, x\.pb, is nowhere above it"):
        clean(usemask="pb", pbmask=2)
    assert names(tmp_path) == ["x.image"]


def test_cube(clean, caplog):
    cube = {"specmode": "cube", "start": "230GHz", "width": "2GHz", "nchan": 3, "outframe": "TOPO", "imsize": 200}
    with caplog.at_level(logging.WARNING):
        answer = clean(["0000.ms", "higher.ms"], **cube)
    assert "channel 1: has no data, stays blank" in caplog.text
    assert [result is None for result in answer["results"]] == [False, True, False]
    assert set(answer["catalog"]["channel"]) == {0, 2}
    assert list(answer["catalog"]["source_id"]) == list(range(1, len(answer["catalog"]) + 1))
    assert "channel" not in answer["results"][0].catalog.colnames and answer["catalog"]["source_id"].info.description
    assert answer["catalog"].meta["model"] == "default" and "rms" not in answer["catalog"].meta  # the channels' own
    for ending in (".image", ".model", ".residual", ".uncertainty"):
        assert [bool(pixels(f"x{ending}", channel)[0].any()) for channel in range(3)] == [True, False, True]
    beams = casatasks.imhead("x.image")["perplanebeams"]["beams"]
    assert beams["*0"]["*0"]["major"]["value"] > beams["*2"]["*0"]["major"]["value"]
    clean(["0000.ms", "higher.ms"], imagename="common", restoringbeam="common", **cube)
    assert casatasks.imhead("common.image")["restoringbeam"]["major"]["value"] == pytest.approx(0.891, abs=0.001)


def test_restoring_beam(clean):
    clean(restoringbeam="1.5arcsec")
    assert casatasks.imhead("x.image")["restoringbeam"]["major"] == {"unit": "arcsec", "value": 1.5}


def test_no_restoration(clean, tmp_path):
    clean(restoration=False)
    assert "x.image" not in names(tmp_path) and "x.residual" in names(tmp_path)


def test_restart_false_counts_on(clean, tmp_path):
    clean()
    assert clean(restart=False)["imagename"] == "x_2"
    assert {"x.image", "x_2.image"} <= set(names(tmp_path))


def test_negative_pblimit_blanks_nothing(clean):
    clean(pblimit=-0.2, imsize=400)
    image, inside = pixels("x.image")
    pb = pixels("x.pb")[0]
    assert inside.all() and (pb < 0.2).any() and image[pb < 0.2].any() and not pixels("x.model")[0][pb < 0.2].any()


def test_model_goes_into_the_measurement_set(clean, sets, tmp_path):
    shutil.copytree(sets / "0000.ms", tmp_path / "copy.ms")
    clean(tmp_path / "copy.ms", savemodel="modelcolumn")
    with opened(tmp_path / "copy.ms") as rows:
        model = np.abs(rows.getcol("MODEL_DATA"))
    assert model.max() == pytest.approx(pixels("x.model")[0].sum(), rel=0.3)


def test_several_fields(clean, sets, tmp_path):
    both = str(tmp_path / "both.ms")
    casatasks.concat([str(sets / name) for name in ("0000.ms", "0001.ms")], concatvis=both)  # sorts them by time
    with pytest.raises(SettingError, match=r"field='': selects fields with different .*, 0 \(p\..*, 1 \(.*field='0'"):
        clean(both)
    catalog = clean(both, field="1")["catalog"]
    assert SOURCE.separation(SkyCoord(catalog["ra"], catalog["dec"])).min().arcsec < 0.5
    with pytest.raises(SettingError, match=r"vis=.*nope\.ms': there is no such MeasurementSet"):
        clean("nope.ms")


def test_scan_can_choose_the_field(clean, sets, tmp_path):
    casatasks.concat([str(sets / name) for name in ("0000.ms", "0001.ms")], concatvis="both.ms")
    both = tmp_path / "both.ms"
    with opened(both) as rows:
        rows.putcol("SCAN_NUMBER", rows.getcol("FIELD_ID") + 5)
    catalog = clean(both, scan="6")["catalog"]
    assert SOURCE.separation(SkyCoord(catalog["ra"], catalog["dec"])).min().arcsec < 0.5
    for setting in ({"scan": "6", "selectdata": False}, {"scan": "5,6"}):
        with pytest.raises(SettingError, match="different phase centres"):
            clean(both, **setting)
    with pytest.raises(SettingError, match=r"scan='99': no data are selected; see with listobs what .*both\.ms has"):
        clean(both, scan="99")


def test_data_columns(clean, sets, tmp_path, caplog):
    shutil.copytree(sets / "0000.ms", tmp_path / "raw.ms")
    with opened(tmp_path / "raw.ms") as rows:
        rows.removecols(["CORRECTED_DATA"])
    with caplog.at_level(logging.INFO):
        clean(tmp_path / "raw.ms")
    assert "has no CORRECTED_DATA, CASA takes DATA" in caplog.text
    shutil.copytree(sets / "0000.ms", tmp_path / "empty.ms")
    with opened(tmp_path / "empty.ms") as rows:
        rows.removecols(["DATA", "CORRECTED_DATA"])
    for column in ("data", "corrected"):
        with pytest.raises(SettingError, match=rf"datacolumn='{column}': .*empty.ms has no column"):
            clean(tmp_path / "empty.ms", datacolumn=column)


def test_dirty_image_that_cannot_be_used(clean, tmp_path):
    with pytest.raises(DirtyImageError, match="dirty: the beam is under-sampled"):
        clean(cell="0.5arcsec", imsize=100)
    assert names(tmp_path) == []
    with pytest.raises(TypeError, match="unexpected keyword argument 'nitre'"):
        clean(nitre=5)


def test_log_names_what_has_no_counterpart(clean, caplog):
    with caplog.at_level(logging.INFO):
        clean(gain=0.05, deconvolver="multiscale", scales=[0, 5], interactive=True)
    lines = [record.message for record in caplog.records if "no counterpart" in record.message]
    assert len(lines) == 1
    for word in ("gain=0.05", "deconvolver='multiscale'", "scales=[0, 5]", "interactive=True"):
        assert word in lines[0]
    with open(casatasks.casalog.logfile()) as stream:  # noqa: PTH123
        assert "gain=0.05" in stream.read()


def test_what_is_warned_of_is_in_casas_log_once(clean, monkeypatch):
    """Scripts of CASA configure no logging, and would not see that a PSF, say, is another one's."""

    prepare = major_cycles.prepare

    def warning(*arguments):
        logging.getLogger("astro_ddpm_imager.observation.preparation").warning("psf: is of another weighting")
        return prepare(*arguments)

    monkeypatch.setattr(major_cycles, "prepare", warning)
    before = list(logging.getLogger("astro_ddpm_imager").handlers)
    log = Path(casatasks.casalog.logfile())
    start = log.stat().st_size
    clean(nmajor=1, gain=0.07)
    said = log.read_text()[start:]
    assert "WARN" in next(line for line in said.splitlines() if "psf: is of another weighting" in line)
    assert said.count("gain=0.07 (") == 1
    assert logging.getLogger("astro_ddpm_imager").handlers == before


def test_default_imager(clean, monkeypatch, quick):
    monkeypatch.setattr("astro_ddpm_imager.compat.casa.DiffusionImager", lambda: quick)
    assert isinstance(quick, DiffusionImager) and len(clean(imager=None)["results"]) == 1


def test_major_cycles(clean, caplog):
    """The residual of the model, of the visibilities, decides; nmajor and niter limit the reconstructions."""
    with caplog.at_level(logging.INFO):
        clean(nsigma=3.0)
    assert "image, major cycle 1: the residual's rms is" in caplog.text
    assert "image: the residual is noise" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        answer = clean(nmajor=1)
    assert "major cycle" not in caplog.text
    assert (answer["iterdone"], answer["stopcode"], answer["stopDescription"]) == (1, 9, "reached nmajor")
    assert clean(niter=1)["stopcode"] == 1


def test_mosaic(clean, sets, tmp_path):
    both = str(tmp_path / "both.ms")
    casatasks.concat([str(sets / name) for name in ("0000.ms", "0001.ms")], concatvis=both)
    catalog = clean(both, gridder="mosaic", field="1", nmajor=1)["catalog"]
    assert SOURCE.separation(SkyCoord(catalog["ra"], catalog["dec"])).min().arcsec < 0.5


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
