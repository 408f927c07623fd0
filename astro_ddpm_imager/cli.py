"""Command line: astro-ddpm-imager image, demo, simulate, evaluate and models."""

import logging
import sys
import traceback
from pkgutil import resolve_name

from .command_line.printing import flush_streams, logging_to_stderr
from .command_line.settings_file import parse
from .errors import DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError

__all__ = ["main"]


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0, 1 after an error, which is printed, or 130 after an
        interruption.
    """
    try:
        return _run(arguments)
    finally:
        flush_streams()


def _run(arguments):
    args = None
    try:
        args = parse(arguments)
        with logging_to_stderr(_level(args)):
            # Only now, so that --help and --version do not wait for what the commands need.
            resolve_name(args.run)(args)
    except (DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError, OSError) as error:
        if args is not None and args.verbose:
            traceback.print_exception(error)
        # Settings have the names of their options, but for this one.
        said = str(error).replace("n_samples=", "samples=")
        print(f"astro-ddpm-imager: error: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        way = "" if args is None else f"; files written so far are whole, {args.way}"
        print(f"astro-ddpm-imager: interrupted{way}", file=sys.stderr)
        return 130
    return 0


def _level(args):
    if args.quiet:
        return logging.WARNING
    return logging.DEBUG if args.verbose else logging.INFO


if __name__ == "__main__":
    sys.exit(main())
