"""The table of what changed between the layers of Keras 2 and of Keras 3, and a layer made by it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

import keras
from keras.src.applications import convnext

from export.errors import ConversionError

ANY = object()

# Keys of a layer's configuration that Keras 3 doesn't know, with the values that mean nothing for inference.
DROPPED: dict[str, dict[str, tuple[Any, ...]]] = {
    "": {  # every layer
        "batch_input_shape": (ANY,),
        "dtype": (ANY,),  # inference is in float32 whatever it was trained in
        "input_dtype": (ANY,),
        "kernel_initializer": (ANY,),
    },
    "BatchNormalization": {
        "fused": (ANY,),
        "renorm": (False, None),
        "renorm_clipping": (ANY,),
        "renorm_momentum": (ANY,),
        "virtual_batch_size": (None,),
        "adjustment": (None,),
    },
    "DepthwiseConv2D": {"groups": (1,)},
    "DepthwiseConv1D": {"groups": (1,)},
    "Conv2DTranspose": {"groups": (1,)},
    "SeparableConv2D": {"groups": (1,), "kernel_regularizer": (ANY,), "kernel_constraint": (ANY,)},
    "SeparableConv1D": {"groups": (1,), "kernel_regularizer": (ANY,), "kernel_constraint": (ANY,)},
    "MultiHeadAttention": {
        "query_shape": (ANY,),
        "key_shape": (ANY,),
        "value_shape": (ANY,),
        "softmax_robust_masking": (False,),
    },
    "SpatialDropout1D": {"noise_shape": (ANY,), "trainable": (ANY,)},
    "SpatialDropout2D": {"noise_shape": (ANY,), "trainable": (ANY,)},
    **{name: {"time_major": (False,), "implementation": (ANY,)} for name in ("LSTM", "GRU", "SimpleRNN", "ConvLSTM2D")},
    **{
        f"Random{name}": {"rng_type": (ANY,)}
        for name in ("Flip", "Rotation", "Zoom", "Contrast", "Brightness", "Crop", "Translation")
    },
}
RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}
# Classes that go by another name, or do nothing but in training.
CLASSES = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
}
GONE = ("LocallyConnected1D", "LocallyConnected2D", "CuDNNGRU", "CuDNNLSTM", "DenseFeatures", "TensorFlowOpLayer")
OF_CONVNEXT = ("LayerScale", "StochasticDepth")  # which Keras keeps beside that network
TRAINING_ONLY = ("RandomHeight", "RandomWidth")
_APPLICATION = re.compile(r"^(?:tf_keras|keras|tensorflow\.(?:python\.)?keras)\.(?:[\w.]+\.)?applications\.(\w+)$")


@keras.saving.register_keras_serializable(package="convserve")  # type: ignore[untyped-decorator]  # Keras has no types
def hard_sigmoid_of_keras_2(x: Any) -> Any:
    """clip(0.2 x + 0.5, 0, 1): Keras 3 gives the name hard_sigmoid to relu6(x + 3) / 6."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="convserve")
class PreprocessInput(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """keras.applications' preprocess_input of a family, by its module's name: mobilenet_v2."""

    def __init__(self, family: str, **options: Any) -> None:
        super().__init__(**options)
        self.family = family

    def call(self, pixels: Any) -> Any:
        return getattr(keras.applications, self.family).preprocess_input(pixels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "family": self.family}


def make_layer(kind: str, config: dict[str, Any], find: Callable[[str], type | None]) -> keras.layers.Layer:
    """The Keras 3 layer of a Keras 2 layer's class and configuration; `find` looks for custom classes.

    Raises ConversionError naming what can't be brought over.
    """
    kind = CLASSES.get(kind, kind)
    if kind == "Lambda":
        return PreprocessInput(_find_family(config), name=config.get("name"))
    if kind in TRAINING_ONLY:
        return keras.layers.Identity(name=config.get("name"))
    if kind == "ThresholdedReLU":
        return keras.layers.ReLU(threshold=config["theta"], name=config.get("name"))
    custom = find(kind)
    if custom is not None:
        layer = custom.from_config(config)  # type: ignore[attr-defined]  # every layer has it
        assert isinstance(layer, keras.layers.Layer)
        return layer
    found = getattr(keras.layers, kind, None) or (getattr(convnext, kind) if kind in OF_CONVNEXT else None)
    if found is None:
        own = "" if kind in GONE else ": if it is one of your own, name its definition with --code FILE.py"
        raise ConversionError(f"Keras 3 has no layer {kind}{own}")
    options = {RENAMED.get(kind, {}).get(key, key): value for key, value in config.items()}
    for key, harmless in (DROPPED[""] | DROPPED.get(kind, {})).items():
        if key in options:
            value = options.pop(key)
            if ANY not in harmless and value not in harmless:
                raise ConversionError(f"Keras 3's {kind} has no {key}, {config.get('name')} sets it to {value!r}")
    for key, value in options.items():
        if value == "hard_sigmoid" and "activation" in key:
            options[key] = hard_sigmoid_of_keras_2
    if kind == "BatchNormalization" and isinstance(options.get("axis"), list):
        (options["axis"],) = options["axis"]
    if isinstance(options.get("layer"), dict):  # TimeDistributed
        options["layer"] = make_layer(options["layer"]["class_name"], options["layer"]["config"], find)
    layer = found(**options)
    assert isinstance(layer, keras.layers.Layer)
    return layer


def _find_family(config: dict[str, Any]) -> str:
    """Whose preprocess_input a Lambda layer calls: its code isn't taken from the file."""
    known = _APPLICATION.match(str(config.get("module")))
    function = config.get("function")
    code = function[0] if isinstance(function, list) else function
    try:
        named = code == "preprocess_input" or b"preprocess_input" in base64.b64decode(str(code))
    except binascii.Error:
        named = False
    if known is None or not named or config.get("arguments") or not hasattr(keras.applications, known[1]):
        raise ConversionError(
            f"its Lambda layer {config.get('name')} holds Python code that only the version of "
            "Python that wrote it can run"
        )
    return known[1]
