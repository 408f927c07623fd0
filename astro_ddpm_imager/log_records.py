"""What the package logs during a piece of work, collected: each thread has its own."""

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy

__all__ = ["collect_records", "collected_records", "handled_by"]

# Of this thread, and of those of `~astro_ddpm_imager.parallel.in_parallel`: lists of records, the lowest level of each,
# and whether it keeps them to itself.
_lists = ContextVar("lists of log records", default=())

TAKEN = -1  # level of a record that no other handler gets


class _Collector(logging.NullHandler):
    """Puts a record on the lists of the thread that logs it, the last begun first, before other handlers see it."""

    def handle(self, record):
        for records, level, alone in _lists.get():
            if record.levelno >= level:
                records.append(copy(record))
            if alone:
                # Only a level stops a single record here; ``propagate`` would stop those of other threads as well.
                record.levelno = TAKEN
                return


_collector = _Collector()


def collect_records():
    """Let the logger of the package collect records, as the first thing that it does with them.

    Without a list to put them on it is a `logging.NullHandler`. Nothing changes if it is there already.
    """
    package = logging.getLogger(__package__)
    if _collector not in package.handlers:
        package.handlers = [_collector, *package.handlers]


@contextmanager
def collected_records(level=logging.WARNING, alone=False):
    """Collect the records that the package logs in this thread, and in threads of ``in_parallel`` that it starts.

    Parameters
    ----------
    level : int, optional
        Lowest level of what is collected, as far as the logger of the package lets it pass.
    alone : bool, optional
        Whether nobody else gets what is logged meanwhile, of whatever level.

    Yields
    ------
    list of `logging.LogRecord`
        Which grows.
    """
    collect_records()  # who configures logging may have removed the handler
    records = []
    token = _lists.set(((records, level, alone), *_lists.get()))
    try:
        yield records
    finally:
        _lists.reset(token)


@contextmanager
def handled_by(*handlers):
    """Let the logger of the package have more handlers, while the context lasts.

    Parameters
    ----------
    *handlers : `logging.Handler`

    Yields
    ------
    None
    """
    package = logging.getLogger(__package__)
    for handler in handlers:
        package.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            package.removeHandler(handler)
