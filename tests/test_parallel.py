"""Settings of the process that several threads want at once."""

import warnings

import numpy as np
from threadpoolctl import threadpool_info

from astro_ddpm_imager import read_image
from astro_ddpm_imager.observation.fits_files import opened_fits
from astro_ddpm_imager.parallel import one_blas_thread


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
