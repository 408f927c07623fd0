"""Work on the workers of a Dask cluster, each of which opens the model once."""

import asyncio
import logging
import pickle
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from inspect import signature
from itertools import islice
from logging.handlers import QueueHandler
from queue import Empty, SimpleQueue
from threading import Lock
from uuid import uuid4

from astropy.wcs import FITSFixedWarning

from . import __version__
from .diffusion.models import list_models
from .errors import DirtyImageError, ModelError, SettingError
from .home import expanded
from .ignored_warnings import ignored
from .log_records import collected_records

__all__ = ["Recipe", "check_workers", "connected", "on_cluster"]

log = logging.getLogger(__name__)

PACKAGE = __package__
REACH = 5  # seconds to wait for a scheduler
PATIENCE = 5  # seconds without news, after which is looked whether there are workers
AHEAD = 2  # pieces that are given to each thread of the workers: one is done, another one waits
OPEN = 2  # imagers, each with its model, that a worker keeps
OURS = ("purity", "threads", "progress", "client")  # settings that are of this process, or are in others


@contextmanager
def connected(address):
    """A client of a scheduler.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.

    Yields
    ------
    ``distributed.Client``

    Raises
    ------
    SettingError
        Dask is not installed.
    ConnectionError
        There is no scheduler, which is said within seconds.
    """
    try:
        from distributed import Client
        from distributed.comm import connect
    except ImportError as error:
        raise SettingError(
            f"--scheduler {address}: Dask is not installed ({error}); pip install distributed"
        ) from error

    async def knock():
        comm = await connect(address, timeout=REACH)
        await comm.close()

    try:
        asyncio.run(knock())  # a client that finds nobody leaves threads behind, which complain
        client = Client(address, timeout=REACH, set_as_default=False)
    except Exception as error:  # whatever answers there
        raise ConnectionError(
            f"--scheduler {address}: no Dask scheduler answers there; start one with 'dask scheduler', which prints "
            f"its address, and workers with 'dask worker {address}'"
        ) from error
    words = logging.getLogger("distributed")
    level = words.level
    words.setLevel(logging.CRITICAL)  # what happens to scheduler and workers is said here, in a line
    try:
        with client:
            yield client
    finally:
        words.setLevel(level)


def check_workers(client):
    """Fail if a worker has another version of this package than this process, or none.

    Parameters
    ----------
    client : ``distributed.Client``

    Raises
    ------
    SettingError
    """

    # Nested, it is sent as code: a worker without this package can run it.
    def installed():
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("astro_ddpm_imager")
        except PackageNotFoundError:
            return None

    for worker, found in client.run(installed).items():
        if found != __version__:
            has = "no astro_ddpm_imager" if found is None else f"astro_ddpm_imager {found}"
            raise SettingError(f"worker {worker} has {has}, and this process {__version__}; install the same on both")


@dataclass(frozen=True)
class Recipe:
    """What makes the same imager in another process.

    Parameters
    ----------
    version : str
        Of this package.
    model_sha256 : str
    settings : tuple of (str, object)
        Arguments of `~astro_ddpm_imager.DiffusionImager`.
    """

    version: str
    model_sha256: str
    settings: tuple

    @classmethod
    def of(cls, imager):
        """That of an imager.

        Parameters
        ----------
        imager : `~astro_ddpm_imager.DiffusionImager`

        Returns
        -------
        `Recipe`
        """
        model = imager.model if imager.model in list_models() else str(expanded(imager.model).absolute())
        names = signature(type(imager)).parameters.keys() - set(OURS)
        settings = {name: getattr(imager, name) for name in sorted(names)} | {"model": model}
        # A worker does as many pieces at a time as it has threads, so that each has one.
        settings["threads"] = imager.threads or 1
        return cls(__version__, imager.card.sha256, tuple(settings.items()))

    def imager(self):
        """Make it.

        Returns
        -------
        `~astro_ddpm_imager.DiffusionImager`

        Raises
        ------
        SettingError
            Here is another version of the package.
        ModelError
            Here is another model of this name.
        """
        from .imager import DiffusionImager  # which calls this module

        if self.version != __version__:
            raise SettingError(f"a worker has astro_ddpm_imager {__version__}, not {self.version}; install the same")
        imager = DiffusionImager(**dict(self.settings), progress=False)
        if imager.card.sha256 != self.model_sha256:
            raise ModelError(f"model {imager.card.name!r} of a worker is another one than that of this process")
        return imager


def on_cluster(function, imager, pieces, in_order=False):
    """Let the workers of the imager's client do pieces of work.

    A piece whose worker dies goes to another one, as Dask does it.

    Parameters
    ----------
    function : callable
    imager : `~astro_ddpm_imager.DiffusionImager`
    pieces : iterable
    in_order : bool, optional
        All as for `~astro_ddpm_imager.pieces.attempts`.

    Yields
    ------
    piece, value
        Likewise.

    Raises
    ------
    SettingError
        A worker has another version of this package, or none.
    ConnectionError
        The scheduler has gone.
    """
    import cloudpickle  # which Dask brings

    client, recipe = imager.client, Recipe.of(imager)
    check_workers(client)
    level = logging.getLogger(PACKAGE).getEffectiveLevel()
    done, ready, given, pieces = SimpleQueue(), set(), {}, iter(pieces)
    try:
        while True:
            room = AHEAD * max(1, _threads(client)) - len(given)
            for piece in islice(pieces, max(0, room)):
                key = f"{function.__name__}-{uuid4().hex}"  # the start is what Dask's dashboard shows
                work = cloudpickle.dumps((function, piece))
                future = client.submit(_do, recipe, level, work, key=key, pure=False)
                given[key] = future, piece
                future.add_done_callback(done.put)
            if not given:
                return
            key = next(iter(given)) if in_order else None
            while key not in ready:
                future = _next(client, done)
                if future.status not in ("finished", "error"):
                    raise _gone(client)
                ready.add(future.key)
                key = key or future.key
            ready.remove(key)
            future, piece = given.pop(key)
            yield piece, partial(_value, future)
    finally:
        if given:
            client.cancel([future for future, _ in given.values()])


def _threads(client):
    """How many threads the workers have."""
    try:
        return sum(client.nthreads().values())
    except OSError as error:
        raise _gone(client) from error


def _next(client, done):
    """The next future that is done."""
    said = False
    while True:
        try:
            return done.get(timeout=PATIENCE)
        except Empty:
            if not said and not _threads(client):
                address = client.scheduler.address
                log.warning("the scheduler %s has no workers; start some with 'dask worker %s'", address, address)
                said = True


def _gone(client):
    return ConnectionError(f"the scheduler {client.scheduler.address} has gone; start it again, and this command")


def _value(future):
    """What a piece has come to; what was logged of it is logged here."""
    from distributed import KilledWorker

    try:
        done = future.result()
    except KilledWorker as error:
        raise DirtyImageError(
            f"the workers that took it have died, {error.allowed_failures + 1} one after the other; perhaps they need "
            "more memory"
        ) from error
    value, error, records = _unpickled(done)
    for record in records:
        logging.getLogger(record.name).handle(record)
    if error is not None:
        raise error
    return value


def _unpickled(content):
    with ignored(FITSFixedWarning):  # of every WCS
        return pickle.loads(content)


def _do(recipe, level, work):
    """Do a piece of work, in a worker: what comes of it, or what is raised, and the records of its log, pickled."""
    import cloudpickle  # which Dask brings

    function, piece = _unpickled(work)
    package = logging.getLogger(PACKAGE)
    if package.getEffectiveLevel() > level:  # of a thread of the caller it is not
        package.setLevel(level)
    # A worker that is a thread of the caller has its log, in which the caller says what is logged here.
    with collected_records(level, alone=True) as records:
        try:
            value, error = function(_opened(recipe), piece), None
        except Exception as raised:
            # Sent, it has no traceback any more.
            raised.add_note(f"In a worker:\n{traceback.format_exc()}")
            value, error = None, raised
    sent = [QueueHandler(None).prepare(record) for record in records]
    return cloudpickle.dumps((value, error, sent))


_opening = Lock()


def _opened(recipe):
    """The imager of a recipe, which this worker makes once."""
    with _opening:
        return _made(recipe)


@lru_cache(OPEN)
def _made(recipe):
    return recipe.imager()
