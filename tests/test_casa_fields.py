"""The default model on CASA fields it has never seen."""

import numpy as np
import pytest
from astropy.table import QTable, vstack

from astro_ddpm_imager import DiffusionImager
from astro_ddpm_imager.evaluate import score_catalog


def test_the_default_model_beats_pybdsf(casa_fields):
    """Above PyBDSF's scores on all 60 fields: F1 0.44, 0.19 of the fluxes within the noise, a bias of 180 uJy.

    On every fourth field, for the sake of time, with few matched sources;
    ``export.score`` does all 60.
    """
    imager = DiffusionImager(seed=7, device="cpu", progress=False)
    truth = QTable.read(casa_fields / "truth.ecsv", units={"ra": "deg", "dec": "deg", "flux_jy": "Jy"})
    truth.rename_column("flux_jy", "flux")
    numbers, catalogs = range(0, 60, 4), []
    for number in numbers:
        catalog = imager(
            casa_fields / f"{number:04d}.dirty.fits", casa_fields / "psf.fits", casa_fields / "pb.fits"
        ).catalog
        catalog.meta.clear()
        catalog["field"] = np.full(len(catalog), number)
        catalogs.append(catalog)
    scores = score_catalog(truth[np.isin(truth["field"], numbers)], vstack(catalogs))
    assert scores["f1"] > 0.44
    assert scores["flux_within_noise"] > 0.19
    assert abs(scores["flux_bias_uJy"]) < 90


def test_a_field_as_casa_exports_it(casa_fields):
    """Four axes and blank borders, in one piece from file to result."""
    plain = casa_fields / "plain"
    imager = DiffusionImager(n_samples=1, steps=2, seed=1, device="cpu", progress=False)
    result = imager(plain / "0001.dirty.fits", plain / "psf.fits", plain / "pb.fits")
    assert result.image.shape == (512, 512)
    assert np.isnan(result.image.data).sum() == 149423
    assert result.dirty.rms == pytest.approx(47.9e-6, rel=0.01)
