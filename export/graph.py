"""From a bare network in ONNX to the graph that an artifact promises: pixel arithmetic, head, energy, features.

Works on ONNX alone, so that networks converted from Keras and foreign ONNX files get the very same nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.card import ImagePolicy, Preprocessing
from export.errors import ConversionError

Head = Literal["softmax", "logits", "sigmoid", "multilabel"]
Layout = Literal["nhwc", "nchw"]

INPUT = "image"
RESERVED = (INPUT, "probabilities", "energy", "features")


@dataclass(frozen=True)
class Classifier:
    """The last layer of a pooled network: logits = mean over positions of `features` @ weights + bias."""

    weights: npt.NDArray[np.float32]  # [channels, classes]
    bias: npt.NDArray[np.float32]  # [classes]


@dataclass(frozen=True)
class FinishedGraph:
    model: onnx.ModelProto
    energy: bool
    classifier: Classifier | None


def read_head(model: onnx.ModelProto) -> Head | None:
    """What the last node says of the network's output; None where it is neither Softmax nor Sigmoid."""
    node = _producer(model.graph, _see_through(model.graph, model.graph.output[0].name))
    if node is None:
        return None
    if node.op_type == "Softmax":
        return "softmax"
    if node.op_type == "Sigmoid":
        return "sigmoid" if output_width(model) == 1 else "multilabel"
    return None


def output_width(model: onnx.ModelProto) -> int:
    """The number of values a row that the network gives. Raises ConversionError where it is no classifier."""
    if len(model.graph.output) != 1:
        names = ", ".join(output.name for output in model.graph.output)
        raise ConversionError(f"the network has {len(model.graph.output)} outputs ({names}): a classifier has one")
    shape = model.graph.output[0].type.tensor_type.shape.dim
    if len(shape) != 2 or not shape[1].dim_value:
        shown = " x ".join(str(dim.dim_value or "?") for dim in shape)
        raise ConversionError(
            f"the network's output has shape [{shown}], a classifier's has [batch, classes]: "
            "detection and segmentation networks can't be served"
        )
    return int(shape[1].dim_value)


def finish_graph(
    model: onnx.ModelProto,
    *,
    policy: ImagePolicy,
    preprocessing: Preprocessing,
    head: Head,
    temperature: float = 1.0,
    layout: Layout = "nhwc",
    batch: int | None = None,
) -> FinishedGraph:
    """Put the pixel arithmetic before a network and the head behind it.

    `model` maps one float32 input [batch, h, w, c] (or NCHW by `layout`) to one output [batch, classes]. The result
    maps `image` uint8 [batch, h, w, c] to `probabilities`, and where logits are known `energy`, and where the
    network ends in global average pooling and one dense layer `features`. `batch` fixes the batch size.
    """
    finished = onnx.ModelProto()
    finished.CopyFrom(model)
    graph = finished.graph
    _free_names(graph, RESERVED)
    source, result = graph.input[0].name, graph.output[0].name
    width = output_width(finished)
    _simplify_flatten(graph)
    before = _pixel_nodes(graph, preprocessing, layout, source)
    after, energy, logits = _head_nodes(graph, head, temperature, result, width)
    classifier = _expose_features(graph, logits) if logits is not None else None
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    rows = batch if batch is not None else "batch"
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [rows, *policy.shape]))
    classes = 2 if width == 1 else width
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [rows, classes]))
    if energy:
        graph.output.append(helper.make_tensor_value_info("energy", TensorProto.FLOAT, [rows]))
    if classifier is not None:
        channels = classifier.weights.shape[0]
        shape = [rows, channels, "features_height", "features_width"]
        graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, shape))
    _drop_unused(graph)
    finished.producer_name = "convserve"
    try:
        onnx.checker.check_model(finished, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the converted graph is not valid ONNX: {error}") from error
    return FinishedGraph(finished, energy, classifier)


def _pixel_nodes(
    graph: onnx.GraphProto, preprocessing: Preprocessing, layout: Layout, target: str
) -> list[onnx.NodeProto]:
    """uint8 NHWC `image` -> ((swap) cast, - mean, / std, (NCHW)) -> the network's own input, called `target`."""
    chain: list[tuple[str, npt.NDArray[np.generic] | None, dict[str, object]]] = []
    if preprocessing.channel_order == "bgr":
        chain.append(("Gather", np.int64([2, 1, 0]), {"axis": 3}))
    chain.append(("Cast", None, {"to": TensorProto.FLOAT}))
    if any(preprocessing.mean):
        chain.append(("Sub", np.float32(preprocessing.mean), {}))
    if any(deviation != 1 for deviation in preprocessing.std):
        chain.append(("Div", np.float32(preprocessing.std), {}))
    if layout == "nchw":
        chain.append(("Transpose", None, {"perm": [0, 3, 1, 2]}))
    nodes, current = [], INPUT
    for step, (operator, constant, attributes) in enumerate(chain):
        output = target if step == len(chain) - 1 else f"pixels/{operator.lower()}"
        inputs = [current]
        if constant is not None:
            inputs.append(_constant(graph, f"pixels/{operator.lower()}_by", constant))
        nodes.append(helper.make_node(operator, inputs, [output], name=f"pixels/{operator.lower()}", **attributes))
        current = output
    return nodes


def _head_nodes(
    graph: onnx.GraphProto, head: Head, temperature: float, result: str, width: int
) -> tuple[list[onnx.NodeProto], bool, str | None]:
    """The nodes from the network's output to `probabilities` and `energy`, whether there is energy, and the logits."""
    inner = _see_through(graph, result)
    last = _producer(graph, inner)
    closes = {"softmax": "Softmax", "sigmoid": "Sigmoid", "multilabel": "Sigmoid"}.get(head)
    logits: str | None = None
    if head == "logits":
        logits = inner
    elif last is not None and last.op_type == closes and _over_classes(last):
        logits = last.input[0]
    if head == "multilabel":
        if logits is None:
            return [helper.make_node("Identity", [result], ["probabilities"])], False, None
        return [helper.make_node("Sigmoid", [logits], ["probabilities"])], False, logits
    if logits is None:
        return _reopened_probabilities(graph, temperature, result, width), False, None
    nodes: list[onnx.NodeProto] = []
    current = logits
    if width == 1:  # one logit z of the second class: softmax([0, z]) = [1 - sigmoid(z), sigmoid(z)]
        nodes.append(
            helper.make_node("MatMul", [current, _constant(graph, "head/pair", np.float32([[0, 1]]))], ["head/two"])
        )
        current = "head/two"
    if temperature != 1:
        by = _constant(graph, "head/temperature", np.float32(temperature))
        nodes.append(helper.make_node("Div", [current, by], ["head/tempered"]))
        current = "head/tempered"
    nodes.append(helper.make_node("Softmax", [current], ["probabilities"], axis=1))
    nodes.append(helper.make_node("ReduceLogSumExp", [current], ["energy"], axes=[1], keepdims=0))
    return nodes, True, logits


def _reopened_probabilities(
    graph: onnx.GraphProto, temperature: float, result: str, width: int
) -> list[onnx.NodeProto]:
    """For a network that only shows probabilities: softmax(log p / T), and [1 - p, p] from a single p."""
    nodes: list[onnx.NodeProto] = []
    current = result
    if width == 1:
        one = _constant(graph, "head/one", np.float32(1))
        nodes.append(helper.make_node("Sub", [one, current], ["head/first"]))
        nodes.append(helper.make_node("Concat", ["head/first", current], ["head/two"], axis=1))
        current = "head/two"
    if temperature == 1:
        return [*nodes, helper.make_node("Identity", [current], ["probabilities"])]
    # Zeros are real in float32 softmax outputs; the smallest normal number keeps their logarithm finite.
    floor = _constant(graph, "head/floor", np.float32(np.finfo(np.float32).tiny))
    by = _constant(graph, "head/temperature", np.float32(temperature))
    return [
        *nodes,
        helper.make_node("Max", [current, floor], ["head/positive"]),
        helper.make_node("Log", ["head/positive"], ["head/log"]),
        helper.make_node("Div", ["head/log", by], ["head/tempered"]),
        helper.make_node("Softmax", ["head/tempered"], ["probabilities"], axis=1),
    ]


def _expose_features(graph: onnx.GraphProto, logits: str) -> Classifier | None:
    """Where global average pooling and one dense layer end the network, rename what the pooling reads to `features`.

    Adds no node: ONNX Runtime runs every node that a graph holds, whether its output is asked for or not.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    node = _producer(graph, _see_through(graph, logits))
    bias = None
    if node is not None and node.op_type == "Add":
        added = [name for name in node.input if name in constants]
        summed = [name for name in node.input if name not in constants]
        if len(added) != 1 or len(summed) != 1:
            return None
        bias = numpy_helper.to_array(constants[added[0]])
        node = _producer(graph, summed[0])
    if node is None or node.op_type not in ("MatMul", "Gemm") or node.input[1] not in constants:
        return None
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    weights = numpy_helper.to_array(constants[node.input[1]])
    if node.op_type == "Gemm":
        if attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA"):
            return None
        weights = weights.T if attributes.get("transB") else weights
        if len(node.input) > 2:
            bias = numpy_helper.to_array(constants[node.input[2]]) if node.input[2] in constants else None
    pool = _producer(graph, _see_through(graph, node.input[0], ("Squeeze", "Flatten", "Reshape")))
    if pool is None or not _pools_positions(graph, pool) or weights.ndim != 2:
        return None
    _rename(graph, pool.input[0], "features")
    if bias is None:
        bias = np.zeros(weights.shape[1])
    return Classifier(weights.astype(np.float32), bias.reshape(-1).astype(np.float32))


def _pools_positions(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether a node is the mean over the two positions of an NCHW tensor."""
    if node.op_type == "GlobalAveragePool":
        return True
    if node.op_type != "ReduceMean":
        return False
    axes: Sequence[int] = next((a.ints for a in node.attribute if a.name == "axes"), ())
    if len(node.input) > 1:
        stored = [t for t in graph.initializer if t.name == node.input[1]]
        axes = numpy_helper.to_array(stored[0]).tolist() if stored else ()
    return sorted(axis % 4 for axis in axes) == [2, 3]


def _over_classes(node: onnx.NodeProto) -> bool:
    """Whether a Softmax runs over the second of two axes (a Sigmoid has none)."""
    return next((a.i for a in node.attribute if a.name == "axis"), -1) in (1, -1)


def _simplify_flatten(graph: onnx.GraphProto) -> None:
    """Shape-...-Concat-Reshape (dynamic flattening) to Flatten: shape nodes run on the CPU even on a GPU."""
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = _producer(graph, node.input[1])
        if shape is None or shape.op_type not in ("Concat", "Cast"):
            continue
        joined = _producer(graph, shape.input[0]) if shape.op_type == "Cast" else shape
        if joined is None or joined.op_type != "Concat" or len(joined.input) != 2:
            continue
        if joined.input[1] in {tensor.name for tensor in graph.initializer} and _comes_from_shape(
            graph, joined.input[0], node.input[0]
        ):
            node.op_type = "Flatten"
            del node.input[1:], node.attribute[:]
            node.attribute.append(helper.make_attribute("axis", 1))


def _comes_from_shape(graph: onnx.GraphProto, name: str, of: str) -> bool:
    """Whether `name` is the batch dimension cut from the shape of `of`, or of what `of` is the transpose of."""
    node = _producer(graph, name)
    while node is not None and node.op_type in ("Unsqueeze", "Squeeze", "Slice", "Gather", "Cast"):
        node = _producer(graph, node.input[0])
    transpose = _producer(graph, of)
    same_rows = [of, *transpose.input] if transpose is not None and transpose.op_type == "Transpose" else [of]
    return node is not None and node.op_type == "Shape" and node.input[0] in same_rows


def _producer(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    return next((node for node in graph.node if name in node.output), None)


def _see_through(graph: onnx.GraphProto, name: str, also: tuple[str, ...] = ()) -> str:
    """The tensor behind nodes that change no value: Identity, Dropout, and those named."""
    while (node := _producer(graph, name)) is not None and node.op_type in ("Identity", "Dropout", *also):
        name = node.input[0]
    return name


def _constant(graph: onnx.GraphProto, name: str, value: npt.NDArray[np.generic] | np.generic) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def _free_names(graph: onnx.GraphProto, names: Sequence[str]) -> None:
    """Tensors that the network itself calls by one of our names get another."""
    for name in names:
        _rename(graph, name, f"network/{name}")


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for field in _name_fields(graph):
        for position, name in enumerate(field):
            if name == old:
                field[position] = new
    for entry in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        if entry.name == old:
            entry.name = new


def _name_fields(graph: onnx.GraphProto) -> Iterator[list[str]]:
    for node in graph.node:
        yield node.input
        yield node.output


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output needs (the softmax that the head replaced, shape arithmetic)."""
    needed = {output.name for output in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # nodes stand in topological order
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    nodes = kept[::-1]
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
