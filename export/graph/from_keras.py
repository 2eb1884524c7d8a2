"""A Keras model to ONNX by tf2onnx: float32 NHWC in, the network's own output out. The one way through TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import onnx

from export.errors import ConversionError, reason
from export.graph.edits import walk_graphs
from export.graph.grouped_convolution import true_grouped_convolutions
from export.graph.network import Network, only_output
from export.graph.tf2onnx_patches import tf2onnx_at_work, write_erfc
from models.depth import deep_recursion

# 18 and up add transposes around global pooling or fail in tf2onnx 1.17.
OPSET = 17
INPUT = "pixels"


def keras_to_onnx(model: Network, input_shape: tuple[int, int, int], batch: int | None = None) -> onnx.ModelProto:
    """Convert a Keras model or a SavedModel in inference mode.

    The result has one input `pixels` float32 [batch, h, w, c], one output float32 [batch, classes], and every weight
    inside. `batch` is for networks that take no other number of rows.
    Raises ConversionError where the model holds an operation that ONNX can't express.
    """
    if keras.backend.backend() != "tensorflow":
        raise ConversionError(
            f"conversion needs Keras on TensorFlow, it runs on {keras.backend.backend()}: unset KERAS_BACKEND"
        )
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec([batch, *input_shape], tf.float32, name=INPUT)]
    function = tf.function(
        lambda pixels: tf.cast(only_output(model(pixels, training=False)), tf.float32), input_signature=signature
    )
    converted: onnx.ModelProto
    try:
        with true_grouped_convolutions(), deep_recursion(), tf2onnx_at_work() as complaints:
            # "large model" keeps weights out of the protobuf while tf2onnx rewrites it: 2.5 times less work.
            converted, storage = tf2onnx.convert.from_function(
                function,
                input_signature=signature,
                opset=OPSET,
                large_model=True,
                custom_op_handlers={"Erfc": (write_erfc, [])},
            )
    except ConversionError as error:
        raise ConversionError(reason(error)) from error
    except Exception as error:  # tf2onnx and TensorFlow raise errors of many kinds for what they can't trace
        raise ConversionError(f"the network can't be converted to ONNX: {reason(error)}") from error
    if complaints:  # tf2onnx logs an unsupported operation and goes on to write an invalid file
        raise ConversionError(f"the network can't be converted to ONNX: {complaints[0]}")
    _inline_weights(converted, storage.name_to_tensor_data)
    with true_grouped_convolutions(), deep_recursion():
        _inline_captures(converted, function.get_concrete_function().graph.captures)
    if len(converted.graph.input) != 1:
        extra = ", ".join(value.name for value in converted.graph.input if value.name != INPUT)
        raise ConversionError(
            f"the network reads tensors from outside itself ({extra}): make them weights or constants"
        )
    if batch is None:
        _name_batch(converted)
    del converted.graph.value_info[:]
    return converted


def _inline_weights(model: onnx.ModelProto, data: dict[str, bytes]) -> None:
    """Put tensors that tf2onnx keeps beside the graph back into it: an artifact's graph is one file."""
    graphs = list(walk_graphs(model.graph))
    tensors = [tensor for graph in graphs for tensor in graph.initializer]
    for node in (node for graph in graphs for node in graph.node):
        tensors.extend(attribute.t for attribute in node.attribute if attribute.HasField("t"))
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            location = next(entry.value for entry in tensor.external_data if entry.key == "location")
            del tensor.external_data[:]
            tensor.data_location = onnx.TensorProto.DEFAULT
            tensor.raw_data = data[location]


def _inline_captures(model: onnx.ModelProto, captures: Iterable[tuple[Any, Any]]) -> None:
    """Make tensors that the traced function closed over (Normalization's statistics) constants, not further inputs."""
    known = {inner.name: outer for outer, inner in captures}
    for value in list(model.graph.input):
        if value.name in known:
            model.graph.initializer.append(onnx.numpy_helper.from_array(known[value.name].numpy(), value.name))
            model.graph.input.remove(value)


def _name_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
