"""A thousand hostile inputs: each has its source where it is and as bright, a warning, or an error that says why.

``CORPUS_TIMES=100`` in the environment makes it a hundred thousand, for the night.
"""

import os
from collections import Counter

import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astro_ddpm_imager import DirtyImageError, read_companion, read_image

from .corpus import case, outcome, verdict
from .corpus_files import RMS, SNR, SOURCE, good, observed, with_card

NUMBER = 1000 * int(os.environ.get("CORPUS_TIMES", "1"))
PARTS = 10


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore")
def test_hostile_inputs(part, tmp_path):
    wrong, counts = [], Counter()
    for seed in range(part, NUMBER, PARTS):
        one = case(seed)
        kind, said, seconds = outcome(one, tmp_path)
        counts[kind] += 1
        if verdict(one, kind, seconds):
            wrong.append(f"{seed}: {one.kind}, {one.said}: {kind} in {seconds:.1f} s: {said}")
        if kind == "error":
            assert len(said) > 40, said
    assert not wrong, "\n".join(wrong)
    assert counts["right"] > 0.2 * sum(counts.values())  # not all are refused


@pytest.mark.parametrize("key", ["CTYPE1", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1"])
@pytest.mark.parametrize("value", [None, "'NaN'", "'Infinity'", "'abc'", "T", "(1.0, 2.0)", "1E400", ""])
@pytest.mark.filterwarnings("ignore")
def test_errors_name_the_card(tmp_path, key, value):
    path = tmp_path / "field.fits"
    path.write_bytes(with_card(good()["dirty"], key, value))
    with pytest.raises(DirtyImageError, match=rf"field\.fits.*{key}"):
        read_image(path)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"CRVAL1": "'150.0'"},
        {"CRVAL3": "NaN", "RESTFRQ": "Infinity", "CDELT3": "NaN"},
        {"OBJECT": "NaN", "TELESCOP": "(1.0,2.0)", "SPECSYS": "T"},
        {"LONPOLE": None, "LATPOLE": None, "RADESYS": None},
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_one_source_is_found_where_it_is(tmp_path, imager, changed):
    content = good()["dirty"]
    for key, value in changed.items():
        content = with_card(content, key, value)
    for name, data in {**good(), "dirty": content}.items():
        (tmp_path / f"{name}.fits").write_bytes(data)
    result = imager(
        read_image(tmp_path / "dirty.fits"), *(read_companion(tmp_path / f"{name}.fits") for name in ("psf", "pb"))
    )
    brightest = result.catalog[result.catalog["flux"].argmax()]
    true = observed().wcs.pixel_to_world(*SOURCE)
    assert SkyCoord(brightest["ra"], brightest["dec"]).separation(true).arcsec < 0.1
    x, y = map(round, SOURCE)
    assert brightest["flux"].value * observed().pb[y, x] == pytest.approx(SNR * RMS, rel=0.1)
    result.write(tmp_path / "a", keep_axes=True)
    fits.open(tmp_path / "a.model.fits", checksum=True).close()
