"""What the command line prints: results on stdout, as text or JSON, and everything else on stderr."""

import errno
import json
import logging
import math
import os
import sys
from contextlib import contextmanager, suppress

from ..errors import printable
from ..log_records import handled_by

__all__ = [
    "error_text",
    "flush_streams",
    "logging_to_stderr",
    "open_streams",
    "printable_lines",
    "say",
    "say_json",
]

PACKAGE = __package__.partition(".")[0]


def say(text):
    """Print on stdout, above progress bars; do nothing once its reader has gone, so that the work goes on.

    Parameters
    ----------
    text : str
    """
    from tqdm import tqdm

    try:
        tqdm.write(printable_lines(text), file=sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:  # a full disk; what has been written before is complete
        _silence(sys.stdout)
        logging.getLogger(PACKAGE).warning(
            "stdout cannot be written to (%s); what is printed is lost, files are not concerned",
            error.strerror or error,
        )


def open_streams():
    """Make stdout and stderr streams to which anything can be printed, also where they are closed or only ASCII."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # or the next file that is opened would be what is printed to
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _Printable(logging.Formatter):
    """Records in which no control characters of the names of files move the cursor or colour the terminal."""

    def formatMessage(self, record):  # noqa: N802, logging's name
        record.message = printable_lines(record.message)
        return super().formatMessage(record)


def printable_lines(text):
    """`~astro_ddpm_imager.errors.printable`, but for the ends of lines.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return "\n".join(map(printable, text.split("\n")))


def error_text(error):
    """What an error says, in the words of the command line.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    str
    """
    if error.args == (errno.ENOENT, os.strerror(errno.ENOENT)) and error.filename is None:
        # Only the working folder is looked for without a name.
        return "the working folder is not there any more; change to another one"
    # Settings have the names of their options, but for this one.
    return (str(error) or type(error).__name__).replace("n_samples=", "samples=")


def say_json(**entries):
    """Print a JSON object in one line on stdout.

    Parameters
    ----------
    **entries
        Numbers, text, paths, and lists and dicts of these; what is not finite
        is null, for JSON has no word for it.
    """
    say(json.dumps(_finite(entries), default=os.fspath, allow_nan=False))


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flush_streams():
    """Flush stdout and stderr: the interpreter would complain at its end that nobody reads them any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _silence(stream)


def _silence(stream):
    """Send to nowhere what a stream still holds and gets."""
    # A stream without a descriptor is not a pipe, and is not flushed at the end of the process.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def logging_to_stderr(level):
    """The log of the package on stderr, above progress bars, while the context lasts.

    Parameters
    ----------
    level : int
        Lowest level that is shown.

    Yields
    ------
    None
    """
    from tqdm.contrib.logging import logging_redirect_tqdm

    logger = logging.getLogger(PACKAGE)
    handler, level_before = logging.StreamHandler(sys.stderr), logger.level
    handler.setFormatter(_Printable("%(levelname)s: %(message)s"))
    logger.setLevel(level)
    try:
        with handled_by(handler), logging_redirect_tqdm([logger]):
            yield
    finally:
        logger.setLevel(level_before)
