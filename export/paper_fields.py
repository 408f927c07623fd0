"""Fields of the protocol of Drozdova et al. 2024, all of one noise, composed of single sources."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from tqdm import tqdm

from astro_ddpm_imager.observation.grid import ModelGrid
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.observation.preparation import prepare
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields, thermal_rms
from astro_ddpm_imager.simulate.sky import sky_pixels, sky_spectrum

from .to_onnx import MULTIPLE, PIXELS_PER_BEAM

SIDE = 56  # model pixels of 0.39", around the +-10" in which sources lie
WITH_SOURCES, WITHOUT = 9164, 1000  # fields of the paper
LIBRARY = 32768  # single sources, of which fields are composed
FAINTEST = 1e-3  # flux per pixel, in units of the noise: below it the sky is empty, as roots of large gamma need it
FILTERS = (0.1, 0.03, 0.01)  # of the largest value of the PSF's transform
JITTER = 3e-3  # of the noise: white noise, new in each field, so that the networks need no more digits than files have
DETAIL = 1.0  # FWHM of what the filters make of a point, model pixels


def protocol_observation():
    """The observation that ``astro-ddpm-imager simulate`` makes by default, and its noise."""
    array = read_array("alma.cycle5.3")
    observation = Observation(array, 150.0 * u.deg, 2.2 * u.deg)
    rms = thermal_rms(
        array, observation.frequency, 1.872 * u.GHz, observation.time_on_source, 1.796 * u.mm, observation.elevations
    )
    return observation, rms


def gridded_noise(observation, rms):
    """The shared noise on the pixels of the model, through the files and the path of any other image."""
    with tempfile.TemporaryDirectory() as folder:
        simulate_fields(observation, SourceRecipe(number=(0, 0)), rms, folder, shared_noise=True)
        names = (Path(folder) / f"{name}.fits" for name in ("0000.dirty", "psf", "pb"))
        image = prepare(*names)
        grid = ModelGrid(image.shape, image.beam_pixels, PIXELS_PER_BEAM, MULTIPLE)
        gridded = GriddedObservation.of(image, grid)
    return gridded, grid, image.rms


def window(grid):
    """First row and column of the model's window, around the middle of the image."""
    return tuple(round(n // 2 / ratio - SIDE / 2) for n, ratio in zip(grid.image_shape, grid.ratio, strict=True))


def make_library(path, number=LIBRARY, seed=1):
    """Simulate the noise and single sources of Table 1, half of them on a grid of 1 arcsec.

    Parameters
    ----------
    path : path-like
        The .npz file.
    number, seed : int
    """
    observation, rms = protocol_observation()
    gridded, grid, measured = gridded_noise(observation, rms)
    y0, x0 = window(grid)
    box = slice(y0, y0 + SIDE), slice(x0, x0 + SIDE)
    (my, mx), whole = grid.shape, gridded.psf.shape
    transfer = np.fft.rfft2(np.roll(gridded.psf, (my, mx), (0, 1)))
    recipes = [SourceRecipe(number=(1, 1), grid=grid) for grid in (0, 1) * u.arcsec]
    unit = rms.to_value(u.Jy)
    skies, dirties = (np.empty((number, SIDE, SIDE), np.float32) for _ in range(2))
    pb = np.empty(number, np.float32)
    for i in tqdm(range(number), "sources", disable=None):
        rng = np.random.default_rng([seed, 3, i])
        source = recipes[i % 2].draw(rng, observation.shape, observation.cell)
        x, y = source.x, source.y
        pb[i] = observation.primary_beam_at(x, y)[0]
        ratio_y, ratio_x = grid.ratio
        scale = math.sqrt(ratio_y * ratio_x)
        source = type(source)(
            x / ratio_x, y / ratio_y, np.ones(1), source.major / scale, source.minor / scale, source.angle
        )
        dirty = np.fft.irfft2(sky_spectrum(source, whole) * transfer, s=whole)[:my, :mx]
        skies[i], dirties[i] = sky_pixels(source, grid.shape)[box], dirty[box]
    np.savez(
        path,
        skies=skies.astype(np.float16),
        dirties=dirties,
        pb=pb,
        noise=gridded.dirty[box] * measured / unit,
        psf=gridded.psf,
        window=np.array([y0, x0]),
        grid=grid.shape,
        rms=unit,
        flux=recipes[0].flux.to_value(u.Jy) / unit,
        beam=[getattr(observation.beam, a).to_value(u.arcsec) for a in ("major", "minor")],
    )


@dataclass
class Composer:
    """Fields composed of the single sources of a library: the dirty image is linear in the sky.

    Parameters
    ----------
    library : mapping of arrays
        As `make_library` writes them.
    """

    library: dict

    def __post_init__(self):
        self.skies, self.dirties = (torch.from_numpy(self.library[name]) for name in ("skies", "dirties"))
        self.noise = torch.from_numpy(self.library["noise"].astype(np.float32))

    def __call__(self, rng, number):
        """Fields of 1 to 5 sources, or none, in the proportions of the paper; all of one are on the grid or none is.

        Returns
        -------
        skies, dirties : tensors, shape (number, 1, n, n)
            In units of the noise.
        """
        some = rng.random(number) < WITH_SOURCES / (WITH_SOURCES + WITHOUT)
        counts = np.where(some, rng.integers(1, 6, number), 0)
        field = np.repeat(np.arange(number), counts)
        on_grid = rng.integers(2, size=number)[field]
        which = 2 * rng.integers(len(self.skies) // 2, size=len(field)) + on_grid
        low, high = self.library["flux"]
        flux = rng.uniform(low, high, len(field)) * self.library["pb"][which]
        flux, field = torch.from_numpy(flux.astype(np.float32))[:, None, None], torch.from_numpy(field)
        images = []
        for of_sources in (self.skies, self.dirties):
            total = torch.zeros((number, *of_sources.shape[1:]))
            images.append(total.index_add_(0, field, of_sources[torch.from_numpy(which)].float() * flux)[:, None])
        skies, dirties = images
        jitter = JITTER * torch.from_numpy(rng.standard_normal(dirties.shape, dtype=np.float32))
        return torch.where(skies < FAINTEST, 0, skies), dirties + self.noise + jitter


def deconvolving(psf):
    """Regularised inverses of a PSF, shape (3, 1, 2 SIDE - 1, 2 SIDE - 1), as kernels of a convolution."""
    transfer = np.fft.rfft2(np.fft.ifftshift(psf))
    v, w = np.fft.fftfreq(psf.shape[0])[:, None], np.fft.rfftfreq(psf.shape[1])
    sigma = DETAIL / math.sqrt(8 * math.log(2))
    target = np.exp(-2 * (np.pi * sigma) ** 2 * (v**2 + w**2))
    kernels = []
    for least in FILTERS:
        inverse = transfer.conj() / (np.abs(transfer) ** 2 + (least * np.abs(transfer).max()) ** 2)
        kernel = np.fft.fftshift(np.fft.irfft2(target * inverse, s=psf.shape))
        y, x = (n // 2 for n in psf.shape)
        # Convolution in torch is correlation.
        kernels.append(kernel[y - SIDE + 1 : y + SIDE, x - SIDE + 1 : x + SIDE][::-1, ::-1].copy())
    return torch.from_numpy(np.stack(kernels)[:, None].astype(np.float32))
