"""Pieces of work, such as files, the channels of a cube or the tiles of an image: done here, or by a cluster."""

import logging
from functools import partial
from itertools import chain, islice

from .log_records import collected_records, log_again
from .parallel import ahead

__all__ = ["attempts", "run_pieces"]

UNDER_WAY = 2  # pieces: while samples of one are drawn, another one is read, searched for sources and written


def run_pieces(function, imager, pieces, in_order=False):
    """Do pieces of work that do not depend on each other.

    The workers of the imager's ``client`` do them, if it has one; else threads, some of them ahead.

    Parameters
    ----------
    function : callable
        Of a module, so that other processes find it: of the imager and a piece.
    imager : `~astro_ddpm_imager.DiffusionImager`
    pieces : iterable
        Whatever can be pickled. More are asked for as the work gets on.
    in_order : bool, optional
        Yield them in the order of the pieces, where sums depend on it; without a cluster they always are.

    Yields
    ------
    piece, value
        What the function returns of each piece, as it is done; in any order else.

    Raises
    ------
    DirtyImageError
        A piece has ended several workers of a cluster.
    ConnectionError
        The scheduler of the cluster has gone.
    """
    for piece, value in attempts(function, imager, pieces, in_order):
        yield piece, value()


def attempts(function, imager, pieces, in_order=False, under_way=UNDER_WAY):
    """The same, where a piece that cannot be done does not stop the others.

    Parameters
    ----------
    function : callable
    imager : `~astro_ddpm_imager.DiffusionImager`
    pieces : iterable
    in_order : bool, optional
        All as for `run_pieces`.
    under_way : int, optional
        How many at a time in this process.

    Yields
    ------
    piece, value
        A function that returns what the function returns of the piece, or raises what it raises.
    """
    if getattr(imager, "client", None) is None:
        yield from _here(function, imager, pieces, under_way)
        return
    from .cluster import on_cluster  # only here, for distributed need not be installed

    yield from on_cluster(function, imager, pieces, in_order)


def _here(function, imager, pieces, under_way):
    """The same in this process: what is logged of a piece is logged when it is its turn."""
    pieces = iter(pieces)
    first = list(islice(pieces, under_way))
    if len(first) < 2:
        for piece in chain(first, pieces):
            yield piece, partial(function, imager, piece)
        return
    for piece, done in ahead(partial(_logged, function, imager), chain(first, pieces), under_way):
        yield piece, partial(_said, done)


def _logged(function, imager, piece):
    """What comes of a piece, or what is raised, and the records of its log."""
    with collected_records(logging.NOTSET, alone=True) as records:
        try:
            return function(imager, piece), None, records
        except Exception as error:
            return None, error, records


def _said(done):
    value, error, records = done()
    log_again(records)
    if error is not None:
        raise error
    return value
