"""Work on several cores."""

from concurrent.futures import ThreadPoolExecutor

__all__ = ["in_parallel"]


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
