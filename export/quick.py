"""Give a network a quick half for the steps between: its convolutions in whole numbers of eight bits.

python -m export.quick astro_ddpm_imager/diffusion/models/default.onnx runs/simulated/* --fields 3
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from tqdm import tqdm

from astro_ddpm_imager import DiffusionImager, load_card
from astro_ddpm_imager.diffusion.denoiser import QUICK_UNTIL, Denoiser
from astro_ddpm_imager.evaluate import read_folder

from .to_onnx import write_model

UNTIL = 330.0  # step of the schedule: above, activations are fifty times as large, and one scale cannot serve all
FROM = 40.0  # likewise: below, at the last step, what rounding makes would stay in the sky
STEPS = (5, 9)  # of the sampler, whose times are recorded
SIDE = 96  # pixels of what is recorded of a field, around its brightest one
NAMES = "quick/", "exact/"  # names of the two halves begin with these
FAINTEST = 1e-3  # of the largest value of all channels: one that is hardly used must not become noise
# What is not made whole numbers: inputs and outputs, which are cheap, and two layers that alone make more than a
# hundredth of the error of the rest.
EXACT = (
    "/first",
    "/feedback",
    "/last",
    "/up.0.0/skip",
    "/up.1.0/skip",
    "/shrink.0",
    "/down.0.0/conv1",
    "/up.0.0/conv2",
)
# Layers whose channels differ most; the others lose less than two thousandths without.
BALANCED = (
    "/down.0.0/conv2", "/down.0.1/conv1", "/down.0.1/conv2", "/down.1.0/conv2", "/down.1.1/conv2", "/up.0.1/conv2",
)  # fmt: skip


class Recorder(Denoiser):
    """A network that keeps what it is shown of one sample of each field, at each of these steps."""

    def __init__(self, model):
        super().__init__(model, device="cpu")
        self.seen = []
        self.new = set()

    def _run(self, inputs, options=None):
        t, shape = float(inputs["t"][0]), inputs["x"].shape[2:]
        if options is None and FROM <= t <= UNTIL and t not in self.new:
            self.new.add(t)
            brightest = np.unravel_index(np.abs(inputs["condition"][0, 0]).argmax(), shape)
            # On even pixels: the network works on blocks of two.
            starts = [max(0, min(at - SIDE // 2, n - SIDE)) // 2 * 2 for at, n in zip(brightest, shape, strict=True)]
            rows, columns = (slice(start, start + SIDE) for start in starts)
            self.seen.append(
                {
                    key: images[:1] if key == "t" else images[:1, :, rows, columns].copy()
                    for key, images in inputs.items()
                }
            )
        return super()._run(inputs, options)


class Records(CalibrationDataReader):
    """Records one after the other, as the library wants them."""

    def __init__(self, seen):
        self.left = iter(seen)

    def get_next(self):
        """The next one, or None."""
        return next(self.left, None)


def record(model, folders, fields):
    """What a network is shown of the last fields of some folders.

    Parameters
    ----------
    model : str or path-like
    folders : list of `~pathlib.Path`
        As ``astro-ddpm-imager simulate`` writes them.
    fields : int
        Of each.

    Returns
    -------
    list of dict
    """
    recorder = Recorder(model)
    for folder in tqdm(folders):
        inputs, _ = read_folder(folder)
        for arguments in list(inputs.values())[-fields:]:
            for steps in STEPS:
                imager = DiffusionImager(model, n_samples=2, steps=steps, seed=1, progress=False)
                recorder.new.clear()
                imager.denoiser = recorder
                imager(**arguments)
    return recorder.seen


def in_single_precision(model):
    """A network whose weights are in single precision; the casts that make them so are gone."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    weights, nodes = {stored.name: stored for stored in model.graph.initializer}, []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            stored = weights[node.input[0]]
            values = numpy_helper.to_array(stored).astype(np.float32)
            stored.CopyFrom(numpy_helper.from_array(values, node.output[0]))
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def balanced(model, seen):
    """The same network, with channels of like size before and after some layers.

    Input channels are divided by the square root of their largest value over
    that of their largest weight, which the weights make up for (Xiao et al.
    2023, arXiv:2211.10438); outputs are brought to 1, and back.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    chosen = {node.name: node for node in model.graph.node if node.name.removesuffix("/Conv") in BALANCED}
    largest = _largest(model, [name for node in chosen.values() for name in (node.input[0], node.output[0])], seen)
    weights, nodes = {stored.name: stored for stored in model.graph.initializer}, []

    def store(name, values):
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    for node in model.graph.node:
        if node.name not in chosen:
            nodes.append(node)
            continue
        kernel, bias = (numpy_helper.to_array(weights[name]) for name in node.input[1:])
        size = np.sqrt(largest[node.input[0]] / np.abs(kernel).max((0, 2, 3)))
        size /= np.exp(np.log(size).mean())
        after = largest[node.output[0]]
        kernel = kernel * size[:, None, None] / after[:, None, None, None]
        before_name, after_name = (f"{node.name}/{word}" for word in ("before", "after"))
        names = [before_name, store(f"{node.name}/kernel", kernel), store(f"{node.name}/bias", bias / after)]
        nodes += [
            helper.make_node("Mul", [node.input[0], store(f"{node.name}/1", 1 / size[:, None, None])], [before_name]),
            helper.make_node("Conv", names, [f"{after_name}/1"], name=node.name),
            helper.make_node("Mul", [f"{after_name}/1", store(after_name, after[:, None, None])], list(node.output)),
        ]
        nodes[-2].attribute.extend(node.attribute)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _largest(model, names, seen):
    """Largest absolute value of each channel of some images, over records; of none is it nothing beside the others."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session, largest = _session(model), {}
    for shown in seen:
        for name, image in zip(names, session.run(names, shown), strict=True):
            largest[name] = np.maximum(largest.get(name, 0), np.abs(image).max((0, 2, 3)))
    return {name: np.maximum(values, FAINTEST * values.max()) for name, values in largest.items()}


def in_whole_numbers(model, seen):
    """The same network with convolutions in eight bits.

    Weights have seven, with which sums of two products fit into sixteen bits,
    as processors without instructions for such networks have them.
    """
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    names = [name for name in convolutions if name.removesuffix("/Conv") not in EXACT]
    with TemporaryDirectory() as folder:
        given, made = (Path(folder) / name for name in ("given.onnx", "made.onnx"))
        onnx.save(model, given)
        quantize_static(
            given, made, Records(seen), per_channel=True, reduce_range=True, nodes_to_quantize=names,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(made)


def joined(exact, quick):
    """One network of two: the second one where all t are from ``FROM`` to ``UNTIL``."""
    branches = [_branch(model.graph, name) for model, name in zip((quick, exact), NAMES, strict=True)]
    nodes = [
        helper.make_node("ReduceMax", ["t"], ["latest"], keepdims=0),
        helper.make_node("ReduceMin", ["t"], ["earliest"], keepdims=0),
        helper.make_node("LessOrEqual", ["latest", QUICK_UNTIL], ["is_not_above"]),
        helper.make_node("GreaterOrEqual", ["earliest", "from"], ["is_not_below"]),
        helper.make_node("And", ["is_not_above", "is_not_below"], ["is_between"]),
        helper.make_node("If", ["is_between"], ["v"], then_branch=branches[0], else_branch=branches[1]),
    ]
    ends = [numpy_helper.from_array(np.float32(t), name) for name, t in (("from", FROM), (QUICK_UNTIL, UNTIL))]
    graph = helper.make_graph(nodes, "network", exact.graph.input, exact.graph.output, ends)
    model = helper.make_model(graph, opset_imports=exact.opset_import, ir_version=exact.ir_version)
    helper.set_model_props(model, {entry.key: entry.value for entry in exact.metadata_props})
    onnx.checker.check_model(model)
    return model


def _branch(graph, prefix):
    """A graph for one half of the network: its names begin alike, and what it does not use is gone."""
    used = {name for node in graph.node for name in node.input}
    weights = [stored for stored in graph.initializer if stored.name in used]
    names = {name: prefix + name for node in graph.node for name in node.output}
    names |= {stored.name: prefix + stored.name for stored in weights}
    for stored in weights:
        stored.name = names[stored.name]
    for node in graph.node:
        node.name = node.name and prefix + node.name
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    output = helper.make_tensor_value_info(names[graph.output[0].name], TensorProto.FLOAT, None)
    return helper.make_graph(graph.node, prefix, [], [output], weights)


def _session(model):
    options = SessionOptions()
    options.log_severity_level = 3
    return InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="an .onnx file with its card beside it; changed")
    parser.add_argument("folders", type=Path, nargs="+", help="fields, as astro-ddpm-imager simulate writes them")
    parser.add_argument("--fields", type=int, default=3, help="last ones of each folder")
    args = parser.parse_args()
    card, _ = load_card(args.model)
    seen = record(args.model, args.folders, args.fields)
    exact = onnx.load(args.model)
    model = balanced(in_single_precision(exact), seen)
    write_model(joined(exact, in_whole_numbers(model, seen)), card, args.model)
    print(f"{args.model}: {args.model.stat().st_size / 1e6:.1f} MB, {len(seen)} records")


if __name__ == "__main__":
    main()
