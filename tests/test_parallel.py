"""What threads do beside others, and settings of the process that several of them want at once."""

import sys
import threading
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from astro_ddpm_imager import read_image
from astro_ddpm_imager.observation.fits_files import opened_fits
from astro_ddpm_imager.parallel import importing, one_blas_thread


def blas_threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_the_limit_of_blas_lasts_as_long_as_anyone_wants_it():
    before = blas_threads()
    one, other = one_blas_thread(), one_blas_thread()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert set(blas_threads()) <= {1}
    other.__exit__(None, None, None)
    assert blas_threads() == before


def test_files_that_are_open_at_once_leave_the_warnings_of_the_process(demo):
    before = list(warnings.filters)
    one, other = (opened_fits(demo["dirty"], 0, 1e9) for _ in range(2))
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert warnings.filters == before
    assert read_image(demo["dirty"]).shape


def test_modules_are_imported_beside_and_no_more_when_interrupted(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    names = ["needed_now", "broken", "needed_later"]
    (tmp_path / "needed_now.py").write_text("from threading import Event\nstarted, end = Event(), Event()\n")
    source = "import needed_now\nneeded_now.started.set()\nneeded_now.end.wait(30)\n1 / 0\n"
    (tmp_path / "broken.py").write_text(source)
    (tmp_path / "needed_later.py").write_text("")

    # One that cannot be imported is the concern of whoever needs it.
    with importing(*names):
        import needed_now

        needed_now.end.set()
    assert "needed_later" in sys.modules and "broken" not in sys.modules

    needed_now.started.clear()
    needed_now.end.clear()
    del sys.modules["needed_later"]
    threads = threading.active_count()

    def interrupted():
        with importing(*names):
            assert needed_now.started.wait(30)
            threading.Timer(0.2, needed_now.end.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "needed_later" not in sys.modules and threading.active_count() <= threads + 1
    for name in names:
        sys.modules.pop(name, None)
