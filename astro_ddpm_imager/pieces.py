"""Pieces of work, such as files, the channels of a cube or the tiles of an image: done here, or by a cluster."""

from functools import partial

__all__ = ["attempts", "run_pieces"]


def run_pieces(function, imager, pieces, in_order=False):
    """Do pieces of work that do not depend on each other.

    The workers of the imager's ``client`` do them, if it has one.

    Parameters
    ----------
    function : callable
        Of a module, so that other processes find it: of the imager and a piece.
    imager : `~astro_ddpm_imager.DiffusionImager`
    pieces : iterable
        Whatever can be pickled. A cluster asks for more as it gets on.
    in_order : bool, optional
        Yield them in the order of the pieces, where sums depend on it.

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


def attempts(function, imager, pieces, in_order=False):
    """The same, where a piece that cannot be done does not stop the others.

    Parameters
    ----------
    function : callable
    imager : `~astro_ddpm_imager.DiffusionImager`
    pieces : iterable
    in_order : bool, optional
        All as for `run_pieces`.

    Yields
    ------
    piece, value
        A function that returns what the function returns of the piece, or raises what it raises.
    """
    if getattr(imager, "client", None) is None:
        for piece in pieces:
            yield piece, partial(function, imager, piece)
        return
    from .cluster import on_cluster  # only here, for distributed need not be installed

    yield from on_cluster(function, imager, pieces, in_order)
