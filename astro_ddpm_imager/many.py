"""Many dirty images with the same companions, imaged one by one, or by the workers of a cluster."""

from os import PathLike

import numpy as np
from astropy.io import fits
from astropy.nddata import NDData

from .home import expanded
from .observation.fits_files import IMAGE_HDUS
from .pieces import attempts

__all__ = ["map_images"]

ONE = str | PathLike | NDData | np.ndarray | fits.HDUList | IMAGE_HDUS  # some of which can be iterated over, too


def map_images(imager, images, companions):
    """Reconstruct many dirty images; see `~astro_ddpm_imager.DiffusionImager.map`.

    Parameters
    ----------
    imager : `~astro_ddpm_imager.DiffusionImager`
    images : iterable of `~astropy.nddata.CCDData` or path
    companions : list
        PSF, primary beam, mask, beam and noise of all of them, each as for one call.

    Yields
    ------
    image, result
        As they are done: in any order.

    Raises
    ------
    ExceptionGroup
        After the others are done: the exceptions of images that could not be used.
    TypeError
        It is one image.
    """
    if isinstance(images, ONE):
        raise TypeError(f"images: expected several, such as a list, got one {type(images).__name__}; give [it]")
    companions = [*map(_located, companions)]
    seeded = ((image, _located(image), companions, imager.drawn_seed()) for image in images)
    failed = []
    for (image, *_), result in attempts(_reconstruct_seeded, imager, seeded):
        try:
            done = result()
        except Exception as error:
            error.add_note(f"image: {image if isinstance(image, str | PathLike) else type(image).__name__}")
            failed.append(error)
        else:
            yield image, done
    if failed:
        raise ExceptionGroup("some images could not be used", failed)


def _located(given):
    """What is given for an image, where a path is the same for every process."""
    return expanded(given).absolute() if isinstance(given, str | PathLike) else given


def _reconstruct_seeded(imager, piece):
    """Reconstruct one of many images."""
    _, image, companions, seed = piece
    return imager.but(seed=seed)(image, *companions)
