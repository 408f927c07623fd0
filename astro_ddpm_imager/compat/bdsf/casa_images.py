"""Images as CASA's own, of FITS files, by what of CASA there is."""

import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from ...errors import SettingError
from ...observation.casa_images import is_casa_image

__all__ = ["write_casa_image"]


def write_casa_image(path, write_fits):
    """Write a CASA image.

    Parameters
    ----------
    path : path-like
        A CASA image, or a file, of that name is replaced when the new one is complete.
    write_fits : callable
        Writes the same as FITS, to the path that it is given.

    Raises
    ------
    SettingError
        Neither python-casacore nor casatools is installed, or there is a folder of that name that is no CASA image.
    """
    path, convert = Path(path), _converter()
    if path.is_dir() and not is_casa_image(path):
        raise SettingError(f"outfile={str(path)!r}: is a folder, and no CASA image; give another name")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        made, as_fits = Path(folder) / path.name, Path(folder) / "image.fits"
        write_fits(as_fits)
        convert(str(as_fits), str(made))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        made.rename(path)


def _converter():
    """What makes a CASA image of a FITS file."""
    # Both have libraries of the same names: to load the one that PyBDSF takes beside that of CASA may crash.
    if "casatools" not in sys.modules:
        with suppress(ImportError):
            from casacore.images import image

            return lambda source, target: image(source).saveas(target)
    try:
        from casatools import image as tool
    except ImportError as error:
        raise SettingError(
            f"img_format='casa': needs python-casacore or CASA, and neither can be imported ({error}): pip install "
            "python-casacore, or give 'fits', of which CASA's importfits makes a CASA image"
        ) from error

    def convert(source, target):
        opened = tool()
        opened.fromfits(outfile=target, infile=source)
        opened.done()

    return convert
