"""Command line: astro-ddpm-imager image, demo, simulate, evaluate and models."""

import gc
import logging
import signal
import sys
import traceback
from contextlib import contextmanager, nullcontext
from pkgutil import resolve_name
from threading import Timer, current_thread, main_thread

from .command_line.printing import error_text, flush_streams, logging_to_stderr, open_streams, printable_lines
from .command_line.settings_file import parse
from .errors import DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError
from .home import settings_folder

__all__ = ["main"]

LATER = 0.05  # seconds


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0, 1 after an error, which is printed, 130 after an
        interruption, or 143 after SIGTERM.
    """
    open_streams()
    try:
        with _ended_by(signal.SIGTERM):
            return _run(arguments)
    finally:
        flush_streams()
        if arguments is None:
            # The process ends with all that is left: to look for cycles of references in it takes half a second.
            gc.freeze()


class _Terminated(KeyboardInterrupt):
    """The process is asked to end: it does what it does when interrupted."""


@contextmanager
def _ended_by(number):
    """Let a signal raise an exception, so that all that is left behind is removed."""

    def raise_terminated(*_):
        signal.signal(number, signal.SIG_IGN)  # once is enough, while it is removed
        raise _Terminated

    def raise_later(lost):
        """While an object is freed, Python lets no exception through: that of a signal comes again, after that."""
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            hook(lost)
            return
        terminated = isinstance(lost.exc_value, _Terminated)
        if terminated:
            signal.signal(number, raise_terminated)
        Timer(LATER, signal.raise_signal, [number if terminated else signal.SIGINT]).start()

    if current_thread() is not main_thread():  # signals are for the main thread
        yield
        return
    before, hook = signal.signal(number, raise_terminated), sys.unraisablehook
    sys.unraisablehook = raise_later
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(number, before)


def _run(arguments):
    args = None
    try:
        args = parse(arguments)
        with logging_to_stderr(_level(args)), nullcontext() if args.command == "plugin" else settings_folder():
            # Only now, so that --help and --version do not wait for what the commands need.
            command = resolve_name(args.run) if arguments is not None else _imported(args.run)
            command(args)
    except (DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError, OSError) as error:
        if args is not None and args.verbose:
            traceback.print_exception(error)
        print(f"astro-ddpm-imager: error: {printable_lines(error_text(error))}", file=sys.stderr)
        return 1
    except MemoryError as error:
        said = str(error) or "what is asked for does not fit"
        print(f"astro-ddpm-imager: error: there is not enough memory ({said}); see --samples", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        way = "" if args is None else f"; files written so far are whole, {args.way}"
        terminated = isinstance(error, _Terminated)
        print(f"astro-ddpm-imager: {'terminated' if terminated else 'interrupted'}{way}", file=sys.stderr)
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    return 0


def _imported(name):
    """A function by its name, in a process of its own: in what is imported for it no cycles of references are sought.

    All of that stays, and to go through it again and again takes as long as to read an image.
    """
    gc.disable()
    try:
        return resolve_name(name)
    finally:
        gc.freeze()
        gc.enable()


def _level(args):
    if args.quiet:
        return logging.WARNING
    return logging.DEBUG if args.verbose else logging.INFO


if __name__ == "__main__":
    sys.exit(main())
