"""Work on several cores."""

from collections import deque
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from importlib import import_module
from itertools import islice
from threading import Event, Lock

from threadpoolctl import threadpool_limits

__all__ = ["ahead", "importing", "in_parallel", "let_others_work", "one_blas_thread"]


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

    Raises
    ------
    concurrent.futures.CancelledError
        This is done ahead, and not wanted any more, see `ahead`.
    """
    executor, context, turns = ThreadPoolExecutor(workers), copy_context(), _turns.get()

    def one(k):
        if turns is not None and turns.given_up.is_set():
            raise CancelledError("interrupted")
        return context.copy().run(function, k)

    try:
        return list(executor.map(one, range(number)))
    finally:
        executor.shutdown(cancel_futures=True)


class _Turns:
    """Of what is under way ahead one has its turn, and does what `let_others_work` does not do beside others."""

    def __init__(self):
        self.turn, self.given_up = Lock(), Event()


_turns = ContextVar("turns of what is done ahead here", default=None)


def ahead(function, items, number):
    """Values of a function in the order of the items, of which some are under way in threads before they are asked for.

    They take turns, and only what they do in `let_others_work` is done beside others: much of the rest takes one core,
    and some of it, such as what warnings are shown, is a setting of the process. When interrupted, those that are
    under way end at their next work `in_parallel`.

    Parameters
    ----------
    function : callable
        Of one item.
    items : iterable
    number : int
        How many are under way.

    Yields
    ------
    item, value
        A function that returns what the function returns of the item, or raises what it raises.
    """
    executor, context, turns, items = ThreadPoolExecutor(number), copy_context(), _Turns(), iter(items)
    context.run(_turns.set, turns)

    def work(item):
        with turns.turn:
            return function(item)

    def begin(item):
        return item, executor.submit(context.copy().run, work, item)

    try:
        under_way = deque(map(begin, islice(items, number)))
        while under_way:
            item, future = under_way.popleft()
            wait([future])
            under_way.extend(map(begin, islice(items, 1)))
            yield item, future.result
    finally:
        turns.given_up.set()
        executor.shutdown(cancel_futures=True)


@contextmanager
def let_others_work():
    """Let others that are under way `ahead` have their turn, while this takes all cores.

    Yields
    ------
    None
    """
    turns = _turns.get()
    if turns is None:
        yield
        return
    turns.turn.release()
    try:
        yield
    finally:
        turns.turn.acquire()


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
