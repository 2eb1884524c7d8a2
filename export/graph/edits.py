"""Small changes to an ONNX graph, none of them specific to images or classes: find, rename, add, drop.

A node may hold graphs of its own (the bodies of If, Loop and Scan), which may read tensors of the graphs around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from export.errors import ConversionError


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def walk_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph itself, and every graph inside its nodes."""
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from walk_graphs(body)


def find_inputs(node: onnx.NodeProto) -> set[str]:
    """Names of the tensors that a node reads: its inputs, and what its bodies read of the graphs around them."""
    found = set(node.input)
    for body in bodies(node):
        inside = {output.name for output in body.output}.union(*(find_inputs(inner) for inner in body.node))
        own = {value.name for value in (*body.input, *body.initializer)}
        found |= inside - own.union(*(inner.output for inner in body.node))
    return found - {""}  # an input that is left out


def producer(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node whose output is the tensor `name`; None for the graph's inputs and constants."""
    return next((node for node in graph.node if name in node.output), None)


def skip_identity_nodes(graph: onnx.GraphProto, name: str, also: tuple[str, ...] = ()) -> str:
    """The name of the tensor that `name` is a copy of: nodes of the types Identity, Dropout and `also` are followed
    to their first input.
    """
    while (node := producer(graph, name)) is not None and node.op_type in ("Identity", "Dropout", *also):
        name = node.input[0]
    return name


def add_constant(graph: onnx.GraphProto, name: str, value: npt.NDArray[np.generic] | np.generic) -> str:
    """Store a constant of any shape and type; returns `name`, for a node's inputs."""
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def rename_conflicting_tensors(graph: onnx.GraphProto, exact: Iterable[str], prefixes: tuple[str, ...]) -> None:
    """Give another name to each of the network's tensors whose name is in `exact` or begins with one of `prefixes`,
    so that these are free.
    """
    taken = {name for part in walk_graphs(graph) for name in _names(part)}
    for name in sorted(name for name in taken if name in exact or name.startswith(prefixes)):
        new = f"network/{name}"
        while new in taken:
            new = f"network/{new}"
        taken.add(new)
        rename(graph, name, new)


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename a tensor wherever the graph names it. `new` must be free, or the name of the same tensor."""
    for part in walk_graphs(graph):
        rename_in_nodes(part.node, old, new)
        for entry in (*part.initializer, *part.input, *part.output, *part.value_info):
            if entry.name == old:
                entry.name = new


def rename_in_nodes(nodes: Iterable[onnx.NodeProto], old: str, new: str) -> None:
    """Rename a tensor where these nodes and their bodies read or give it."""
    for node in nodes:
        for field in (node.input, node.output):
            for position, name in enumerate(field):
                if name == old:
                    field[position] = new
        for body in bodies(node):
            rename(body, old, new)


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (value.name for value in (*graph.initializer, *graph.input, *graph.output, *graph.value_info))
    for node in graph.node:
        yield from (*node.input, *node.output)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output needs (the softmax that the head replaced, shape arithmetic)."""
    needed = {output.name for output in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # nodes stand in topological order
        if needed.intersection(node.output):
            kept.append(node)
            needed |= find_inputs(node)
    nodes = kept[::-1]
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those that it reads, as ONNX demands and not every tool leaves it.

    Raises ConversionError where nodes wait for each other.
    """
    makers = {name: position for position, node in enumerate(graph.node) for name in node.output}
    waiting = [{makers[name] for name in find_inputs(node) if name in makers} for node in graph.node]
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
    if len(ready) < len(graph.node):
        stuck = next(node for node, needed in zip(graph.node, waiting, strict=True) if needed)
        raise ConversionError(f"the graph has a cycle: {stuck.op_type} {stuck.name!r} waits for itself")
    nodes = [graph.node[position] for position in ready]
    del graph.node[:]
    graph.node.extend(nodes)
    for node in graph.node:
        for body in bodies(node):
            sort_nodes(body)
