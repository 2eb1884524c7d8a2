"""Flattening by shape arithmetic, as Keras writes it, made one Flatten: shape nodes run on the CPU even on a GPU."""

from __future__ import annotations

import onnx
from onnx import helper

from export.graph.edits import producer


def simplify_flatten(graph: onnx.GraphProto) -> None:
    """Shape-...-Concat-Reshape (dynamic flattening) to Flatten: shape nodes run on the CPU even on a GPU."""
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = producer(graph, node.input[1])
        if shape is None or shape.op_type not in ("Concat", "Cast"):
            continue
        joined = producer(graph, shape.input[0]) if shape.op_type == "Cast" else shape
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
    node = producer(graph, name)
    while node is not None and node.op_type in ("Unsqueeze", "Squeeze", "Slice", "Gather", "Cast"):
        node = producer(graph, node.input[0])
    transpose = producer(graph, of)
    same_rows = [of, *transpose.input] if transpose is not None and transpose.op_type == "Transpose" else [of]
    return node is not None and node.op_type == "Shape" and node.input[0] in same_rows
