"""Weights of a file laid into a network that is there: all of them, or those that fit."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import keras
import numpy as np

from export.errors import UsageError, reason


def load_weights(model: keras.Model, file: Path) -> None:
    """Fill `model` from a weights file or a whole model file. Raises UsageError naming the first shape that differs."""
    said = _load(model, file)
    if left := [text for text in said if "retain" in text]:
        raise UsageError(f"--weights {file} fill only a part of {model.name}: {left[0].splitlines()[0]}")


def load_fitting_weights(model: keras.Model, file: Path) -> list[str]:
    """Fill what fits of a weights file or a whole model file, layer by layer in their order.

    Returns the names of the layers that stay as they were. Raises UsageError where the file is of another network.
    """
    layers = [layer for layer in model.layers if layer.weights]
    before = [layer.get_weights() for layer in layers]
    for weight in model.weights:  # Keras doesn't say which it fills
        weight.assign(np.full(weight.shape, np.nan))
    _load(model, file, skip_mismatch=True)
    left = []
    for layer, weights in zip(layers, before, strict=True):
        if any(np.isnan(weight).any() for weight in layer.get_weights()):
            layer.set_weights(weights)
            left.append(layer.name)
    return left


def _load(model: keras.Model, file: Path, *, skip_mismatch: bool = False) -> list[str]:
    """What Keras warned of."""
    if not file.is_file():
        raise UsageError(f"--weights {file}: there is no such file (for the published ones pass --weights imagenet)")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.load_weights(file, skip_mismatch=skip_mismatch)
    except Exception as error:  # Keras raises errors of many kinds for weights that don't fit
        raise UsageError(f"--weights {file} don't fit {model.name}: {_explain_misfit(error)}") from error
    return [str(warning.message) for warning in caught]


def _explain_misfit(error: Exception) -> str:
    text = str(error)
    shapes = re.findall(r"\((?:\d+, ?)*\d+,?\)", text)
    if len(shapes) >= 2 and "shape" in text.lower():
        named = re.search(r"(?:path=|for weight )([\w/]+)", text)
        where = f"{named[1]} is" if named else "a weight is"
        return f"{where} {shapes[0]}, in the file {shapes[1]} (other classes or another input? --labels, --size)"
    return reason(error)
