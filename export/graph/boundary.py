"""Gives a foreign ONNX network a standard input and output: float32 pixels, float32 [batch, classes]."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import ConversionError
from export.graph.batch_dimension import fixed_batch
from export.graph.edits import add_constant, producer, rename_conflicting_tensors, skip_identity_nodes, walk_graphs

PARTS = "boundary/"


def settle_boundary(model: onnx.ModelProto, given: tuple[int, ...]) -> onnx.ModelProto:
    """A copy of the model with one input and one output as finish_graph needs them. `given` is the output's shape in a
    run, since a file may leave its class axis open.

    float64 becomes float32, which GPUs and most of ONNX Runtime's kernels need. Gray networks without a channel axis
    get one. Classes may stand in any one axis: [n, c], [n, c, 1, 1], [n, 1, 1, c], [n].

    Raises ConversionError where the output has more than one axis with several values: that is no classifier.
    """
    settled = onnx.ModelProto()
    settled.CopyFrom(model)
    graph = settled.graph
    del graph.value_info[:]
    rename_conflicting_tensors(graph, (), (PARTS,))
    lower_to_float32(graph)
    _settle_input(graph)
    _settle_output(settled, given)
    return settled


def lower_to_float32(graph: onnx.GraphProto) -> None:
    """Every float64 tensor of a graph becomes float32."""
    for part in walk_graphs(graph):
        for tensor in part.initializer:
            _lower(tensor)
        for value in (*part.input, *part.output, *part.value_info):
            if value.type.tensor_type.elem_type == TensorProto.DOUBLE:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for attribute in (attribute for node in part.node for attribute in node.attribute):
            _lower(attribute.t)
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.DOUBLE:
                attribute.i = TensorProto.FLOAT


def _lower(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.DOUBLE:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _settle_input(graph: onnx.GraphProto) -> None:
    value = graph.input[0]
    kind = value.type.tensor_type
    own, before = value.name, []
    current = f"{PARTS}pixels"
    if len(kind.shape.dim) == 3:  # [n, h, w]: the channel axis of [n, h, w, 1] goes
        squeezed = f"{PARTS}squeezed" if kind.elem_type != TensorProto.FLOAT else own
        by = add_constant(graph, f"{PARTS}plane", np.array([0, 0, -1], np.int64))
        before.append(helper.make_node("Reshape", [current, by], [squeezed]))
        current = squeezed
        kind.shape.dim.add().dim_value = 1
    if kind.elem_type != TensorProto.FLOAT:
        before.append(helper.make_node("Cast", [current], [own], to=kind.elem_type))
        kind.elem_type = TensorProto.FLOAT
    if before:
        value.name = f"{PARTS}pixels"
        nodes = [*before, *graph.node]
        del graph.node[:]
        graph.node.extend(nodes)


def _settle_output(model: onnx.ModelProto, given: tuple[int, ...]) -> None:
    graph = model.graph
    (output,) = graph.output
    if sum(size != 1 for size in given[1:]) > 1:
        shown = " x ".join(map(str, ("batch", *given[1:])))
        raise ConversionError(
            f"the network's output has shape [{shown}], a classifier's has [batch, classes]: "
            "detection and segmentation networks can't be served"
        )
    width = prod(given[1:])
    rows = fixed_batch(model) or "batch"
    name, kind = output.name, output.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        graph.node.append(helper.make_node("Cast", [name], [f"{PARTS}float"], to=TensorProto.FLOAT))
        name = f"{PARTS}float"
    if len(given) != 2 or len(kind.shape.dim) != 2:
        name = _flatten(model, name, given, width)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, width]))


def _flatten(model: onnx.ModelProto, name: str, given: tuple[int, ...], width: int) -> str:
    """[n, c, 1, 1] and the like to [n, c]; before a closing softmax or sigmoid, so that its logits are at hand."""
    graph = model.graph
    by = add_constant(graph, f"{PARTS}classes", np.array([-1, width], np.int64))
    closing = producer(graph, skip_identity_nodes(graph, name))
    if closing is None or not _closes_over_classes(model, closing, given, width):
        graph.node.append(helper.make_node("Reshape", [name, by], [f"{PARTS}output"]))
        return f"{PARTS}output"
    axis: dict[str, Any] = {"axis": 1} if closing.op_type == "Softmax" else {}
    graph.node.append(helper.make_node("Reshape", [closing.input[0], by], [f"{PARTS}logits"]))
    graph.node.append(helper.make_node(closing.op_type, [f"{PARTS}logits"], [f"{PARTS}output"], **axis))
    return f"{PARTS}output"


def _closes_over_classes(model: onnx.ModelProto, node: onnx.NodeProto, given: tuple[int, ...], width: int) -> bool:
    if node.op_type != "Softmax":
        return node.op_type == "Sigmoid"
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    axis = next((entry.i for entry in node.attribute if entry.name == "axis"), -1 if opset >= 13 else 1) % len(given)
    # Before opset 13 a softmax runs over all axes from `axis` on.
    return axis > 0 and (given[axis] if opset >= 13 else prod(given[axis:])) == width
