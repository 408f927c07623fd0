"""Pieces of work, such as the channels of a cube or the tiles of an image, done one by one."""

__all__ = ["run_pieces"]


def run_pieces(function, imager, pieces):
    """Do pieces of work that do not depend on each other.

    Parameters
    ----------
    function : callable
        Of a module, so that other processes find it: of the imager and a piece.
    imager : `~astro_ddpm_imager.DiffusionImager`
    pieces : list
        Whatever can be pickled.

    Yields
    ------
    piece, value
        What the function returns of each piece, as it is done; in any order.
    """
    for piece in pieces:
        yield piece, function(imager, piece)
