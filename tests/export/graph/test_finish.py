from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import onnx
import pytest
from keras import layers

from artifact.image_policy import ImagePolicy
from export.data.preprocessing import preset, reference
from export.errors import ConversionError
from export.graph.finish import finish_graph
from export.graph.from_keras import keras_to_onnx
from export.graph.head import Head, output_width
from export.proof import compare, runtime
from export.proof.own_outputs import network_outputs
from export.sources.source import Source

POLICY = ImagePolicy(height=10, width=10, channels=3)
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 10, 10, 3), dtype=np.uint8)


def network(last: list[layers.Layer], *, pooled: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    middle = layers.GlobalAveragePooling2D() if pooled else layers.Flatten()
    return keras.Sequential([keras.Input((10, 10, 3)), layers.Conv2D(4, 3, activation="relu"), middle, *last])


HEADS: dict[str, tuple[Callable[[], list[layers.Layer]], Head, bool]] = {
    # last layers, the head, whether logits are found
    "logits": (lambda: [layers.Dense(4)], "logits", True),
    "log-softmax": (lambda: [layers.Dense(4, activation="log_softmax")], "logits", True),
    "softmax": (lambda: [layers.Dense(4, activation="softmax")], "softmax", True),
    "softmax layer": (lambda: [layers.Dense(4), layers.Softmax()], "softmax", True),
    "sigmoid": (lambda: [layers.Dense(1, activation="sigmoid")], "sigmoid", True),
    "one logit": (lambda: [layers.Dense(1)], "logits", True),
    "multilabel": (lambda: [layers.Dense(4, activation="sigmoid")], "multilabel", False),
}


@pytest.mark.parametrize("case", HEADS)
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_every_head_gives_the_probabilities_that_numpy_computes(case: str, temperature: float) -> None:
    last, head, has_energy = HEADS[case]
    if head == "multilabel" and temperature != 1:
        pytest.skip("multi-label outputs have no temperature")
    model = network(last())
    converted = keras_to_onnx(model, POLICY.shape)
    pixels = preset("tf", 3)
    finished = finish_graph(converted, policy=POLICY, preprocessing=pixels, head=head, temperature=temperature)
    assert finished.energy == has_energy
    outputs = runtime.run_graph(runtime.open_session(finished.model.SerializeToString()), PIXELS)
    raw = network_outputs(model, PIXELS, pixels)
    np.testing.assert_allclose(outputs.probabilities, compare.probabilities_from(raw, head, temperature), atol=1e-6)
    softmaxes = [node for node in finished.model.graph.node if node.op_type == "Softmax"]
    assert len(softmaxes) == (0 if head == "multilabel" else 1)


def test_probabilities_of_unknown_making_are_left_as_they_are() -> None:
    class Normalized(layers.Layer):
        def call(self, x):
            positive = keras.ops.exp(x)
            return positive / keras.ops.sum(positive, axis=-1, keepdims=True)

    model = network([layers.Dense(4), Normalized()])
    converted = keras_to_onnx(model, POLICY.shape)
    finished = finish_graph(converted, policy=POLICY, preprocessing=preset("unit", 3), head="softmax", temperature=2.0)
    assert not finished.energy
    outputs = runtime.run_graph(runtime.open_session(finished.model.SerializeToString()), PIXELS)
    assert outputs.energy is None
    raw = network_outputs(model, PIXELS, preset("unit", 3))
    np.testing.assert_allclose(outputs.probabilities, compare.probabilities_from(raw, "softmax", 2.0), atol=1e-6)


def test_energy_is_the_log_sum_exp_of_what_the_softmax_sees(color_source: Source) -> None:
    converted = keras_to_onnx(color_source.model, color_source.provenance.image.shape)
    finished = finish_graph(
        converted,
        policy=color_source.provenance.image,
        preprocessing=color_source.provenance.preprocessing,
        head="logits",
        temperature=1.5,
    )
    pixels = color_source.images.samples.pixels(np.arange(5), color_source.provenance.image)
    outputs = runtime.run_graph(runtime.open_session(finished.model.SerializeToString()), pixels)
    logits = network_outputs(color_source.model, pixels, color_source.provenance.preprocessing) / 1.5
    np.testing.assert_allclose(outputs.energy, np.log(np.exp(logits).sum(axis=1)), rtol=1e-5)


def test_features_and_classifier_rebuild_the_logits_without_another_node(color_source: Source) -> None:
    converted = keras_to_onnx(color_source.model, color_source.provenance.image.shape)
    finished = finish_graph(
        converted,
        policy=color_source.provenance.image,
        preprocessing=color_source.provenance.preprocessing,
        head="logits",
    )
    assert finished.classifier is not None
    kinds = [node.op_type for node in finished.model.graph.node]
    assert kinds.count("Transpose") == 1  # NHWC pixels to NCHW, and no other
    session = runtime.open_session(finished.model.SerializeToString())
    pixels = color_source.images.samples.pixels(np.arange(5), color_source.provenance.image)
    (features,) = session.run(["features"], {"image": pixels})
    assert features.shape == (5, 8, 4, 4)
    logits = features.mean(axis=(2, 3)) @ finished.classifier.weights + finished.classifier.bias
    raw = network_outputs(color_source.model, pixels, color_source.provenance.preprocessing)
    np.testing.assert_allclose(logits, raw, rtol=1e-4, atol=1e-5)


def test_flattened_networks_have_no_features() -> None:
    converted = keras_to_onnx(network([layers.Dense(4)]), POLICY.shape)
    finished = finish_graph(converted, policy=POLICY, preprocessing=preset("unit", 3), head="logits")
    assert finished.classifier is None
    assert [output.name for output in finished.model.graph.output] == ["probabilities", "energy"]


def test_the_contract_of_names_types_and_shapes() -> None:
    converted = keras_to_onnx(network([layers.Dense(4)], pooled=True), POLICY.shape)
    graph = finish_graph(converted, policy=POLICY, preprocessing=preset("caffe", 3), head="logits").model.graph
    (image,) = graph.input
    dims = image.type.tensor_type.shape.dim
    assert (image.name, image.type.tensor_type.elem_type) == ("image", onnx.TensorProto.UINT8)
    assert dims[0].dim_param == "batch"
    assert [dim.dim_value for dim in dims[1:]] == [10, 10, 3]
    assert [output.name for output in graph.output] == ["probabilities", "energy", "features"]
    assert not graph.value_info
    assert "Shape" not in {node.op_type for node in graph.node}


def test_a_network_that_uses_our_names_for_its_own_tensors_is_served() -> None:
    inputs = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(4, 3, name="features")(inputs)
    outputs = layers.Dense(4, activation="softmax", name="probabilities")(layers.Flatten(name="energy")(x))
    model = keras.Model(inputs, outputs)
    finished = finish_graph(
        keras_to_onnx(model, POLICY.shape), policy=POLICY, preprocessing=preset("unit", 3), head="softmax"
    )
    outputs = runtime.run_graph(runtime.open_session(finished.model.SerializeToString()), PIXELS)
    expected = np.asarray(model(reference(PIXELS, preset("unit", 3))))
    np.testing.assert_allclose(outputs.probabilities, expected, atol=1e-6)


def test_dynamic_flattening_becomes_flatten() -> None:
    class DynamicFlatten(layers.Layer):
        def call(self, x):
            return keras.ops.reshape(x, (keras.ops.shape(x)[0], 8 * 8 * 4))

    model = keras.Sequential([keras.Input((10, 10, 3)), layers.Conv2D(4, 3), DynamicFlatten(), layers.Dense(4)])
    graph = finish_graph(
        keras_to_onnx(model, POLICY.shape), policy=POLICY, preprocessing=preset("unit", 3), head="logits"
    ).model
    kinds = {node.op_type for node in graph.graph.node}
    assert "Flatten" in kinds
    assert not kinds & {"Shape", "Concat", "Slice", "Gather"}
    outputs = runtime.run_graph(runtime.open_session(graph.SerializeToString()), PIXELS)
    raw = network_outputs(model, PIXELS, preset("unit", 3))
    np.testing.assert_allclose(outputs.probabilities, compare.probabilities_from(raw, "logits"), atol=1e-6)


def test_a_segmentation_network_is_no_classifier() -> None:
    model = keras.Sequential([keras.Input((10, 10, 3)), layers.Conv2D(4, 3, padding="same")])
    with pytest.raises(ConversionError, match="detection and segmentation networks can't be served"):
        output_width(keras_to_onnx(model, POLICY.shape))


def test_two_outputs_are_named() -> None:
    inputs = keras.Input((10, 10, 3))
    x = layers.Flatten()(inputs)
    model = keras.Model(inputs, [layers.Dense(4)(x), layers.Dense(2)(x)])
    with pytest.raises(ConversionError, match="2 outputs"):
        output_width(keras_to_onnx(model, POLICY.shape))
