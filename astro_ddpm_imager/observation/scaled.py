"""Pixels that are stored as other numbers, where astropy does not scale them."""

from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from .headers import is_number, number_card

__all__ = ["Scaled", "scaled_pixels"]

SCALE, BLANK = ("BSCALE", "BZERO"), "BLANK"


@dataclass(frozen=True)
class Scaled:
    """Stored numbers as those that they stand for; only what is indexed is read.

    Parameters
    ----------
    stored : array-like
    scale, zero : float
    blank : float or None
        The stored number of pixels that are blank.
    """

    stored: object
    scale: float
    zero: float
    blank: float | None

    @property
    def shape(self):
        """As of an array."""
        return self.stored.shape

    def __getitem__(self, index):
        stored = self.stored[index]
        kind = np.promote_types(stored.dtype, np.float32)
        values = stored.astype(kind) * kind.type(self.scale) + kind.type(self.zero)
        return values if self.blank is None else np.where(stored == self.blank, kind.type(np.nan), values)


def scaled_pixels(hdu, header, file, name):
    """Pixels of an image that astropy does not scale: cards are text, some are blank, or they are mapped to memory.

    Parameters
    ----------
    hdu : image HDU
        Of a file.
    header : `~astropy.io.fits.Header`
        A copy of its header; what says how pixels are stored is taken out of it, and text that is a number is logged.
    file : file-like
        In which the HDU is.
    name : str or path-like
        What the image is called in errors.

    Returns
    -------
    `Scaled` or None
        None where astropy scales them.

    Raises
    ------
    DirtyImageError
        A card is no number.
    """
    cards = [key for key in SCALE if key in header]
    # Of floats it means nothing. Astropy leaves pixels that are 0, text or a float, or are unsigned, as they are.
    integers = header.get("ZBITPIX", header["BITPIX"]) > 0
    blank = integers and not isinstance(header.get(BLANK), fits.card.Undefined | None)
    mapped = bool(cards) and getattr(file, "strict_memmap", False)
    if not (blank or mapped or not all(is_number(header[key]) for key in cards)):
        return None
    numbers = {key: number_card(header, key, name) for key in [*cards, *[BLANK] * blank]}
    for key in numbers:
        header.remove(key, remove_all=True)
    file.seek(0)
    # Not closed: the file was open, and is closed by whoever has opened it.
    hdus = fits.open(file, memmap=False, do_not_scale_image_data=True)
    place = hdu.fileinfo()["datLoc"]
    stored = next(each for each in hdus if each.fileinfo()["datLoc"] == place).section
    return Scaled(stored, numbers.get("BSCALE", 1.0), numbers.get("BZERO", 0.0), numbers.get(BLANK))
