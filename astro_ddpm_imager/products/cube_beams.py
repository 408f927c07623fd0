"""The beams of the channels of a cube, in its header or in a table as CASA has it."""

from io import BytesIO

import numpy as np
from astropy.io import fits

__all__ = ["BLOCK", "give_beams", "reserve_beams"]

BLOCK = 2880  # bytes, of FITS
SAME_BEAM = 1e-5  # relative; BEAMS tables are of single precision
BEAM_CARDS = ("BMAJ", "BMIN", "BPA")
RESERVED = "reserved for "


def reserve_beams(header):
    """Keep room in a header where the beams will be, so that no pixel has to move then.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        Changed.
    """
    for key in (*BEAM_CARDS, "CASAMBM"):
        header.append(fits.Card("COMMENT", f"{RESERVED}{key}"), end=True)


def give_beams(path, end, beams):
    """Write the beam of all channels into the header of a cube, or a table of them as CASA has it.

    Parameters
    ----------
    path : `~pathlib.Path`
    end : int
        Of the pixels of all channels in the file, bytes; what may follow was left by an interruption.
    beams : list
        Axes and position angle, degrees; None for a blank channel, which gets that of the nearest other one.
    """
    known = [i for i, beam in enumerate(beams) if beam is not None]
    beams = np.array([beams[min(known, key=lambda i: abs(i - here))] for here in range(len(beams))])
    same = np.allclose(beams, beams[0], rtol=SAME_BEAM, atol=0)
    header = fits.Header.fromfile(path)
    # As many cards as before, so that no pixel has to move.
    for place, card in enumerate(header.cards):
        key = card.value.removeprefix(RESERVED) if card.keyword == "COMMENT" else ""
        if key in BEAM_CARDS:
            header.insert(place, (key, float(beams[0, BEAM_CARDS.index(key)])) if same else fits.Card(), after=True)
            del header[place]
        elif key == "CASAMBM":
            header.insert(place, fits.Card() if same else (key, True), after=True)
            del header[place]
    with path.open("r+b") as stream:
        stream.truncate(end)
        stream.seek(end)
        if not same:
            whole = BytesIO()
            fits.HDUList([fits.PrimaryHDU(), _beam_table(beams)]).writeto(whole)
            stream.write(whole.getbuffer()[BLOCK:])
        stream.seek(0)
        stream.write(header.tostring().encode())


def _beam_table(beams):
    """Beams as CASA writes them, in arcsec."""
    columns = [
        fits.Column(name, "E", unit, array=beams[:, i] * factor)
        for i, (name, unit, factor) in enumerate(
            (("BMAJ", "arcsec", 3600), ("BMIN", "arcsec", 3600), ("BPA", "deg", 1))
        )
    ]
    numbers = (("CHAN", np.arange(len(beams))), ("POL", np.zeros(len(beams))))
    columns += [fits.Column(name, "J", array=values) for name, values in numbers]
    table = fits.BinTableHDU.from_columns(columns, name="BEAMS")
    table.header["NCHAN"], table.header["NPOL"] = len(beams), 1
    return table
