"""Diffusion with feedback: noisy skies, noisier ones before them, what was expected of those, and its misfit."""

import numpy as np
import torch
from torch.nn import functional

from astro_ddpm_imager.diffusion.sampling import evenly_in_log_ratio

STEPS = 7  # of the sampler: an estimate comes from the step before


class Diffusion:
    """Noise schedule and stretch, on tensors.

    Parameters
    ----------
    schedule : `~astro_ddpm_imager.diffusion.sampling.LinearSchedule`
    stretch : `~astro_ddpm_imager.diffusion.stretch.PowerStretch`
    device : str
    """

    def __init__(self, schedule, stretch, device):
        self.steps, self.stretch, self.device = schedule.steps, stretch, device
        self.signal, self.noise, self.log_ratio = (
            torch.from_numpy(values.astype(np.float32)).to(device)
            for values in (schedule.signal, schedule.noise, schedule.log_ratio)
        )
        times = evenly_in_log_ratio(schedule, STEPS)
        self.width = float(np.diff(schedule.log_ratio[times])[-1])

    def normal(self, shape, generator):
        """Noise of unit variance."""
        return torch.randn(shape, generator=generator, device=self.device)

    def amplitudes(self, t):
        """Signal and noise at steps t, shape (number, 1, 1, 1)."""
        return self.signal[t][:, None, None, None], self.noise[t][:, None, None, None]

    def diffuse(self, skies, generator):
        """Noisy skies at stratified steps t in random order, and the velocities to predict.

        v = alpha eps - sigma x0 (Salimans & Ho 2022, arXiv:2202.00512, section 4).
        """
        number = len(skies)
        x0 = 2 * (skies[:, None] / self.stretch.c) ** (1 / self.stretch.gamma) - 1
        order = torch.randperm(number, generator=generator, device=self.device)
        strata = (order + torch.rand(number, generator=generator, device=self.device)) / number
        t = (strata * self.steps).long().clamp(max=self.steps - 1)
        alpha, sigma = self.amplitudes(t)
        noise = self.normal(x0.shape, generator)
        return alpha * x0 + sigma * noise, t, alpha * noise - sigma * x0

    def before(self, x, t, distance, generator):
        """The noisier sky at a step before, and that step.

        Noise is added to x (Ho et al. 2020, arXiv:2006.11239, equation 2, over
        several steps). With noise of its own it would tell something of the
        sky that x does not, and what a sampler never knows.

        Parameters
        ----------
        x : 4D tensor, shape (number, 1, n, n)
        t : 1D tensor of int
        distance : 1D tensor
            In units of the sampler's steps, even in the logarithm of signal to noise.
        generator : `torch.Generator`
        """
        wanted = (self.log_ratio[t] - self.width * distance).clamp(min=self.log_ratio[-1])
        # The logarithm falls with t.
        earlier = torch.searchsorted(-self.log_ratio, -wanted).clamp(max=self.steps - 1)
        (alpha, sigma), (signal, noise) = self.amplitudes(t), self.amplitudes(earlier)
        ratio = signal / alpha
        added = (noise**2 - ratio**2 * sigma**2).clamp(min=0).sqrt()
        return ratio * x + added * self.normal(x.shape, generator), earlier

    def expected(self, x, v, t):
        """The noiseless stretched sky, shape (number, 1, n, n), that a velocity means."""
        alpha, sigma = self.amplitudes(t)
        return (alpha * x - sigma * v).clamp(min=-1)

    def flux(self, x0):
        """Flux per pixel, shape (number, n, n), of a stretched sky, (number, 1, n, n)."""
        return self.stretch.c * (x0[:, 0] / 2 + 0.5) ** self.stretch.gamma

    @torch.no_grad()
    def feedback(self, predict, fields, x, t, distances, generator):
        """What is expected after some of a sampler's steps, the first of which knows of nothing before, and its misfit.

        Parameters
        ----------
        predict : callable
            ``predict(x, condition, t, feedback)``: the velocity, float32.
        fields : `~export.torch_fields.TorchFields`
        x : 4D tensor, shape (number, 1, n, n)
        t : 1D tensor of int
        distances : 2D tensor, shape (rounds, number)
            From each step to the one before, as for `before`; the last one first.
        generator : `torch.Generator`

        Returns
        -------
        4D tensor, shape (number, 2, n, n)
            As `astro_ddpm_imager.diffusion.conditioning.feedback` makes it.
        """
        chain = []
        for distance in distances:
            x, t = self.before(x, t, distance, generator)
            chain.append((x, t))
        feedback = self.nothing_before(fields)
        for x, t in reversed(chain):
            x0 = self.expected(x, predict(x, fields.images, t, feedback), t)
            feedback = self.look_back(fields, x0)
        return feedback

    def look_back(self, fields, x0):
        """The feedback of a stretched sky, (number, 1, n, n)."""
        return torch.cat([fields.misfit(self.flux(x0)), x0], 1)

    def nothing_before(self, fields):
        """The feedback before there is any estimate: that of an empty sky."""
        dirty = fields.images[:, :1]
        return torch.cat([dirty, torch.full_like(dirty, -1)], 1)

    def loss_weight(self, dirty, t):
        """Where and when the loss counts, shape (number, 1, n, n), mean 1.

        A weight that depends only on what the network is given leaves its optimum,
        the conditional mean, as it is. This one looks at pixels near a peak that
        may or may not be a source, so that the empty sky does not fill the
        gradient; and it makes late steps, where details are drawn, no louder than
        the early ones, where sources are decided.
        """
        near = functional.max_pool2d(dirty, 5, stride=1, padding=2).clamp(min=0)
        doubtful = (0.3 + 2 * torch.sigmoid(3 * (near - 2.5))) / (1 + near / 30)
        weight = doubtful / (1 + 5 * self.signal[t] ** 4)[:, None, None, None]
        return weight / weight.mean()
