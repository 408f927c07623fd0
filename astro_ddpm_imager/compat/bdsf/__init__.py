"""PyBDSF's interface: ``import astro_ddpm_imager.compat.bdsf as bdsf``, and a script runs as it stands."""

from pathlib import Path

from ... import __version__
from ...observation.extensions import file_of
from .image import Image
from .outputs import read_parameters
from .parameters import PARAMETERS

__all__ = ["PARAMETERS", "Image", "__version__", "process_image"]


def process_image(input, *, psf=None, pb=None, reliability=None, imager=None, **parameters):
    """Find and measure the sources of an image, called as PyBDSF's function of this name.

    Parameters
    ----------
    input : path-like or dict
        A FITS or CASA image in Jy/beam, a file of saved parameters, or a dictionary
        of parameters with the image as ``filename``.
    psf, pb : path-like, `~astropy.nddata.CCDData` or 2D array, optional
        PSF (dirty beam) and primary beam on the same pixels, which PyBDSF has
        no place for. Without a PSF the restoring beam takes its place, which
        is right for a CLEANed image and costs reliability in a dirty one.
    reliability : float, optional
        Lowest reliability of a source, from 0 to 1, instead of what
        ``thresh_pix`` asks for.
    imager : `~astro_ddpm_imager.DiffusionImager`, optional
        By default one with the default settings.
    **parameters
        PyBDSF's; names may be abbreviated as long as they are unique. See
        `~astro_ddpm_imager.compat.bdsf.PARAMETERS` for what becomes of each.

    Returns
    -------
    `Image`

    Raises
    ------
    RuntimeError
        A parameter is unknown or has a value that cannot be used; the image is not
        there or cannot be used.
    """
    if isinstance(input, dict):
        options = input
    elif not file_of(input).exists():
        raise RuntimeError(f"File '{input}' not found.")
    else:
        options = read_parameters(input) if Path(input).is_file() else None
    image = Image({"filename": str(input)} if options is None else options)
    image.process(psf=psf, pb=pb, reliability=reliability, imager=imager, **parameters)
    return image


def __getattr__(name):
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: of PyBDSF there is process_image, with the image that it "
        "returns; its modules and operations (Op_...) have no counterpart"
    )
