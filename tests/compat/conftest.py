"""tclean on MeasurementSets of simulated fields, and what CASA reads of images: imported only where it is asked for."""

import shutil
import tarfile
from contextlib import contextmanager

import numpy as np
import pytest

from astro_ddpm_imager.compat.casa import tclean

from ..conftest import SHARED

IMAGE = {"imsize": 256, "cell": "0.1arcsec", "weighting": "natural"}


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """Folder of MeasurementSets: two fields, and the first one at another frequency."""
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


@contextmanager
def opened(path):
    """A table of CASA, to change."""
    import casatools

    table = casatools.table()
    table.open(str(path), nomodify=False)
    try:
        yield table
    finally:
        table.close()


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
    import casatools

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
