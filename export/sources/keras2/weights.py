"""Weights of a Keras 2 file into the network built from it, by name: every one of the file, every one of the network.

Keras 3's own reader goes by position, and takes the four vectors of a batch normalization in any order.
"""

from __future__ import annotations

import re
from typing import Any

import h5py
import keras
import numpy as np

from export.errors import ConversionError
from export.sources.keras2.network import Built

RENAMED = {"DepthwiseConv2D": {"kernel": "depthwise_kernel"}, "DepthwiseConv1D": {"kernel": "depthwise_kernel"}}


def load_named_weights(network: Built, group: h5py.Group) -> None:
    """From `model_weights` of an .h5 file: group by layer, <scope>/<layer>/<weight>:0 in it.

    Raises ConversionError for a weight that is missing, left over, or of another shape.
    """
    for child in network.children:
        left = _datasets(group[child.layer.name]) if child.layer.name in group else {}
        for leaf in child.leaves():
            for variable in _weights(leaf.layer):
                inside = variable.path.rpartition(f"{leaf.layer.name}/")[2]
                inside = RENAMED.get(leaf.kind, {}).get(inside, inside)
                wanted = f"{leaf.layer.name}/{inside}"
                # Normalization's have no scope.
                found = [name for name in left if f"/{name}:0".endswith(f"/{wanted}:0:0") or name == f"{inside}:0"]
                if len(found) != 1:
                    raise ConversionError(f"{len(found)} of its weights could be {wanted}")
                _assign(variable, left.pop(found[0]), wanted)
            _settle(leaf.layer)
        if left:
            raise ConversionError(f"its weight {next(iter(left))} belongs to no layer")


def load_numbered_weights(network: Built, group: h5py.Group) -> None:
    """From `model.weights.h5` of a .keras file: layers/<class>_<number>/vars/<number>, in the order of the file."""
    counts: dict[str, int] = {}
    place = next((group[name] for name in ("layers", "_layer_checkpoint_dependencies") if name in group), {})
    for child in network.children:
        kind = _snake_case(child.kind)
        number = counts[kind] = counts.get(kind, -1) + 1
        name = f"{kind}_{number}" if number else kind
        inside = place.get(name)
        if child.children:
            if inside is not None:
                load_numbered_weights(child, inside)
            continue
        stored = _datasets(inside) if inside is not None else {}
        variables = _weights(child.layer)
        if sorted(stored) != sorted(f"vars/{index}" for index in range(len(variables))):
            raise ConversionError(f"{child.layer.name} has {len(variables)} weights, in the file {len(stored)}")
        for index, variable in enumerate(variables):
            _assign(variable, stored[f"vars/{index}"], f"{child.layer.name}/{variable.name}")
        _settle(child.layer)


def _weights(layer: keras.layers.Layer) -> list[Any]:
    return [variable for variable in layer.weights if "seed_generator" not in variable.path]


def _datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}
    group.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def _assign(variable: Any, stored: h5py.Dataset, name: str) -> None:
    if tuple(stored.shape) != tuple(variable.shape):
        raise ConversionError(f"its weight {name} has shape {tuple(stored.shape)}, the layer {tuple(variable.shape)}")
    variable.assign(np.asarray(stored))


def _settle(layer: keras.layers.Layer) -> None:
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
        layer.finalize_state()


def _snake_case(name: str) -> str:
    """As Keras names the parts of a file: Conv2D conv2d, DepthwiseConv2D depthwise_conv2d."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()
