"""Somebody's own .keras or .h5 file: opening it, and reading from the model what nobody has to say then."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from export.errors import ConversionError, UsageError, reason
from export.sources.keras2.load import load_keras2_file
from export.sources.keras2.record import FileRecord, read_record
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

    if not file.exists():
        raise ConversionError(f"{file} does not exist")
    record = read_record(file)
    if record.config is None:
        stem = file.name.removesuffix(file.suffix).removesuffix(".weights")
        raise ConversionError(
            f"{file} has only weights, no network: save the whole of it with model.save('{stem}.keras'), or give "
            f"the weights to a network by its name, NETWORK --weights {file}"
        )
    scope = definitions.scope() if definitions is not None else contextlib.nullcontext()
    with deep_recursion(), scope:
        if record.keras2:
            model = load_keras2_file(file, record)
        else:
            try:
                with _named_by_content(file) as named:
                    model = keras.models.load_model(named, compile=False, safe_mode=not unsafe)
            except Exception as error:  # Keras raises errors of many kinds for files that it can't open
                raise ConversionError(_explain(file, record, error, definitions, unsafe)) from error
    if not isinstance(model, keras.Model):
        raise ConversionError(f"{file} holds a {type(model).__name__}, not a Keras model")
    compute_in_float32(model)
    return _add_channel_axis(model)


@contextlib.contextmanager
def _named_by_content(file: Path) -> Iterator[Path]:
    """The file, or a copy whose name says what it is: Keras goes by the suffix, and people rename files."""
    archive = zipfile.is_zipfile(file)
    if archive == (file.suffix == ".keras"):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copy(file, Path(folder, file.stem + (".keras" if archive else ".h5"))))


def choose_output(model: keras.Model, name: str | None, title: str) -> keras.Model:
    """The network up to one of its outputs, by its layer's name or its key. Raises an ExportError naming them, and the
    network by `title`: Keras' own name for it, sequential_4, tells the user nothing.
    """
    outputs = getattr(model, "output", None) if getattr(model, "outputs", None) else None
    if isinstance(outputs, dict):
        named = outputs
    else:
        several = outputs if isinstance(outputs, list | tuple) else [outputs]
        named = dict(zip(getattr(model, "output_names", None) or ["output"], several, strict=False))
    there = ", ".join(named)
    if name is not None and (name not in named or outputs is None):
        raise UsageError(f"--output {name}: {title} has no output of that name; there are {there}")
    if len(named) == 1 or outputs is None:
        return model
    if name is None:
        raise ConversionError(
            f"{title} has {len(named)} outputs ({there}): name the classifier's with --output NAME; detection "
            "networks can't be served"
        )
    return keras.Model(model.inputs if len(model.inputs) > 1 else model.inputs[0], named[name], name=model.name)


def _add_channel_axis(model: keras.Model) -> keras.Model:
    """A gray network that reads [n, h, w], as TensorFlow's first tutorial trains one, reads [n, h, w, 1]."""
    shapes = _input_shapes(model)
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] == 3 or None in shapes[0][1:]:
        return model
    batch, height, width = shapes[0]
    pixels = keras.Input((height, width, 1), batch_size=batch)
    plane = keras.layers.Reshape((height, width))
    if isinstance(model, keras.Sequential):  # whose last layer stays in sight, for a training that makes it new
        copies = [type(layer).from_config(layer.get_config()) for layer in model.layers]
        gray = keras.Sequential([pixels, plane, *copies], name=model.name)
        gray.set_weights(model.get_weights())
        return gray
    return keras.Model(pixels, model(plane(pixels)), name=model.name)


def compute_in_float32(model: keras.Model) -> None:
    """Undo mixed precision: variables are float32 already, so inference in float32 is what the training aimed at."""
    for layer in walk_layers(model):
        if layer.compute_dtype != "float32" and layer.variable_dtype == "float32":
            layer.dtype_policy = "float32"


def computes_in_float16(model: keras.Model) -> bool:
    """Whether a network's own weights are float16 or bfloat16, not only its arithmetic."""
    return any(weight.dtype in ("float16", "bfloat16") for weight in model.weights)


def read_input_shape(model: keras.Model, size: tuple[int, int] | None, title: str) -> tuple[int, int, int]:
    """Height, width and channels that the model from `title` reads. Raises ConversionError where it doesn't read
    images.
    """
    shapes = _input_shapes(model)
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ConversionError(
            f"{title} has inputs {shapes or 'of unknown shape'}: "
            "an image classifier has one, [batch, height, width, channels]"
        )
    _, height, width, channels = shapes[0]
    if channels not in (1, 3):
        raise ConversionError(
            f"{title} reads {channels} channels: only gray (1) and RGB (3), channels last, can be served"
        )
    return choose_size(title, height, width, channels, size)


def choose_size(
    name: str, height: int | None, width: int | None, channels: int, size: tuple[int, int] | None
) -> tuple[int, int, int]:
    """The input shape, with --size where the network leaves it open. Raises UsageError where the two differ."""
    if size is not None:
        if (height or size[0], width or size[1]) != size:
            raise UsageError(f"--size {size[0]}x{size[1]}: {name} reads {height}x{width} and no other size")
        height, width = size
    if height is None or width is None:
        raise UsageError(f"{name} reads images of any size: choose the size to serve with --size HxW")
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


def _explain(file: Path, record: FileRecord, error: Exception, definitions: Definitions | None, unsafe: bool) -> str:
    """By what the file holds: code that isn't trusted, classes that nobody defines; else Keras' own words."""
    if not unsafe and any(part["class_name"] == "__lambda__" or _is_old_lambda(part) for part in record.objects()):
        return f"{file} holds a Lambda layer, which runs code from that file: if you trust it, pass --unsafe"
    if missing := [name for part in record.objects() if (name := _custom_name(part)) is not None]:
        remedy = f"{definitions.file} doesn't define it" if definitions else "name the Python file with --code FILE.py"
        if missing[0] == "preprocess_input":  # which family's arithmetic it was, the file doesn't say
            remedy += ", such as one with the line `from keras.applications.mobilenet_v2 import preprocess_input`"
        return f"{file} needs the definition of {missing[0]}, which it doesn't contain: {remedy}"
    return f"{file} can't be loaded: {reason(error)}"


def _is_old_lambda(part: dict[str, Any]) -> bool:
    """A Lambda layer with code as HDF5 files hold it: a list of the code, its defaults and its closure."""
    return part["class_name"] == "Lambda" and isinstance(part["config"].get("function"), list)


def _custom_name(part: dict[str, Any]) -> str | None:
    """The class or function that a part of a configuration needs, where neither Keras nor --code has it."""
    function = part["class_name"] == "function"  # which Keras keeps by its bare name
    name = part["config"] if function else part["class_name"]
    if not isinstance(name, str) or name.startswith("__"):
        return None
    if not function and str(part.get("module") or "").partition(".")[0] in ("keras", "builtins"):
        return None
    registered = name if function else part.get("registered_name") or name
    if keras.saving.get_registered_object(registered) or name.rpartition(">")[2] in keras.saving.get_custom_objects():
        return None
    known = (keras, keras.layers, keras.initializers, keras.regularizers, keras.constraints, keras.activations)
    if "module" not in part and (name == "Functional" or any(hasattr(home, name) for home in known)):
        return None
    return name.rpartition(">")[2]
