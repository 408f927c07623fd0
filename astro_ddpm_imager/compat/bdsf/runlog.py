"""The log file of a run, and what it says on the screen."""

import logging
import sys
from contextlib import contextmanager

from ...log_records import handled_by

__all__ = ["RunLog"]

log = logging.getLogger("astro_ddpm_imager.compat.bdsf")


class RunLog:
    """Write messages to a log file as PyBDSF does, leaving the loggers' levels alone.

    Parameters
    ----------
    path : `~pathlib.Path`
        The log file; appended to, its folder is made.
    quiet : bool
        Print nothing on the screen.
    debug : bool
        Debug messages as well.
    """

    def __init__(self, path, quiet, debug):
        self.path, self.quiet, self.level = path, quiet, logging.DEBUG if debug else logging.INFO
        self.handler = None

    @contextmanager
    def open(self):
        """Catch the package's messages while it runs; RuntimeError if they cannot be written, as PyBDSF raises it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.handler = logging.FileHandler(self.path)
        except OSError as error:
            raise RuntimeError(
                f"{self.path}: the log cannot be written ({error.strerror}); give outdir=, another folder"
            ) from error
        self.handler.setLevel(self.level)
        self.handler.setFormatter(logging.Formatter("%(asctime)s:: %(levelname)-8s: %(message)s"))
        handlers = [self.handler]
        if not self.quiet:
            # Where scripts of PyBDSF look; few configure logging.
            screen = logging.StreamHandler(sys.stdout)
            screen.setLevel(logging.WARNING)
            screen.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
            handlers.append(screen)
        try:
            with handled_by(*handlers):
                yield self
        finally:
            self.handler.close()

    def note(self, message, *arguments, level=logging.INFO):
        """Log a message; the file gets it whatever the logger's level is."""
        if log.isEnabledFor(level):
            log.log(level, message, *arguments)
        elif level >= self.level:
            self.handler.emit(log.makeRecord(log.name, level, __file__, 0, message, arguments, None))

    def say(self, message, *arguments):
        """Log a message and, unless quiet, print it."""
        self.note(message, *arguments)
        if not self.quiet:
            print(message % arguments)
