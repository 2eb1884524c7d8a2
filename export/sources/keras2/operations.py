"""TensorFlow functions that Keras 2 kept in a network by name (TFOpLambda, SlicingOpLambda), as Keras 3 operations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from export.errors import ConversionError


def _binary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: function(x, y)


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: function(x)


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis=None, keepdims=False: function(x, axis=axis, keepdims=keepdims)


def _bias_add(value: Any, bias: Any, data_format: str | None = None) -> Any:
    if data_format not in (None, "NHWC", "N...C"):
        raise ConversionError(f"tf.nn.bias_add over {data_format}: only channels last can be converted to Keras 3")
    return ops.add(value, ops.convert_to_tensor(bias, value.dtype))


def _resize(
    images: Any, size: Any, method: str = "bilinear", preserve_aspect_ratio: bool = False, antialias: Any = 0
) -> Any:
    if preserve_aspect_ratio:
        raise ConversionError("tf.image.resize with preserve_aspect_ratio can't be converted to Keras 3")
    return ops.image.resize(images, size, interpolation=method, antialias=bool(antialias))


def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Any:
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), epsilon))


def _standardize(image: Any) -> Any:
    """tf.image.per_image_standardization: the standard deviation is at least 1 / sqrt(number of values)."""
    axes = (-3, -2, -1)
    count = float(image.shape[-3] * image.shape[-2] * image.shape[-1])
    deviation = ops.std(image, axis=axes, keepdims=True)
    return (image - ops.mean(image, axis=axes, keepdims=True)) / ops.maximum(deviation, count**-0.5)


def _pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Any:
    return ops.pad(tensor, paddings, mode.lower(), constant_values if mode.upper() == "CONSTANT" else None)


def _slice(x: Any, slice_spec: list[Any]) -> Any:
    def index(part: Any) -> Any:
        if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
            return Ellipsis
        return slice(part["start"], part["stop"], part["step"]) if isinstance(part, dict) else part

    return x[tuple(map(index, slice_spec))]


BINARY = {
    "add": ops.add,
    "subtract": ops.subtract,
    "multiply": ops.multiply,
    "truediv": ops.true_divide,
    "divide": ops.true_divide,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
    "pow": ops.power,
}
UNARY = {
    "math.sqrt": ops.sqrt,
    "math.rsqrt": ops.rsqrt,
    "math.square": ops.square,
    "math.exp": ops.exp,
    "math.log": ops.log,
    "math.abs": ops.abs,
    "math.negative": ops.negative,
    "math.sigmoid": ops.sigmoid,
    "math.tanh": ops.tanh,
    "nn.relu": ops.relu,
    "nn.relu6": ops.relu6,
    "nn.elu": ops.elu,
    "nn.selu": ops.selu,
    "math.softplus": ops.softplus,
    "identity": lambda x: x,
    "stop_gradient": ops.stop_gradient,
    "image.rgb_to_grayscale": ops.image.rgb_to_grayscale,
    "image.grayscale_to_rgb": lambda x: ops.repeat(x, 3, axis=-1),
    "image.per_image_standardization": _standardize,
}
REDUCTIONS = {"mean": ops.mean, "sum": ops.sum, "max": ops.max, "min": ops.min}

# By TensorFlow's name of each, with its names of the arguments behind the first.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f"math.{name}": _binary(function) for name, function in BINARY.items()},
    **{f"__operators__.{name}": _binary(function) for name, function in BINARY.items()},
    **{name: _unary(function) for name, function in UNARY.items()},
    **{f"math.reduce_{name}": _reduction(function) for name, function in REDUCTIONS.items()},
    "__operators__.getitem": _slice,
    "cast": lambda x, dtype: ops.cast(x, dtype),
    "reshape": lambda x, shape: ops.reshape(x, shape),
    "expand_dims": lambda x, axis: ops.expand_dims(x, axis),
    "squeeze": lambda x, axis=None: ops.squeeze(x, axis),
    "transpose": lambda x, perm=None: ops.transpose(x, perm),
    "concat": lambda values, axis: ops.concatenate(values, axis),
    "stack": lambda values, axis=0: ops.stack(values, axis),
    "reverse": lambda x, axis: ops.flip(x, axis),
    "clip_by_value": lambda x, clip_value_min, clip_value_max: ops.clip(x, clip_value_min, clip_value_max),
    "math.l2_normalize": _l2_normalize,
    "nn.l2_normalize": _l2_normalize,
    "nn.softmax": lambda x, axis=-1: ops.softmax(x, -1 if axis is None else axis),
    "nn.sigmoid": ops.sigmoid,
    "nn.tanh": ops.tanh,
    "nn.silu": lambda x, beta=1.0: x * ops.sigmoid(beta * x),
    "nn.swish": lambda x, beta=1.0: x * ops.sigmoid(beta * x),
    "nn.gelu": lambda x, approximate=False: ops.gelu(x, approximate=approximate),
    "nn.leaky_relu": lambda x, alpha=0.2: ops.leaky_relu(x, negative_slope=alpha),
    "nn.bias_add": _bias_add,
    "compat.v1.nn.bias_add": _bias_add,
    "image.resize": _resize,
    "pad": _pad,
    "compat.v1.pad": _pad,
}


@keras.saving.register_keras_serializable(package="convserve")
class TensorFlowCall(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """One call of a TensorFlow function.

    `arguments` is JSON: the first argument and the named ones, where {"tensor": i} stands for the i-th of the tensors
    that the layer is called with.
    """

    def __init__(self, function: str, arguments: str, **options: Any) -> None:
        super().__init__(**options)
        if function not in FUNCTIONS:
            raise ConversionError(f"TensorFlow's operation tf.{function} can't be converted to Keras 3")
        self.function, self.arguments = function, arguments

    def call(self, *tensors: Any) -> Any:
        def fill(part: Any) -> Any:
            if isinstance(part, dict):
                return (
                    tensors[part["tensor"]] if "tensor" in part else {key: fill(value) for key, value in part.items()}
                )
            return [fill(value) for value in part] if isinstance(part, list) else part

        first, named = fill(json.loads(self.arguments))
        return FUNCTIONS[self.function](first, **named)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": self.function, "arguments": self.arguments}
