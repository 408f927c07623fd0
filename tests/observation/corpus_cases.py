"""Hostile inputs of each kind, and what is right of them."""

import bz2
import gzip
import io
import lzma
import zipfile
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits

from astro_ddpm_imager.simulate import Observation, read_array

from .corpus_files import RMS, SHAPE, SOURCE, fits_bytes, good, is_number, observed, pixels, with_card

POSITION = ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "CDELT2", "LONPOLE", "PC1_1")
OTHER = (
    "CTYPE3", "CRVAL3", "CRPIX3", "CDELT3", "CUNIT3", "CTYPE4", "CRVAL4", "CRPIX4", "CDELT4", "RESTFRQ", "SPECSYS",
    "BMAJ", "BMIN", "BPA", "BUNIT", "OBJECT", "TELESCOP", "DATE-OBS", "OBSRA", "EQUINOX", "RADESYS", "LATPOLE",
    "NAXIS3", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "SIMPLE", "BSCALE", "BZERO", "BLANK", "VELREF", "CUNIT1",
    "PV2_1", "MJD-OBS", "TIMESYS", "OBSGEO-X", "WCSAXES", "EXTEND", "CASAMBM", "CD1_1", "CROTA2", "A_ORDER",
    "PC2_1", "PC3_3", "ORIGIN", "HISTORY",
)  # fmt: skip
VALUES = (
    "NaN", "Infinity", "-Infinity", "T", "F", "(1.0, 2.0)", "'NaN'", "'Infinity'", "'abc'", "''", "", "1E400",
    "1x2", "'12.5'", "'1D2'", "1D-3", "0", "-1", "1E300", "1E-320", "99999999999999999999", "'\xe9'", "nan", "1,5",
    "'True'", "[1, 2]",
)  # fmt: skip
UNITS = {  # and by how much values in them are larger than in Jy/beam
    "Jy/beam": 1, "JY/BEAM": 1, "Jy beam-1": 1, "Jy.beam-1": 1, "Jy*beam^-1": 1, "jy/beam": 1, "Jy/Beam": 1,
    "mJy/beam": 1e3, "MJY/BEAM": 1e3, "mJy beam-1": 1e3, "uJy/beam": 1e6, "UJY/BEAM": 1e6, "nJy/beam": 1e9,
    "kJy/beam": 1e-3, "MJy/beam": 1e-6, "beam-1 Jy": 1, "Jy / beam": 1, " Jy/beam ": 1, "Jy/bm": 1,
    "1e-3 Jy/beam": 1e3, "10**-3 Jy/beam": 1e3, "Jy beam^-1": 1, "JY/beam": 1, "beam^-1 Jy": 1, "\u00b5Jy/beam": 1e6,
}  # fmt: skip
SURFACE_UNITS = ("K", "mK", "KELVIN", "K (Tmb)", "Jy/sr", "JY/SR", "MJy/sr", "MJY/SR", "Jy/arcsec2", "kJy sr-1")
NO_UNITS = (
    "W/m2/Hz/beam", "Mjy/beam", "-1 Jy/beam", "K.km/s", "Jy", "Jy/pixel", "Jy/sr2", "MJy.sr", "0 Jy/beam", "2 Jy/beam",
    "erg/s/cm2/Hz/beam", "Jy beam", "beam/Jy", "Jy/beam2", "Jy2/beam", "mag",
    "dB(Jy/beam)", "Jy/beam.km/s", "adu", "NaN Jy/beam", "ZJy/beam", "PJy/beam", "m Jy/beam", "mjY/beAm x",
    "Jy/(2 beam)", "Jy/arcsec", "%", "count", "dJy/beam", "'", "Jy/beam/Jy",
)  # fmt: skip


@dataclass
class Case:
    """Files of one call, and what is right.

    ``wanted``: "right" where nothing but a right result will do, "any" where an error or a warning is right too, and
    "error" where only an error is. ``named`` must be in the error.
    """

    kind: str
    said: str
    dirty: object = None
    psf: object = None
    pb: object = None
    mask: object = None
    name: str = "field.fits"
    wanted: str = "any"
    named: str = ""
    moved: bool = False


def header_cases(rng):
    which = rng.choice(["dirty"] * 6 + ["psf", "pb"])
    what = rng.choice(["value", "value", "value", "drop", "byte", "twice"])
    key = str(rng.choice(POSITION if rng.random() < 0.6 else OTHER))
    content = good()[which]
    made = {name: good()[name] for name in ("dirty", "psf", "pb")}
    said = f"{which}: {what} {key}"
    if what == "value":
        value = str(rng.choice(VALUES))
        made[which], said = with_card(content, key, value), f"{said}={value}"
    elif what == "drop":
        made[which] = with_card(content, key, None)
    elif what == "twice":
        end = content.index(b"END".ljust(80))
        card = f"{key:8s}= {rng.choice(VALUES):>20s}".ljust(80).encode("latin1")[:80]
        head = content[:end] + card + b"END".ljust(80)
        made[which] = head + b" " * (-len(head) % 2880) + content[(end + 80 + 2879) // 2880 * 2880 :]
        said += card[10:].decode("latin1").strip()
    else:
        end = content.index(b"END".ljust(80))
        lines = [at for at in range(0, end, 80) if content[at : at + 8].decode("latin1").strip() == key] or [0]
        at = lines[0] + int(rng.choice([rng.integers(0, 10), rng.integers(10, 31)]))
        value = int(rng.choice([0, 10, 39, 46, 65, 128, 233, 255, rng.integers(256)]))
        made[which], said = content[:at] + bytes([value]) + content[at + 1 :], f"{said} byte {at - lines[0]} = {value}"
    return Case("header", said, **made, moved=which == "dirty" and is_number(made[which], key))


def in_surface_units(unit):
    """How much 1 Jy/beam is in another unit, with beam and frequency of the header."""
    seen = observed()
    equivalencies = u.brightness_temperature(seen.frequency, seen.beam.sr) + u.beam_angular_area(seen.beam.sr)
    spelled = {"KELVIN": "K", "K (Tmb)": "K", "JY/SR": "Jy/sr", "MJY/SR": "MJy/sr"}
    return (u.Jy / u.beam).to(u.Unit(spelled.get(unit, unit)), equivalencies=equivalencies)


def unit_cases(rng):
    kind = rng.random()
    if kind < 0.3:
        unit = str(rng.choice(list(UNITS)))
        factor, wanted = UNITS[unit], "right"
    elif kind < 0.4:
        unit, wanted = str(rng.choice(SURFACE_UNITS)), "right"
        factor = in_surface_units(unit)
    else:
        unit, factor, wanted = str(rng.choice(NO_UNITS)), 1, "error"
    content = with_card(
        fits_bytes((pixels()[0] * factor).astype("f8")), "BUNIT", "'" + unit.replace("\u00b5", "\xb5") + "'"
    )
    if "\u00b5" in unit:
        wanted = "any"
    return Case(
        "unit",
        repr(unit),
        content,
        good()["psf"],
        good()["pb"],
        wanted=wanted,
        named="unit" if wanted == "error" else "",
    )


def pixel_cases(rng):
    data = pixels()[0].copy()
    ny, nx = data.shape
    kind = rng.choice(
        [
            "pedestal",
            "gradient",
            "hot",
            "row",
            "block",
            "inf",
            "blank",
            "zeros",
            "scale",
            "waves",
            "salt",
            "mirror",
            "edge",
            "noise",
        ]
    )
    height = float(rng.choice([-1, 1]) * 10 ** rng.uniform(2, 30 if rng.random() < 0.3 else 5)) * RMS
    x, y = rng.integers(2, nx - 2), rng.integers(2, ny - 2)
    if abs(x - SOURCE[0]) < 14 and abs(y - SOURCE[1]) < 14:
        x = (x + 40) % nx
    said, wanted = f"{kind} {height / RMS:.3g} sigma at ({x}, {y})", "any"
    if kind == "pedestal":
        level = float(rng.choice([-1, 1]) * rng.uniform(0.5, 12))
        data += level * RMS
        said = f"pedestal of {level:.2f} sigma"
    elif kind == "gradient":
        a, b = rng.uniform(-12, 12, 2)
        data += RMS * (np.linspace(0, a, nx) + np.linspace(0, b, ny)[:, None])
        said = f"gradient {a:.1f}, {b:.1f}"
    elif kind == "hot":
        data[y, x] = height
    elif kind == "row":
        if rng.random() < 0.5:
            data[y, : rng.integers(3, nx)] += height
        else:
            data[: rng.integers(3, ny), x] += height
    elif kind == "block":
        size = rng.integers(2, 6)
        data[y : y + size, x : x + size] = height
        said += f" of {size}"
    elif kind == "inf":
        data.flat[rng.choice(data.size, rng.integers(1, 40), replace=False)] = rng.choice([np.inf, -np.inf])
    elif kind == "blank":
        left = int(rng.choice([0, 1, 3, 10, 50, 200]))
        kept = rng.choice(data.size, left, replace=False)
        mask = np.ones(data.size, bool)
        mask[kept] = False
        data.flat[mask] = np.nan
        said, wanted = f"{left} pixels finite", "error" if left < 60 else "any"
    elif kind == "zeros":
        data[rng.random(data.shape) < rng.uniform(0.3, 1)] = 0
    elif kind == "scale":
        factor = float(rng.choice([0, 1e-42, 1e-20, 1e-38, 1e20, 1e38, 1e300, -1]))
        data = data * factor
        said, wanted = f"times {factor}", "error" if factor != -1 else "any"
        data = data.astype("f4") if factor == 1e-42 else data
    elif kind == "waves":
        power = rng.uniform(1, 30)
        frequency = rng.uniform(0.42, 0.5)  # lower ones a wrong baseline makes, too
        data += RMS * power * np.cos(2 * np.pi * frequency * np.arange(nx))
        said = f"waves of {power:.1f} sigma, {frequency:.2f} cycles a pixel"
    elif kind == "salt":
        share = 10 ** rng.uniform(-4, -1)
        chosen = rng.random(data.shape) < share
        data[chosen] += rng.choice([-1, 1], chosen.sum()) * abs(height)
        said = f"salt {share:.4f} of {height / RMS:.3g}"
    elif kind == "mirror":
        data = np.where(np.isfinite(data), np.round(data / height) * height, data)
    elif kind == "edge":
        data[0] = data[-1] = data[:, 0] = data[:, -1] = height
    elif kind == "noise":
        data += rng.standard_normal(data.shape) * RMS * rng.uniform(1, 5)
        said = "white noise besides"
    dtype = str(rng.choice(["f4", "f8"]))
    with np.errstate(over="ignore"):
        content = fits_bytes(data.astype(dtype))
    return Case("pixels", said, content, good()["psf"], good()["pb"], wanted=wanted)


def companion_cases(rng):
    seen = observed()
    y, x = np.indices(SHAPE) - np.reshape([n // 2 for n in SHAPE], (2, 1, 1))
    psf, pb, wanted = seen.psf.copy(), seen.pb.copy(), "any"
    kind = str(
        rng.choice(
            [
                "scale",
                "squared",
                "delta",
                "hot",
                "gauss",
                "pb peak",
                "pb odd",
                "complex",
                "nan",
                "noise",
                "shift",
                "negative",
                "swap",
                "constant",
                "other",
                "self",
                "hotpb",
                "mask",
            ]
        )
    )
    said, mask = kind, None
    if kind == "scale":
        from scipy.ndimage import map_coordinates

        factor = float(rng.choice([0.5, 2.0, 1.3, 0.77, 1.5, 0.6]))
        middle = np.reshape([n // 2 for n in SHAPE], (2, 1, 1))
        psf = map_coordinates(psf, np.stack([y, x]) / factor + middle, order=3, mode="constant")
        said = f"PSF {factor} times as wide"
    elif kind == "squared":
        psf = psf ** int(rng.choice([2, 3])) if rng.random() < 0.7 else np.sqrt(np.abs(psf))
    elif kind == "delta":
        psf = np.where((x == 0) & (y == 0), 1.0, 0.0)
    elif kind == "hot":
        at = rng.integers(0, 128, 2)
        value = float(rng.choice([-1, 1]) * 10 ** rng.uniform(-0.3, 20))
        psf[tuple(at)] = value
        said = f"PSF of {value:.3g} at {at}"
    elif kind == "gauss":
        fwhm = rng.uniform(2, 12)
        psf = np.exp(-4 * np.log(2) * (x**2 + y**2) / fwhm**2)
        said = f"PSF a Gaussian of {fwhm:.1f}"
    elif kind == "pb peak":
        peak = float(rng.choice([0.5, 0.9, 0.2, 1.005, 2.0, 1e-3, -1, 0]))
        pb = pb * peak
        said = f"pb peaks at {peak}"
    elif kind == "pb odd":
        what = rng.integers(5)
        pb = [1 - pb, 1 / pb, pb[::-1] * np.linspace(0, 1, 128), rng.random(SHAPE), pb.astype(int).astype(float)][what]
        said = f"pb odd {what}"
    elif kind == "complex":
        psf = psf.astype("f8")
        which = rng.choice(["psf", "pb", "dirty"])
        dtype = rng.choice(["c16", "U3", "O", "S2", "V4"])
        if dtype == "O" and which == "dirty":
            dtype = "c16"  # astropy has no images of objects
        made = {"dirty": pixels()[0], "psf": psf, "pb": pb}
        made[which] = np.zeros(SHAPE, dtype=dtype) if dtype == "V4" else made[which].astype(dtype)
        return Case("companion", f"{which} of {dtype}", **made, wanted="error", name="")
    elif kind == "nan":
        which = psf if rng.random() < 0.5 else pb
        which[rng.random(SHAPE) < rng.choice([0.01, 0.3, 0.9, 1.0])] = rng.choice([np.nan, np.inf, -np.inf])
    elif kind == "noise":
        psf = rng.standard_normal(SHAPE)
    elif kind == "shift":
        psf = np.roll(psf, rng.integers(-60, 60, 2), (0, 1))
    elif kind == "negative":
        psf = -psf
    elif kind == "swap":
        psf, pb = pb, psf
    elif kind == "constant":
        psf = np.full(SHAPE, float(rng.choice([0, 1, -1, 1e-30, 1e30, np.nan])))
    elif kind == "other":
        other = Observation(
            read_array("alma.cycle5.3"),
            150 * u.deg,
            float(rng.choice([-60, 30])) * u.deg,
            integration=5 * u.min,
            shape=SHAPE,
            cell=0.2 * u.arcsec,
            weighting=str(rng.choice(["uniform", "briggs", "natural"])),
            robust=-0.5,
        )
        psf, said = other.psf, "PSF of another observation"
    elif kind == "self":
        psf = pixels()[0]
    elif kind == "hotpb":
        pb[tuple(rng.integers(0, 128, 2))] = float(10 ** rng.uniform(0.1, 20))
    elif kind == "mask":
        mask = np.zeros(SHAPE) if rng.random() < 0.5 else rng.random(SHAPE)
    psf, pb = (fits_bytes(image.astype("f8")) for image in (psf, pb))
    return Case("companion", said, good()["dirty"], psf, pb, None if mask is None else fits_bytes(mask), wanted=wanted)


def file_cases(rng):
    content, name = good()["dirty"], "field.fits"
    kind = str(
        rng.choice(
            [
                "cut",
                "gz",
                "bz2",
                "xz",
                "zip",
                "bit",
                "random",
                "empty",
                "bombgz",
                "naxis",
                "nobitpix",
                "sip",
                "tilde",
                "garbage",
                "table",
                "datasum",
                "dims",
            ]
        )
    )
    said, wanted = kind, "any"
    if kind == "cut":
        content = content[: rng.integers(len(content))]
    elif kind in ("gz", "bz2", "xz"):
        content = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[kind](content)
        how = rng.choice(["whole", "cut", "damage", "tail"])
        if how == "cut":
            content = content[: rng.integers(len(content))]
        elif how == "damage":
            at = rng.integers(len(content))
            content = content[:at] + bytes([content[at] ^ int(rng.integers(1, 256))]) + content[at + 1 :]
        elif how == "tail":
            content = content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]
        name = str(rng.choice([f"field.fits.{kind}", "field.fits"]))
        said, wanted = f"{kind} {how} {name}", "right" if how == "whole" else "any"
    elif kind == "zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for number in range(rng.integers(0, 3)):
                archive.writestr(f"{number}.fits", content)
        content, name = stream.getvalue(), str(rng.choice(["field.zip", "field.fits"]))
    elif kind == "bit":
        data = bytearray(content)
        for at in rng.integers(0, 8640, rng.integers(1, 6)):
            data[at] ^= 1 << int(rng.integers(8))
        content = bytes(data)
    elif kind == "random":
        content = rng.bytes(int(rng.integers(20000)))
    elif kind == "empty":
        content = b""
    elif kind == "bombgz":
        stream = io.BytesIO()
        big = int(rng.choice([20000, 100000]))
        head = content[: content.index(b"END".ljust(80)) // 2880 * 2880 + 2880]
        head = with_card(with_card(head, "NAXIS1", str(big)), "NAXIS2", str(big))
        packed = gzip.compress(bytes(1 << 22))
        # Members of a gzip file follow each other.
        content, wanted = gzip.compress(head) + packed * int(rng.choice([50, 1000])), "error"
        name = "field.fits.gz"
    elif kind == "naxis":
        content, wanted = with_card(content, "NAXIS", str(rng.choice([1000000, 999, 40, 10**12, 0, -3]))), "error"
    elif kind == "nobitpix":
        content, wanted = (
            with_card(content, str(rng.choice(["BITPIX", "NAXIS1", "NAXIS2", "NAXIS", "SIMPLE"])), None),
            "any",
        )
    elif kind == "sip":
        content = with_card(with_card(content, "CTYPE1", "'RA---SIN-SIP'"), "CTYPE2", "'DEC--SIN-SIP'")
        for key in ("A_ORDER", "B_ORDER"):
            content = with_card(content, key, str(rng.choice([1, 2, 9, 200, 1000])))
        content = with_card(content, "A_0_2", "1E-3")
    elif kind == "tilde":
        return Case("file", "~nobody", "~nobody/x.fits", good()["psf"], good()["pb"], wanted="error")
    elif kind == "garbage":
        content = content + rng.bytes(int(rng.integers(1, 10000)))
    elif kind == "table":
        stream = io.BytesIO()
        fits.HDUList(
            [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.zeros(3))])]
        ).writeto(stream)
        content, wanted = stream.getvalue(), "error"
    elif kind == "datasum":
        data = bytearray(fits_bytes(pixels()[0].astype("f4"), checksum=True))
        at = int(rng.integers(len(data) - 60000, len(data) - 5000))
        data[at] ^= 64
        content, wanted = bytes(data), "any"
        said = f"datasum byte {at}"
    elif kind == "dims":
        key, value = (
            str(rng.choice(["NAXIS1", "NAXIS2", "NAXIS3", "NAXIS4"])),
            str(rng.choice([0, -1, 1, 127, 129, 10**6, 10**9, 10**18])),
        )
        content, said = with_card(content, key, value), f"{key}={value}"
    return Case("file", said, content, good()["psf"], good()["pb"], name=name, wanted=wanted)
