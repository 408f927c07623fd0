"""The networks of Drozdova et al. 2024 under their own protocol, one noise for all fields: data, network, training.

python -m export.paper data runs/paper/sources.npz
python -m export.paper train runs/paper/sources.npz runs/paper/gamma2 --gamma 2 --minutes 40
python -m export.paper train runs/paper/sources.npz runs/paper/gamma1 --gamma 1 --initial runs/paper/gamma2
python -m export.paper export runs/paper/sources.npz runs/paper/gamma2 MODELS/paper-gamma2.onnx
"""

import argparse
import datetime
import json
import logging
import math
import signal
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from astro_ddpm_imager.diffusion.models import ModelCard
from astro_ddpm_imager.diffusion.sampling import LinearSchedule
from astro_ddpm_imager.diffusion.stretch import PowerStretch
from astro_ddpm_imager.observation.dirty import prepare
from astro_ddpm_imager.observation.grid import ModelGrid
from astro_ddpm_imager.observation.gridded import GriddedObservation
from astro_ddpm_imager.simulate import Observation, SourceRecipe, read_array, simulate_fields, thermal_rms
from astro_ddpm_imager.simulate.instruments import LONGEST_BEAM
from astro_ddpm_imager.simulate.sky import sky_pixels, sky_spectrum

from .feedback import Diffusion
from .to_onnx import export
from .train import CLEAN
from .unet import UNet

log = logging.getLogger("paper")

PIXELS_PER_BEAM, MULTIPLE = 2.2, 8
SIDE = 56  # model pixels of 0.39", around the +-10" in which sources lie
SHAPE = {"channels": (32, 64, 96), "blocks": (2, 1, 1)}
WITH_SOURCES, WITHOUT = 9164, 1000  # fields of the paper
LIBRARY = 32768  # single sources, of which fields are composed
FAINTEST = 1e-3  # flux per pixel, in units of the noise: below it the sky is empty, as roots of large gamma need it
FILTERS = (0.1, 0.03, 0.01)  # of the largest value of the PSF's transform
JITTER = 3e-3  # of the noise: white noise, new in each field, so that the networks need no more digits than files have
DETAIL = 1.0  # FWHM of what the filters make of a point, model pixels
RELIABILITY, STEPS = 0.5, 20  # defaults of the cards
WARM_UP, REPORTING, SAVING = 200, 30, 120  # steps, seconds, seconds


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


class Trainer:
    """A network, its average, and what they are trained with."""

    def __init__(self, args, library):
        self.args, self.path = args, args.output / "checkpoint.pt"
        self.compose = Composer(library)
        self.diffusion = Diffusion(LinearSchedule(), PowerStretch(gamma=args.gamma), "cpu")
        # The mean of many dirty images, in which the sources are rare: what a network of this shape learns by itself.
        _, dirties = self.compose(np.random.default_rng([args.seed, 1]), 2000)
        start = -dirties.median(0).values[0], deconvolving(library["psf"])
        self.model, self.average = (SharedNoiseUNet(*start) for _ in range(2))
        large = [self.model.image, self.model.kernels]
        groups = [
            {"params": list(self.model.unet.parameters()), "factor": 1.0},
            {"params": large, "factor": args.slow, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, args.rate, weight_decay=1e-3)
        self.step, self.seconds = 0, 0.0
        if self.path.exists():
            state = torch.load(self.path)
            self.step, self.seconds = state["step"], state["seconds"]
            for name in ("model", "average", "optimizer"):
                getattr(self, name).load_state_dict(state[name])
            log.info("resumed at step %d", self.step)
        elif args.initial:
            weights = torch.load(args.initial / "checkpoint.pt")["average"]
            for network in (self.model, self.average):
                network.load_state_dict(weights)
        for network in (self.model, self.average):
            network.unet.to(memory_format=torch.channels_last)
        self.compiled = torch.compile(self.model.unet, dynamic=False) if args.compile else None

    def losses(self, network, rng, generator, single=False):
        """Weighted squared errors of the velocity, shape (number, 1, n, n), and their steps."""
        skies, dirties = self.compose(rng, self.args.batch)
        x, t, velocity = self.diffusion.diffuse(skies[:, 0], generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=not single):
            error = network(x, dirties, t.float()).float() - velocity
        # Of what the network is given: where there may be a source.
        with torch.no_grad():
            near = functional.max_pool2d(dirties - self.compose.noise, 5, stride=1, padding=2)
            weight = 0.2 + torch.sigmoid(8 * (near - 0.4))
        return error.square() * weight / weight.mean(), error, t

    def rate(self):
        """Share of the learning rate: warm up, then decay to zero as a cosine of the processor's time."""
        share = min(1, self.seconds / (60 * self.args.minutes))
        return min(1, (self.step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * share))

    def train(self):
        """Go on until the processor's time is over."""
        reported = saved = time.monotonic()
        before, recent = time.process_time(), []
        while self.seconds < 60 * self.args.minutes:
            rng = np.random.default_rng([self.args.seed, 2, self.step])
            generator = torch.Generator().manual_seed(self.args.seed * 1_000_003 + self.step)
            loss = self.losses(self.model, rng, generator)[0].mean()
            factor = self.rate()
            for group in self.optimizer.param_groups:
                group["lr"] = self.args.rate * factor * group["factor"]
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            with torch.no_grad():
                decay = min(self.args.ema, self.step / (self.step + 20))
                torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
            recent.append(loss.item())
            now, spent = time.monotonic(), time.process_time()
            self.seconds, before = self.seconds + spent - before, spent
            if now - reported > REPORTING:
                log.info(
                    "step %d, %.1f min, loss %.5f, %.0f fields/s", self.step, self.seconds / 60, np.mean(recent),
                    len(recent) * self.args.batch / (now - reported),
                )  # fmt: skip
                recent, reported = [], now
            if now - saved > SAVING:
                self.save()
                self.validate()
                saved = now

    @torch.no_grad()
    def validate(self):
        """Log the squared error of the averaged network by quarter of t."""
        errors, steps = [], []
        for i in range(8):
            generator = torch.Generator().manual_seed(i)
            _, error, t = self.losses(self.average, np.random.default_rng([2**31, i]), generator, single=True)
            errors.append(error.square().mean((1, 2, 3)))
            steps.append(t * 4 // self.diffusion.steps)
        errors, steps = torch.cat(errors), torch.cat(steps)
        off = (self.average.image[0, 0] + self.compose.noise).std().item()
        quarters = " ".join(f"{errors[steps == q].mean():.5f}" for q in range(4))
        log.info("step %d, validation %s; the image is off by %.4f of the noise", self.step, quarters, off)

    def save(self):
        """Write a checkpoint whole or not at all."""
        state = {name: getattr(self, name).state_dict() for name in ("model", "average", "optimizer")}
        torch.save({"step": self.step, "seconds": self.seconds, **state}, self.path.with_suffix(".part"))
        self.path.with_suffix(".part").replace(self.path)


DESCRIPTION = (
    "Drozdova et al. 2024 (A&A 683, A105) under their own protocol, gamma = {gamma:g}: conditional DDPM U-Net, "
    "v-prediction, conditioned on the dirty image alone. All training fields have ONE noise realisation, to which it "
    "adds an image that it has learnt, minus that noise: a reproduction of their table, of no use on the sky. Their "
    "method has no feedback channels, and this has none."
)
FIELDS = (
    "composed, each anew, of {library} single sources, as Table 1 of Taran et al. 2023 has them, simulated with the "
    "package's own array and PSF (512 x 512 pixels of 0.1 arcsec, cropped in Fourier space to 0.39), one half on a "
    "grid of 1 arcsec, the other continuous; 1 to 5 sources in 9164 of 10164 fields, none in the others; one noise in "
    "all of them, and white noise of 0.3% of it. The paper's 10164 fields are fixed, and made with CASA"
)
LEARNT = (
    "the image starts from minus the median of 2000 dirty images of the training set, which is what a network with "
    "such a parameter learns by itself, and is trained on; beside it are convolutions as large as the field, which "
    "start from regularised inverses of the PSF; {start}"
)


def make_card(name, folder, state, model, library):
    """The card of a network of the paper."""
    settings = json.loads((folder / "config.json").read_text())
    stretch = PowerStretch(gamma=settings["gamma"])
    start = "and the weights of the U-Net are random at first"
    if settings["initial"]:
        start = f"and all weights start from those of another of these networks, {Path(settings['initial']).name}"
    return ModelCard(
        name=name,
        description=DESCRIPTION.format(gamma=stretch.gamma),
        date=datetime.date.today().isoformat(),
        noise_protocol="shared",
        gamma=stretch.gamma,
        c=stretch.c,
        schedule=asdict(LinearSchedule()),
        pixels_per_beam=PIXELS_PER_BEAM,
        multiple=MULTIPLE,
        reach=SIDE,
        parameters=sum(weights.numel() for weights in model.parameters()),
        clean=CLEAN,
        bright={"brightest": 30.0, "kept": 15.0},
        limits={"beam_axis_ratio": LONGEST_BEAM},
        training={
            "steps": state["step"],
            "simulated": state["step"] * settings["batch"],
            "minutes": round(state["seconds"] / 60, 1),
            "pixels": SIDE,
            "seed": settings["seed"],
            "fields": FIELDS.format(library=len(library["pb"])),
            "note": LEARNT.format(start=start),
        },
        protocol={
            "command": "astro-ddpm-imager simulate --shared-noise",
            "shape": [512, 512],
            "cell_arcsec": 0.1,
            "beam_arcsec": [round(float(axis), 4) for axis in library["beam"]],
            "rms": float(library["rms"]),
            "grid": library["grid"].tolist(),
            "window": library["window"].tolist(),
            "side": SIDE,
        },
        # The faintest source has 0.47 times the noise; not stretched, samples have noise of 0.04 in each pixel.
        threshold=0.45 if stretch.gamma == 1 else 0.2,
        reliability=RELIABILITY,
        steps=STEPS,
    )


def export_paper(folder, output, library):
    """Write the averaged network of a checkpoint as ONNX, with its card."""
    state = torch.load(folder / "checkpoint.pt")
    network = SharedNoiseUNet(torch.zeros(SIDE, SIDE), torch.zeros(len(FILTERS), 1, 2 * SIDE - 1, 2 * SIDE - 1))
    network.load_state_dict(state["average"])
    network.unet.to(memory_format=torch.contiguous_format)
    card = make_card(output.stem, folder, state, network, library)
    card = export(Exported(network), card, output, pixels=SIDE, outputs=("v", "noiseless"))
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB, step {state['step']}, SHA-256 {card.sha256}")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="simulate the noise and single sources")
    data.add_argument("library", type=Path)
    train = commands.add_parser("train", help="train one network; the same command goes on after an interruption")
    train.add_argument("library", type=Path, help="as the command data writes it")
    train.add_argument("output", type=Path, help="folder of the checkpoint and the log")
    train.add_argument("--gamma", type=float, default=2.0)
    train.add_argument("--initial", type=Path, help="folder of another gamma to start from")
    train.add_argument("--minutes", type=float, default=40, help="of training in all, of the processor")
    train.add_argument("--batch", type=int, default=16, help="fields a step")
    train.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    train.add_argument("--slow", type=float, default=0.01, help="share of it, of the image and the large kernels")
    train.add_argument("--ema", type=float, default=0.999, help="decay of the averaged weights")
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--compile", action="store_true")
    onnx = commands.add_parser("export", help="write the ONNX file of a network, and its card")
    onnx.add_argument("library", type=Path)
    onnx.add_argument("folder", type=Path, help="of the checkpoint")
    onnx.add_argument("output", type=Path, help="the .onnx file; its stem becomes the name of the model")
    args = parser.parse_args()
    if args.command == "export":
        export_paper(args.folder, args.output, dict(np.load(args.library)))
        return
    if args.command == "data":
        args.library.parent.mkdir(parents=True, exist_ok=True)
        make_library(args.library)
        return
    args.output.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(args.output / "train.log")],
    )
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    trainer = Trainer(args, dict(np.load(args.library)))
    (args.output / "config.json").write_text(json.dumps(vars(args), default=str, indent=1))
    log.info("gamma %g, %d weights", args.gamma, sum(w.numel() for w in trainer.model.parameters()))
    # As Ctrl-C: queues and services stop what they run with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        trainer.train()
    except KeyboardInterrupt:
        log.info("interrupted at step %d; the same command goes on", trainer.step)
    finally:
        trainer.save()
        trainer.validate()


if __name__ == "__main__":
    main()
