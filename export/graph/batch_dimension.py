"""The batch dimension of a network in ONNX: read, freed, kept, or left alone by a flattening."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.graph.edits import add_constant, producer, rename_in_nodes, walk_graphs

INPUT = "image"


def fixed_batch(model: onnx.ModelProto) -> int | None:
    """The one number of rows that a network's input takes; None: any."""
    dimension = model.graph.input[0].type.tensor_type.shape.dim[0]
    return int(dimension.dim_value) if dimension.HasField("dim_value") and dimension.dim_value > 0 else None


def free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose input and outputs take any number of rows, as far as its nodes allow.

    Exporters write the batch into the shapes of Reshape, too: a leading `batch` there becomes "as many as there are".
    Whether the answers stay the same is for the caller to try: nothing here can know it.
    """
    batch = fixed_batch(model)
    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    del freed.graph.value_info[:]
    for value in (*freed.graph.input, *freed.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    graphs = list(walk_graphs(freed.graph))
    nodes = [node for graph in graphs for node in graph.node]
    shapes = {node.input[1] for node in nodes if node.op_type == "Reshape" and len(node.input) > 1}
    constants = [tensor for graph in graphs for tensor in graph.initializer if tensor.name in shapes]
    constants += [
        attribute.t
        for node in nodes
        if node.op_type == "Constant" and node.output[0] in shapes
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    for tensor in constants:
        shape = numpy_helper.to_array(tensor).copy()
        if shape.ndim == 1 and len(shape) > 1 and shape[0] == batch:
            shape[0] = 0 if -1 in shape else -1  # 0 copies the input's own number of rows
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    return freed


def pad_rows(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], size: int) -> list[onnx.NodeProto]:
    """Let a finished graph whose network takes exactly `size` rows take 1 to `size`.

    `nodes` are the graph's, from `image` to its outputs. Blank rows fill the batch up, and are cut from every output.
    """
    whole, rows = "batch/whole", "batch/rows"
    rename_in_nodes(nodes, INPUT, whole)
    for output in graph.output:
        rename_in_nodes(nodes, output.name, f"batch/{output.name}")
    zero, one = (
        add_constant(graph, "batch/zero", np.array([0], np.int64)),
        add_constant(graph, "batch/one", np.array([1], np.int64)),
    )
    sides = add_constant(graph, "batch/sides", np.array([0, 0, 0, 0], np.int64))
    others = add_constant(graph, "batch/others", np.array([0, 0, 0], np.int64))
    before = [
        helper.make_node("Shape", [INPUT], ["batch/shape"]),
        helper.make_node("Slice", ["batch/shape", zero, one], [rows]),
        helper.make_node(
            "Sub", [add_constant(graph, "batch/size", np.array([size], np.int64)), rows], ["batch/missing"]
        ),
        helper.make_node("Concat", [sides, "batch/missing", others], ["batch/pads"], axis=0),
        helper.make_node("Cast", [INPUT], ["batch/float"], to=TensorProto.FLOAT),  # Pad takes no uint8 before opset 13
        helper.make_node("Pad", ["batch/float", "batch/pads"], ["batch/padded"]),
        helper.make_node("Cast", ["batch/padded"], [whole], to=TensorProto.UINT8),
    ]
    after = [
        helper.make_node("Slice", [f"batch/{output.name}", zero, rows, zero], [output.name]) for output in graph.output
    ]
    return [*before, *nodes, *after]


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
