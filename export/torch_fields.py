"""Training fields simulated in torch, for a GPU: what `astro_ddpm_imager.simulate.FieldSimulator` does, in batches."""

import numpy as np
import torch
from astropy.stats import gaussian_fwhm_to_sigma

from astro_ddpm_imager.diffusion.conditioning import MAX_COMPONENTS_PER_BEAM

SUBPIXELS = 3


class TorchFields:
    """Draw crops as a `~astro_ddpm_imager.simulate.FieldSimulator` does, many fields at once.

    Sources, primary beams and places of the crops are drawn in numpy, which is
    quick; spectra, noise, CLEAN and pixels are computed on the device.
    """

    def __init__(self, simulator, device):
        self.simulator, self.device = simulator, torch.device(device)
        turned = [instrument.turned(o) for instrument in simulator.instruments for o in range(4)]
        self.pixels_per_beam = np.array([instrument.pixels_per_beam for instrument in turned])
        self.n = len(turned[0].psf)
        psf = np.fft.ifftshift(np.stack([instrument.psf for instrument in turned]), axes=(1, 2))
        self.psf = self._tensor(psf)
        self.amplitude = self._tensor(np.stack([instrument.noise_amplitude for instrument in turned]))

    def _tensor(self, values):
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)

    def crops(self, rng, number, size, clean):
        """Conditions, shape (number, 4, size, size), and skies, (number, size, size), on the device."""
        n = self.n
        which = rng.integers(len(self.pixels_per_beam), size=number)
        drawn = [self.simulator.draw_sky(rng, (n, n), self.pixels_per_beam[i]) for i in which]
        pb = self._tensor(np.stack([pb for _, pb in drawn]))
        noise = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        spectrum, sky = self._sources([sources for sources, _ in drawn])
        psf = self.psf[torch.from_numpy(which).to(self.device)]
        white = torch.randn((number, n, n), generator=noise, device=self.device)
        amplitude = self.amplitude[torch.from_numpy(which).to(self.device)]
        dirty = torch.fft.irfft2(spectrum * torch.fft.rfft2(psf) + torch.fft.rfft2(white) * amplitude, s=(n, n))
        dirty = dirty * (pb > 0)
        images = self._condition(dirty, psf, pb, self.pixels_per_beam[which], **clean)
        reach = min((n - size) // 2, int(0.28 * n))
        corners = (n - size) // 2 + rng.integers(-reach, reach + 1, (number, 2))
        cut = [
            (images[i, :, y : y + size, x : x + size], sky[i, y : y + size, x : x + size])
            for i, (y, x) in enumerate(corners)
        ]
        return tuple(torch.stack(parts) for parts in zip(*cut, strict=True))

    def _sources(self, fields):
        """Spectra, (fields, n, n // 2 + 1), and pixels, (fields, n, n), of the sources of each field."""
        n = self.n
        v = torch.fft.fftfreq(n, device=self.device)[:, None]
        u = torch.fft.rfftfreq(n, device=self.device)
        offsets = (torch.arange(SUBPIXELS * n, device=self.device) + 0.5) / SUBPIXELS - 0.5
        spectrum = torch.zeros((len(fields), n, n // 2 + 1), dtype=torch.complex64, device=self.device)
        sky = torch.zeros((len(fields), n, n), device=self.device)
        # One source of every field at a time: fields without so many add nothing.
        for k in range(max((len(sources) for sources in fields), default=0)):
            have = [i for i, sources in enumerate(fields) if len(sources) > k]
            rows = np.array(
                [[f.x[k], f.y[k], f.flux[k], *(c[k] for c in f.covariance)] for f in (fields[i] for i in have)]
            )
            x, y, flux, xx, xy, yy = (self._tensor(column)[:, None, None] for column in rows.T)
            envelope = torch.exp(-2 * torch.pi**2 * (xx * u**2 + 2 * xy * u * v + yy * v**2))
            phase = torch.exp(-2j * torch.pi * v * y) * torch.exp(-2j * torch.pi * u * x)
            spectrum[have] += flux * envelope * phase
            xx, yy = (torch.clamp(variance + 1 / (12 * SUBPIXELS**2), min=0.25 / SUBPIXELS**2) for variance in (xx, yy))
            dx, dy = offsets - x, offsets[:, None] - y
            determinant = xx * yy - xy**2
            density = torch.exp(-0.5 * (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / determinant)
            density = torch.nn.functional.avg_pool2d(density[:, None], SUBPIXELS)[:, 0]
            sky[have] += flux * density / (2 * torch.pi * determinant.sqrt())
        return spectrum, sky

    def _condition(self, dirty, psf, pb, pixels_per_beam, threshold, gain):
        """As `astro_ddpm_imager.diffusion.conditioning.condition`, for many periodic fields."""
        fields, n = len(dirty), self.n
        residual, components = dirty.clone(), torch.zeros_like(dirty)
        index = torch.arange(fields, device=self.device)
        pixel = torch.arange(n, device=self.device)
        most = int(MAX_COMPONENTS_PER_BEAM * n**2 / pixels_per_beam.min() ** 2)
        allowed = (pb > 0).flatten(1)
        for _ in range(most):
            height, peak = (residual.flatten(1) * allowed).max(1)
            active = height > threshold
            if not active.any():
                break
            y, x = peak // n, peak % n
            flux = torch.where(active, gain * height, 0)
            components[index, y, x] += flux
            rows, columns = (pixel - y[:, None]) % n, (pixel - x[:, None]) % n
            residual -= flux[:, None, None] * psf[index[:, None, None], rows[:, :, None], columns[:, None, :]]
        sigma = self._tensor(gaussian_fwhm_to_sigma * pixels_per_beam)[:, None]
        offset = torch.fft.fftfreq(n, 1 / n, device=self.device)
        # The peak of the round beam is 1; its transform is taken of the pixels, as gaussian_filter smooths them.
        beam = torch.fft.rfft(torch.exp(-0.5 * (offset / sigma) ** 2))
        column = torch.fft.fft(torch.exp(-0.5 * (offset / sigma) ** 2))
        smooth = torch.fft.irfft2(torch.fft.rfft2(components) * column[:, :, None] * beam[:, None, :], s=(n, n))
        inside = pb > 0
        return torch.stack([dirty, residual * inside, smooth * inside, pb], 1)
