"""The conditional denoising U-Net, in torch, for training and export."""

import math

import torch
from torch import nn
from torch.nn import functional


def _asinh(x):
    """Inverse hyperbolic sine, of operators that ONNX export knows."""
    return x.sign() * torch.log(x.abs() + torch.sqrt(x.square() + 1))


class ChannelNorm(nn.Module):
    """Root-mean-square normalisation over the channels of each pixel.

    Group normalisation averages over the image, which ties the result to the
    size of the crop; this one is local, so that a network of convolutions
    keeps a finite receptive field and tiles join without a seam.
    """

    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6) * self.gain


class ResidualBlock(nn.Module):
    """Two convolutions with the noise level added as scale and shift."""

    def __init__(self, channels_in, channels, embedding):
        super().__init__()
        self.norm = ChannelNorm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x, embedding):
        h = self.conv1(functional.silu(self.norm(x)))
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, 1)
        return self.skip(x) + self.conv2(functional.silu(h * (1 + scale) + shift))


class UNet(nn.Module):
    """Predict the velocity v of a noisy sky, given what is known of the observation.

    Called with the noisy sky, shape (n, 1, ny, nx), the images of
    `astro_ddpm_imager.diffusion.conditioning.condition`, (n, 4, ny, nx), and t,
    (n,); with feedback also with the last estimate of the sky, as
    `astro_ddpm_imager.diffusion.conditioning.feedback` makes it, (n, 2, ny, nx).

    That estimate is known from the sampler's step before, as in
    self-conditioning (Chen et al. 2022, arXiv:2208.04202), and comes with its
    misfit, computed with the whole PSF over the whole field, where the
    convolutions see a part.

    Parameters
    ----------
    channels : tuple of int
        Channels of each level, finest first. The finest level works on
        2 x 2 pixel-unshuffled images.
    blocks : tuple of int
        Residual blocks of each level, on the way down and again on the way up.
    feedback : bool
        Whether it is given the last estimate.
    """

    def __init__(self, channels=(64, 96, 128), blocks=(2, 2, 3), feedback=False):
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(math.log(1), math.log(1000), 32)))
        width = 128
        self.embed = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.first = nn.Conv2d(6 * 4, channels[0], 3, padding=1)
        self.feedback = None
        if feedback:
            # Beside the first and without weight, so that training can go on from a network without feedback.
            self.feedback = nn.Conv2d(3 * 4, channels[0], 3, padding=1, bias=False)
            nn.init.zeros_(self.feedback.weight)
        self.down, self.shrink, self.up, self.grow = (nn.ModuleList() for _ in range(4))
        for level, (width_here, n_blocks) in enumerate(zip(channels, blocks, strict=True)):
            self.down.append(nn.ModuleList(ResidualBlock(width_here, width_here, width) for _ in range(n_blocks)))
            if level + 1 < len(channels):
                self.shrink.append(nn.Conv2d(width_here, channels[level + 1], 2, stride=2))
                self.grow.append(nn.ConvTranspose2d(channels[level + 1], width_here, 2, stride=2))
                self.up.append(
                    nn.ModuleList(
                        ResidualBlock(2 * width_here if i == 0 else width_here, width_here, width)
                        for i in range(n_blocks)
                    )
                )
        self.norm = ChannelNorm(channels[0])
        self.last = nn.Conv2d(channels[0], 4, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x, condition, t, feedback=None):
        phase = t[:, None] * self.frequencies / 1000 * math.pi
        embedding = self.embed(torch.cat([phase.sin(), phase.cos()], 1))
        dirty, residual, components, pb = condition.split(1, 1)
        images = torch.cat([x, dirty / 4, _asinh(dirty), pb, residual / 2, _asinh(components)], 1)
        h = self.first(functional.pixel_unshuffle(images, 2))
        if self.feedback is not None:
            # Linear up to one and up to eight times the noise, and small for sources of a hundred that are yet to come.
            misfit, estimate = feedback.split(1, 1)
            images = torch.cat([_asinh(misfit), _asinh(misfit / 8), estimate + 1], 1)
            h = h + self.feedback(functional.pixel_unshuffle(images, 2))
        kept = []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                h = block(h, embedding)
            if level < len(self.shrink):
                kept.append(h)
                h = self.shrink[level](h)
        for level in reversed(range(len(self.up))):
            h = torch.cat([self.grow[level](h), kept[level]], 1)
            for block in self.up[level]:
                h = block(h, embedding)
        return functional.pixel_shuffle(self.last(functional.silu(self.norm(h))), 2)
