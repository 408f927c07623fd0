"""Work on several cores."""

from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

__all__ = ["in_parallel", "one_blas_thread"]


def in_parallel(function, number, workers):
    """Values of a function for 0 to number - 1, computed in threads; starts no more when interrupted.

    Parameters
    ----------
    function : callable
        Of one int.
    number, workers : int

    Returns
    -------
    list
    """
    executor = ThreadPoolExecutor(workers)
    try:
        return list(executor.map(function, range(number)))
    finally:
        executor.shutdown(cancel_futures=True)


def one_blas_thread():
    """A context in which matrices are multiplied on one core, so that sums have the same last digits everywhere.

    Threads of BLAS beside those of `in_parallel` are no faster.

    Returns
    -------
    context manager
    """
    return threadpool_limits(1, "blas")
