"""tclean's parameters, what becomes of them and what is refused: CASA is not needed for that."""

import inspect
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import QTable

from astro_ddpm_imager.compat.casa import DECONVOLVE, PARAMETERS, deconvolve, masks, tclean
from astro_ddpm_imager.compat.casa.calling import bind
from astro_ddpm_imager.compat.casa.depth import parse_threshold
from astro_ddpm_imager.compat.casa.documentation import parameter_table
from astro_ddpm_imager.compat.casa.parameters import check, ignored, passed_on
from astro_ddpm_imager.compat.casa.products import PRODUCTS, move_products, numbered
from astro_ddpm_imager.compat.casa.summary import Course, Summary, stop_code, summarise
from astro_ddpm_imager.compat.depth import deep_model, deep_sources
from astro_ddpm_imager.errors import SettingError

DOCS = Path(__file__).parents[2] / "docs"


def test_positional_arguments_are_in_tcleans_order():
    given = bind("tclean", PARAMETERS, ("a.ms", True, "0", "1:5~9"), {"niter": 10})
    assert given == {"vis": "a.ms", "selectdata": True, "field": "0", "spw": "1:5~9", "niter": 10}
    with pytest.raises(TypeError, match="multiple values for argument 'vis'"):
        tclean("a.ms", vis="b.ms")
    with pytest.raises(TypeError, match=r"takes up to \d+ positional arguments but 100 were given"):
        tclean(*range(100))


@pytest.mark.parametrize(("task", "table"), [(tclean, PARAMETERS), (deconvolve, DECONVOLVE)])
def test_parameters_and_defaults_are_shown(task, table):
    """For help(), and for the hints of an editor."""
    shown = inspect.signature(task).parameters
    assert list(shown) == [*table, "imager", "parameters"]
    assert all(shown[name].default == entry.default for name, entry in table.items())
    text = inspect.getdoc(task)
    assert "{parameters}" not in text and text.index("restoringbeam : list") < text.index("mask : str")
    assert "    As ``threshold``, times the noise; the higher of the two counts." in text


@pytest.mark.parametrize(
    ("given", "jansky"),
    [
        ({"value": 0.1, "unit": "mJy"}, 1e-4),
        (0, 0),
        ("", 0),
        (1e-4, 1e-4),
        ("0.1mJy", 1e-4),
        ("50 uJy", 5e-5),
        ("0.1mJy/beam", 1e-4),
        ("2e-4", 2e-4),
    ],
)
def test_threshold(given, jansky):
    assert parse_threshold(given) == pytest.approx(jansky)


@pytest.mark.parametrize("given", ["3sigma", "1K", "-1mJy", -1e-3, "abc", float("nan"), [1]])
def test_threshold_that_is_none(given):
    with pytest.raises(SettingError, match=r"threshold=.*: must"):
        parse_threshold(given)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"imagename": ""}, "imagename='': give the start"),
        ({"imagename": "no/where/a"}, "imagename='no/where/a': there is no folder 'no/where'"),
        ({"niter": -1}, "niter=-1: must be a whole number of at least 0"),
        ({"niter": "1000"}, "niter='1000': must be a whole number"),
        ({"imagename": "."}, "imagename='.': give the start"),
        ({"nsigma": -1}, "nsigma=-1: must be a number of at least 0"),
        ({"nsigma": float("nan")}, "nsigma=nan: must be a number of at least 0"),
        ({"pbmask": np.nan}, "pbmask=nan: must be a number of at least 0"),
        ({"usemask": "auto"}, "usemask='auto': choose 'user', 'pb' or 'auto-multithresh'"),
        ({"gridder": "awproject"}, r"gridder='awproject': noise and PSF vary .*gridder='standard', .*give niter=0"),
        ({"nmajor": -2}, "nmajor=-2: must be a whole number of at least -1"),
        ({"deconvolver": "mtmfs"}, "deconvolver='mtmfs', nterms=2: there are no Taylor terms"),
        ({"specmode": "mvc"}, "specmode='mvc': .*choose 'mfs' or 'cube'"),
        ({"stokes": "IQUV"}, "stokes='IQUV': the model knows total intensity only"),
        ({"outlierfile": "o.txt"}, "outlierfile='o.txt': one field is imaged at a time"),
    ],
)
def test_refused(setting, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=message):
        tclean("a.ms", **({"imagename": "a", "niter": 10} | setting))


@pytest.mark.parametrize("given", [{}, {"niter": 0}, {"niter": 10, "nmajor": 0}])
def test_without_reconstructions_it_is_casa(given, monkeypatch):
    def theirs(vis="", imagename="", niter=0, nmajor=-1):
        return {"niter": niter, "nmajor": nmajor}

    monkeypatch.setitem(sys.modules, "casatasks", SimpleNamespace(tclean=theirs))
    assert tclean("a.ms", imagename="a", **given) == {"niter": 0, "nmajor": -1} | given


def test_without_casa(monkeypatch):
    monkeypatch.setitem(sys.modules, "casatasks", None)
    for niter in (0, 10):
        with pytest.raises(ImportError, match=r"pip install casatasks casatools casadata six"):
            tclean("a.ms", imagename="a", niter=niter)
    with pytest.raises(ImportError, match="pip install casatasks"):
        deconvolve("a", niter=0)


def test_what_is_named_in_the_log():
    named = ignored(
        {"gain": 0.05, "cycleniter": -1, "scales": [0, 5], "deconvolver": "multiscale", "interactive": True, "niter": 9}
    )
    assert [line.partition("=")[0] for line in named] == ["gain", "scales", "deconvolver", "interactive"]
    assert ignored({"scales": [], "gain": 0.1, "niter": 10, "robust": 2.0}) == []
    assert len(ignored({"scales": np.array([0, 5])})) == 1


def test_what_casa_gets():
    given = {"vis": "a.ms", "robust": 2.0, "gain": 0.05, "niter": 9, "mask": "m", "pbcor": True, "new_in_casa": 1}
    assert passed_on(given, with_model=False) == {"vis": "a.ms", "robust": 2.0, "new_in_casa": 1}
    assert passed_on(given, with_model=True) == {"vis": "a.ms", "robust": 2.0, "pbcor": True, "new_in_casa": 1}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"niter": -1}, "niter=-1: must be a whole number of at least 0"),
        ({"imagename": ""}, "imagename='': give the start"),
        ({"nsigma": np.nan}, "nsigma=nan: must be a number of at least 0"),
        ({"usemask": "auto"}, "usemask='auto': choose"),
        ({"threshold": "1K"}, "threshold='1K': must"),
        ({"deconvolver": "mtmfs"}, "deconvolver='mtmfs', nterms=2: there are no Taylor terms here"),
        ({"startmodel": "gone.model"}, "startmodel='gone.model': there is no such image"),
        ({"startmodel": ["a", "b"]}, "startmodel=.*: only 'mtmfs' has several"),
    ],
)
def test_refused_by_deconvolve(setting, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x.residual", "x.psf", "a", "b"):
        Path(name).mkdir()
    with pytest.raises(SettingError, match=message):
        deconvolve(**({"imagename": "x"} | setting))
    with pytest.raises(FileNotFoundError, match=r"y\.residual: there is no such image; make it with tclean"):
        deconvolve("y")


def test_products_do_not_replace_what_they_are_made_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x.residual", "x.psf", "x.mask", "x.image"):
        Path(name).mkdir()
    Path("x.reg").write_text("#CRTFv0")
    Path("link").symlink_to("x.reg")
    defaults = {name: parameter.default for name, parameter in PARAMETERS.items()} | {"imagename": "x"}
    for mask in ("x.reg", "link", ["circle[[5pix,5pix],2pix]", "x.image"]):
        message = r"mask=.*, imagename='x': .*x\.(reg|image) would be replaced by a product, .*; choose another name"
        with pytest.raises(SettingError, match=message):
            check(defaults | {"mask": mask})
        with pytest.raises(SettingError, match=message):
            deconvolve("x", mask=mask)
    with pytest.raises(SettingError, match=r"startmodel='x\.image', imagename='x': "):
        deconvolve("x", startmodel="x.image")
    check(defaults | {"mask": "x.mask"})
    check(defaults | {"mask": "x.reg", "restart": False})
    check(defaults | {"mask": "x.reg", "imagename": "y"})
    assert Path("x.reg").read_text() == "#CRTFv0"


def course(peaks, fluxes, kept, threshold=1e-4):
    """What is noted of some models, of which one is kept."""
    image = np.zeros((2, 2))
    noted = Course(np.array([[True, False], [False, False]]), np.ones((2, 2), bool))
    cycles = [SimpleNamespace(model=np.full((2, 2), flux / 4), peak=threshold) for flux in fluxes]
    for peak, cycle in zip(peaks, [*cycles, None], strict=False):
        image[0, 0], image[1, 1] = -peak, 2 * peak  # only the first is where emission may be
        noted.add_residual(image)
        if cycle is not None:
            noted.add_model(cycle)
    image[0, 0], image[1, 1] = peaks[kept + 1], 0
    noted.end(image, cycles[kept])
    return noted


def test_summary_of_a_model_that_is_kept():
    rows = course([5e-4, 3e-4, 2e-4], [0.1, 0.2], kept=1).rows(full=False)
    assert rows == {
        "iterDone": [1, 1], "peakRes": [3e-4, 2e-4], "modelFlux": pytest.approx([0.1, 0.2]), "cycleThresh": [1e-4] * 2,
    }  # fmt: skip
    full = course([5e-4, 3e-4, 2e-4], [0.1, 0.2], kept=1).rows(full=True)
    assert full["startPeakRes"] == [5e-4, 3e-4] and full["startPeakResNM"] == [1e-3, 6e-4]
    assert full["startModelFlux"] == pytest.approx([0, 0.1]) and full["masksum"] == [1, 1]
    assert full["startIterDone"] == [0, 1] and len({len(values) for values in full.values()}) == 1


def test_summary_ends_with_the_model_that_is_kept_though_it_is_not_the_last():
    rows = course([5e-4, 3e-4, 4e-4], [0.1, 0.2], kept=0).rows(full=False)
    assert rows["iterDone"] == [1, 1, 0] and rows["peakRes"] == [3e-4, 4e-4, 3e-4]
    assert rows["modelFlux"] == pytest.approx([0.1, 0.2, 0.1])


@pytest.mark.parametrize(
    ("reasons", "limit", "nsigma", "code"),
    [
        (["noise"], 9, 0, 2), (["noise"], 1, 3.0, 8), (["noise", "no better"], 9, 3.0, 4),
        (["no better", "most"], 1, 0, 1), (["most"], 9, 0, 9), (["", "noise"], 1, 0, 2),
    ],
)  # fmt: skip
def test_stop_code(reasons, limit, nsigma, code):
    assert stop_code(reasons, limit, nsigma) == code


def test_what_is_saved_of_a_summary_is_casas(tmp_path):
    """Scripts save it with every run, and as JSON; they need neither this package nor gigabytes to read it."""
    summary = Summary({"iterdone": 2, "stopcode": 2}, catalog=QTable(), results=[object()])
    assert len(summary["results"]) == 1 and len(summary["catalog"]) == 0
    assert "catalog" in summary and len(summary.get("results")) == 1 and summary.get("stopcode") == 2
    assert "nothing" not in summary and summary.get("nothing", 3) == 3
    assert json.loads(json.dumps(summary)) == {"iterdone": 2, "stopcode": 2} == dict(summary)
    np.save(tmp_path / "summary.npy", summary)
    assert type(np.load(tmp_path / "summary.npy", allow_pickle=True).item()) is dict
    with pytest.raises(KeyError, match="nothing"):
        summary["nothing"]


def test_summary_is_casas_with_what_was_done():
    values = {"niter": 100, "threshold": "0.1mJy", "nsigma": 0.0, "fullsummary": False}
    channels = {0: course([5e-4, 3e-4], [0.1], kept=0), 2: course([5e-4, 3e-4, 4e-4], [0.1, 0.2], kept=0)}
    found = summarise({"loopgain": 0.1, "iterdone": 0}, channels, 9, values, [0, 2, 3])
    assert (found["loopgain"], found["iterdone"], found["nmajordone"], found["niter"]) == (0.1, 3, 3, 100)
    assert list(found["summaryminor"][0]) == [0, 2] and found["summaryminor"][0][2][0]["iterDone"] == [1, 1, 0]
    assert (found["stopcode"], found["stopDescription"]) == (9, "reached nmajor")
    assert found["threshold"] == pytest.approx(1e-4) and found["summarymajor"].tolist() == [0, 2, 3]


def test_every_parameter_is_accounted_for(tmp_path):
    assert {parameter.handling for parameter in PARAMETERS.values()} == {"casa", "both", "here", "none"}
    defaults = {name: parameter.default for name, parameter in PARAMETERS.items()}
    check(defaults | {"imagename": str(tmp_path / "a")})
    assert ignored(defaults) == []


def test_table_of_the_documentation_is_current():
    assert (DOCS / "tclean_parameters.rst").read_text() == parameter_table(), (
        "make it again: python -m astro_ddpm_imager.compat.casa.documentation docs/tclean_parameters.rst"
    )


def test_what_reaches_the_threshold_is_kept(result):
    dirty = result.dirty
    middle, other = dirty.shape[0] // 2, dirty.shape[0] // 2 + 60
    sky = np.zeros(dirty.shape)
    sky[middle, middle], sky[middle, other] = 5e-4, 1e-4  # their peaks, without noise
    seen = dirty.convolve_beam(sky)
    table = QTable({"x": [middle + 2.0, other], "y": [middle, middle - 1.0]})

    def kept(peak, seen=seen):
        model = deep_model(sky, dirty, seen, peak)
        sources = deep_sources(table, dirty, seen, peak)
        np.testing.assert_array_equal(model[middle, [middle, other]] > 0, np.isin([middle + 2.0, other], sources["x"]))
        return np.count_nonzero(model)

    assert [kept(peak) for peak in (0, 5e-5, 3e-4, 6e-4)] == [2, 2, 1, 0]
    assert kept(3e-4, seen + 2.5e-4) == 2  # noise helps, as it does in CLEAN
    assert not deep_model(0 * sky, dirty, seen, 1e-4).any()


def test_numbers_of_names(tmp_path):
    name = str(tmp_path / "a.b")
    assert numbered(name) == name
    (tmp_path / "a.b.model").mkdir()
    assert numbered(name) == f"{name}_2"
    (tmp_path / "a.b_7.image").mkdir()
    (tmp_path / "a.bc_9.image").mkdir()
    assert numbered(name) == f"{name}_8"


def test_products_replace_older_ones(tmp_path):
    scratch = tmp_path / "scratch"
    for path in (scratch / "x.image", scratch / "x.workdirectory", tmp_path / "x.image.pbcor", tmp_path / "x.image"):
        path.mkdir(parents=True)
    (tmp_path / "x.image" / "old").touch()
    (tmp_path / "x.txt").touch()
    assert [path.name for path in move_products(scratch / "x", tmp_path / "x")] == ["x.image"]
    # What was not made again, here .image.pbcor, would belong to another run.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "x.image", "x.txt"]
    assert not list((tmp_path / "x.image").iterdir()) and ".image.pbcor" in PRODUCTS


def test_scripts_of_the_documentation_differ_in_imports_only():
    before, after = (
        [line for line in (DOCS / "scripts" / f"tclean_{name}.py").read_text().splitlines() if line]
        for name in ("before", "after")
    )
    changed = set(before) ^ set(after)
    assert changed and all(line.startswith(("import ", "from ")) for line in changed)
    start = [lines.index("tclean(") for lines in (before, after)]
    assert before[start[0] :] == after[start[1] :]


def test_a_folder_that_will_be_made_has_no_numbers(tmp_path):
    assert numbered(str(tmp_path / "new" / "a")) == str(tmp_path / "new" / "a")


def test_pbmask_counts_where_casa_counts_it(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(masks, "tell", lambda message, level: said.append(message))
    pb = np.array([[[0.9, 0.6, np.nan]]])
    monkeypatch.setattr(masks, "planes", lambda path: pb)
    monkeypatch.setattr(masks, "_user_mask", lambda *arguments: np.array([[[False, True, True]]]))
    (tmp_path / "a.pb").mkdir()

    def allowed(usemask, mask, pbmask, name="a"):
        values = {"usemask": usemask, "mask": mask, "pbmask": pbmask, "imagename": tmp_path / name}
        found = masks.allowed_pixels(values, tmp_path / "made", tmp_path / "a.image", tmp_path / f"{name}.pb")
        return None if found is None else found.ravel().tolist()

    assert allowed("pb", "", 0.7) == [True, False, False]
    assert allowed("user", "box", 0.0) == [False, True, True] and allowed("user", "box", 0.5) == [False, True, False]
    assert allowed("auto-multithresh", "", 0.5) == [True, True, False] and allowed("auto-multithresh", "", 0.0) is None
    with pytest.raises(SettingError, match=r"mask='box', pbmask=0.7: holds no pixel"):
        allowed("user", "box", 0.7)
    with pytest.raises(SettingError, match=r"usemask='user', pbmask=0.7: there is no b.pb"):
        allowed("user", "box", 0.7, "b")
    assert not said and allowed("user", "", 0.7) is None
    assert allowed("user", [""], 0.0) is None and allowed("user", ["", "box"], 0.0) == [False, True, True]
    assert said[0].startswith("pbmask=0.7: has no effect without mask, as in CASA")
