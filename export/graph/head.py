"""A network's last layer: how wide it is, and the nodes from there to `probabilities` and `energy`."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from artifact.card import Head
from export.errors import ConversionError
from export.graph.edits import add_constant, producer, skip_identity_nodes


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


def head_nodes(
    graph: onnx.GraphProto, head: Head, temperature: float, result: str, width: int, opset: int
) -> tuple[list[onnx.NodeProto], bool, str | None]:
    """The nodes from the network's output to `probabilities` and `energy`, whether there is energy, and the logits."""
    inner = skip_identity_nodes(graph, result)
    last = producer(graph, inner)
    closes = {"softmax": "Softmax", "sigmoid": "Sigmoid", "multilabel": "Sigmoid"}.get(head)
    logits: str | None = None
    if head == "logits":  # softmax(log_softmax(z)) = softmax(z), whose logits are z
        behind_log = last is not None and last.op_type == "LogSoftmax" and _over_classes(last)
        logits = last.input[0] if last is not None and behind_log else inner
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
            helper.make_node(
                "MatMul", [current, add_constant(graph, "head/pair", np.array([[0, 1]], np.float32))], ["head/two"]
            )
        )
        current = "head/two"
    if temperature != 1:
        by = add_constant(graph, "head/temperature", np.float32(temperature))
        nodes.append(helper.make_node("Div", [current, by], ["head/tempered"]))
        current = "head/tempered"
    nodes.append(helper.make_node("Softmax", [current], ["probabilities"], axis=1))
    nodes.append(_log_sum_exp(graph, current, opset))
    return nodes, True, logits


def _log_sum_exp(graph: onnx.GraphProto, logits: str, opset: int) -> onnx.NodeProto:
    if opset < 18:
        return helper.make_node("ReduceLogSumExp", [logits], ["energy"], axes=[1], keepdims=0)
    axes = add_constant(graph, "head/axes", np.array([1], np.int64))
    return helper.make_node("ReduceLogSumExp", [logits, axes], ["energy"], keepdims=0)


def _reopened_probabilities(
    graph: onnx.GraphProto, temperature: float, result: str, width: int
) -> list[onnx.NodeProto]:
    """For a network that only shows probabilities: softmax(log p / T), and [1 - p, p] from a single p."""
    nodes: list[onnx.NodeProto] = []
    current = result
    if width == 1:
        one = add_constant(graph, "head/one", np.float32(1))
        nodes.append(helper.make_node("Sub", [one, current], ["head/first"]))
        nodes.append(helper.make_node("Concat", ["head/first", current], ["head/two"], axis=1))
        current = "head/two"
    if temperature == 1:
        return [*nodes, helper.make_node("Identity", [current], ["probabilities"])]
    # Zeros are real in float32 softmax outputs; the smallest normal number keeps their logarithm finite.
    floor = add_constant(graph, "head/floor", np.float32(np.finfo(np.float32).tiny))
    by = add_constant(graph, "head/temperature", np.float32(temperature))
    return [
        *nodes,
        helper.make_node("Max", [current, floor], ["head/positive"]),
        helper.make_node("Log", ["head/positive"], ["head/log"]),
        helper.make_node("Div", ["head/log", by], ["head/tempered"]),
        helper.make_node("Softmax", ["head/tempered"], ["probabilities"], axis=1),
    ]


def _over_classes(node: onnx.NodeProto) -> bool:
    """Whether a Softmax or LogSoftmax runs over the second of two axes (a Sigmoid has none)."""
    return next((a.i for a in node.attribute if a.name == "axis"), -1) in (1, -1)
