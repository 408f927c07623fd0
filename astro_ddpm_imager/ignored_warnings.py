"""Warnings of others that say nothing of use, ignored, where several threads of a process may want it."""

import warnings
from contextlib import contextmanager
from threading import RLock

__all__ = ["ignored"]

_filters = RLock()


@contextmanager
def ignored(category):
    """Ignore warnings while the context lasts; other threads that want it wait.

    What warnings are shown is a setting of the process: of two threads that change it, the second one to go would
    leave behind what the first one had set.

    Parameters
    ----------
    category : type
        Of the warnings.

    Yields
    ------
    None
    """
    with _filters, warnings.catch_warnings(action="ignore", category=category):
        yield
