"""A seeded corpus of hostile inputs: which case a seed is, what comes of it, and whether that is right."""

import functools
import io
import logging
import time
from pathlib import Path

import numpy as np

from astro_ddpm_imager import DirtyImageError, read_companion, read_image
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.products.headers import product_header, to_hdu

from .corpus_cases import companion_cases, file_cases, header_cases, pixel_cases, unit_cases
from .corpus_files import RMS, SHAPE, SOURCE, header, observed, pixels

SLOW = 5.0  # seconds: what counts as hanging
KINDS = {
    "header": header_cases,
    "unit": unit_cases,
    "pixels": pixel_cases,
    "companion": companion_cases,
    "file": file_cases,
}
SHARES = {"header": 0.4, "unit": 0.1, "pixels": 0.2, "companion": 0.15, "file": 0.15}


def case(seed):
    """The case of a seed."""
    rng = np.random.default_rng([22, seed])
    kind = str(rng.choice(list(KINDS), p=list(SHARES.values())))
    return KINDS[kind](rng)


class Records(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@functools.cache
def expected():
    """What is measured in the good files: noise, primary beam at the source, PSF around its peak."""
    data, _ = pixels()
    blank = observed().pb < 0.2
    noise = 1.4826 * np.median(np.abs(data[~blank] - np.median(data[~blank])))
    return data[51, 80], noise, observed().pb[51, 80], observed().psf[56:73, 56:73]


def measured(dirty, moved=False):
    """What is wrong of a prepared observation, "" if nothing: place and flux of the source, noise, PSF, pb."""
    flux, noise, pb, psf = expected()
    if dirty.shape != SHAPE:
        return f"shape {dirty.shape}"
    x, y = (round(p) for p in SOURCE)
    there = dirty.wcs.pixel_to_world(x, y)
    if not moved and not there.separation(observed().wcs.pixel_to_world(x, y)).arcsec < 0.1:
        return f"the source is at {there.to_string()}"
    if not np.isfinite(dirty.data[y, x]) or dirty.blank[y, x]:
        return "" if dirty.blank.mean() > 0.2 else "blank where the source is"
    if abs(dirty.data[y, x] / flux - 1) > 0.1:
        return f"flux {dirty.data[y, x] / flux:.3g} of the true one"
    if not 0.85 < dirty.rms / noise < 1.18:
        return f"noise {dirty.rms / noise:.3g} of the true one"
    if abs(dirty.pb[y, x] / pb - 1) > 0.03:
        return f"primary beam {dirty.pb[y, x] / pb:.3g} of the true one"
    off = np.abs(dirty.covering_psf[SHAPE[0] - 8 : SHAPE[0] + 9, SHAPE[1] - 8 : SHAPE[1] + 9] - psf).max()
    if off > 0.1:
        return f"PSF off by {off:.2g}"
    away = np.hypot(*(np.indices(dirty.shape) - [[[y]], [[x]]])) > 20
    worst = np.nanmax(np.abs(dirty.data - pixels()[0])[away]) / RMS
    if worst > 8:
        return f"off by {worst:.3g} sigma where there is no source"
    return ""


def outcome(case, folder):
    """What comes of a case: kind, in words, and seconds."""
    from astropy.nddata import CCDData

    folder, records = Path(folder), Records()
    log = logging.getLogger("astro_ddpm_imager")
    log.addHandler(records)
    given = {}
    started = time.perf_counter()
    try:
        for which in ("dirty", "psf", "pb", "mask"):
            content = getattr(case, which)
            if isinstance(content, bytes):
                path = folder / (case.name if which == "dirty" else f"{which}.fits")
                path.write_bytes(content)
                content = path
            elif isinstance(content, np.ndarray) and which == "dirty":
                content = CCDData(content, unit="Jy/beam", wcs=observed().wcs, meta=header())
            given[which] = content
        reading = time.perf_counter()
        started = reading
        for which, content in given.items():
            if isinstance(content, Path | str):
                given[which] = (read_image if which == "dirty" else read_companion)(content)
        dirty = prepare(**given)
        for name in (None, dirty.meta):
            image = CCDData(
                dirty.data, unit="Jy/beam", wcs=dirty.wcs, meta=product_header(dirty, {"software": "x", "model": "x"})
            )
            stream = io.BytesIO()
            to_hdu(image, name).writeto(stream)
        wrong = measured(dirty, case.moved)
        said = "; ".join(records.said)
        if not wrong:
            return "right", said, time.perf_counter() - started
        return ("warned" if said else "silent"), f"{wrong} [{said}]", time.perf_counter() - started
    except (DirtyImageError, FileNotFoundError, TypeError) as error:
        kind = "error" if not isinstance(error, TypeError) or "expected" in str(error) else "traceback"
        return kind, f"{type(error).__name__}: {error}", time.perf_counter() - started
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}", time.perf_counter() - started
    finally:
        log.removeHandler(records)
        for path in folder.iterdir():
            path.unlink()


def verdict(case, kind, seconds):
    """Whether an outcome is wrong: silently, as a traceback, by taking too long, or an error where there is none."""
    if kind in ("silent", "traceback") or seconds > SLOW:
        return True
    return (case.wanted == "error" and kind != "error") or (case.wanted == "right" and kind != "right")


if __name__ == "__main__":
    # python -m tests.observation.corpus FIRST LAST: what comes of the cases of some seeds, and those that are wrong.
    import sys
    import tempfile
    import warnings
    from collections import Counter

    warnings.simplefilter("ignore")
    logging.getLogger("astro_ddpm_imager").propagate = False
    counts = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(*map(int, sys.argv[1:3])):
            one = case(seed)
            kind, said, seconds = outcome(one, scratch)
            counts[one.kind, kind] += 1
            if verdict(one, kind, seconds):
                print(f"{seed} {one.kind} [{one.said}] wanted {one.wanted}: {kind} ({seconds:.1f} s): {said[:230]}")
    for key, number in sorted(counts.items()):
        print(*key, number)
