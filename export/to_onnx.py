"""Export a checkpoint to ONNX, with its card.

python -m export.to_onnx runs/feedback/checkpoint.pt astro_ddpm_imager/diffusion/models/default.onnx
"""

import argparse
import datetime
import hashlib
import json
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import torch

from astro_ddpm_imager.diffusion.conditioning import CONDITIONS
from astro_ddpm_imager.diffusion.models import ModelCard
from astro_ddpm_imager.diffusion.sampling import LinearSchedule
from astro_ddpm_imager.diffusion.stretch import PowerStretch
from astro_ddpm_imager.simulate.instruments import LONGEST_BEAM
from astro_ddpm_imager.whole_files import written_whole

from .train import CLEAN
from .unet import UNet

DESCRIPTION = (
    "Conditional DDPM U-Net, v-prediction, conditioned on the dirty image, the residual and components of a shallow "
    "CLEAN with its own PSF, the primary beam{feedback}; for images of any interferometer, naturally or Briggs "
    "weighted, with compact and extended sources."
)
PIXELS_PER_BEAM, MULTIPLE = 2.2, 8
SMALLEST_HALVED = 256  # weights in an array
FEEDBACK = ", and its own last estimate of the sky with what that leaves of the dirty image"
FIELDS = (
    "simulated on the fly with independent noise, whole and periodic; PSFs of ALMA, the ACA, the VLA, MeerKAT, ATCA, "
    "the SMA, NOEMA, WSRT and the ngVLA, some with broad bands, naturally or Briggs weighted; 30% with sources as in "
    "Table 1 of Taran et al. 2023 at continuous positions, 8% of them brighter (10 to 60 sigma); 17% the same sky seen "
    "with beams of 0.35 to 2.3 times that one, fluxes scaled by 0.3 to 1.2; 18% with up to 8 sources in 180 square "
    "beams, but often none or few, in half of these fields all of them brighter, another fraction of up to 0 to 3 "
    "beams, a fifth in close pairs; 20% with one to three extended sources (ellipses, discs and rings, double sources, "
    "clumps) of 1.2 to 18 beams that peak at 1.5 to 80 sigma, among compact ones; 15% with power-law counts up to 120 "
    "sigma; gain errors of 0.3 to 10% in a third of all, some with the errors of sources of up to 4000 sigma of which "
    "CLEAN has left 12 to 16; primary beams of 10 to 300 beams, or none"
)


def export(model, card, path, pixels=64, outputs=("v",)):
    """Write a U-Net and its card; both appear whole.

    Parameters
    ----------
    model : `~export.unet.UNet`
    card : `~astro_ddpm_imager.diffusion.models.ModelCard`
    path : path-like
        The ONNX file; the card goes beside it, ending in ``.json``.
    pixels : int, optional
        Side of the images it is traced with; of a model with a protocol, the only one it takes.
    outputs : sequence of str, optional
        Names of what it gives.

    Returns
    -------
    `~astro_ddpm_imager.diffusion.models.ModelCard`, with the checksum.
    """
    path = Path(path)
    model = model.eval().float()
    image = torch.randn(2, 1, pixels, pixels)
    inputs = {"x": image, "condition": torch.randn(2, len(CONDITIONS), pixels, pixels), "t": torch.tensor([3.0, 700.0])}
    if model.feedback is not None:
        inputs["feedback"] = torch.randn(2, 2, pixels, pixels)
    axes = {
        name: {0: "batch", 2: "height", 3: "width"} if values.ndim == 4 else {0: "batch"}
        for name, values in inputs.items()
    }
    exported = BytesIO()
    torch.onnx.export(
        model,
        tuple(inputs.values()),
        exported,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    stored = onnx.load_from_string(exported.getvalue())
    _halve(stored.graph, dict(model.named_parameters()))
    onnx.helper.set_model_props(stored, {"astro_ddpm_imager": json.dumps(card.configuration)})
    return write_model(stored, card, path)


def write_model(model, card, path):
    """Write a network and its card with the checksum; both appear whole.

    Parameters
    ----------
    model : `onnx.ModelProto`
    card : `~astro_ddpm_imager.diffusion.models.ModelCard`
    path : `~pathlib.Path`
        The ONNX file; the card goes beside it, ending in ``.json``.

    Returns
    -------
    `~astro_ddpm_imager.diffusion.models.ModelCard`, with the checksum.
    """
    content = model.SerializeToString()
    card = replace(card, sha256=hashlib.sha256(content).hexdigest())
    with written_whole(path) as part:
        part.write_bytes(content)
        card.write(path.with_suffix(".json"))
    return card


def _halve(graph, parameters):
    """Keep the weights in half precision; the session makes single precision of them, once, when it opens."""
    casts = []
    for stored in graph.initializer:
        if stored.name in parameters and np.prod(stored.dims) >= SMALLEST_HALVED:
            name, values = stored.name, onnx.numpy_helper.to_array(stored).astype(np.float16)
            stored.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    # Nodes stand in the order in which they can be computed.
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def make_card(name, model, stretch, **entries):
    """The card of a network that was trained today.

    Parameters
    ----------
    name : str
    model : `torch.nn.Module`
    stretch : `~astro_ddpm_imager.diffusion.stretch.PowerStretch`
    **entries
        What is not alike for all.

    Returns
    -------
    `~astro_ddpm_imager.diffusion.models.ModelCard`, without the checksum.
    """
    return ModelCard(
        name=name,
        date=datetime.date.today().isoformat(),
        gamma=stretch.gamma,
        c=stretch.c,
        schedule=asdict(LinearSchedule()),
        pixels_per_beam=PIXELS_PER_BEAM,
        multiple=MULTIPLE,
        parameters=sum(weights.numel() for weights in model.parameters()),
        clean=CLEAN,
        bright={"brightest": 30.0, "kept": 15.0},
        limits={"beam_axis_ratio": LONGEST_BEAM},
        **entries,
    )


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
    model = UNet(settings["channels"], settings["blocks"], feedback=not settings["no_feedback"])
    model.load_state_dict(state["average"])
    card = make_card(
        args.output.stem,
        model,
        PowerStretch(),
        description=DESCRIPTION.format(feedback="" if settings["no_feedback"] else FEEDBACK),
        noise_protocol="independent",
        reach=48,
        training={
            "steps": state["step"],
            "simulated": state["step"] * settings["batch"],
            "pixels": settings["pixels"],
            "seed": settings["seed"],
            "psfs": settings["psfs"],
            "fields": FIELDS,
            "note": args.note,
        },
        threshold=1.0,
        reliability=0.5,
        steps=5,
    )
    card = export(model, card, args.output)
    if args.weights:
        args.weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: values.half() for name, values in state["average"].items()}, args.weights)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, step {state['step']}, SHA-256 {card.sha256}")


if __name__ == "__main__":
    main()
