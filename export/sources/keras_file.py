"""Somebody's own .keras or .h5 file: opening it, and reading from the model what nobody has to say then."""

from __future__ import annotations

import contextlib
import re
import zipfile
from pathlib import Path

import keras

from export.errors import ConversionError, UsageError
from export.sources.user_code import Definitions
from models.depth import deep_recursion
from models.walk import walk_layers

SUFFIXES = (".keras", ".h5", ".hdf5")
PIXEL_LAYERS = (keras.layers.Rescaling, keras.layers.Normalization)


def load_keras_file(file: Path, definitions: Definitions | None = None, *, unsafe: bool = False) -> keras.Model:
    """Open a model for inference, in float32 whatever it was trained in.

    `definitions` are those of custom layers and models. `unsafe` lets Lambda layers run the code that the model file
    holds. Raises ConversionError naming the option that helps.
    """
    import models.registry  # noqa: F401  the layers that our own definitions registered

    scope = definitions.scope() if definitions is not None else contextlib.nullcontext()
    try:
        with deep_recursion(), scope:
            model = keras.models.load_model(file, compile=False, safe_mode=not unsafe)
    except Exception as error:  # Keras raises errors of many kinds for files that it can't open
        raise ConversionError(_explain(file, error, definitions)) from error
    if not isinstance(model, keras.Model):
        raise ConversionError(f"{file} holds a {type(model).__name__}, not a Keras model")
    compute_in_float32(model)
    return model


def compute_in_float32(model: keras.Model) -> None:
    """Undo mixed precision: variables are float32 already, so inference in float32 is what the training aimed at."""
    for layer in walk_layers(model):
        if layer.compute_dtype != "float32" and layer.variable_dtype == "float32":
            layer.dtype_policy = "float32"


def read_input_shape(model: keras.Model, size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Height, width and channels that a model reads. Raises ConversionError where it doesn't read images."""
    shapes = _input_shapes(model)
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ConversionError(
            f"{model.name} has inputs {shapes or 'of unknown shape'}: "
            "an image classifier has one, [batch, height, width, channels]"
        )
    _, height, width, channels = shapes[0]
    if channels not in (1, 3):
        raise ConversionError(
            f"{model.name} reads {channels} channels: only gray (1) and RGB (3), channels last, can be served"
        )
    return choose_size(model.name, height, width, channels, size)


def choose_size(
    name: str, height: int | None, width: int | None, channels: int, size: tuple[int, int] | None
) -> tuple[int, int, int]:
    """The input shape, with --size for what the network leaves open. Raises UsageError where the two don't fit."""
    if size is not None:
        if (height or size[0], width or size[1]) != size:
            raise UsageError(f"--size {size[0]}x{size[1]}: {name} reads {height}x{width} and no other size")
        height, width = size
    if height is None or width is None:
        raise UsageError(f"{name} reads images of any size: say the one to serve with --size HxW")
    return height, width, channels


def prepares_pixels(model: keras.Model) -> bool:
    """Whether Rescaling or Normalization stands before the first layer with a kernel, be it in a model inside."""
    for layer in walk_layers(model):
        if isinstance(layer, PIXEL_LAYERS):
            return True
        if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel"):
            return False
    return False


def _input_shapes(model: keras.Model) -> list[tuple[int | None, ...]]:
    """Of a subclassed model: the shape that it was built with, as its file records it; any batch."""
    if getattr(model, "inputs", None):
        return [tuple(tensor.shape) for tensor in model.inputs]
    shape = (model.get_build_config() or {}).get("input_shape")
    if not shape or isinstance(shape[0], list | tuple):
        return [tuple(part) for part in shape or ()]
    return [tuple(shape)]


def _explain(file: Path, error: Exception, definitions: Definitions | None) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if not file.exists():
        return f"{file} does not exist"
    if file.suffix == ".keras" and not zipfile.is_zipfile(file):
        return f"{file} is no Keras file (no zip archive): save the model again with model.save('{file.stem}.keras')"
    if "ambda" in str(error) and "unsafe" in str(error).lower():
        return f"{file} holds a Lambda layer, which runs code from that file: if you trust it, say --unsafe"
    if "locate class" in str(error) or "Unknown layer" in str(error) or "custom" in str(error).lower():
        named = re.search(r"(?:locate class|Unknown layer:) '(\w+)'", str(error))
        what = f"the definition of {named[1]}" if named else "definitions"
        missing = f"{definitions.file} doesn't define it" if definitions else "name the Python file with --code FILE.py"
        return f"{file} needs {what}, which it doesn't contain: {missing}"
    return f"{file} can't be loaded: {text}"
