"""Progress bars, on terminals and in notebooks."""

import builtins
import warnings
from contextlib import contextmanager

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # Without ipywidgets, notebooks get a bar of letters, which is no reason to warn.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

__all__ = ["expect_more", "hidden", "progress_bar", "tile_progress", "tqdm"]


def hidden(progress):
    """What tqdm calls ``disable``.

    Parameters
    ----------
    progress : bool or None
        None shows a bar on terminals and in notebooks only.

    Returns
    -------
    bool or None
    """
    if progress is not None:
        return not progress
    # To tqdm, None is only on a terminal, which a notebook is not.
    in_notebook = hasattr(getattr(builtins, "get_ipython", lambda: None)(), "kernel")
    return False if in_notebook else None


@contextmanager
def progress_bar(progress, total):
    """A function to call after each step.

    Parameters
    ----------
    progress : bool, None or tqdm
        As for `hidden`; or a bar of the caller's.
    total : int
        Number of steps.

    Yields
    ------
    callable
    """
    if hasattr(progress, "update"):
        yield progress.update
    else:
        with tqdm(total=total, desc="sampling", unit="step", leave=False, disable=hidden(progress)) as bar:
            yield bar.update


def expect_more(progress, steps):
    """Tell a bar of the caller's that there are more steps than it knows of.

    Parameters
    ----------
    progress : bool, None or tqdm
        As for `progress_bar`.
    steps : int
    """
    if hasattr(progress, "update") and getattr(progress, "total", None):
        progress.total += steps


@contextmanager
def tile_progress(progress, tiles, steps):
    """A function to call with the number of tiles that have been done.

    Parameters
    ----------
    progress : bool, None or tqdm
        As for `progress_bar`: a bar of the caller's is updated by all samples and steps of each tile.
    tiles : int
        Number of tiles.
    steps : int
        Of one tile, all its samples together.

    Yields
    ------
    callable
    """
    if hasattr(progress, "update"):
        expect_more(progress, (tiles - 1) * steps)
        yield lambda done: progress.update(done * steps)
    else:
        with tqdm(total=tiles, desc="imaging", unit="tile", leave=False, disable=hidden(progress)) as bar:
            yield bar.update
