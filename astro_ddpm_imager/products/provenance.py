"""How products were made, as they say it themselves, and whether that is how it is wanted."""

import math
from contextlib import suppress

from astropy.io import fits

from ..observation.beam import beam_text
from ..observation.headers import as_card
from .catalog_files import ecsv_meta
from .headers import PROVENANCE
from .writing import PRODUCTS, existing_products

__all__ = ["differences", "is_made", "left_by_interruption", "made_of", "options_text", "what_counts"]


def what_counts(imager, inputs):
    """What decides on a result and is known before it: with anything else work is not gone on with.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    inputs : dict
        As of `~astro_ddpm_imager.observation.dirty.DirtyImage`.

    Returns
    -------
    dict
        Names of the provenance, and ``insist``, and their values; ``seed`` is None if any will do.
    """
    provenance = imager.provenance(0, inputs) | {"insist": bool(imager.insist), "seed": imager.seed}
    return {name: value for name, value in provenance.items() if name != "date"}


def options_text(beam=None, tile=None, channel=None, stokes=None, joint=False, insist=False, keep_axes=False):
    """What decides on products besides files and settings of the samples, as they say it: what has not its default.

    Parameters
    ----------
    beam : `~radio_beam.Beam`, optional
        If it is not the header's.
    tile, channel, stokes : int, optional
    joint, insist, keep_axes : bool, optional

    Returns
    -------
    str
    """
    values = {"beam": None if beam is None else beam_text(beam), "tile": tile, "channel": channel, "stokes": stokes}
    said = [f"{name} {value}" for name, value in values.items() if value is not None]
    flags = {"joint": joint, "insist": insist, "keep-axes": keep_axes}
    return ", ".join([*said, *(name for name, given in flags.items() if given)])


def is_made(prefix, origin, products=PRODUCTS):
    """Whether all products are there, whole, and made of an image.

    Parameters
    ----------
    prefix : str or path-like
    origin : dict
        As of `made_of`.
    products : dict, optional
        With the suffixes as keys.

    Returns
    -------
    bool
    """
    there = existing_products(prefix, products)
    return len(there) == len(products) and made_of(there, origin)


def left_by_interruption(prefix, origin):
    """Whether what is there of the products is a part of those of an image, and nothing else of the same name.

    Parameters
    ----------
    prefix : str or path-like
    origin : dict
        As of `made_of`.

    Returns
    -------
    bool
    """
    there = existing_products(prefix)
    images = [path for path in there if path.suffix == ".fits"]
    whole = len(there) == len(PRODUCTS) and all(path.stat().st_size for path in there if path.exists())
    return bool(images) and not whole and made_of(images, origin)


def made_of(paths, origin):
    """Whether some products are whole and have a provenance.

    Parameters
    ----------
    paths : list of path-like
    origin : dict
        Names of the provenance, as the catalogue has them, and their values; what a product does not say is right.

    Returns
    -------
    bool
    """
    try:
        return all(path.stat().st_size and _differences(path, origin) == {} for path in paths)
    except (OSError, ValueError):
        return False


def differences(prefix, origin, products=PRODUCTS):
    """What some products say of how they were made that is otherwise in an origin.

    Parameters
    ----------
    prefix : str or path-like
    origin : dict
        As of `made_of`.
    products : dict, optional
        With the suffixes as keys.

    Returns
    -------
    dict
        By names of the provenance, what the products say; empty where they say nothing.
    """
    found = {}
    for path in existing_products(prefix, products):
        with suppress(OSError, ValueError):
            found |= _differences(path, origin) or {}
    return found


def _differences(path, origin):
    """The same of one product; None of an image that is none."""
    said = {}
    if path.suffix == ".fits":
        header = fits.getheader(path)
        if "DMODEL" not in header:
            return None
        said = {name: header[key] for key, name in PROVENANCE.items() if key in header}
    elif path.suffix == ".ecsv":
        said = ecsv_meta(path)
    return {name: said[name] for name, value in origin.items() if not _same(said.get(name, value), value)}


def _same(one, other):
    """Whether values are the same, as far as headers keep them: whole numbers, 15 digits of others, and ASCII."""
    numbers = all(isinstance(value, int | float) for value in (one, other))
    if numbers and any(isinstance(value, float) for value in (one, other)):
        return math.isclose(one, other, rel_tol=1e-12)
    return as_card(one) == as_card(other)
