"""Exposes what class activation maps need: the tensor before global average pooling, and the last layer's weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from artifact.classifier import Classifier
from export.graph.edits import producer, rename, skip_identity_nodes


def expose_features(graph: onnx.GraphProto, logits: str) -> Classifier | None:
    """Where global average pooling and one dense layer end the network, rename what the pooling reads to `features`.

    Adds no node: ONNX Runtime runs every node that a graph holds, whether its output is asked for or not.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    node = producer(graph, skip_identity_nodes(graph, logits))
    bias = None
    if node is not None and node.op_type == "Add":
        added = [name for name in node.input if name in constants]
        summed = [name for name in node.input if name not in constants]
        if len(added) != 1 or len(summed) != 1:
            return None
        bias = numpy_helper.to_array(constants[added[0]])
        node = producer(graph, summed[0])
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
    pool = producer(graph, skip_identity_nodes(graph, node.input[0], ("Squeeze", "Flatten", "Reshape")))
    if pool is None or not _pools_positions(graph, pool) or weights.ndim != 2:
        return None
    if producer(graph, pool.input[0]) is None:
        return None  # the pixels themselves are pooled: they are no features
    rename(graph, pool.input[0], "features")
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
