from __future__ import annotations

from functools import wraps

import keras
import numpy as np
import pytest
from keras import layers

from export.errors import ConversionError
from export.graph import grouped_convolution
from export.graph.from_keras import keras_to_onnx
from export.graph.grouped_convolution import true_grouped_convolutions
from export.proof import runtime

PIXELS = np.random.default_rng(0).normal(size=(2, 9, 9, 8)).astype(np.float32)


def grouped_network() -> keras.Model:
    keras.utils.set_random_seed(0)
    first = layers.Conv2D(12, 3, strides=2, padding="same", groups=4, name="first")
    return keras.Sequential([keras.Input((9, 9, 8)), first, layers.GlobalAveragePooling2D(), layers.Dense(3)])


def test_grouped_convolution_becomes_one_grouped_conv() -> None:
    model = grouped_network()
    graph = keras_to_onnx(model, (9, 9, 8))
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 1
    assert {attribute.name: attribute.i for attribute in convolutions[0].attribute}["group"] == 4
    assert not {"StatefulPartitionedCall", "PartitionedCall"} & {node.op_type for node in graph.graph.node}
    session = runtime.open_session(graph.SerializeToString())
    (outputs,) = session.run(None, {session.get_inputs()[0].name: PIXELS})
    np.testing.assert_allclose(outputs, np.asarray(model(PIXELS)), atol=1e-6)  # Keras' own, outside the block


def test_gradients_are_those_of_keras_own_function() -> None:
    import tensorflow as tf

    model = grouped_network()

    def gradient() -> np.ndarray:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(PIXELS) ** 2)
        return tape.gradient(loss, model.trainable_variables[0].value).numpy()

    expected = gradient()
    with true_grouped_convolutions():
        np.testing.assert_allclose(gradient(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("strides", "down", "right"), [(2, 2, 2), (3, 3, 3), ((2, 1), 2, 1)])
def test_in_training_a_strided_1x1_convolution_takes_its_pixels_first(
    padding: str, strides: int | tuple[int, int], down: int, right: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf
    from keras.src.backend.tensorflow import nn

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((9, 9, 8)), layers.Conv2D(12, 1, strides, padding, use_bias=False)])
    kernel = model.layers[0].kernel.numpy()[0, 0]
    given, keras_conv = [], nn.conv

    @wraps(keras_conv)
    def conv(inputs: object, kernel: object, strides: object, *rest: object) -> object:
        given.append(strides)
        return keras_conv(inputs, kernel, strides, *rest)

    monkeypatch.setattr(nn, "conv", conv)
    image = tf.constant(PIXELS)
    with true_grouped_convolutions(training=True), tf.GradientTape() as tape:
        tape.watch(image)
        output = model(image)
        loss = tf.reduce_sum(output**2)
    by_image, by_kernel = tape.gradient(loss, [image, model.trainable_variables[0].value])
    assert set(given) == {1}
    taken = PIXELS[:, ::down, ::right]
    expected = taken @ kernel
    np.testing.assert_allclose(output, expected, atol=1e-5)
    np.testing.assert_allclose(by_kernel[0, 0], np.einsum("nhwi,nhwo->io", taken, 2 * expected), rtol=1e-4, atol=1e-4)
    spread = np.zeros_like(PIXELS)
    spread[:, ::down, ::right] = 2 * expected @ kernel.T
    np.testing.assert_allclose(by_image, spread, atol=1e-5)


def test_blocks_nest_and_leave_keras_as_it_was() -> None:
    from keras.src.backend.tensorflow import nn

    before = nn.conv
    with true_grouped_convolutions():
        inside = nn.conv
        assert inside is not before
        with true_grouped_convolutions():
            pass
        assert nn.conv is inside
    assert nn.conv is before


def test_a_keras_that_moved_its_function_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped_convolution, "BACKEND", "keras.src.backend.tensorflow.no_such_module")
    with pytest.raises(ConversionError, match="has moved the convolution"), true_grouped_convolutions():
        pass
