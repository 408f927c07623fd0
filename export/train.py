"""Train the U-Net on fields simulated on the fly; resumable.

python -m export.train --output runs/default --steps 30000 --initial export/weights/default.pt
"""

import argparse
import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from astro_ddpm_imager.diffusion.sampling import LinearSchedule
from astro_ddpm_imager.diffusion.stretch import PowerStretch
from astro_ddpm_imager.simulate import FieldSimulator, draw_instrument

from .torch_fields import TorchFields
from .unet import UNet

log = logging.getLogger("train")

CLEAN = {"threshold": 4.0, "gain": 0.2}


def draw_simulator(number):
    """A simulator with the PSFs of many observations, always the same ones."""
    instruments = (draw_instrument(np.random.default_rng([2023, i])) for i in range(number))
    return FieldSimulator(tuple(tqdm(instruments, "PSFs", number, disable=None)))


def diffuse(skies, generator, schedule, stretch):
    """Noisy skies at stratified steps t, and the velocities to predict.

    v = alpha eps - sigma x0 (Salimans & Ho 2022, arXiv:2202.00512, section 4).
    """
    sky = stretch.forward(skies)[:, None]
    number, device = len(sky), sky.device
    strata = (torch.arange(number) + torch.rand(number, generator=generator)) / number
    t = (strata * schedule.steps).long().clamp(max=schedule.steps - 1)
    alpha, sigma = (
        torch.from_numpy(values.astype(np.float32))[t][:, None, None, None].to(device)
        for values in (schedule.signal, schedule.noise)
    )
    noise = torch.randn(sky.shape, generator=generator).to(device)
    return alpha * sky + sigma * noise, t.float().to(device), alpha * noise - sigma * sky


def loss_weight(dirty, t, schedule):
    """Where and when the loss counts, shape (n, 1, size, size), mean 1.

    A weight that depends only on what the network is given leaves its optimum,
    the conditional mean, as it is. This one looks at pixels near a peak that
    may or may not be a source, so that the empty sky does not fill the
    gradient; and it makes late steps, where details are drawn, no louder than
    the early ones, where sources are decided.
    """
    near = functional.max_pool2d(dirty, 5, stride=1, padding=2).clamp(min=0)
    doubtful = (0.3 + 2 * torch.sigmoid(3 * (near - 2.5))) / (1 + near / 12)
    signal = torch.from_numpy(schedule.alpha_bar.astype(np.float32)).to(t.device)[t.long()]
    weight = doubtful / (1 + 5 * signal**2)[:, None, None, None]
    return weight / weight.mean()


def batch_at(step, args, simulator, schedule, stretch):
    """The batch of a step; the same for the same seed, wherever the run was resumed."""
    conditions, skies = simulator.crops(np.random.default_rng([args.seed, step]), args.batch, args.size, CLEAN)
    generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
    conditions, skies = (torch.as_tensor(values).to(args.device) for values in (conditions, skies))
    noisy, t, velocity = diffuse(skies, generator, schedule, stretch)
    return noisy, conditions, t, velocity


def learning_rate(step, args):
    """Warm up, stay, and decay to zero over the last part as a cosine."""
    warm = min(1, (step + 1) / 500)
    left = min(1, (args.steps - step) / max(1, args.decay * args.steps))
    return args.rate * warm * 0.5 * (1 - math.cos(math.pi * left))


def validate(model, batches):
    """Mean loss in quarters of t."""
    model.eval()
    losses, steps = [], []
    with torch.no_grad():
        for noisy, condition, t, velocity in batches:
            losses.append((model(noisy, condition, t) - velocity).square().mean((1, 2, 3)))
            steps.append(t)
    model.train()
    losses, quarter = torch.cat(losses), (torch.cat(steps) // 250).long()
    return [losses[quarter == q].mean().item() for q in range(4)]


def save(path, **state):
    """Write a checkpoint whole or not at all."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--psfs", type=int, default=800, help="number of observations the PSFs are of")
    parser.add_argument("--output", required=True, type=Path, help="folder for checkpoints and the log")
    parser.add_argument("--steps", type=int, default=30000, help="total number of steps")
    parser.add_argument("--decay", type=float, default=0.3, help="fraction of the steps over which the rate decays")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=96, help="side of a crop, model pixels; a multiple of 8")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--ema", type=float, default=0.9995, help="decay of the averaged weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5, help="time between checkpoints")
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision; faster where AVX-512 BF16 exists")
    parser.add_argument("--initial", type=Path, help="weights to start from, as export.to_onnx --weights writes them")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda simulates there as well")
    parser.add_argument("--channels", type=int, nargs="+", default=[64, 96, 128], help="of each level, finest first")
    parser.add_argument("--blocks", type=int, nargs="+", default=[2, 2, 3], help="of each level")
    parser.add_argument("--eager", action="store_true", help="do not compile; for short runs")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(args.output / "train.log")],
    )

    torch.manual_seed(args.seed)
    simulator, schedule, stretch = draw_simulator(args.psfs), LinearSchedule(), PowerStretch()
    if args.device == "cuda":
        simulator = TorchFields(simulator, args.device)
    shape = {"channels": tuple(args.channels), "blocks": tuple(args.blocks)}
    model = UNet(**shape).to(args.device, memory_format=torch.channels_last)
    if args.initial:
        model.load_state_dict(torch.load(args.initial))
    average = UNet(**shape).to(args.device)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), args.rate, weight_decay=1e-3)
    step, path = 0, args.output / "checkpoint.pt"
    if path.exists():
        state = torch.load(path, map_location=args.device)
        step = state["step"]
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        log.info("resumed at step %d", step)
    (args.output / "config.json").write_text(json.dumps(vars(args), default=str, indent=1))
    compiled = model if args.eager else torch.compile(model)
    held_out = [batch_at(-1 - i + 2**31, args, simulator, schedule, stretch) for i in range(8)]

    saved = reported = time.monotonic()
    total, since = 0.0, step
    while step < args.steps:
        noisy, condition, t, velocity = batch_at(step, args, simulator, schedule, stretch)
        optimizer.param_groups[0]["lr"] = learning_rate(step, args)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bfloat16):
            predicted = compiled(noisy, condition, t)
        loss = ((predicted.float() - velocity).square() * loss_weight(condition[:, :1], t, schedule)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        total += loss.item()
        decay = min(args.ema, step / (step + 100))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        now = time.monotonic()
        if step % 200 == 0:
            speed = (step - since) * args.batch / (now - reported)
            log.info("step %d loss %.5f, %.0f crops/s", step, total / (step - since), speed)
            total, since, reported = 0.0, step, now
        if now - saved > 60 * args.minutes or step == args.steps:
            losses = " ".join(f"{loss:.5f}" for loss in validate(average, held_out))
            log.info("step %d validation loss by quarter of t: %s", step, losses)
            save(
                path,
                step=step,
                model=model.state_dict(),
                average=average.state_dict(),
                optimizer=optimizer.state_dict(),
            )
            saved = time.monotonic()


if __name__ == "__main__":
    main()
