"""Adds to an ONNX network what a served graph needs: pixel arithmetic, head, energy, features.

Works on ONNX only, so that networks converted from Keras and foreign ONNX files get the same nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from artifact.card import Head
from artifact.classifier import Classifier
from artifact.image_policy import ImagePolicy, Preprocessing
from export.errors import ConversionError, reason
from export.graph.batch_dimension import pad_rows, simplify_flatten
from export.graph.edits import add_constant, drop_unused, rename_conflicting_tensors
from export.graph.features import expose_features
from export.graph.head import head_nodes, output_width

Layout = Literal["nhwc", "nchw"]

INPUT = "image"
OURS = ("around/", "pixels/", "head/", "batch/")
RESERVED = (INPUT, "probabilities", "energy", "features")


@dataclass(frozen=True)
class FinishedGraph:
    model: onnx.ModelProto
    energy: bool
    classifier: Classifier | None


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
    network ends in global average pooling and one dense layer `features`. `batch` says that the network takes exactly
    that many rows: the result takes 1 to `batch`.
    """
    finished = onnx.ModelProto()
    finished.CopyFrom(model)
    graph = finished.graph
    rename_conflicting_tensors(graph, RESERVED, OURS)
    source, result = graph.input[0].name, graph.output[0].name
    width = output_width(finished)
    simplify_flatten(graph)
    opset = next((entry.version for entry in finished.opset_import if entry.domain in ("", "ai.onnx")), 0)
    before = _pixel_nodes(graph, preprocessing, policy.width, layout, source)
    after, energy, logits = head_nodes(graph, head, temperature, result, width, opset)
    classifier = expose_features(graph, logits) if logits is not None else None
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    rows = 1 if batch == 1 else "batch"
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [rows, *policy.shape]))
    classes = 2 if width == 1 else width
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [rows, classes]))
    if energy:
        graph.output.append(helper.make_tensor_value_info("energy", TensorProto.FLOAT, [rows]))
    if classifier is not None:
        channels = classifier.weights.shape[0]
        shape = [rows, channels, "features_height", "features_width"]
        graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, shape))
    if batch is not None and batch > 1:
        nodes = pad_rows(graph, nodes, batch)
    graph.node.extend(nodes)
    drop_unused(graph)
    _name_nodes(graph)
    finished.producer_name = "convserve"
    try:
        onnx.checker.check_model(finished, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the converted graph is not valid ONNX: {reason(error)}") from error
    return FinishedGraph(finished, energy, classifier)


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a unique name: the tools that lower the precision identify nodes by name.

    Ours are those before and behind the network; they give tensors that are called pixels/, head/, batch/ or an output.
    """
    outputs = {output.name for output in graph.output} - {"features"}
    for index, node in enumerate(graph.node):
        ours = node.output[0] in outputs or node.output[0].startswith(OURS)
        if ours or node.name.startswith(OURS):
            node.name = f"{OURS[0]}{index}_{node.op_type}"
        else:
            node.name = f"network/{index}_{node.op_type}"


def our_nodes(model: onnx.ModelProto) -> list[str]:
    """The names of the nodes that finish_graph put around a network."""
    return [node.name for node in model.graph.node if node.name.startswith(OURS)]


def _pixel_nodes(
    graph: onnx.GraphProto, preprocessing: Preprocessing, width: int, layout: Layout, target: str
) -> list[onnx.NodeProto]:
    """uint8 NHWC `image` -> ((swap) cast, - mean, / std, (NCHW)) -> the network's own input, called `target`.

    Mean and standard deviation are written out for a row of pixels, [width, channels]: ONNX Runtime's CPU kernels loop
    over the innermost axes that two operands share, and take 18 times as long for three channels alone.
    """
    chain: list[tuple[str, npt.NDArray[np.generic] | None, dict[str, Any]]] = []
    if preprocessing.channel_order == "bgr":
        # By whole planes, there and back: pixel by pixel it takes 20 times as long.
        chain.append(("Transpose", None, {"perm": [0, 3, 1, 2]}))
        chain.append(("Gather", np.array([2, 1, 0], np.int64), {"axis": 1}))
        chain.append(("Transpose", None, {"perm": [0, 2, 3, 1]}))
    chain.append(("Cast", None, {"to": TensorProto.FLOAT}))
    if any(preprocessing.mean):
        chain.append(("Sub", np.tile(np.array(preprocessing.mean, np.float32), (width, 1)), {}))
    if any(deviation != 1 for deviation in preprocessing.std):
        chain.append(("Div", np.tile(np.array(preprocessing.std, np.float32), (width, 1)), {}))
    if layout == "nchw":
        chain.append(("Transpose", None, {"perm": [0, 3, 1, 2]}))
    nodes, current = [], INPUT
    for step, (operator, constant, attributes) in enumerate(chain):
        name = f"pixels/{step}_{operator.lower()}"
        output = target if step == len(chain) - 1 else name
        inputs = [current]
        if constant is not None:
            inputs.append(add_constant(graph, f"{name}_by", constant))
        nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        current = output
    return nodes
