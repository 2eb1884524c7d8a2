"""What tf2onnx 1.17 needs around it: NumPy 2, networks of a hundred million weights, and a quiet terminal."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx


@contextlib.contextmanager
def tf2onnx_at_work() -> Iterator[list[str]]:
    """Inside the block tf2onnx can convert; gives the list that its errors are collected in."""
    with _numpy_1_names(), _constants_left_alone(), _quiet() as complaints:
        yield complaints


def write_erfc(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """Erfc, in which TensorFlow writes an exact GELU, as 1 - Erf: ONNX has no other. A tf2onnx custom_op_handler."""
    shapes, types = node.output_shapes, node.output_dtypes
    (source,), (output,) = node.input, node.output
    one = graph.make_const(f"{node.name}/one", np.ones((), onnx.helper.tensor_dtype_to_np_dtype(types[0])))
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", [source], shapes=shapes, dtypes=types)
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=[output], shapes=shapes, dtypes=types)


@contextlib.contextmanager
def _constants_left_alone() -> Iterator[None]:
    """Keep tf2onnx from copying every weight after every step of its optimizer.

    It does so for the sake of nodes that changed; no step reads the copies, and protobuf frees none of them: SENet-154
    at a quarter of its weights filled 22 GB, and takes 3 GB without.
    """
    from tf2onnx.graph import Node

    original = Node.update_proto

    def update_proto(self: Any, external_tensor_storage: Any = None) -> None:
        if not self.is_const():  # a constant's value is read from the node itself when the graph is written
            original(self, external_tensor_storage)

    Node.update_proto = update_proto
    try:
        yield
    finally:
        Node.update_proto = original


@contextlib.contextmanager
def _numpy_1_names() -> Iterator[None]:
    """tf2onnx 1.17 still calls np.product, which NumPy 2 removed."""
    module: Any = np
    if hasattr(module, "product"):
        yield
        return
    module.product = np.prod
    try:
        yield
    finally:
        del module.product


@contextlib.contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep tf2onnx's log out of the terminal and collect its errors."""
    complaints: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                complaints.append(record.getMessage().splitlines()[0])

    logger = logging.getLogger("tf2onnx")
    handler, propagate = Collect(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    # Its Gemm rewriter warns by logging.warning, which gives a root logger without handlers one for good.
    nowhere, disabled = logging.NullHandler(), logging.root.manager.disable
    logging.root.addHandler(nowhere)
    logging.disable(max(disabled, logging.WARNING))
    try:
        yield complaints
    finally:
        logging.disable(disabled)
        logging.root.removeHandler(nowhere)
        logger.removeHandler(handler)
        logger.propagate = propagate
