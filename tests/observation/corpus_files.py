"""The good files that the corpus is made of, and changes of their headers."""

import functools
import io

import astropy.units as u
import numpy as np
from astropy.io import fits

from astro_ddpm_imager.simulate import Observation, Sources, read_array

RMS, SNR, SOURCE = 47e-6, 60.0, (80.0, 51.0)  # Jy/beam, and a point, x and y in pixels
SHAPE = (128, 128)


@functools.cache
def observed():
    return Observation(
        read_array("alma.cycle5.3"), 150 * u.deg, 2 * u.deg, integration=2 * u.min, shape=SHAPE, cell=0.2 * u.arcsec
    )  # fmt: skip


@functools.cache
def pixels():
    seen, zero = observed(), np.zeros(1)
    source = Sources(*np.reshape(SOURCE, (2, 1)), np.full(1, SNR * RMS), zero, zero, zero)
    clean = seen.dirty(source, 0, np.random.default_rng(3))
    noise = seen.image(seen.noise(RMS, np.random.default_rng(3)))
    return clean + noise, clean


def header():
    made = observed().wcs.to_header()
    made["LONPOLE"], made["PC1_1"], made["PC2_2"], made["RADESYS"] = 180.0, 1.0, 1.0, "ICRS"
    made.update({"CTYPE3": "FREQ", "CRVAL3": 2.3e11, "CDELT3": 1.872e9, "CRPIX3": 1.0, "CUNIT3": "Hz"})
    made.update({"CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0, "CRPIX4": 1.0, "CUNIT4": "", "RESTFRQ": 2.3e11})
    beam = observed().beam
    made.update(
        {"BMAJ": beam.major.to_value("deg"), "BMIN": beam.minor.to_value("deg"), "BPA": beam.pa.to_value("deg")}
    )
    made.update({"BUNIT": "Jy/beam", "OBJECT": "field", "TELESCOP": "ALMA", "SPECSYS": "LSRK", "VELREF": 257})
    made.update(
        {"OBSRA": 150.0, "EQUINOX": 2000.0, "ORIGIN": "CASA", "DATE-OBS": "2019-05-21T10:11:12.5", "TIMESYS": "UTC"}
    )
    return made


def fits_bytes(data, made=None, axes=2, **kwargs):
    stream = io.BytesIO()
    fits.PrimaryHDU(np.asarray(data).reshape((1,) * axes + np.shape(data)), header() if made is None else made).writeto(
        stream, output_verify="ignore", **kwargs
    )
    return stream.getvalue()


@functools.cache
def good():
    return {
        "dirty": fits_bytes(pixels()[0].astype("f4")),
        "psf": fits_bytes(observed().psf.astype("f4")),
        "pb": fits_bytes(observed().pb.astype("f4")),
    }


def with_card(content, key, value):
    """A file with the text of one card changed, added, or, where it is None, removed."""
    end = content.index(b"END".ljust(80))
    card = b"" if value is None else f"{key:8s}= {value:>20s}".ljust(80).encode("latin1")[:80]
    cards = [content[at : at + 80] for at in range(0, end, 80)]
    own = [i for i, old in enumerate(cards) if old[:9] == f"{key:8s}=".encode()]
    if own:
        cards[own[0]] = card
    else:
        cards.append(card)
    head = b"".join([*cards, b"END".ljust(80)])
    data = content[(end + 80 + 2879) // 2880 * 2880 :]
    return head + b" " * (-len(head) % 2880) + data


def is_number(content, key):
    """Whether one of a file's cards of positions is a number that nobody can know to be wrong."""
    cards = [content[at : at + 80] for at in range(0, content.index(b"END".ljust(80)), 80)]
    texts = [card[10:31].decode("latin1").split("/")[0].strip() for card in cards if card[:9] == f"{key:8s}=".encode()]
    try:
        return all(np.isfinite(float(text.upper().replace("D", "E").strip("'"))) for text in texts)
    except ValueError:
        return False
