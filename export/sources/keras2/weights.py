"""Weights of a Keras 2 file into the network built from it, by name: every one of the file, every one of the network.

Keras 3's own reader goes by position, and takes the four vectors of a batch normalization in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import h5py
import keras
import numpy as np

from export.errors import ConversionError
from export.sources.keras2.network import Built

RENAMED = {
    "DepthwiseConv2D": {"kernel": "depthwise_kernel"},
    "DepthwiseConv1D": {"kernel": "depthwise_kernel"},
    "LayerScale": {"variable": "gamma"},
}


def load_named_weights(network: Built, group: h5py.Group) -> None:
    """Load weights from `model_weights` of an .h5 file: group by layer, <scope>/<layer>/<weight>:0 in it.

    Raises ConversionError for a weight that is missing, left over, or of another shape.
    """
    for child in network.children:
        left = _datasets(group[child.name]) if child.name in group else {}
        leaves = list(child.leaves())
        for leaf in leaves:
            longer = [other.name for other in leaves if other.name.endswith(f"/{leaf.name}")]
            for variable in _weights(leaf.layer):
                inside = variable.path.rpartition(f"{leaf.layer.name}/")[2]
                inside = RENAMED.get(leaf.kind, {}).get(re.sub(r"_\d+$", "", inside), inside)
                if isinstance(leaf.layer, keras.layers.TimeDistributed):
                    inside = inside.removeprefix(f"{leaf.layer.layer.name}/")
                wanted = f"{leaf.name}/{inside}"
                # A layer alone in its group may bear another name there: it was built twice. Of Conv and block/Conv,
                # each has its own.
                end = wanted if len(leaves) > 1 else inside
                found = [
                    name
                    for name in left
                    if (_ends(name, end) and not any(_ends(name, f"{other}/{inside}") for other in longer))
                    or name == f"{inside}:0"
                ]
                if len(found) != 1:
                    raise ConversionError(f"{len(found)} of its weights could be {wanted}")
                _assign(variable, left.pop(found[0]), wanted)
            _settle(leaf.layer)
        if left:
            raise ConversionError(f"its weight {next(iter(left))} belongs to no layer")


def load_numbered_weights(network: Built, group: h5py.Group) -> None:
    """Load weights from `model.weights.h5` of a .keras file: layers/<class>_<number>/vars/<number>, in the order of the
    file.
    """
    counts: dict[str, int] = {}
    place: Any = next((group[name] for name in ("layers", "_layer_checkpoint_dependencies") if name in group), {})
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
        numbered = _numbered(child.layer, stored)
        if len(numbered) != len(_weights(child.layer)) or numbered.keys() != stored.keys():
            raise ConversionError(f"{child.name} has weights {sorted(numbered)}, in the file {sorted(stored)}")
        for key, variable in numbered.items():
            _assign(variable, stored[key], f"{child.name}/{variable.name}")
        _settle(child.layer)


def _numbered(layer: keras.layers.Layer, stored: Iterable[str]) -> dict[str, Any]:
    """A layer's weights as the file names them: vars/0, and forward_layer/cell/vars/0 in layers that it holds."""
    found: dict[str, Any] = {}
    for prefix in {name.rpartition("vars/")[0] for name in stored}:
        part = layer
        for attribute in prefix.split("/")[:-1]:
            part = getattr(part, attribute, None)
        weights = _weights(part) if isinstance(part, keras.layers.Layer) else []
        found |= {f"{prefix}vars/{index}": variable for index, variable in enumerate(weights)}
    return found


def _ends(name: str, wanted: str) -> bool:
    return f"/{name}:0".endswith(f"/{wanted}:0:0")


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
