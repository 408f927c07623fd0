"""Export a checkpoint to ONNX, with its card.

python -m export.to_onnx runs/default/checkpoint.pt astro_ddpm_imager/diffusion/models/default.onnx
"""

import argparse
import datetime
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import onnx
import torch

from astro_ddpm_imager.diffusion.conditioning import CONDITIONS
from astro_ddpm_imager.diffusion.models import ModelCard
from astro_ddpm_imager.diffusion.sampling import LinearSchedule
from astro_ddpm_imager.diffusion.stretch import PowerStretch

from .train import CLEAN
from .unet import UNet

DESCRIPTION = (
    "Conditional DDPM U-Net, v-prediction, conditioned on the dirty image, the residual and components of a shallow "
    "CLEAN with its own PSF, and the primary beam; for images of ALMA's 12 m array, naturally or Briggs weighted, with "
    "sources of up to three beams."
)
FIELDS = (
    "simulated on the fly with independent noise; PSFs of ALMA's 12 m array, 24 configurations of Cycles 1, 3 and "
    "5, declinations -70 to +30 deg, 1 min to 4 h, natural or Briggs weighting (robust -0.5 to 2); four fields in "
    "ten with sources as in Table 1 of Taran et al. 2023 at continuous positions, 8% of them brighter (10 to 60 "
    "sigma); three in ten the same sky seen with beams of 0.35 to 2.3 times that one, fluxes scaled by 0.3 to 1.2; "
    "in both the primary beam is 30.7 beams of Table 1 wide, within 25%, and a third have up to eight times as many "
    "sources; three in ten with primary beams of 10 to 120 beams, up to 8 sources in 180 square beams, but often none "
    "or few, in half of these fields all of them brighter (10 to 60 sigma), in the rest a fraction that differs from "
    "field to field, fluxes scaled by 0.4 to 1.5, another fraction of up to 0 to 3 beams, a fifth in close pairs; "
    "one in seven without a primary beam; in seven of ten that have one, sources within 0.38 FWHM of the centre"
)


def export(model, card, path):
    """Write a U-Net and its card; both appear whole.

    Parameters
    ----------
    model : `~export.unet.UNet`
    card : `~astro_ddpm_imager.diffusion.models.ModelCard`
    path : path-like
        The ONNX file; the card goes beside it, ending in ``.json``.

    Returns
    -------
    `~astro_ddpm_imager.diffusion.models.ModelCard`, with the checksum.
    """
    path = Path(path)
    model = model.eval().float()
    image = torch.randn(2, 1, 64, 64)
    inputs = {"x": image, "condition": torch.randn(2, len(CONDITIONS), 64, 64), "t": torch.tensor([3.0, 700.0])}
    size = {2: "height", 3: "width"}
    torch.onnx.export(
        model,
        tuple(inputs.values()),
        path.with_suffix(".part"),
        input_names=list(inputs),
        output_names=["v"],
        dynamic_axes={"x": {0: "batch", **size}, "condition": {0: "batch", **size}, "t": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    stored = onnx.load(path.with_suffix(".part"))
    onnx.helper.set_model_props(stored, {"astro_ddpm_imager": json.dumps(card.configuration)})
    content = stored.SerializeToString()
    path.with_suffix(".part").write_bytes(content)
    card = replace(card, sha256=hashlib.sha256(content).hexdigest())
    card.write(path.with_suffix(".json"))
    path.with_suffix(".part").replace(path)
    return card


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path, help="the .onnx file; its stem becomes the name of the model")
    parser.add_argument(
        "--weights", type=Path, help="write the averaged weights in half precision, to start from again"
    )
    parser.add_argument("--note", default="", help="what else the card should say about the training")
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu")
    settings = json.loads((args.checkpoint.parent / "config.json").read_text())
    model = UNet(settings["channels"], settings["blocks"])
    model.load_state_dict(state["average"])
    stretch = PowerStretch()
    card = ModelCard(
        name=args.output.stem,
        description=DESCRIPTION,
        date=datetime.date.today().isoformat(),
        noise_protocol="independent",
        gamma=stretch.gamma,
        c=stretch.c,
        schedule=asdict(LinearSchedule()),
        pixels_per_beam=2.2,
        multiple=8,
        reach=48,
        parameters=sum(weights.numel() for weights in model.parameters()),
        clean=CLEAN,
        bright={"brightest": 30.0, "kept": 15.0},
        limits={"beam_axis_ratio": 2.5},
        training={
            "steps": state["step"],
            "crops": state["step"] * settings["batch"],
            "crop_pixels": settings["size"],
            "seed": settings["seed"],
            "psfs": settings["psfs"],
            "fields": FIELDS,
            "note": args.note,
        },
        threshold=1.0,
        reliability=0.5,
        steps=7,
    )
    card = export(model, card, args.output)
    if args.weights:
        args.weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: values.half() for name, values in state["average"].items()}, args.weights)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, step {state['step']}, SHA-256 {card.sha256}")


if __name__ == "__main__":
    main()
