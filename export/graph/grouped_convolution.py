"""Convolutions that TensorFlow runs well, in place of Keras' own: the one place that reaches into Keras' internals."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import keras

from export.errors import ConversionError

BACKEND = "keras.src.backend.tensorflow.nn"
ARGUMENTS = ["inputs", "kernel", "strides", "padding", "data_format", "dilation_rate"]


@contextlib.contextmanager
def true_grouped_convolutions(*, training: bool = False) -> Iterator[None]:
    """Inside the block, Keras on TensorFlow hands grouped convolutions to tf.nn.convolution.

    Keras 3.15 compiles each of them by XLA, because TensorFlow once couldn't run them on a CPU. It now can; the
    compiled function trains 30 to 70 times slower there, and tf2onnx can't look into it. What was traced inside the
    block (a model's train or predict function) stays so. Nothing happens on other backends.

    For `training` a 1x1 convolution with a stride takes the pixels that it reads first, and then has none: in its
    gradient by few channels oneDNN overwrites memory (TensorFlow 2.21, AVX512), and the process dies.

    Raises ConversionError where Keras has no such function any more.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    module: Any = _find_backend()
    original = module.conv
    module.conv = _route(original, training)
    try:
        yield
    finally:
        module.conv = original


def _find_backend() -> ModuleType:
    try:
        module = importlib.import_module(BACKEND)
        found = list(inspect.signature(module.conv).parameters)
    except (ImportError, AttributeError) as error:
        raise ConversionError(_explain(str(error))) from error
    if found != ARGUMENTS:
        raise ConversionError(_explain(f"conv takes {', '.join(found)}"))
    return module


def _explain(what: str) -> str:
    return (
        f"Keras {keras.__version__} has moved the convolution that export/graph/grouped_convolution.py replaces "
        f"({what}): use Keras 3.15, or adapt that file"
    )


def _route(original: Any, training: bool) -> Any:
    import tensorflow as tf

    def conv(
        inputs: Any,
        kernel: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
    ) -> Any:
        last = (data_format or keras.config.image_data_format()) == "channels_last"
        if not last or len(inputs.shape) != 4:
            return original(inputs, kernel, strides, padding, data_format, dilation_rate)
        if training and tuple(kernel.shape[:2]) == (1, 1):
            down, right = (strides, strides) if isinstance(strides, int) else strides
            inputs, strides = inputs[:, ::down, ::right], 1  # with any padding: that of one pixel is none
        if inputs.shape[-1] == kernel.shape[-2]:
            return original(inputs, kernel, strides, padding, data_format, dilation_rate)
        return tf.nn.convolution(inputs, kernel, strides, padding.upper(), data_format="NHWC", dilations=dilation_rate)

    # A block inside a block routes again: the signature must still be Keras'.
    return conv
