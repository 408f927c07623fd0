"""Training fields simulated in torch, all of a batch at once: those of `astro_ddpm_imager.simulate.FieldSimulator`."""

from dataclasses import dataclass

import numpy as np
import torch
from astropy.stats import gaussian_fwhm_to_sigma
from torch.nn import functional

from astro_ddpm_imager.diffusion.conditioning import MAX_COMPONENTS_PER_BEAM, condition
from astro_ddpm_imager.observation.clean import DIVERGENCE

# Sources wider than this on both axes (standard deviation, pixels) have a Fourier transform that has faded where pixels
# no longer follow, and pixels come from it. The others are averaged over points of each pixel, out to REACH, long ones
# in pieces of this width.
NARROW, REACH, SUBPIXELS = 1.3, 7, 3
CHUNK = {"cpu": 256, "cuda": 4096}  # sources at once
FIELD, X, Y, FLUX, XX, XY, YY, TRUE_FLUX = range(8)  # columns of the sources


@dataclass
class SkyBatch:
    """Drawn skies in flat arrays; numpy, so that other processes can draw them.

    Parameters
    ----------
    sources : 2D array of float32, shape (sources, 8)
        Field, x, y, flux, second moments xx, xy, yy, and the flux that gain errors act on.
    pb_fwhm, gain_error : 1D arrays of float32, shape (fields,)
    instrument : 1D array of int, shape (fields,)
    """

    sources: np.ndarray
    pb_fwhm: np.ndarray
    gain_error: np.ndarray
    instrument: np.ndarray


def draw_skies(simulator, rng, number, kind=None):
    """Draw the skies of a batch.

    Parameters
    ----------
    simulator : `~astro_ddpm_imager.simulate.FieldSimulator`
    rng : `numpy.random.Generator`
    number : int
    kind : str, optional
        Of all of them; by default it is drawn, too.

    Returns
    -------
    `SkyBatch`
    """
    which = rng.integers(len(simulator.instruments), size=number)
    drawn, rows = [], []
    for field, instrument in enumerate(simulator.instruments[i] for i in which):
        sky = simulator.draw_sky(rng, instrument.psf.shape, instrument.pixels_per_beam, kind)
        sources = sky.sources
        index = np.full(len(sources), field)
        rows.append(np.stack([index, sources.x, sources.y, sources.flux, *sources.covariance, sky.true_flux], 1))
        drawn.append(sky)
    return SkyBatch(
        np.concatenate(rows).astype(np.float32),
        np.array([sky.pb_fwhm for sky in drawn], dtype=np.float32),
        np.array([sky.gain_error for sky in drawn], dtype=np.float32),
        which,
    )


@dataclass
class TorchFields:
    """Fields of a batch.

    Parameters
    ----------
    images : 4D tensor, shape (number, 4, n, n)
        As `astro_ddpm_imager.diffusion.conditioning.condition` makes them.
    skies : 3D tensor, shape (number, n, n)
        Flux per pixel, multiplied by the primary beam.
    response : 3D complex tensor, shape (number, n, n // 2 + 1)
        Fourier transform of the PSF of flux that comes in pixels.
    """

    images: torch.Tensor
    skies: torch.Tensor
    response: torch.Tensor

    def __getitem__(self, chosen):
        return TorchFields(self.images[chosen], self.skies[chosen], self.response[chosen])

    def misfit(self, skies):
        """What skies, shape (number, n, n), leave of the dirty images, (number, 1, n, n); 0 where blank."""
        n, inside = skies.shape[-1], self.images[:, 3] > 0
        seen = torch.fft.irfft2(torch.fft.rfft2(skies * inside) * self.response, s=(n, n))
        return ((self.images[:, 0] - seen) * inside)[:, None]


class TorchSimulator:
    """Observe drawn skies; the fields are periodic, and so are the sidelobes in them.

    Parameters
    ----------
    simulator : `~astro_ddpm_imager.simulate.FieldSimulator`
        Its instruments are used.
    device : str
    threshold, gain : float
        Of CLEAN.
    """

    def __init__(self, simulator, device, threshold, gain):
        self.device, self.pb_limit = torch.device(device), simulator.pb_limit
        self.clean = {"threshold": threshold, "gain": gain}
        instruments = simulator.instruments
        self.pixels_per_beam = np.array([instrument.pixels_per_beam for instrument in instruments])
        self.n = n = len(instruments[0].psf)
        self.psf, self.error = (
            self._tensor(np.fft.ifftshift([getattr(one, name) for one in instruments], axes=(1, 2)))
            for name in ("psf", "error")
        )
        self.amplitude = self._tensor([instrument.noise_amplitude for instrument in instruments])
        self.v = torch.fft.fftfreq(n, device=self.device)[:, None]
        self.u = torch.fft.rfftfreq(n, device=self.device)
        self.pixel = torch.sinc(self.v) * torch.sinc(self.u)

    def _tensor(self, values):
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)

    def __call__(self, batch, generator):
        """Observe skies, with new noise, all turned in one of four directions.

        Parameters
        ----------
        batch : `SkyBatch`
        generator : `torch.Generator`
            On the device.

        Returns
        -------
        `TorchFields`
        """
        n, number = self.n, len(batch.instrument)
        sources, gain_error = self._tensor(batch.sources), self._tensor(batch.gain_error)
        which = torch.from_numpy(batch.instrument).to(self.device)
        pb = self.primary_beams(self._tensor(batch.pb_fwhm))
        skies, spectrum = self.skies(sources, number)
        spectrum = spectrum * torch.fft.rfft2(self.psf[which])
        wrong = sources[gain_error[sources[:, FIELD].long()] > 0]
        if len(wrong):
            errors = torch.fft.rfft2(self.error[which]) * gain_error[:, None, None]
            spectrum = spectrum + self._spectrum(wrong, TRUE_FLUX, number) * errors
        white = torch.randn((number, n, n), generator=generator, device=self.device)
        spectrum = spectrum + torch.fft.rfft2(white) * self.amplitude[which]
        dirty = torch.fft.irfft2(spectrum, s=(n, n)) * (pb > 0)
        images = self.conditions(dirty, batch.instrument, pb)
        orientation = int(torch.randint(4, (1,), generator=generator, device=self.device))
        images, skies, psf = (_turned(image, orientation) for image in (images, skies, self.psf[which]))
        return TorchFields(images, skies, torch.fft.rfft2(psf) / self.pixel)

    def primary_beams(self, fwhm):
        """Gaussian primary beams, shape (number, n, n), 0 below the limit."""
        offset = torch.arange(self.n, device=self.device) - self.n // 2
        squared = offset[:, None] ** 2 + offset**2
        pb = torch.exp(-4 * np.log(2) * squared / fwhm[:, None, None] ** 2)
        return torch.where(pb < self.pb_limit, 0, pb)

    def skies(self, sources, number):
        """Flux per pixel, (number, n, n), and Fourier transform, (number, n, n // 2 + 1), of the sources."""
        narrow = _variances(sources)[1] < NARROW**2
        broad = self._spectrum(sources[~narrow], FLUX, number)
        pixels = torch.fft.irfft2(broad * self.pixel, s=(self.n, self.n)).clamp(min=0)
        return (
            pixels + self._patches(_in_pieces(sources[narrow]), number),
            broad + self._spectrum(sources[narrow], FLUX, number),
        )

    def _spectrum(self, sources, column, number):
        total = torch.zeros((number, self.n, self.n // 2 + 1), dtype=torch.complex64, device=self.device)
        for some in sources.split(CHUNK[self.device.type]):
            x, y, flux, xx, xy, yy = (some[:, i, None, None] for i in (X, Y, column, XX, XY, YY))
            exponent = xx * self.u**2 + 2 * xy * (self.u * self.v) + yy * self.v**2
            # Whole turns are left out: single precision would lose what is left of many.
            rows, columns = (-2 * torch.pi * torch.remainder(turns, 1) for turns in (self.v * y, self.u * x))
            phase = torch.polar(torch.ones_like(rows), rows) * torch.polar(torch.ones_like(columns), columns)
            total.index_add_(0, some[:, FIELD].long(), flux * torch.exp(-2 * torch.pi**2 * exponent) * phase)
        return total

    def _patches(self, sources, number):
        """As `astro_ddpm_imager.simulate.sky_pixels`."""
        image = torch.zeros(number * self.n**2, device=self.device)
        offset = torch.arange(-REACH, REACH + 1, device=self.device)
        within = (torch.arange(SUBPIXELS, device=self.device) + 0.5) / SUBPIXELS - 0.5
        points = (offset[:, None] + within).flatten()
        broadening, narrowest = 1 / (12 * SUBPIXELS**2), 0.25 / SUBPIXELS**2
        for some in sources.split(CHUNK[self.device.type]):
            field, x, y, flux, xx, xy, yy = (some[:, i] for i in (FIELD, X, Y, FLUX, XX, XY, YY))
            x0, y0 = x.round(), y.round()
            dx, dy = (points - (x - x0)[:, None])[:, None, :], (points - (y - y0)[:, None])[:, :, None]
            more = (narrowest - _variances(some)[1]).clamp(min=broadening)
            xx, yy = xx + more, yy + more
            determinant = xx * yy - xy**2
            peak = flux / (2 * torch.pi * determinant.sqrt())
            xx, xy, yy = (moment[:, None, None] / determinant[:, None, None] for moment in (xx, xy, yy))
            density = peak[:, None, None] * torch.exp(-0.5 * (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2))
            patch = functional.avg_pool2d(density[:, None], SUBPIXELS)[:, 0]
            row, column = ((centre[:, None].long() + offset) % self.n for centre in (y0, x0))
            index = (field.long()[:, None, None] * self.n + row[:, :, None]) * self.n + column[:, None, :]
            image.index_add_(0, index.flatten(), patch.flatten())
        return image.view(number, self.n, self.n)

    def conditions(self, dirty, which, pb):
        """As `astro_ddpm_imager.diffusion.conditioning.condition`, of fields that are periodic."""
        if self.device.type == "cpu":
            images = [
                condition(one, np.tile(self.psf[i].numpy(), (2, 2)), beam, self.pixels_per_beam[i], **self.clean)
                for one, i, beam in zip(dirty.numpy(), which, pb.numpy(), strict=True)
            ]
            return torch.from_numpy(np.stack(images))
        return self.conditions_at_once(dirty, which, pb)

    def conditions_at_once(self, dirty, which, pb):
        """The same with all fields in one kernel."""
        from .clean_kernel import clean  # of triton, which comes with torch for CUDA only

        n, inside = self.n, pb > 0
        per_beam = self._tensor(self.pixels_per_beam[which])
        components, residual = clean(
            dirty, self.psf, torch.from_numpy(which).to(self.device), inside,
            (MAX_COMPONENTS_PER_BEAM * n**2 / per_beam**2).long(), divergence=DIVERGENCE, **self.clean,
        )  # fmt: skip
        offset = torch.fft.fftfreq(n, 1 / n, device=self.device)
        beam = torch.exp(-0.5 * (offset / (gaussian_fwhm_to_sigma * per_beam)[:, None]) ** 2)
        smooth = torch.fft.rfft2(components) * torch.fft.fft(beam)[:, :, None] * torch.fft.rfft(beam)[:, None, :]
        smooth = torch.fft.irfft2(smooth, s=(n, n))
        return torch.stack([dirty, residual * inside, smooth * inside, pb], 1)


def _variances(sources):
    """Along the major and the minor axis, shape (sources,) each."""
    xx, xy, yy = sources[:, XX], sources[:, XY], sources[:, YY]
    half, difference = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    return half + difference, half - difference


def _in_pieces(sources):
    """The same sources, long ones as several that are not."""
    major = _variances(sources)[0]
    spread = (major - NARROW**2).clamp(min=0).sqrt()  # of the pieces' centres
    # So far apart, their sum is smooth to exp(-pi^2): the Fourier transform of a comb, times those of both widths.
    distance = spread.clamp(min=1e-6, max=NARROW)
    each_side = torch.ceil(4.5 * spread / distance).long()
    whole = torch.repeat_interleave(torch.arange(len(sources), device=sources.device), 2 * each_side + 1)
    first = torch.cumsum(2 * each_side + 1, 0) - 2 * each_side - 1
    place = distance[whole] * (torch.arange(len(whole), device=sources.device) - first[whole] - each_side[whole])
    weight = torch.where(place == 0, 1, torch.exp(-0.5 * (place / spread[whole].clamp(min=1e-6)) ** 2))
    total = torch.zeros(len(sources), device=sources.device).index_add_(0, whole, weight)
    pieces = sources[whole].clone()
    pieces[:, FLUX] *= weight / total[whole]
    angle = torch.atan2(2 * sources[:, XY], sources[:, XX] - sources[:, YY]) / 2
    cos, sin = angle.cos()[whole], angle.sin()[whole]
    pieces[:, X] += place * cos
    pieces[:, Y] += place * sin
    for column, part in ((XX, cos**2), (XY, cos * sin), (YY, sin**2)):
        pieces[:, column] -= spread[whole] ** 2 * part
    return pieces


def _turned(image, orientation):
    """Periodic images, mirrored and with their axes exchanged, as `Instrument.turned` does."""
    image = image.transpose(-1, -2) if orientation & 1 else image
    return (torch.roll(image.flip(-1), 1, -1) if orientation & 2 else image).contiguous()
