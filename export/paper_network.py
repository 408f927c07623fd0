"""The network of Drozdova et al. 2024 as it is here: a U-Net that may learn the one noise of all its fields."""

import math

import torch
from torch import nn

from .unet import UNet

SHAPE = {"channels": (32, 64, 96), "blocks": (2, 1, 1)}


class SharedNoiseUNet(nn.Module):
    """A U-Net that may learn the one noise of all its fields, and sees nothing but the dirty image.

    A learnable image is added to the dirty image. The sum goes, besides as it
    is, through convolutions as large as the field, which start as regularised
    inverses of the PSF. The channels in which `UNet` expects the
    residual, components and primary beam of other models hold these.

    Parameters
    ----------
    image : 2D tensor, shape (n, n)
        What the learnable image starts from.
    kernels : 4D tensor, shape (3, 1, 2 n - 1, 2 n - 1)
        What the convolutions start from.
    """

    feedback = None

    def __init__(self, image, kernels):
        super().__init__()
        self.image, self.kernels = nn.Parameter(image[None, None].clone()), nn.Parameter(kernels.clone())
        self.unet = UNet(**SHAPE)

    @property
    def side(self):
        """Pixels of a side of its images."""
        return self.image.shape[-1]

    def filtered(self, dirty):
        """What the convolutions make of dirty images, shape (number, 3, n, n)."""
        n = self.side
        whole = (2 * n, 2 * n)  # what comes round from the other side does not reach what is kept
        spectrum = torch.fft.rfft2(dirty, s=whole) * self.response()
        return torch.fft.irfft2(spectrum, s=whole)[..., n - 1 : 2 * n - 1, n - 1 : 2 * n - 1]

    def response(self):
        """Fourier transform of the kernels, shape (3, 2 n, n + 1)."""
        return torch.fft.rfft2(self.kernels[:, 0].flip(1, 2), s=(2 * self.side, 2 * self.side))

    def forward(self, x, condition, t):
        dirty = condition[:, :1] + self.image
        mild, middle, sharp = self.filtered(dirty).split(1, 1)
        # In the order, and with the factors, that the U-Net expects.
        return self.unet(x, torch.cat([dirty, 2 * middle, sharp, mild], 1), t)


class Exported(nn.Module):
    """The same network, of operators that ONNX has: Fourier transforms are products with matrices.

    The dirty image without what it has learnt of the noise is a second output.

    Parameters
    ----------
    network : `SharedNoiseUNet`
    """

    feedback = None

    def __init__(self, network):
        super().__init__()
        n = network.side
        self.unet = network.unet
        rows, columns = torch.arange(2 * n)[:, None], torch.arange(n + 1)[:, None]
        here, there = torch.arange(n), torch.arange(n - 1, 2 * n - 1)
        parts = 2 * torch.ones(n + 1, 1)
        parts[[0, -1]] = 1  # the other half of the columns is the conjugate of this one, which has two of its own
        turns = {
            "to_rows": (rows * here).double(), "to_columns": (columns * here).T.double(),
            "from_rows": -(rows * there).T.double(), "from_columns": -(columns * there).double(),
        }  # fmt: skip
        for name, turn in turns.items():
            wave = torch.exp(-2j * math.pi / (2 * n) * turn)
            wave = wave * parts / (2 * n) ** 2 if name == "from_columns" else wave
            self.register_buffer(name, torch.view_as_real(wave).permute(2, 0, 1).float().contiguous())
        response = torch.view_as_real(network.response().detach()).permute(3, 0, 1, 2)
        self.register_buffer("response", response.contiguous())
        self.register_buffer("image", network.image.detach().clone())

    def filtered(self, dirty):
        """As `SharedNoiseUNet.filtered`."""
        real, imaginary = (dirty @ part for part in self.to_columns)
        real, imaginary = _product(*self.to_rows, real, imaginary, torch.matmul)
        real, imaginary = _product(*self.response, real, imaginary, torch.mul)
        real, imaginary = _product(*self.from_rows, real, imaginary, torch.matmul)
        return real @ self.from_columns[0] - imaginary @ self.from_columns[1]

    def forward(self, x, condition, t):
        return SharedNoiseUNet.forward(self, x, condition, t), condition[:, :1] + self.image


def _product(real_a, imaginary_a, real_b, imaginary_b, times):
    """Real and imaginary part of a product of complex numbers."""
    return (
        times(real_a, real_b) - times(imaginary_a, imaginary_b),
        times(real_a, imaginary_b) + times(imaginary_a, real_b),
    )
