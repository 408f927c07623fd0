"""Work on several cores."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from importlib import import_module
from threading import Lock

from threadpoolctl import threadpool_limits

__all__ = ["importing", "in_parallel", "one_blas_thread"]


def in_parallel(function, number, workers):
    """Values of a function for 0 to number - 1, computed in threads; starts no more when interrupted.

    Context variables are those of the caller: what the threads log is collected where it collects records.

    Parameters
    ----------
    function : callable
        Of one int.
    number, workers : int

    Returns
    -------
    list
    """
    executor, context = ThreadPoolExecutor(workers), copy_context()
    try:
        return list(executor.map(lambda k: context.copy().run(function, k), range(number)))
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def importing(*modules):
    """Import modules that are needed later, in a thread, while something else is done; starts no more when interrupted.

    Where one cannot be imported, whoever needs it says so.

    Parameters
    ----------
    *modules : str
        Their names.

    Yields
    ------
    None
    """
    executor = ThreadPoolExecutor(1)
    try:
        executor.map(import_module, modules)
        yield
    except BaseException:
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


class _BlasLimit:
    """One thread for BLAS, which is a setting of the process, from the first to the last of those who want it."""

    def __init__(self):
        self.lock, self.users, self.limits = Lock(), 0, None

    def __enter__(self):
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.limits = threadpool_limits(1, "blas")

    def __exit__(self, *_):
        with self.lock:
            self.users -= 1
            if not self.users:
                self.limits.restore_original_limits()


_blas_limit = _BlasLimit()


@contextmanager
def one_blas_thread():
    """Multiply matrices on one core, so that sums have the same last digits everywhere; a context or decorator.

    Threads of BLAS beside those of `in_parallel` are no faster.

    Yields
    ------
    None
    """
    with _blas_limit:
        yield
