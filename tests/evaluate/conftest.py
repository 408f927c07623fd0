"""A small folder of fields, and a report on it."""

import astropy.units as u
import pytest
from astropy.table import Table

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.evaluate import run_fields, write_report
from astro_ddpm_imager.evaluate.finders import FINDERS
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields


def settings(**changes):
    """Those of a quick imager, some of them changed."""
    quick = {"n_samples": 3, "steps": 3, "seed": 1, "device": "cpu", "progress": False}
    return quick | {"reliability": 0, "calibrate": False} | changes


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    """Three fields with a close pair and single sources, and the noise of Table 1; the last one is empty."""
    seen = Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, -10 * u.deg, integration=2 * u.min, shape=(192, 192)
    )  # fmt: skip
    path = tmp_path_factory.mktemp("fields")
    recipe = SourceRecipe(number=(3, 3), flux=[0.4, 1] * u.mJy, reach=6 * u.arcsec, pairs=0.5)
    simulate_fields(seen, recipe, 47 * u.uJy, path, number=3, seed=3)
    truth = Table.read(path / "truth.ecsv")
    truth[truth["field"] < 2].write(path / "truth.ecsv", overwrite=True)
    return path


@pytest.fixture(scope="package")
def without_finders():
    """As where neither PyBDSF nor CASA nor WSClean is installed."""
    with pytest.MonkeyPatch.context() as patch:
        for finder in FINDERS:
            patch.setattr(finder, "missing", lambda: "something that is not there")
        yield


@pytest.fixture(scope="package")
def evaluated(folder, without_finders, tmp_path_factory):
    output = tmp_path_factory.mktemp("report")
    evaluation = run_fields(folder, output, DiffusionImager(**settings()))
    return evaluation, output, write_report(evaluation, output)
