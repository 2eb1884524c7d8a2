"""Tiny ONNX classifiers of 8x8 RGB images whose last operations are any that a test asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 8
BRIGHT = (6.0, -5.0, 3.0, -2.0)
"""How a class follows the brightness of one channel; the first `width` of them."""

Tail = Callable[[list[onnx.NodeProto], list[onnx.TensorProto], str], str]
"""Adds nodes and constants behind a tensor, and returns the name of its own."""


def op(kind: str, *constants: object, **attributes: object) -> Tail:
    """One operation, with constant inputs behind its first."""

    def add(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], name: str) -> str:
        result, inputs = f"t{len(nodes)}", [name]
        for place, value in enumerate(constants):
            inputs.append(f"{result}_{place}")
            tensors.append(numpy_helper.from_array(np.asarray(value), inputs[-1]))
        nodes.append(helper.make_node(kind, inputs, [result], **attributes))
        return result

    return add


def average_with(kind: str) -> Tail:
    """The mean of the tensor under `kind`, and of its half under `kind`: an ensemble of two."""

    def add(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], name: str) -> str:
        scaled = op("Mul", np.float32(0.5))(nodes, tensors, name)
        first, second = op(kind)(nodes, tensors, name), op(kind)(nodes, tensors, scaled)
        nodes.append(helper.make_node("Add", [first, second], ["both"]))
        return op("Mul", np.float32(0.5))(nodes, tensors, "both")

    return add


def squeeze_as_pytorch(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], name: str) -> str:
    """[n, 1] to [n], anything else left as it is, by an If: how torch.onnx writes squeeze(-1)."""
    result, axis, one = f"t{len(nodes)}", f"{name}_axis", f"{name}_one"
    tensors += [numpy_helper.from_array(np.int64([1]), axis), numpy_helper.from_array(np.int64(1), one)]

    def branch(kind: str, *inputs: str) -> onnx.GraphProto:
        inside = f"{result}_{kind}"
        value = helper.make_tensor_value_info(inside, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(kind, inputs, [inside])], kind, [], [value])

    nodes += [
        helper.make_node("Shape", [name], [f"{result}_shape"]),
        helper.make_node("Gather", [f"{result}_shape", one], [f"{result}_size"], axis=0),
        helper.make_node("Equal", [f"{result}_size", one], [f"{result}_is_one"]),
        helper.make_node(
            "If",
            [f"{result}_is_one"],
            [result],
            then_branch=branch("Squeeze", name, axis),
            else_branch=branch("Identity", name),
        ),
    ]
    return result


QUANTIZED = [
    op("QuantizeLinear", np.float32(1 / 256), np.uint8(0)),
    op("DequantizeLinear", np.float32(1 / 256), np.uint8(0)),
]
HALF = [op("Cast", to=TensorProto.FLOAT16), op("Cast", to=TensorProto.FLOAT)]


def write_tail(path: Path, width: int, tails: Sequence[Tail], weights: Sequence[float] | None = None) -> Path:
    """A file whose output is `tails` behind `width` logits, each of them -2 + weight times a channel's mean."""
    kernel = np.zeros((width, 3), np.float32)
    for row, weight in enumerate(weights or BRIGHT[:width]):
        kernel[row, row % 3] = weight
    tensors = [
        numpy_helper.from_array(kernel, "kernel"),
        numpy_helper.from_array(np.float32([-2 if weights is None else 0.4] * width), "bias"),
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "kernel", "bias"], ["z"], transB=1),
    ]
    name = "z"
    for tail in tails:
        name = tail(nodes, tensors, name)
    nodes.append(helper.make_node("Identity", [name], ["result"]))
    graph = helper.make_graph(
        nodes,
        "tail",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["batch", width])],
        tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
