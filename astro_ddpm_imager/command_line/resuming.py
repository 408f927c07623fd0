"""What has to be the same for products to be taken for done."""

from functools import lru_cache

from ..observation.casa_images import is_casa_image
from ..observation.extensions import file_of
from ..observation.inputs import joined_digest
from ..observation.reading import file_digest
from ..products.provenance import differences, options_text, what_counts
from ..products.writing import PRODUCTS

__all__ = ["check_the_same", "known_before", "options_of", "with_options"]


def options_of(args):
    """Options that decide on a result, as products say them.

    Parameters
    ----------
    args : `argparse.Namespace`
        Of the command ``image``, its ``beam`` a `~radio_beam.Beam` or None.

    Returns
    -------
    str
    """
    channel = args.channel if isinstance(args.channel, int) else None  # several are among what a cube says
    names = ("beam", "tile", "stokes", "joint", "insist", "keep_axes")
    return options_text(channel=channel, **{name: getattr(args, name) for name in names})


def with_options(result, options):
    """A result that says the options it was made with.

    Parameters
    ----------
    result : `~astro_ddpm_imager.ImagingResult`
    options : str

    Returns
    -------
    `~astro_ddpm_imager.ImagingResult`
        The same.
    """
    result.meta["options"] = result.catalog.meta["options"] = options
    return result


def known_before(args, given, imager):
    """What the products of some files will say of how they were made, if the seed is known.

    Parameters
    ----------
    args : `argparse.Namespace`
        As of `options_of`.
    given : dict
        The files by name; several in a list, or, of WSClean's primary beam, as keys of a dict.
    imager : `~astro_ddpm_imager.DiffusionImager`

    Returns
    -------
    dict
    """
    made_of = what_counts(imager, {name: _origin(each) for name, each in given.items()})
    others = ("software", "seed") if imager.seed is None else ("software",)
    return {name: value for name, value in made_of.items() if name not in others} | {"options": options_of(args)}


def _origin(given):
    """The name and the checksum of a file, as products have them."""
    if isinstance(given, list):
        return f"{len(given)} PSFs", joined_digest([_origin(path) for path in given])
    if isinstance(given, dict):
        return ", ".join(path.name for path in given), joined_digest([_origin(path) for path in given])
    if is_casa_image(given):  # whose files may change without it
        return given.name, file_digest(given)
    file = file_of(given)
    status = file.stat() if file.is_file() else None
    return given.name, "" if status is None else _digest_once(file, status.st_mtime_ns, status.st_size)


@lru_cache(8)
def _digest_once(path, *_):
    return file_digest(path)


def check_the_same(prefix, made_of, products=PRODUCTS):
    """Fail if there are products that were made in another way.

    Parameters
    ----------
    prefix : `~pathlib.Path`
    made_of : dict
        As of `known_before`.
    products : iterable of str, optional
        Their suffixes.

    Raises
    ------
    FileExistsError
    """
    found = differences(prefix, made_of, products)
    sums = [name for name in found if name.endswith("_sha256")]
    said = [f"{name}={value!r}, not {made_of[name]!r}" for name, value in found.items() if name not in sums]
    said += [f"another {name.removesuffix('_sha256')}" for name in sums if name.removesuffix("_sha256") not in found]
    if said:
        raise FileExistsError(
            f"{prefix}: its products were made with {', '.join(said)}; give the same again, another --output-dir, or "
            "--overwrite to replace them"
        )
