"""Compare networks on simulated fields that none was trained on: images, total fluxes and residuals.

Prints the median over the fields of each score, and in brackets the mean.

python -m export.compare runs/instruments.npz wide.pt runs/feedback/checkpoint.pt --kinds extended survey
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from astro_ddpm_imager.diffusion.sampling import LinearSchedule, unipc, with_feedback
from astro_ddpm_imager.diffusion.stretch import PowerStretch
from astro_ddpm_imager.simulate import FieldSimulator

from .feedback import Diffusion
from .instruments import read
from .torch_fields import TorchSimulator, draw_skies
from .train import CLEAN
from .unet import UNet

BEAM = 2.2  # pixels


def read_network(path):
    """A network from a checkpoint or from weights alone; with feedback if it has weights for it."""
    state = torch.load(path, map_location="cpu")
    weights = state.get("average", state)
    network = UNet(feedback="feedback.weight" in weights)
    network.load_state_dict(weights)
    return network.eval().to(memory_format=torch.channels_last)


@torch.no_grad()
def draw_samples(network, fields, diffusion, number, steps, seed):
    """Draw samples of the skies of a batch.

    Parameters
    ----------
    network : `~export.unet.UNet`
    fields : `~export.torch_fields.TorchFields`
    diffusion : `~export.feedback.Diffusion`
    number : int
        Of samples.
    steps : int
        Of the sampler.
    seed : int

    Returns
    -------
    4D array, shape (number, fields, n, n)
        Flux per pixel, 0 where blank.
    """
    inside = fields.images[:, 3:] > 0
    samples = []
    for sample in range(number):
        rng = np.random.default_rng([seed, sample])

        def predict(x, t, feedback):
            x, step = torch.from_numpy(x), torch.full((len(x),), int(t))
            with torch.autocast("cpu", torch.bfloat16):
                given = [] if network.feedback is None else [feedback]
                velocity = network(x, fields.images, step.float(), *given).float()
            alpha, sigma = diffusion.amplitudes(step)
            return (alpha * x - sigma * velocity).numpy()

        def look_back(expected):
            if expected is None or network.feedback is None:
                return diffusion.nothing_before(fields)
            return diffusion.look_back(fields, torch.from_numpy(expected).clamp(min=-1))

        def noise(rng=rng):
            return rng.standard_normal((len(inside), 1, *inside.shape[2:]), dtype=np.float32)

        drawn = unipc(with_feedback(predict, look_back), noise, LinearSchedule(), steps)
        samples.append(np.where(inside[:, 0], diffusion.stretch.inverse(drawn[:, 0]), 0))
    return np.stack(samples)


def scores(samples, fields):
    """Of the median of the samples of each field.

    Returns
    -------
    dict of 1D arrays, shape (fields,)
        ``nrmse`` of the image at the beam's resolution, ``flux`` (total, over the true one), ``rms`` and ``peak`` of
        the residual in units of the noise, and ``scatter`` of the samples' total fluxes.
    """
    median, inside = np.median(samples, 0), fields.images[:, 3].numpy() > 0
    truth = fields.skies.numpy() * inside
    sigma = (0, gaussian_fwhm_to_sigma * BEAM, gaussian_fwhm_to_sigma * BEAM)
    seen, true = (gaussian_filter(image, sigma) for image in (median, truth))
    residual = fields.misfit(torch.from_numpy(median.astype(np.float32)))[:, 0].numpy()
    total = truth.sum((1, 2))
    return {
        "nrmse": np.sqrt(((seen - true) ** 2).sum((1, 2)) / (true**2).sum((1, 2))),
        "flux": median.sum((1, 2)) / total,
        "rms": np.array([one[there].std() for one, there in zip(residual, inside, strict=True)]),
        "peak": np.abs(residual).max((1, 2)),
        "scatter": samples.sum((2, 3)).std(0) / total,
    }


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instruments", type=Path)
    parser.add_argument("networks", type=Path, nargs="+", help="checkpoints, or weights alone")
    parser.add_argument("--kinds", nargs="+", default=["extended", "survey"])
    parser.add_argument("--fields", type=int, default=8, help="of each kind")
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--seed", type=int, default=4711)
    parser.add_argument("--gain-errors", action="store_true", help="with gain errors in a third, as in training")
    args = parser.parse_args()
    simulator = FieldSimulator(
        read(args.instruments), **({} if args.gain_errors else {"gain_errors": 0, "remainders": 0})
    )
    observe, diffusion = TorchSimulator(simulator, "cpu", **CLEAN), Diffusion(LinearSchedule(), PowerStretch(), "cpu")
    for kind in args.kinds:
        skies = draw_skies(simulator, np.random.default_rng([args.seed, 0]), args.fields, kind)
        fields = observe(skies, torch.Generator().manual_seed(args.seed))
        _report(kind, "the truth", scores(fields.skies[None].numpy(), fields))
        for path in tqdm(args.networks, kind, leave=False, disable=None):
            samples = draw_samples(read_network(path), fields, diffusion, args.samples, args.steps, args.seed)
            _report(kind, path, scores(samples, fields))


def _report(kind, name, measured):
    words = ", ".join(f"{key} {np.median(values):.3f} ({np.mean(values):.3f})" for key, values in measured.items())
    print(f"{kind}, {name}: {words}", flush=True)


if __name__ == "__main__":
    main()
