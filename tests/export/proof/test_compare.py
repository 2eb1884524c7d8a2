"""The proof must refuse what it is there to refuse: each test breaks one thing in an otherwise right graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from artifact.card import Proof
from artifact.image_policy import Preprocessing
from export.data.preprocessing import preset
from export.errors import ProofError
from export.graph.finish import finish_graph
from export.graph.from_keras import keras_to_onnx
from export.graph.head import Head
from export.proof import compare, runtime
from export.proof.own_outputs import network_outputs
from export.sources.source import Source


def graph_of(source: Source, preprocessing: Preprocessing | None = None, head: Head = "logits") -> onnx.ModelProto:
    network = keras_to_onnx(source.model, source.provenance.image.shape)
    return finish_graph(
        network,
        policy=source.provenance.image,
        preprocessing=preprocessing or source.provenance.preprocessing,
        head=head,
    ).model


def prove(source: Source, graph: onnx.ModelProto) -> Proof:
    pixels = source.images.samples.pixels(np.arange(len(source.images.samples)), source.provenance.image)
    expected = compare.probabilities_from(
        network_outputs(source.model, pixels, source.provenance.preprocessing), "logits"
    )
    actual = runtime.run_graph(runtime.open_session(graph.SerializeToString()), pixels)
    return compare.compare(expected, actual.probabilities, source="color blobs")


def test_a_right_graph_is_proved(color_source: Source) -> None:
    proof = prove(color_source, graph_of(color_source))
    assert proof.max_abs_difference < 1e-5
    assert proof.top1_agreement == 1
    assert proof.images == 24


@pytest.mark.parametrize("name", ["tf", "caffe", "torch", "unit", "none"])
def test_every_preprocessing_equals_its_reference(color_source: Source, name: str) -> None:
    known = color_source.provenance.model_copy(update={"preprocessing": preset(name, 3)})
    source = replace(color_source, provenance=known)
    if name in ("none", "caffe"):  # activations 100 times larger: bring the logits back
        kernel, bias = source.model.get_layer("logits").get_weights()
        source.model.get_layer("logits").set_weights([kernel / 100, bias])
    assert prove(source, graph_of(source)).max_abs_difference < 1e-5


def test_a_bgr_swap_is_refused(color_source: Source) -> None:
    swapped = color_source.provenance.preprocessing.model_copy(update={"channel_order": "bgr"})
    with pytest.raises(ProofError, match="differs from Keras"):
        prove(color_source, graph_of(color_source, swapped))


def test_a_missing_mean_is_refused(color_source: Source) -> None:
    without = color_source.provenance.preprocessing.model_copy(update={"mean": (0.0, 0.0, 0.0)})
    with pytest.raises(ProofError, match="differs from Keras"):
        prove(color_source, graph_of(color_source, without))


def test_a_wrong_scale_is_refused(color_source: Source) -> None:
    with pytest.raises(ProofError, match="differs from Keras"):
        prove(color_source, graph_of(color_source, preset("unit", 3)))


def test_a_doubled_softmax_is_refused(color_source: Source) -> None:
    graph = graph_of(color_source)
    last = next(node for node in graph.graph.node if "probabilities" in node.output)
    last.output[0] = "first_softmax"
    graph.graph.node.append(helper.make_node("Softmax", ["first_softmax"], ["probabilities"], axis=1))
    with pytest.raises(ProofError, match="differs from Keras"):
        prove(color_source, graph)


def test_one_transposed_kernel_is_refused(color_source: Source) -> None:
    graph = graph_of(color_source)
    kernel = next(tensor for tensor in graph.graph.initializer if list(tensor.dims) == [8, 6, 3, 3])
    turned = np.ascontiguousarray(numpy_helper.to_array(kernel).transpose(0, 1, 3, 2))
    kernel.CopyFrom(numpy_helper.from_array(turned, kernel.name))
    with pytest.raises(ProofError, match="differs from Keras"):
        prove(color_source, graph)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_refused(bad: float) -> None:
    right = np.array([[0.25, 0.75]])
    with pytest.raises(ProofError, match="not finite"):
        compare.compare(right, np.array([[bad, 0.75]]), source="")


def test_a_small_probability_is_compared_by_its_logarithm() -> None:
    expected = np.array([[1 - 2e-5, 2e-5]])
    with pytest.raises(ProofError, match="ln p"):
        compare.compare(expected, np.array([[1 - 3e-5, 3e-5]]), source="")


def test_the_difference_names_its_place() -> None:
    expected = np.full((3, 4), 0.25)
    actual = expected.copy()
    actual[2, 1] += 0.01
    with pytest.raises(ProofError, match=r"0\.01 at image 2, class 1; the tolerance is 0\.0001"):
        compare.compare(expected, actual, source="")


def test_one_sigmoid_becomes_two_classes() -> None:
    np.testing.assert_allclose(compare.probabilities_from(np.array([[0.3]]), "sigmoid"), [[0.7, 0.3]])


def test_a_temperature_on_probabilities_is_the_one_on_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4))
    tempered = compare.probabilities_from(logits, "logits", 2.5)
    again = compare.probabilities_from(compare.softmax(logits), "softmax", 2.5)
    np.testing.assert_allclose(tempered, again, rtol=1e-12)
