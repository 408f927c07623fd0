"""What all trainings do: go on where they stopped, keep a running average of the weights, and end as a whole."""

import logging
import math
import signal
from contextlib import contextmanager

import torch

from astro_ddpm_imager.whole_files import written_whole

__all__ = ["INTERRUPTIONS", "follow", "log_to", "resume", "save", "share_of_rate", "uninterrupted"]

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C; queues and services stop what they run with the other one
KEPT = ("model", "average", "optimizer")
WARM_UP = 200  # steps


@contextmanager
def uninterrupted():
    """Put off an interruption to the end of the block."""
    caught = []
    handlers = {number: signal.signal(number, lambda *_: caught.append(True)) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt


def save(trainer, path, **counts):
    """Write a checkpoint whole or not at all.

    Parameters
    ----------
    trainer : object
        With a ``model``, its ``average`` and their ``optimizer``.
    path : `~pathlib.Path`
    **counts
        How far it has come.
    """
    state = {name: getattr(trainer, name).state_dict() for name in KEPT}
    with uninterrupted(), written_whole(path) as part:
        torch.save(counts | state, part)


def resume(trainer, path, device):
    """Load a checkpoint into a trainer, and return it with its counts."""
    state = torch.load(path, map_location=device)
    for name in KEPT:
        getattr(trainer, name).load_state_dict(state[name])
    return state


@torch.no_grad()
def follow(average, model, step, decay):
    """Move averaged weights towards those of a step; the first ones do not count for long."""
    decay = min(decay, (step + 1) / (step + 21))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def share_of_rate(step, done):
    """Share of the peak learning rate: warm up, then decay to zero as a cosine of what is done, from 0 to 1."""
    return min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(1, done)))


def log_to(folder):
    """Log to the terminal and to ``train.log`` in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(folder / "train.log")],
    )
