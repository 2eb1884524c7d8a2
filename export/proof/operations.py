"""Reads from a graph's last operations which one gives its outputs, and the bounds that they keep them in.

Reads the graph alone. It only confirms: what the outputs are is judged by their values (export/proof/head.py).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from export.graph.edits import bodies, producer

Bounds = tuple[float, float]

ANY: Bounds = (-math.inf, math.inf)
# They move values about or round them, and leave what the values mean.
CARRIERS = (
    *("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather"),
    *("QuantizeLinear", "DequantizeLinear"),
)
# What a function can give, whatever it is given.
RANGES: dict[str, Bounds] = {
    "Softmax": (0, 1),
    "Sigmoid": (0, 1),
    "HardSigmoid": (0, 1),
    "Hardmax": (0, 1),
    "LogSoftmax": (-math.inf, 0),
    "Tanh": (-1, 1),
    "Softsign": (-1, 1),
    "Erf": (-1, 1),
    "Exp": (0, math.inf),
    "Softplus": (0, math.inf),
    "Abs": (0, math.inf),
    "Sqrt": (0, math.inf),
}
PRODUCTS = ("Gemm", "MatMul", "Conv")
DEEPEST = 60  # operations back from the output; what lies deeper bounds nothing


SCALING: dict[str, Callable[[float, float], float]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
}


@dataclass(frozen=True)
class Operations:
    """The end of a graph. `bounds` hold for every input: a product of weights has none."""

    closing: str
    """The last operation that isn't a carrier or a clip, in ONNX's words: Softmax, Sigmoid, Gemm, ..."""
    bounds: Bounds = ANY

    @property
    def within_0_and_1(self) -> bool:
        return self.bounds[0] >= 0 and self.bounds[1] <= 1


def read_operations(model: onnx.ModelProto) -> Operations:
    """The last operations before the only output of `model`."""
    graph, name = model.graph, model.graph.output[0].name
    return Operations(_closing(graph, name), _Reader(graph).bounds(name, DEEPEST))


def _closing(graph: onnx.GraphProto, name: str) -> str:
    while (node := producer(graph, name)) is not None:
        carried = carried_by(node, name)
        if carried is None and node.op_type != "Clip":
            return _without_bias(graph, node).op_type
        name = carried or node.input[0]
    return "none"


def carried_by(node: onnx.NodeProto, name: str) -> str | None:
    """The tensor whose values a node gives as `name`, moved about or rounded; None where it changes them.

    An If whose branches all carry the same tensor is how PyTorch writes a squeeze.
    """
    if node.op_type in CARRIERS:
        return str(node.input[0])
    if node.op_type != "If":
        return None
    place = list(node.output).index(name)
    carried = {_carried_inside(body, body.output[place].name) for body in bodies(node)}
    return carried.pop() if len(carried) == 1 else None


def _carried_inside(body: onnx.GraphProto, name: str) -> str | None:
    """The tensor around `body` that `name` carries the values of."""
    while (node := producer(body, name)) is not None:
        carried = carried_by(node, name)
        if carried is None:
            return None
        name = carried
    return None if name in {tensor.name for tensor in body.initializer} else name


def _without_bias(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.NodeProto:
    """The product that an Add gives its bias to, else the node itself."""
    if node.op_type == "Add":
        for name in node.input:
            inner = producer(graph, name)
            if inner is not None and inner.op_type in PRODUCTS:
                return inner
    return node


def scale_of_pixels(model: onnx.ModelProto, low: float, high: float) -> tuple[float, float] | None:
    """Between which numbers pixels of `low`..`high` lie when the network has scaled them itself; None: it doesn't.

    Follows what begins the network: a mean is subtracted, a standard deviation divides; of several numbers their mean
    counts.
    """
    graph, name, reader = model.graph, model.graph.input[0].name, _Reader(model.graph)
    scaled = False
    while True:
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1:
            break
        (node,) = readers
        if node.op_type in SCALING:
            value = reader.constant(next((other for other in node.input if other != name), ""))
            if value is None or (node.input[0] != name and node.op_type in ("Sub", "Div")):
                break
            low, high = (SCALING[node.op_type](end, float(np.mean(value))) for end in (low, high))
            scaled = True
        elif node.op_type not in ("Cast", "Transpose", "Identity", "Reshape", "Squeeze", "Unsqueeze"):
            break
        name = node.output[0]
    return (low, high) if scaled else None


class _Reader:
    """Interval arithmetic from the output back to what is bounded by itself."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._producers = {output: node for node in graph.node for output in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        if name in self._constants:
            return numpy_helper.to_array(self._constants[name])
        node = self._producers.get(name)
        if node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
            return numpy_helper.to_array(node.attribute[0].t)
        return None

    def bounds(self, name: str, left: int) -> Bounds:
        value = self.constant(name)
        if value is not None:
            return (float(value.min()), float(value.max())) if value.size and value.dtype.kind in "fiu" else ANY
        node = self._producers.get(name)
        if node is None or left == 0 or node.domain not in ("", "ai.onnx"):
            return ANY
        if node.op_type in RANGES:
            return RANGES[node.op_type]
        if node.op_type == "Clip":
            return self._clip(node, left)
        if (carried := carried_by(node, name)) is not None:
            return self.bounds(carried, left - 1)
        if node.op_type not in ARITHMETIC:
            return ANY
        given = [self.bounds(part, left - 1) for part in node.input if part]
        low, high = ARITHMETIC[node.op_type](given)
        return ANY if math.isnan(low) or math.isnan(high) else (low, high)

    def _clip(self, node: onnx.NodeProto, left: int) -> Bounds:
        limits = {attribute.name: attribute.f for attribute in node.attribute}  # before opset 11
        for place, key in ((1, "min"), (2, "max")):
            if len(node.input) > place and node.input[place]:
                value = self.constant(node.input[place])
                if value is None:
                    return ANY
                limits[key] = float(value)
        low, high = self.bounds(node.input[0], left - 1)
        least, most = limits.get("min", -math.inf), limits.get("max", math.inf)
        return min(max(low, least), most), max(min(high, most), least)


def _corners(function: Callable[[float, float], float]) -> Callable[[list[Bounds]], Bounds]:
    """For what rises or falls in each operand; an operand of any size bounds nothing."""

    def bounds(given: list[Bounds]) -> Bounds:
        first, second = given
        if ANY in (first, second):
            return ANY
        corners = [function(a, b) for a in first for b in second]
        return ANY if any(map(math.isnan, corners)) else (min(corners), max(corners))

    return bounds


def _divide(given: list[Bounds]) -> Bounds:
    low, high = given[1]
    return ANY if low <= 0 <= high else _corners(lambda a, b: a / b)(given)


ARITHMETIC: dict[str, Callable[[list[Bounds]], Bounds]] = {
    "Add": _corners(lambda a, b: a + b),
    "Sub": lambda given: _corners(lambda a, b: a - b)(given),
    "Mul": _corners(lambda a, b: a * b),
    "Div": _divide,
    "Neg": lambda given: (-given[0][1], -given[0][0]),
    "Relu": lambda given: (max(0, given[0][0]), max(0, given[0][1])),
    "Sum": lambda given: (sum(low for low, _ in given), sum(high for _, high in given)),
    "Mean": lambda given: (sum(low for low, _ in given) / len(given), sum(high for _, high in given) / len(given)),
    "Max": lambda given: (max(low for low, _ in given), max(high for _, high in given)),
    "Min": lambda given: (min(low for low, _ in given), min(high for _, high in given)),
    "Concat": lambda given: (min(low for low, _ in given), max(high for _, high in given)),
    "ReduceMean": lambda given: given[0],
    "ReduceMax": lambda given: given[0],
    "ReduceMin": lambda given: given[0],
}
