"""Small changes to an ONNX graph that know nothing of images or classes: find, rename, add, drop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper


def producer(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node that gives the tensor `name`; None for inputs and constants."""
    return next((node for node in graph.node if name in node.output), None)


def see_through(graph: onnx.GraphProto, name: str, also: tuple[str, ...] = ()) -> str:
    """The tensor behind nodes that change no value: Identity, Dropout, and those named."""
    while (node := producer(graph, name)) is not None and node.op_type in ("Identity", "Dropout", *also):
        name = node.input[0]
    return name


def add_constant(graph: onnx.GraphProto, name: str, value: npt.NDArray[np.generic] | np.generic) -> str:
    """Store a constant and return its name, ready to stand in a node's inputs."""
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def free_names(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Tensors that the network itself calls by one of our names get another."""
    for name in names:
        rename(graph, name, f"network/{name}")


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Call a tensor otherwise, wherever it stands."""
    for field in _name_fields(graph):
        for position, name in enumerate(field):
            if name == old:
                field[position] = new
    for entry in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        if entry.name == old:
            entry.name = new


def _name_fields(graph: onnx.GraphProto) -> Iterator[list[str]]:
    for node in graph.node:
        yield node.input
        yield node.output


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output needs (the softmax that the head replaced, shape arithmetic)."""
    needed = {output.name for output in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # nodes stand in topological order
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    nodes = kept[::-1]
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those that it reads, as ONNX demands and not every tool leaves it."""
    makers = {name: position for position, node in enumerate(graph.node) for name in node.output}
    waiting = [{makers[name] for name in node.input if name in makers} for node in graph.node]
    readers: dict[int, list[int]] = {}
    for position, needed in enumerate(waiting):
        for maker in needed:
            readers.setdefault(maker, []).append(position)
    ready = [position for position, needed in enumerate(waiting) if not needed]
    for position in ready:  # grows while it is walked
        for reader in readers.get(position, ()):
            waiting[reader].discard(position)
            if not waiting[reader]:
                ready.append(reader)
    nodes = [graph.node[position] for position in ready]
    del graph.node[:]
    graph.node.extend(nodes)
