"""A finished graph in float16, for CUDA: the network's own nodes; pixel arithmetic and head stay float32."""

from __future__ import annotations

import warnings

import onnx
from onnx import TensorProto

from export.errors import ConversionError, reason
from export.graph.edits import drop_unused, rename, sort_nodes
from export.graph.finish import our_nodes
from export.graph.precision.onnxruntime_tools import load_tool


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with float16 inside; input uint8 and outputs float32 as before.

    Raises ConversionError where ONNX Runtime's converter leaves no valid graph.
    """
    float16 = load_tool("transformers.float16")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights below 6e-8 become that
        lowered: onnx.ModelProto = float16.convert_float_to_float16(
            model, keep_io_types=True, node_block_list=our_nodes(model)
        )
    graph = lowered.graph
    del graph.value_info[:]
    _drop_round_trips(graph)
    sort_nodes(graph)
    drop_unused(graph)
    try:
        onnx.checker.check_model(lowered, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the network can't be converted to float16: {reason(error)}") from error
    return lowered


def _drop_round_trips(graph: onnx.GraphProto) -> None:
    """Tie float32 nodes together again: the converter casts to float16 and back between any two of them."""
    casts = {node.output[0]: node.input[0] for node in graph.node if _casts_to(node, TensorProto.FLOAT16)}
    outputs = {output.name for output in graph.output}
    trips = [node for node in graph.node if _casts_to(node, TensorProto.FLOAT) and node.input[0] in casts]
    for node in trips:
        source, result = casts[node.input[0]], node.output[0]
        graph.node.remove(node)
        if result in outputs:
            rename(graph, source, result)
            casts = {cast: result if original == source else original for cast, original in casts.items()}
        else:
            rename(graph, result, source)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and any(entry.name == "to" and entry.i == kind for entry in node.attribute)
