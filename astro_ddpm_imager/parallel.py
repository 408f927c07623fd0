"""Work on several cores."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context

from threadpoolctl import threadpool_limits

__all__ = ["in_parallel", "one_blas_thread"]


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
def one_blas_thread():
    """Multiply matrices on one core, so that sums have the same last digits everywhere; a context or decorator.

    Threads of BLAS beside those of `in_parallel` are no faster.

    Yields
    ------
    None
    """
    with threadpool_limits(1, "blas"):
        yield
