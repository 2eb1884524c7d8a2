"""A Keras 2 configuration built as a Keras 3 network: sequential, functional, and networks inside networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras

from export.errors import ConversionError
from export.sources.keras2.changes import make_layer
from export.sources.keras2.operations import TensorFlowCall

FUNCTIONAL = ("Functional", "Model")
OPERATIONS = ("TFOpLambda", "SlicingOpLambda")
CONSTANT = "_CONSTANT_VALUE"

Find = Callable[[str], type | None]


@dataclass(frozen=True)
class Built:
    """A layer with what Keras 2 calls its class and itself; the layers of a network in the order of its file."""

    kind: str
    name: str
    layer: keras.layers.Layer
    children: list[Built] = field(default_factory=list)

    def leaves(self) -> Iterator[Built]:
        """The layers that hold weights themselves, this one or those inside."""
        if not isinstance(self.layer, keras.Model):
            yield self
        for child in self.children:
            yield from child.leaves()


def build_network(config: dict[str, Any], find: Find) -> Built:
    """The network of a configuration that Keras 2 wrote, in layers of Keras 3. Raises ConversionError for what can't be
    brought to Keras 3; Keras raises its own errors.
    """
    kind, inner = config["class_name"], config["config"]
    if kind == "Sequential":
        return _build_sequential(inner, find)
    if kind in FUNCTIONAL:
        return _build_functional(inner, find)
    raise ConversionError(f"it is a network of a custom class,  {kind}")


def _build(config: dict[str, Any], find: Find) -> Built:
    kind = config["class_name"]
    if kind == "Sequential" or kind in FUNCTIONAL:
        return build_network(config, find)
    inner = config["config"]
    return Built(kind, inner["name"], make_layer(kind, {**inner, "name": plain_name(inner["name"])}, find))


def _build_sequential(config: Any, find: Find) -> Built:
    parts = config if isinstance(config, list) else config["layers"]  # Keras before 2.2 wrote the list alone
    children = [_build(part, find) for part in parts if part["class_name"] != "InputLayer"]
    first = parts[0]["config"]
    shape = first.get("batch_input_shape") or first.get("batch_shape") if isinstance(first, dict) else None
    shape = shape or (None if isinstance(config, list) else config.get("build_input_shape"))
    if shape is None and children and isinstance(children[0].layer, keras.Model) and children[0].layer.built:
        shape = children[0].layer.input_shape
    layers = [child.layer for child in children]
    if shape is not None:
        layers.insert(0, keras.Input(shape=tuple(shape[1:]), batch_size=shape[0]))
    name = None if isinstance(config, list) else config.get("name")
    network = keras.Sequential(layers, name=plain_name(name))
    return Built("Sequential", name or network.name, network, children)


def _build_functional(config: dict[str, Any], find: Find) -> Built:
    """Layers are called as the file says, in the order in which their inputs come to be."""
    children: dict[str, Built] = {}
    tensors: dict[tuple[str, int], Any] = {}
    waiting: list[tuple[str, int, Any]] = []
    for part in config["layers"]:
        name, kind = part["name"], part["class_name"]
        if kind == "InputLayer":
            shape = part["config"].get("batch_input_shape") or part["config"]["batch_shape"]
            dtype = part["config"].get("dtype")
            tensors[name, 0] = keras.Input(
                shape=tuple(shape[1:]), batch_size=shape[0], name=plain_name(name), dtype=dtype
            )
            continue
        if kind not in OPERATIONS:
            children[name] = _build(part, find)
        # A network inside has a first node of its own, from its input to its output.
        base = int(name in children and isinstance(children[name].layer, keras.Model) and _has_own_input(part))
        nodes = [(name, base + index, node) for index, node in enumerate(part["inbound_nodes"])]
        waiting += [(*node[:2], (part, node[2])) for node in nodes]
    while waiting:
        ready = [call for call in waiting if all(tensor[:2] in tensors for tensor in _references(call[2][1]))]
        if not ready:
            raise ConversionError(f"its graph has a cycle: {waiting[0][0]} waits for itself")
        for name, index, (part, node) in ready:
            if part["class_name"] in OPERATIONS:
                tensors[name, index] = _call_operation(part["config"], node, tensors)
            else:
                tensors[name, index] = _call_layer(children[name].layer, node, tensors)
        waiting = [call for call in waiting if call not in ready]
    inputs = [tensors[name, index] for name, index, _ in _as_list(config["input_layers"])]
    outputs = [_pick(tensors, reference) for reference in _as_list(config["output_layers"])]
    single = [part[0] if len(part) == 1 else part for part in (inputs, outputs)]
    model = keras.Model(*single, name=plain_name(config.get("name")))
    return Built("Functional", config.get("name") or model.name, model, list(children.values()))


def plain_name(name: str | None) -> str | None:
    """Keras 3 takes no slash in names; DenseNet and MobileNetV3 of Keras 2 have them."""
    return name.replace("/", "_") if name else name


def _has_own_input(part: dict[str, Any]) -> bool:
    if part["class_name"] != "Sequential":
        return True
    layers = part["config"] if isinstance(part["config"], list) else part["config"]["layers"]
    return bool(layers[0]["class_name"] == "InputLayer" or "batch_input_shape" in layers[0]["config"])


def _call_layer(layer: keras.layers.Layer, node: Any, tensors: dict[tuple[str, int], Any]) -> Any:
    first, named = _split(node)
    arguments = _fill(first, tensors)
    options = {key: _fill(value, tensors) for key, value in named.items() if value is not None}
    return layer(arguments[0] if isinstance(arguments, list) and len(arguments) == 1 else arguments, **options)


def _call_operation(config: dict[str, Any], node: Any, tensors: dict[tuple[str, int], Any]) -> Any:
    first, named = _split(node)
    used: list[Any] = []

    def place(part: Any) -> Any:
        if _is_reference(part):
            if part[0] == CONSTANT:
                return part[2]
            used.append(_pick(tensors, part))
            return {"tensor": len(used) - 1}
        if isinstance(part, dict):
            return {key: place(value) for key, value in part.items()}
        return [place(value) for value in part] if isinstance(part, list) else part

    named = {key: value for key, value in named.items() if key != "name" and value is not None}
    arguments = json.dumps([place(first), place(named)])
    return TensorFlowCall(config["function"], arguments, name=plain_name(config["name"]))(*used)


def _split(node: Any) -> tuple[Any, dict[str, Any]]:
    """The structure of a call's first argument, and its named ones, which the file repeats behind each tensor."""
    if _is_reference(node):
        return node, node[3] if len(node) > 3 else {}
    named: dict[str, Any] = {}
    for part in node:
        named |= _split(part)[1]
    return node, named


def _fill(part: Any, tensors: dict[tuple[str, int], Any]) -> Any:
    if _is_reference(part):
        return part[2] if part[0] == CONSTANT else _pick(tensors, part)
    return [_fill(value, tensors) for value in part] if isinstance(part, list) else part


def _references(part: Any) -> Iterator[tuple[str, int]]:
    """The calls whose results a call waits for."""
    if _is_reference(part):
        if part[0] != CONSTANT:
            yield part[0], part[1]
        part = part[3:]
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _references(value)


def _is_reference(part: Any) -> bool:
    """[layer, call, output] with named arguments behind it, or [_CONSTANT_VALUE, -1, value, ...]."""
    return isinstance(part, list) and 3 <= len(part) <= 4 and isinstance(part[0], str) and isinstance(part[1], int)


def _pick(tensors: dict[tuple[str, int], Any], reference: list[Any]) -> Any:
    found = tensors[reference[0], reference[1]]
    return found[reference[2]] if isinstance(found, list | tuple) else found


def _as_list(references: Any) -> list[Any]:
    return [references] if _is_reference(references) else list(references)
