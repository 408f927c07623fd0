"""The ONNX file of a model: read once, and looked at before ONNX Runtime opens it."""

import hashlib
from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from ...errors import ModelError

__all__ = ["check_network", "read_network"]

LARGEST = 2**30  # bytes
DOMAINS = ("", "ai.onnx", "com.microsoft")
WITHOUT_END = ("Loop", "Scan", "SequenceMap")
BY_CHANCE = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
INPUTS = {"x": 4, "condition": 4, "t": 1, "feedback": 4}  # and their axes
FLOAT32 = 1
MESSAGES = {  # of onnx.proto (ONNX 1.17), what is looked at: number of the field, its type, whether there are several
    "Model": {"graph": (7, "Graph", False), "functions": (25, "Function", True)},
    "Function": {"node": (7, "Node", True)},
    "Graph": {
        "node": (1, "Node", True), "initializer": (5, "Tensor", True), "sparse_initializer": (15, "Sparse", True),
        "input": (11, "Value", True), "output": (12, "Value", True),
    },
    "Node": {"op_type": (4, str, False), "attribute": (5, "Attribute", True), "domain": (7, str, False)},
    "Attribute": {
        "t": (5, "Tensor", False), "g": (6, "Graph", False), "tensors": (10, "Tensor", True),
        "graphs": (11, "Graph", True), "sparse_tensor": (22, "Sparse", False), "sparse_tensors": (23, "Sparse", True),
    },
    "Sparse": {"values": (1, "Tensor", False), "indices": (2, "Tensor", False)},
    "Tensor": {"name": (8, str, False), "external_data": (13, "Entry", True), "data_location": (14, int, False)},
    "Entry": {"key": (1, str, False), "value": (2, str, False)},
    "Value": {"name": (1, str, False), "type": (2, "Type", False)},
    "Type": {"tensor_type": (1, "TensorType", False)},
    "TensorType": {"elem_type": (1, int, False), "shape": (2, "Shape", False)},
    "Shape": {"dim": (1, "Dim", True)},
    "Dim": {"dim_value": (1, int, False)},
}  # fmt: skip


def read_network(path, sha256):
    """The bytes of a model, if they are those of its card.

    Parameters
    ----------
    path : `~pathlib.Path`
    sha256 : str
        Of the card.

    Returns
    -------
    bytes

    Raises
    ------
    ModelError
        The file is too large, or another one.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise ModelError(f"model={str(path)!r}: has {size} bytes; models of more than {LARGEST} are not read")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model={str(path)!r}: cannot be read ({error.strerror or error})") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ModelError(
            f"model={str(path)!r}: the SHA-256 of {path.name} is {digest[:12]}..., but its card says "
            f"{sha256[:12] or 'nothing'}...; the file is damaged or not the card's: install the package again"
        )
    return content


def check_network(content, name):
    """Fail if a model is not one of this package: before it is opened.

    Parameters
    ----------
    content : bytes
        Of the ONNX file.
    name : str
        What the model is called in errors.

    Raises
    ------
    ModelError
        It is no ONNX file; it takes data from other files, so that its
        checksum says nothing; it holds operators of others, without end or by
        chance; or it has other inputs and outputs.
    """
    try:
        model = _model().FromString(content)
    except (DecodeError, RecursionError) as error:
        raise ModelError(f"{name}: is no ONNX file, or is cut off ({error})") from error
    for graph_or_function in (model.graph, *model.functions):
        _check_graph(graph_or_function, name)
    inputs = {value.name: value for value in model.graph.input}
    if not set(INPUTS) - {"feedback"} <= set(inputs) <= set(INPUTS):
        raise ModelError(f"{name}: has the inputs {sorted(inputs)}, not {', '.join(INPUTS)} (the last may be missing)")
    for key, value in inputs.items():
        kind = value.type.tensor_type
        if kind.elem_type != FLOAT32 or len(kind.shape.dim) != INPUTS[key]:
            raise ModelError(f"{name}: its input {key!r} is not of float32 with {INPUTS[key]} axes")
    kinds = [value.type.tensor_type.elem_type for value in model.graph.output]
    if not kinds or kinds[0] != FLOAT32:
        raise ModelError(f"{name}: its first output is not of float32")


def _check_graph(graph, name):
    """Nodes, and the tensors and graphs in them."""
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise ModelError(f"{name}: holds an operator of another library, {node.domain[:60]}.{node.op_type[:60]}")
        if node.op_type in WITHOUT_END:
            raise ModelError(f"{name}: holds the operator {node.op_type}, which need not end; export it without")
        if node.op_type in BY_CHANCE:
            raise ModelError(f"{name}: holds the operator {node.op_type}; the same seed must give the same samples")
        for attribute in node.attribute:
            sparse = [attribute.sparse_tensor, *attribute.sparse_tensors]
            _check_tensors([attribute.t, *attribute.tensors], sparse, name)
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                _check_graph(inner, name)
    if hasattr(graph, "initializer"):
        _check_tensors(graph.initializer, graph.sparse_initializer, name)


def _check_tensors(tensors, sparse, name):
    for tensor in [*tensors, *(part for one in sparse for part in (one.values, one.indices))]:
        if tensor.data_location or tensor.external_data:
            place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            raise ModelError(
                f"{name}: the weights {tensor.name[:60]!r} are in another file, {place[:100]!r}, which the checksum of "
                "the card does not hold; export the model with all weights inside"
            )


@cache
def _model():
    """The class of ONNX's messages, with the fields of ``MESSAGES``."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="astro_ddpm_imager.proto", package="astro_ddpm_imager", syntax="proto2"
    )
    for name, entries in MESSAGES.items():
        message = file.message_type.add(name=name)
        for key, (number, kind, several) in entries.items():
            label = field.LABEL_REPEATED if several else field.LABEL_OPTIONAL
            # Text as bytes would be: names need not be UTF-8.
            plain = {str: field.TYPE_STRING, int: field.TYPE_INT64}.get(kind)
            made = message.field.add(name=key, number=number, label=label, type=plain or field.TYPE_MESSAGE)
            if plain is None:
                made.type_name = f".astro_ddpm_imager.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("astro_ddpm_imager.Model"))
