"""A finished graph in int8, for CPUs: quantize and dequantize around the network's own nodes, layer by layer.

Knows nothing of accuracy: which ranges and which layers is decided by export/proof/precision/int8_search.py.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from artifact.figures.precision import Ranges
from artifact.images.frame import Pixels
from export.errors import ConversionError, reason
from export.graph.edits import find_inputs
from export.graph.finish import our_nodes
from export.graph.precision.onnxruntime_tools import load_tool
from export.progress import Progress

BATCH = 16
"""Images per calibration batch: all activations of a batch are in memory at once."""
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
PERCENTILE = 99.99
STEPS = 128
"""Quantization steps of the entropy calibration."""
HISTOGRAM_BINS = {"percentile": 2048, "entropy": 512}
"""ONNX Runtime's entropy has 128 by default, as many as it quantizes to: then it can only keep the whole range."""


@dataclass(frozen=True)
class Layer:
    """A node with weights and the nodes without weights that follow it (activation, addition, pooling). All of them are
    quantized, or all stay in float.
    """

    name: str
    """For people: where its weights come from."""
    nodes: tuple[str, ...]


class Int8Graph:
    """A finished graph ready to be quantized, again and again: batch normalization folded, shapes known."""

    def __init__(self, model: onnx.ModelProto, max_batch: int) -> None:
        """Raises ConversionError where ONNX Runtime can't prepare it. `max_batch` is what the graph takes at once."""
        self._batch = min(BATCH, max_batch)
        shape_inference = load_tool("quantization.shape_inference")
        with tempfile.TemporaryDirectory() as folder, _tool_errors():
            whole, folded = Path(folder) / "fp32.onnx", Path(folder) / "folded.onnx"
            onnx.save(model, whole)
            shape_inference.quant_pre_process(str(whole), str(folded), skip_symbolic_shape=True)
            self._model = load_tool("quantization.quant_utils").load_model_with_shape_infer(folded)
        self._around = our_nodes(self._model)
        self.layers = find_layers(self._model.graph, self._around)

    def calibrate(self, pixels: Pixels, ranges: Ranges) -> Any:
        """The range of every activation on uint8 [n, h, w, c], as `quantize` takes them.

        `minmax` keeps all values, `percentile` all but 1 in 10,000, `entropy` those that lose least information
        (Kullback-Leibler) in 128 steps. Raises ConversionError where ONNX Runtime can't.
        """
        tool = load_tool("quantization.calibrate")
        method = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}[ranges]
        extra = {} if ranges == "minmax" else {"symmetric": False, "percentile": PERCENTILE}
        whole = None if ranges == "minmax" else self.calibrate(pixels, "minmax")
        with tempfile.TemporaryDirectory() as folder, _tool_errors(), Progress(f"{ranges} ranges", len(pixels)) as done:
            file = Path(folder) / "folded.onnx"
            onnx.save(self._model, file)
            calibrator = tool.create_calibrator(
                file,
                _quantizable(),
                str(Path(folder) / "augmented.onnx"),
                getattr(tool.CalibrationMethod, method),
                extra_options=extra,
            )
            if whole is not None:
                bins = HISTOGRAM_BINS[ranges]
                calibrator.collector = tool.HistogramCollector(ranges, False, bins, STEPS, PERCENTILE, "same")
                calibrator.collector.histogram_dict = _empty_histograms(whole, bins)
            for start in range(0, len(pixels), self._batch):
                batch = pixels[start : start + self._batch]
                calibrator.collect_data(_OneBatch(batch))
                done.advance(len(batch))
            return calibrator.compute_data()

    def quantize(self, ranges: Any, in_float: Collection[Layer] = ()) -> onnx.ModelProto:
        """Quantize: uint8 activations and int8 weights per channel (U8S8); the layers `in_float` stay as they are.

        CPUs without VNNI add two products in 16 bits and cut the sum off without a word. Weights of 7 bits can't bring
        it there (2 x 255 x 64 fits), so that one file answers alike on all; depthwise convolutions add in 32 bits
        everywhere and keep 8. Raises ConversionError where ONNX Runtime can't.
        """
        quantization, qdq = load_tool("quantization"), load_tool("quantization.qdq_quantizer")
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        with _tool_errors():
            quantizer = qdq.QDQQuantizer(
                model,
                per_channel=True,
                reduce_range=True,
                weight_qType=quantization.QuantType.QInt8,
                activation_qType=quantization.QuantType.QUInt8,
                tensors_range=ranges,
                nodes_to_quantize=[],
                nodes_to_exclude=[*self._around, *(node for layer in in_float for node in layer.nodes)],
                op_types_to_quantize=_quantizable(),
                extra_options={"TensorQuantOverrides": _whole_bytes(model.graph)},
            )
            quantizer.quantize_model()
            quantizer.model.topological_sort()
        quantized: onnx.ModelProto = quantizer.model.model
        _shield(quantized.graph, {node for layer in in_float for node in layer.nodes})
        return quantized


def _empty_histograms(whole: Any, bins: int) -> dict[str, tuple[Any, ...]]:
    """As ONNX Runtime's collector keeps them (counts, edges, least, most, threshold), over the `whole` ranges.

    Begun by the first batch, a histogram grows by bins of the same width with each larger value that follows: a
    hundredfold one makes a hundred times as many, and entropy takes the square of their number.
    """
    found = {}
    for name, data in whole.items():
        least, most = (np.float32(end.item()) for end in data.range_value)
        if (threshold := max(abs(least), abs(most))) > 0:
            edges = np.linspace(-threshold, threshold, bins + 1, dtype=np.float32)
            found[name] = (np.zeros(bins, np.int64), edges, least, most, threshold)
    return found


def find_layers(graph: onnx.GraphProto, around: Collection[str]) -> tuple[Layer, ...]:
    """The layers of a graph in order; the nodes in `around` belong to none. What stands before the first joins it."""
    constants = {tensor.name for tensor in graph.initializer}
    outside, names = set(around), list[str]()
    inside: dict[int, list[str]] = {}
    layer_of: dict[str, int] = {}  # by the tensor that a node gives
    for node in graph.node:
        if node.name in outside:
            continue
        if node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in constants:
            place = len(names)
            names.append(_name(node))
        else:
            place = max((layer_of[name] for name in find_inputs(node) if name in layer_of), default=0)
        layer_of.update(dict.fromkeys(node.output, place))
        inside.setdefault(place, []).append(node.name)
    return tuple(Layer(name, tuple(inside[place])) for place, name in enumerate(_shorten(names)))


def join_layers(layers: Sequence[Layer], most: int) -> list[Layer]:
    """At most `most`: neighbors become one where there are more."""
    size = -(-len(layers) // most) if layers else 1
    rows = [layers[start : start + size] for start in range(0, len(layers), size)]
    return [
        row[0]
        if len(row) == 1
        else Layer(f"{row[0].name} to {row[-1].name}", tuple(node for layer in row for node in layer.nodes))
        for row in rows
    ]


def _whole_bytes(graph: onnx.GraphProto) -> dict[str, list[dict[str, Any]]]:
    """For ONNX Runtime's quantizer: the weights of depthwise convolutions, one filter per channel, in 8 bits."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
        if node.op_type == "Conv" and groups > 1 and shapes.get(node.input[1], ())[:2] == (groups, 1):
            found[node.input[1]] = [{"axis": 0, "reduce_range": False}]
    return found


def _name(node: onnx.NodeProto) -> str:
    """The path of its weights, of its bias or of what it gives, whichever has one: folded weights have lost theirs."""
    names: list[str] = [*node.input[1:], *node.output]
    for name in names:
        if "/" in name:
            return name.rpartition("/")[0]
    return str(node.name)


def _shield(graph: onnx.GraphProto, in_float: Collection[str]) -> None:
    """Keep ONNX Runtime from quantizing, as it loads the file, what was left in float.

    Its WeightBiasQuantization gives a Conv or Gemm between two int8 neighbors int8 weights, one scale for all channels:
    worse than what was to be avoided. It looks for a QuantizeLinear right behind; a LeakyRelu of slope 1, which changes
    nothing and becomes part of the convolution, stands between.
    """
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.name in in_float and node.op_type in WEIGHTED:
            given, node.output[0] = node.output[0], f"{node.output[0]}/float"
            name = f"{node.name}/float"
            nodes.append(helper.make_node("LeakyRelu", [node.output[0]], [given], name, alpha=1.0))
    del graph.node[:]
    graph.node.extend(nodes)


def _shorten(names: Sequence[str]) -> list[str]:
    """Without the folder that all names share, which is the network's own name."""
    shared = {name.split("/")[0] for name in names}
    if len(shared) > 1 or any("/" not in name for name in names):
        return list(names)
    return [name.partition("/")[2] for name in names]


class _OneBatch:
    """onnxruntime.quantization's CalibrationDataReader."""

    def __init__(self, pixels: Pixels) -> None:
        self._left: list[dict[str, Pixels]] = [{"image": pixels}]

    def get_next(self) -> dict[str, Pixels] | None:
        return self._left.pop() if self._left else None


def _quantizable() -> Sequence[str]:
    registry = load_tool("quantization.registry")
    return sorted({*registry.QLinearOpsRegistry, *registry.QDQRegistry})


@contextlib.contextmanager
def _tool_errors() -> Iterator[None]:
    """What ONNX Runtime's tools raise, of many kinds, as one; what they print is dropped: results go there."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except Exception as error:
        raise ConversionError(f"the network can't be quantized: {reason(error)}") from error
