"""The beam of images that have it in their HISTORY only, among cards that only look like it."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_ddpm_imager import DirtyImageError, read_image
from astro_ddpm_imager.compat.bdsf.field import read_field
from astro_ddpm_imager.compat.bdsf.parameters import Options
from astro_ddpm_imager.observation.beam import header_beam
from astro_ddpm_imager.observation.preparation import prepare

from ..conftest import make_wcs

CLEANED = "AIPS   CLEAN BMAJ=  1.3889E-04 BMIN=  1.1111E-04 BPA=   2.61"


def write(path, *history):
    """An image of noise that says nothing of its beam but in its HISTORY."""
    header = make_wcs((64, 64)).to_header()
    header["BUNIT"] = "Jy/beam"
    for line in history:
        header.add_history(line)
    fits.PrimaryHDU(1e-4 * np.random.default_rng(0).standard_normal((64, 64)), header).writeto(path)
    return path


def options():
    chosen = Options()
    chosen.update({"frequency": 1e9})
    return chosen


def axes(beam):
    return [beam.major.to_value(u.arcsec), beam.minor.to_value(u.arcsec), beam.pa.to_value(u.deg)]


@pytest.mark.parametrize(
    "others",
    [
        [],
        ["CONVL BMAJ=  5.0  BMIN=  5.0"],
        ["PUTHEAD BMAJ = 2.7E-3", "AIPS   CLEAN NITER=     1000 PRODUCT=1   / NORMAL"],
        ["IMAGR BMAJ=   0.0000 BMIN=   0.0000 /Restoring beam"],
        ["BMAJ was not found", "BMAJ"],
        ["AIPS   CLEAN BMAJ=  0.0000E+00 BMIN=  0.0000E+00 BPA=   0.00"],
        ["AIPS   CLEAN BMAJ=  ********** BMIN=  ********** BPA=   0.00"],
        ["AIPS   CLEAN BMAJ=  1.0E-04 BMIN=  9.0E-04 BPA=   0.00"],
        ["> restoration: see the log (arcsec)", "restoration in arcsec"],
    ],
)
def test_the_beam_is_what_aips_has_cleaned_with(tmp_path, caplog, others):
    beam = prepare(read_image(write(tmp_path / "a.fits", CLEANED, *others))).beam
    assert axes(beam) == pytest.approx([0.5, 0.4, 2.61], rel=1e-3)
    assert "no BMAJ in the header; the beam is the last one in its HISTORY, 0.5 x 0.4 arcsec at 2.61 deg" in caplog.text


@pytest.mark.parametrize(
    "lines",
    [
        ["AIPS   CLEAN BMAJ=  2.0E-04 BMIN=  2.0E-04 BPA=   0.00", CLEANED],
        ["AIPS   CLEAN BMAJ=  1.3889D-04 BMIN=  1.1111d-04 BPA=   2.61D+00"],
        ["AIPS   CLEAN BMAJ=1.3889E-04BMIN=1.1111E-04BPA=2.61"],
        ["AIPS   CLEAN BMAJ=  1.3889E-04", "       BMIN=  1.1111E-04 BPA=   2.61"],
        ["> restoration: 0.5 by 0.4 (arcsec) at pa 2.61 (deg)"],
        ["> restoration: 0.5 by 0.4 (arcsec)", "at pa 2.61 (deg)"],
        [CLEANED[:-3] + "9.99", "> restoration: 0.5 by 0.4 (arcsec)", "       at pa 2.61 (deg)"],
    ],
)
def test_ways_to_write_it(tmp_path, lines):
    assert axes(prepare(write(tmp_path / "a.fits", *lines)).beam) == pytest.approx([0.5, 0.4, 2.61], rel=1e-3)


@pytest.mark.parametrize(
    "lines",
    [
        ["CONVL BMAJ=  5.0  BMIN=  5.0 BPA=  0.0"],
        ["PUTHEAD BMAJ = 2.7E-3"],
        ["IMAGR BMAJ=   5.0"],
        ["BMAJ was not found"],
        ["AIPS   CLEAN BMAJ=  1.3D BMIN="],
        ["> restoration:", "0.5 by 0.4"],
        ["> restoration: 0.5 by (arcsec)"],
    ],
)
def test_what_is_no_beam_is_none(tmp_path, lines):
    path = write(tmp_path / "a.fits", *lines)
    assert header_beam(read_image(path), "a") is None
    with pytest.raises(DirtyImageError, match=r"dirty: no beam in the header .*give beam="):
        prepare(path)
    with pytest.raises(RuntimeError, match=r"a\.fits: no beam in the header .*give beam="):
        read_field(path, options())


def test_pybdsfs_interface_takes_the_same_beam(tmp_path):
    path = write(tmp_path / "a.fits", CLEANED, "CONVL BMAJ= 5.0")
    field = read_field(path, options())
    assert field.beam == pytest.approx((1.3889e-4, 1.1111e-4, 2.61))
