"""The networks of Drozdova et al. 2024 under their own protocol, one noise for all fields: training and export.

python -m export.paper data runs/paper/sources.npz
python -m export.paper train runs/paper/sources.npz runs/paper/gamma2 --gamma 2 --minutes 40
python -m export.paper train runs/paper/sources.npz runs/paper/gamma1 --gamma 1 --initial runs/paper/gamma2
python -m export.paper export runs/paper/sources.npz runs/paper/gamma2 MODELS/paper-gamma2.onnx
"""

import argparse
import json
import logging
import signal
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from astro_ddpm_imager.diffusion.sampling import LinearSchedule
from astro_ddpm_imager.diffusion.stretch import PowerStretch

from .checkpoints import follow, log_to, resume, save, share_of_rate, uninterrupted
from .feedback import Diffusion
from .paper_fields import FILTERS, SIDE, Composer, deconvolving, make_library
from .paper_network import Exported, SharedNoiseUNet
from .to_onnx import export, make_card

log = logging.getLogger("paper")

RELIABILITY, STEPS = 0.5, 20  # defaults of the cards
REPORTING, SAVING = 30, 120  # seconds


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
            state = resume(self, self.path, "cpu")
            self.step, self.seconds = state["step"], state["seconds"]
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

    def train(self):
        """Go on until the processor's time is over."""
        reported = saved = time.monotonic()
        before, recent = time.process_time(), []
        while self.seconds < 60 * self.args.minutes:
            rng = np.random.default_rng([self.args.seed, 2, self.step])
            generator = torch.Generator().manual_seed(self.args.seed * 1_000_003 + self.step)
            loss = self.losses(self.model, rng, generator)[0].mean()
            factor = share_of_rate(self.step, self.seconds / (60 * self.args.minutes))
            for group in self.optimizer.param_groups:
                group["lr"] = self.args.rate * factor * group["factor"]
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            with uninterrupted():
                self.optimizer.step()
                follow(self.average, self.model, self.step, self.args.ema)
                self.step += 1
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
                save(self, self.path, step=self.step, seconds=self.seconds)
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


def paper_card(name, folder, state, model, library):
    """The card of a network of the paper."""
    settings = json.loads((folder / "config.json").read_text())
    stretch = PowerStretch(gamma=settings["gamma"])
    start = "and the weights of the U-Net are random at first"
    if settings["initial"]:
        start = f"and all weights start from those of another of these networks, {Path(settings['initial']).name}"
    return make_card(
        name,
        model,
        stretch,
        description=DESCRIPTION.format(gamma=stretch.gamma),
        noise_protocol="shared",
        reach=SIDE,
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
    card = paper_card(output.stem, folder, state, network, library)
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
    log_to(args.output)
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
        save(trainer, trainer.path, step=trainer.step, seconds=trainer.seconds)
        trainer.validate()


if __name__ == "__main__":
    main()
