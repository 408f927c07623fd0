"""What the command plugin does: print the path of what an imaging framework loads."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import astro_ddpm_imager

from ..compat import plugins
from ..whole_files import made_folder
from .printing import say, say_json

__all__ = ["print_plugin", "wsclean_deconvolver"]

FOLDER = Path(plugins.__file__).parent
BLANK = 'PYTHON, FOLDER = "", ""'


def print_plugin(args):
    """Print the path of a plugin.

    Parameters
    ----------
    args : `argparse.Namespace`
        Arguments of the command ``plugin``, by their names there.

    Raises
    ------
    FileExistsError
        ``--output`` is a folder, or a file that is not one of this command.
    """
    content = (wsclean_deconvolver() if args.framework == "wsclean" else (FOLDER / "stimela.yml").read_text()).encode()
    if args.output is not None:
        path = args.output
        _check_output(path, content)
    elif args.framework == "stimela":
        path = FOLDER / "stimela.yml"
    else:
        # Of each environment its own, so that one does not replace that of another in the middle of a run.
        name = f"wsclean_deconvolver_{hashlib.sha256(content).hexdigest()[:12]}.py"
        path = _cache_folder() / name
    if not (path.exists() and path.read_bytes() == content):
        try:
            _write(path, content)
        except OSError as error:
            if args.output is not None:
                raise
            raise OSError(f"{error}, with --output FILE") from error
    path = path.absolute()
    if args.json:
        say_json(framework=args.framework, file=path)
    else:
        say(str(path))


def wsclean_deconvolver():
    """The file that WSClean loads, which knows this environment.

    Returns
    -------
    str
    """
    pattern = (FOLDER / "wsclean_deconvolver.py").read_text()
    folder = Path(astro_ddpm_imager.__file__).absolute().parents[1]
    return pattern.replace(BLANK, f"PYTHON, FOLDER = {sys.executable!r}, {str(folder)!r}")


def _cache_folder():
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "astro_ddpm_imager"
    except RuntimeError as error:
        raise FileNotFoundError(
            "this user has no home folder, in whose cache the file would be; say where to write it with --output FILE"
        ) from error


def _check_output(path, content):
    """Fail if a file of the user would be lost; an older one of this command is replaced."""
    if path.is_dir():
        raise FileExistsError(f"--output {path}: is a folder; give the path of the file to write")
    if path.exists() and path.read_bytes().partition(b"\n")[0] != content.partition(b"\n")[0]:
        raise FileExistsError(
            f"--output {path}: is another file, which is not replaced; remove it or give another path"
        )


def _write(path, content):
    # Beside it, by a name of its own: jobs that start at once write the same file, and a home may have no locks.
    with tempfile.NamedTemporaryFile(dir=made_folder(path.parent), delete=False, suffix=".part") as stream:
        stream.write(content)
    Path(stream.name).chmod(0o644)
    Path(stream.name).replace(path)
