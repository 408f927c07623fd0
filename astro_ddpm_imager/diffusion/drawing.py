"""Posterior samples of the sky of one observation."""

from dataclasses import dataclass

import numpy as np

from ..observation.grid import turn, turn_back
from ..parallel import in_parallel
from .conditioning import condition, feedback
from .protocol import window
from .sampling import SAMPLERS, with_feedback

__all__ = ["Draws", "draw_samples"]


@dataclass(frozen=True)
class Draws:
    """What was drawn of one observation.

    Parameters
    ----------
    samples : 3D array of float32, shape (n_samples, my, mx)
        Flux per model pixel, times the primary beam, in units of the noise,
        without that of ``gridded.bright``.
    mean, expected : 2D arrays, shape (my, mx)
        Mean of the stretched samples, and what it was expected to be before
        the first step, which does not depend on the noise that is drawn; both
        with ``gridded.bright``, stretched; 0 where the sky is empty.
    """

    samples: np.ndarray
    mean: np.ndarray
    expected: np.ndarray


def draw_samples(gridded, denoiser, n_samples, steps, sampler, seed, update):
    """Draw skies that explain an observation.

    Parameters
    ----------
    gridded : `~astro_ddpm_imager.observation.gridded.GriddedObservation`
        Not blank everywhere.
    denoiser : `~astro_ddpm_imager.diffusion.denoiser.Denoiser`
    n_samples, steps : int
    sampler : str
        One of ``sampling.SAMPLERS``.
    seed : int
        Of the noise; that of a sample is the same however many there are.
    update : callable
        Called with a number of samples at each step that they take.

    Returns
    -------
    `Draws`
    """
    views = _Views(gridded, denoiser.card)
    schedule, looks_back = denoiser.card.noise_schedule, denoiser.looks_back
    # The sky has no preferred direction, the network a little: samples average over all.
    orientations = min(denoiser.card.orientations, n_samples)

    def batches(number):
        return _batches(number, denoiser.batch(views.shape(0), number))

    def noise(batch):
        streams = [np.random.default_rng([seed, i]) for i in batch]
        return lambda: np.stack([rng.standard_normal(views.shape(batch[0]), dtype=np.float32) for rng in streams])

    def start(batch):
        """What is expected of pure noise, which hardly depends on the noise."""
        given = views.look_back(batch, None) if looks_back else None
        return denoiser.predict(noise(batch)(), views.conditions(batch), schedule.steps - 1, given)

    starts = _in_batches(start, batches(orientations), denoiser.streams)

    def sample(batch):
        conditions = views.conditions(batch)

        def predict(noisy, t, given):
            update(len(batch))
            if t == schedule.steps - 1:
                return np.stack([starts[i % orientations] for i in batch])
            return denoiser.predict(noisy, conditions, t, given)

        def look_back(expected):
            return views.look_back(batch, expected) if looks_back and expected is not None else None

        drawn = SAMPLERS[sampler](with_feedback(predict, look_back), noise(batch), schedule, steps)
        return [views.sky(i, one) for i, one in zip(batch, drawn, strict=True)]

    samples = np.stack(_in_batches(sample, batches(n_samples), denoiser.streams))
    stretched = denoiser.card.stretch.forward
    certain = stretched(np.clip(gridded.bright, 0, None) / gridded.noise) + 1  # an empty sky is stretched to -1
    return Draws(samples, stretched(samples / gridded.noise).mean(0) + 1 + certain, views.mean(starts) + 1 + certain)


def _batches(number, size):
    """Numbers from 0, in lists of at most ``size``; views of the same shape go together."""
    alike = [list(range(first, number, 2)) for first in (0, 1)]  # odd orientations exchange the axes
    return [same[i : i + size] for same in alike for i in range(0, len(same), size)]


def _in_batches(function, batches, streams):
    """What a function makes of each number in some batches, in the order of the numbers."""
    made = in_parallel(lambda k: function(batches[k]), len(batches), streams)
    pairs = (pair for batch, values in zip(batches, made, strict=True) for pair in zip(batch, values, strict=True))
    return [value for _, value in sorted(pairs, key=lambda pair: pair[0])]


class _Views:
    """What the network is shown of an observation, in each orientation: the part that is not blank."""

    def __init__(self, gridded, card):
        self.gridded, self.stretch = gridded, card.stretch
        # Where more counts as noise, sources are fainter in its units, as where the primary beam is lower.
        self.noise = np.broadcast_to(gridded.noise, gridded.pb.shape).astype(np.float32)
        dirty, pb = gridded.dirty / self.noise, gridded.pb / self.noise
        conditions = condition(dirty, gridded.psf, pb, card.pixels_per_beam, **card.clean)
        if card.protocol:
            self.box = window(pb.shape, card.protocol)
        else:
            self.box = _bounding_box(pb > 0, card.multiple)
        self.inside = pb[self.box] > 0
        self.turned = [np.ascontiguousarray(turn(conditions[:, *self.box], i)) for i in range(card.orientations)]

    def conditions(self, batch):
        return np.stack([self.turned[i % len(self.turned)] for i in batch])

    def shape(self, i):
        return self.turned[i % len(self.turned)].shape[1:]

    def sky(self, i, stretched):
        """Flux of a stretched sky, turned back, on all pixels."""
        sky = np.zeros(self.gridded.pb.shape, dtype=np.float32)
        sky[self.box] = np.where(self.inside, self.stretch.inverse(turn_back(stretched, i % len(self.turned))), 0)
        return sky * self.noise

    def look_back(self, batch, stretched):
        """Feedback of estimates, or of empty skies where there are None."""
        dirty = [self.turned[i % len(self.turned)][0] for i in batch]
        if stretched is None:
            return np.stack([feedback(image, 0, np.full(image.shape, -1)) for image in dirty])
        return np.stack([self._look_back(*one) for one in zip(batch, dirty, stretched, strict=True)])

    def _look_back(self, i, dirty, stretched):
        seen = (self.gridded.seen(self.sky(i, stretched)) / self.noise)[self.box]
        return feedback(dirty, turn(seen, i % len(self.turned)), np.maximum(stretched, -1))

    def mean(self, stretched):
        """Mean of stretched skies, turned back, on all pixels; empty where blank."""
        mean = np.full(self.gridded.pb.shape, -1.0)
        turned = np.mean([turn_back(image, i) for i, image in enumerate(stretched)], axis=0)
        mean[self.box] = np.where(self.inside, turned, -1)
        return mean


def _bounding_box(mask, multiple):
    """Slices around the pixels of a mask, whose sides are multiples of a number that divides the image's."""
    box = []
    for axis in (1, 0):
        there = np.flatnonzero(mask.any(axis))
        box.append(slice(there[0] // multiple * multiple, (there[-1] // multiple + 1) * multiple))
    return tuple(box)
