"""The default model on CASA fields it has never seen."""

import numpy as np
import pytest
from astropy.table import vstack
from scipy.stats import poisson

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.evaluate import read_folder, score_catalog, true_snr


@pytest.fixture(scope="module")
def found(casa_fields):
    """Truth and catalogue of every fourth field; F1 is too noisy on 42 sources, reports measure it on all 60."""
    imager = DiffusionImager(seed=7, device="cpu", progress=False)
    inputs, truth = read_folder(casa_fields)
    numbers, catalogs, truths = range(0, 60, 4), [], []
    for number in numbers:
        result = imager(**inputs[number])
        result.catalog.meta.clear()
        result.catalog["field"] = np.full(len(result.catalog), number)
        catalogs.append(result.catalog)
        truths.append(truth[truth["field"] == number])
        truths[-1]["snr"] = true_snr(truths[-1], result.dirty)
    return vstack(truths), vstack(catalogs)


def test_reliable_sources_are_true_and_bright_ones_are_found(found):
    truth, catalog = found
    reliable = catalog[catalog["reliability"] >= 0.9]
    false = len(reliable) - score_catalog(truth, reliable)["matched"]
    # As few are false as their reliabilities say, which is less than one, within what chance may do in a hundred runs.
    assert poisson.sf(false - 1, (1 - reliable["reliability"]).sum()) > 0.01
    assert false < 0.2 * len(reliable)
    assert score_catalog(truth[truth["snr"] > 5], catalog)["completeness"] >= 0.8
    # Faint ones are found where the noise is positive, so that few fields say little of them: +94 uJy here, +27 on all
    # 60, where PyBDSF on the dirty images is 200 uJy too high. Those that are bright anyway are right within the error
    # of the median of a dozen.
    bright = score_catalog(truth[truth["snr"] > 4], catalog)
    assert abs(bright["flux_bias_uJy"]) < 3 * 1.25 * 100 / np.sqrt(bright["matched"])


def test_a_field_as_casa_exports_it(casa_fields):
    """Four axes and blank borders, in one piece from file to result."""
    plain = casa_fields / "plain"
    imager = DiffusionImager(n_samples=1, steps=2, seed=1, device="cpu", progress=False)
    result = imager(plain / "0001.dirty.fits", plain / "psf.fits", plain / "pb.fits")
    assert result.image.shape == (512, 512)
    assert np.isnan(result.image.data).sum() == 149423
    assert result.dirty.rms == pytest.approx(47.9e-6, rel=0.01)
