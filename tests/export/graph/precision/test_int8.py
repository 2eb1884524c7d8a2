"""A graph quantized layer by layer: where activations are cut off, how many bits weights keep, what a layer is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from artifact.figures.precision import Ranges
from export.graph.precision.int8 import HISTOGRAM_BINS, STEPS, Int8Graph, Layer, join_layers


def graph(*kernels: tuple[np.ndarray, int]) -> onnx.ModelProto:
    """uint8 [batch, 8, 8, 4] through convolutions of (kernel, group), each with a Relu, to softmax of their means."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels/cast"], "around/cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels/cast"], ["t0"], "network/transpose", perm=[0, 3, 1, 2]),
    ]
    tensors = []
    for place, (kernel, group) in enumerate(kernels):
        tensors.append(numpy_helper.from_array(kernel.astype(np.float32), f"net/conv{place}/kernel"))
        inputs = [f"t{place}", f"net/conv{place}/kernel"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{place}"], f"network/conv{place}", group=group))
        nodes.append(helper.make_node("Relu", [f"c{place}"], [f"t{place + 1}"], f"network/relu{place}"))
    nodes += [
        helper.make_node("GlobalAveragePool", [f"t{len(kernels)}"], ["pooled"], "network/pool"),
        helper.make_node("Flatten", ["pooled"], ["logits"], "network/flatten"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "around/softmax", axis=1),
    ]
    classes = kernels[-1][0].shape[0]
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 8, 8, 4])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", classes])]
    graph = helper.make_graph(nodes, "net", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


RANDOM = np.random.default_rng(0)
DENSE = (RANDOM.normal(size=(6, 4, 3, 3)), 1)
DEPTHWISE = (RANDOM.normal(size=(6, 1, 3, 3)), 6)


@pytest.mark.parametrize(("ranges", "least", "most"), [("minmax", 255, 255), ("percentile", 14.9, 17)])
def test_rare_values_are_cut_off_by_all_but_minmax(ranges: Ranges, least: float, most: float) -> None:
    """All pixels are 0..15, but for one of 255 in 40,960: 0.0024 %."""
    pixels = RANDOM.integers(0, 16, (160, 8, 8, 4), dtype=np.uint8)
    pixels[70, 3, 3, 2] = 255
    measured = Int8Graph(graph((np.eye(4)[:, :, None, None], 1)), 32).calibrate(pixels, ranges)
    low, high = (end.item() for end in measured["t1"].range_value)
    assert low == 0
    assert least <= high <= most


def information_lost(values: np.ndarray, bins: int, steps: int) -> dict[float, float]:
    """KL(p || q) by where values are cut off, of every cut that leaves at least a bin for each step.

    p is the histogram with what is cut off in its last bins, q the one that `steps` steps keep: each spreads what it
    counts evenly over its bins that have values.
    """
    counts, edges = np.histogram(values, bins, (-values.max(), values.max()))
    half, lost = bins // 2, {}
    for kept in range(steps // 2, half + 1):
        inside = counts[half - kept : half + kept].astype(float)
        cut_off = inside.copy()
        cut_off[0] += counts[: half - kept].sum()
        cut_off[-1] += counts[half + kept :].sum()
        stepped = np.zeros_like(inside)
        for step in np.array_split(np.arange(len(inside)), steps):
            seen = step[cut_off[step] > 0]
            stepped[seen] = inside[step].sum() / max(len(seen), 1)
        p, q = (np.maximum(found / found.sum(), 1e-9) for found in (cut_off, stepped))
        lost[edges[half + kept].item()] = float((p * np.log(p / q)).sum())
    return lost


def test_entropy_cuts_off_where_least_information_is_lost() -> None:
    """Pixels are 0..60, some far more often than their neighbors, but for one of 255.

    Up to it a step has four values, and they are told apart no more; near 60 only it is lost.
    """
    shares = np.random.default_rng(0).dirichlet(np.full(61, 0.7))
    pixels = np.random.default_rng(0).choice(61, (160, 8, 8, 4), p=shares).astype(np.uint8)
    pixels[70, 3, 3, 2] = 255
    measured = Int8Graph(graph((np.eye(4)[:, :, None, None], 1)), 32).calibrate(pixels, "entropy")
    low, high = (end.item() for end in measured["t1"].range_value)
    lost = information_lost(pixels.astype(float), HISTOGRAM_BINS["entropy"], STEPS)
    assert low == 0
    assert high > 60
    assert lost[min(lost, key=lambda end: abs(end - high))] == pytest.approx(min(lost.values()), abs=1e-4)
    assert lost[255] > 0.3


def test_weights_have_seven_bits_and_those_of_depthwise_convolutions_eight() -> None:
    """So that no CPU adds two products to more than 16 bits hold."""
    ready = Int8Graph(graph(DENSE, DEPTHWISE), 32)
    pixels = RANDOM.integers(0, 256, (4, 8, 8, 4), dtype=np.uint8)
    tensors = ready.quantize(ready.calibrate(pixels, "minmax")).graph.initializer
    weights = {
        tensor.dims[1]: int(np.abs(numpy_helper.to_array(tensor).astype(int)).max())
        for tensor in tensors
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    }
    assert weights == {4: 64, 1: 127}
    assert 2 * 255 * weights[4] < 2**15


def test_a_layer_is_a_node_with_weights_and_what_follows_it() -> None:
    layers = Int8Graph(graph(DENSE, DEPTHWISE), 32).layers
    assert [layer.name for layer in layers] == ["conv0", "conv1"]
    assert layers[0].nodes == ("network/transpose", "network/conv0", "network/relu0")
    assert layers[1].nodes == ("network/conv1", "network/relu1", "network/pool", "network/flatten")


def test_a_layer_in_float_keeps_its_weights() -> None:
    ready = Int8Graph(graph(DENSE, DEPTHWISE), 32)
    measured = ready.calibrate(RANDOM.integers(0, 256, (4, 8, 8, 4), dtype=np.uint8), "minmax")
    tensors = ready.quantize(measured, ready.layers[:1]).graph.initializer
    kernels = {tensor.dims[1]: tensor.data_type for tensor in tensors if len(tensor.dims) == 4}
    assert kernels == {4: TensorProto.FLOAT, 1: TensorProto.INT8}


def test_a_layer_in_float_is_not_quantized_by_onnxruntime_as_it_loads_the_file(tmp_path: Path) -> None:
    ready = Int8Graph(graph(DENSE, DEPTHWISE, DEPTHWISE), 32)
    measured = ready.calibrate(RANDOM.integers(0, 256, (4, 8, 8, 4), dtype=np.uint8), "minmax")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3
    quantized = ready.quantize(measured, ready.layers[1:2]).SerializeToString()
    onnxruntime.InferenceSession(quantized, options, providers=["CPUExecutionProvider"])
    loaded = onnx.load(tmp_path / "loaded.onnx").graph
    assert sorted(node.op_type for node in loaded.node if "Conv" in node.op_type) == [
        "FusedConv",
        "QLinearConv",
        "QLinearConv",
    ]


def test_many_layers_are_joined_with_their_neighbors() -> None:
    joined = join_layers([Layer(name, (name,)) for name in "abcde"], 2)
    assert joined == [Layer("a to c", ("a", "b", "c")), Layer("d to e", ("d", "e"))]
    assert join_layers([], 2) == []
