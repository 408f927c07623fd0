"""Train the U-Net on fields simulated on the fly; the same command goes on after an interruption.

python -m export.instruments runs/instruments.npz
python -m export.train runs/instruments.npz --output runs/feedback --initial export/weights/default.pt
"""

import argparse
import gc
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from astro_ddpm_imager.diffusion.sampling import LinearSchedule
from astro_ddpm_imager.diffusion.stretch import PowerStretch
from astro_ddpm_imager.simulate import FieldSimulator

from .checkpoints import INTERRUPTIONS, follow, log_to, resume, save, share_of_rate, uninterrupted
from .feedback import Diffusion
from .instruments import read
from .torch_fields import TorchSimulator, draw_skies
from .unet import UNet

log = logging.getLogger("train")

CLEAN = {"threshold": 4.0, "gain": 0.2}
# Shares of the fields that know of no estimate, of one made without feedback, and of one made with it.
ROUNDS = (1, 4, 3)
FARTHEST = 2.0  # from the step before, in units of the sampler's steps: what other numbers of steps need, too
NEW = "feedback.weight"  # starts at 0 where training goes on from a network without it
REPORTING = 60  # seconds
HELD_OUT = 2**31  # seed of the fields for validation


@contextmanager
def telling_of_compilation():
    """Say now and every minute that the network is being compiled; nothing else is said for long."""
    done, started = threading.Event(), time.monotonic()

    def tell():
        log.info("compiling, which takes minutes on a CPU; --eager does without")
        while not done.wait(REPORTING):
            log.info("compiling for %.0f s", time.monotonic() - started)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def leave_interruptions(_):
    """For processes that draw skies: an interruption reaches them, too, but it is their parent that ends them."""
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)


class SkiesOfSteps(torch.utils.data.Dataset):
    """The drawn skies of each step; the same for the same seed, wherever a run was resumed."""

    def __init__(self, simulator, seed, batch):
        self.simulator, self.seed, self.batch = simulator, seed, batch

    def __getitem__(self, step):
        return step, draw_skies(self.simulator, np.random.default_rng([self.seed, step]), self.batch)


class Trainer:
    """A network, its average, and what they are trained with.

    Parameters
    ----------
    args : `argparse.Namespace`
        See `main`.
    """

    def __init__(self, args):
        self.args, self.step, self.path = args, 0, args.output / "checkpoint.pt"
        self.simulator = FieldSimulator(read(args.instruments))
        self.observe = TorchSimulator(self.simulator, args.device, **CLEAN)
        self.diffusion = Diffusion(LinearSchedule(), PowerStretch(), args.device)
        shape = {"channels": tuple(args.channels), "blocks": tuple(args.blocks), "feedback": not args.no_feedback}
        self.model, self.average = (UNet(**shape).to(args.device, memory_format=torch.channels_last) for _ in range(2))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), args.rate, weight_decay=1e-3)
        if self.path.exists():
            self.step = resume(self, self.path, args.device)["step"]
            log.info("resumed at step %d", self.step)
        elif args.initial:
            self._start_from(args.initial)
        self.compiled = self.model if args.eager else torch.compile(self.model, dynamic=False)

    def _start_from(self, path):
        lacking, unknown = self.model.load_state_dict(torch.load(path, map_location=self.args.device), strict=False)
        if unknown or set(lacking) - {NEW}:
            raise SystemExit(
                f"initial={path}: is of another network, it lacks {', '.join(lacking) or 'nothing'} and has "
                f"{', '.join(unknown) or 'nothing'} besides; give the --channels and --blocks it was trained with"
            )
        self.average.load_state_dict(self.model.state_dict())

    def predict(self, network):
        """The velocities of a network, in mixed precision."""

        def predict(x, condition, t, feedback):
            with torch.autocast(self.args.device, torch.bfloat16, enabled=not self.args.single_precision):
                return network(x, condition, t.float(), *([] if self.args.no_feedback else [feedback])).float()

        return predict

    def optimize(self, step, skies):
        """One step; returns the loss."""
        generator = torch.Generator(self.args.device).manual_seed(self.args.seed * 1_000_003 + step)
        fields = self.observe(skies, generator)
        x, t, velocity = self.diffusion.diffuse(fields.skies, generator)
        predict, feedback = self.predict(self.compiled), self.diffusion.nothing_before(fields)
        if not self.args.no_feedback:
            self._fill(feedback, predict, fields, x, t, generator)
        loss = (predict(x, fields.images, t, feedback) - velocity).square()
        loss = (loss * self.diffusion.loss_weight(fields.images[:, :1], t)).mean()
        self.optimizer.param_groups[0]["lr"] = self.args.rate * share_of_rate(self.step, self.step / self.args.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        # A checkpoint of half a step would not be that of any.
        with uninterrupted():
            self.optimizer.step()
            follow(self.average, self.model, self.step, self.args.ema)
            self.step += 1
        return loss.detach()

    def _fill(self, feedback, predict, fields, x, t, generator):
        """Give a part of the fields an estimate."""
        shares = np.cumsum(ROUNDS) / sum(ROUNDS)
        bounds = np.round(shares * len(t)).astype(int)
        for rounds, (first, end) in enumerate(pairwise(bounds), 1):
            chosen = slice(first, end)
            if first < end:
                distances = FARTHEST * torch.rand((rounds, end - first), generator=generator, device=x.device)
                feedback[chosen] = self.diffusion.feedback(
                    predict, fields[chosen], x[chosen], t[chosen], distances, generator
                )

    @torch.no_grad()
    def validate(self):
        """Log the loss of the averaged network by kind of field and quarter of t, without and with feedback."""
        predict = self.predict(self.average)
        log.info("step %d, validating; loss by quarters of the diffusion time", self.step)
        for kind in tqdm(self.simulator.population.kinds, "validating", unit="kind", leave=False, disable=None):
            losses, quarters = [], []
            for i in range(self.args.validation):
                skies = draw_skies(self.simulator, np.random.default_rng([HELD_OUT, i]), self.args.batch, kind)
                generator = torch.Generator(self.args.device).manual_seed(HELD_OUT + i)
                fields = self.observe(skies, generator)
                x, t, velocity = self.diffusion.diffuse(fields.skies, generator)
                given = [self.diffusion.nothing_before(fields)]
                if not self.args.no_feedback:
                    given.append(
                        self.diffusion.feedback(
                            predict, fields, x, t, torch.ones((1, len(t)), device=x.device), generator
                        )
                    )
                errors = [predict(x, fields.images, t, feedback) - velocity for feedback in given]
                losses.append(torch.stack([error.square().mean((1, 2, 3)) for error in errors]))
                quarters.append(t * 4 // self.diffusion.steps)
            losses, quarters = torch.cat(losses, 1), torch.cat(quarters)
            means = [losses[:, quarters == q].mean(1) for q in range(4)]
            words = [" ".join(f"{mean[i].item():.5f}" for mean in means) for i in range(len(losses))]
            log.info("step %d, %s: %s", self.step, kind, "; with feedback ".join(words))

    def train(self):
        """Go on to the last step."""
        if not self.step:
            self.validate()
        skies = SkiesOfSteps(self.simulator, self.args.seed, self.args.batch)
        loader = DataLoader(
            skies,
            batch_size=None,
            sampler=range(self.step, self.args.steps),
            num_workers=self.args.workers,
            worker_init_fn=leave_interruptions,
        )
        first = self.step
        log.info("training from step %d to %d", first, self.args.steps)
        saved = validated = reported = time.monotonic()
        losses = []
        for step, batch in tqdm(loader, "training", self.args.steps, initial=self.step, unit="step", disable=None):
            with nullcontext() if self.args.eager or step > first else telling_of_compilation():
                losses.append(self.optimize(step, batch))
            now = time.monotonic()
            # The first one at once: it tells that steps are made, and how long they take.
            if step == first or now - reported > REPORTING:
                loss, speed = torch.stack(losses).mean().item(), len(losses) * self.args.batch / (now - reported)
                log.info("step %d, loss %.5f, %.3g fields/s", self.step, loss, speed)
                losses, reported = [], now
            if now - validated > 60 * self.args.validation_minutes:
                self.validate()
                validated = time.monotonic()
            if now - saved > 60 * self.args.minutes:
                save(self, self.path, step=self.step)
                saved = now
        self.validate()


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instruments", type=Path, help="the PSFs, as export.instruments writes them")
    parser.add_argument("--output", required=True, type=Path, help="folder for checkpoints and the log")
    parser.add_argument("--initial", type=Path, help="weights to start from, as export.to_onnx --weights writes them")
    parser.add_argument("--steps", type=int, default=6000, help="total number of steps")
    parser.add_argument("--batch", type=int, default=8, help="fields a step")
    parser.add_argument("--rate", type=float, default=5e-5, help="peak learning rate")
    parser.add_argument("--ema", type=float, default=0.998, help="decay of the averaged weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=4, help="time between checkpoints")
    parser.add_argument("--validation", type=int, default=2, help="batches of each kind of field to validate with")
    parser.add_argument("--validation-minutes", type=float, default=20, help="time between validations")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda simulates there as well")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw skies; a GPU needs many")
    parser.add_argument("--channels", type=int, nargs="+", default=[64, 96, 128], help="of each level, finest first")
    parser.add_argument("--blocks", type=int, nargs="+", default=[2, 2, 3], help="of each level")
    parser.add_argument("--no-feedback", action="store_true", help="do not give the network its own last estimate")
    parser.add_argument("--single-precision", action="store_true", help="instead of bfloat16 in the convolutions")
    parser.add_argument("--eager", action="store_true", help="do not compile; for short runs")
    args = parser.parse_args()
    log_to(args.output)
    logging.getLogger("astro_ddpm_imager").setLevel(logging.ERROR)  # CLEAN diverges where gains are off
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    torch.manual_seed(args.seed)
    torch.backends.cudnn.benchmark = True
    try:
        log.info("reading %s", args.instruments)
        # Of its own: what an interrupted compiler has left in the common one is taken for whole by the next run.
        with tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True) as folder:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
            _train(args)
    except KeyboardInterrupt:
        log.info("interrupted; the same command goes on")
        gc.freeze()  # collecting what was being compiled takes many seconds, and the process ends
        return 130
    return 0


def _train(args):
    trainer = Trainer(args)
    sizes = {"psfs": len(trainer.simulator.instruments), "pixels": trainer.observe.n}
    (args.output / "config.json").write_text(json.dumps(vars(args) | sizes, default=str, indent=1))
    log.info(
        "%d PSFs, %d weights", len(trainer.simulator.instruments), sum(w.numel() for w in trainer.model.parameters())
    )
    try:
        with logging_redirect_tqdm():
            trainer.train()
    finally:
        save(trainer, trainer.path, step=trainer.step)
        log.info("step %d is kept in %s", trainer.step, trainer.path)


if __name__ == "__main__":
    sys.exit(main())
