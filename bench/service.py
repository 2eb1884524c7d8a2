"""A service of our own to load: a small repository made on the spot, and `convserve serve` over it in a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.makers.artifacts import gray_image, make_artifact, make_graph
from tests.makers.running_server import RunningServer

CHANNELS = 64
SIZE = 32


@contextmanager
def running(*flags: str, slow_layers: int = 0) -> Iterator[RunningServer]:
    """A service with one model, `tiny`: the class of an image is its gray level. With `slow_layers` it also
    computes that many convolutions, of 75 million multiply-adds a pair, for nothing.
    """
    with TemporaryDirectory() as folder:
        if slow_layers:
            make_artifact(Path(folder), size=SIZE, graph=make_slow_graph(slow_layers))
        else:
            make_artifact(Path(folder))
        with serving("--repository", folder, *flags) as server:
            yield server


@contextmanager
def serving(*flags: str) -> Iterator[RunningServer]:
    """`convserve serve` with these flags, ready."""
    server = RunningServer(*flags)
    log = threading.Thread(target=_read_log, args=(server,))
    log.start()
    try:
        yield server
    finally:
        server.process.kill()
        log.join()
        server.end()


def stop(server: RunningServer) -> int:
    """SIGTERM, and the exit status after the drain."""
    server.process.terminate()
    return server.process.wait(60)


def _read_log(server: RunningServer) -> None:
    """A server whose log nobody reads stands still once the pipe is full."""
    assert server.process.stderr is not None
    server.lines.extend(server.process.stderr)


def make_slow_graph(layers: int, width: int = CHANNELS) -> onnx.ModelProto:
    """The tests' graph with a chain of 3x3 convolutions of `width` channels beside it, which adds 0 to the logits."""
    model = make_graph(size=SIZE)
    graph = model.graph
    random = np.random.default_rng(0)
    nodes = [helper.make_node("Transpose", ["pixels"], ["layer0"], perm=[0, 3, 1, 2])]
    for layer in range(layers):
        channels = 1 if layer == 0 else width
        weights = random.normal(0, (2 / (9 * channels)) ** 0.5, (width, channels, 3, 3)).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(weights, f"w{layer}"))
        nodes += [
            helper.make_node("Conv", [f"layer{layer}", f"w{layer}"], [f"sum{layer}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"sum{layer}"], [f"layer{layer + 1}"]),
        ]
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "zero"))
    nodes += [
        helper.make_node("ReduceMean", [f"layer{layers}"], ["level"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["level", "zero"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["slow_mean"]),
    ]
    place = next(index for index, node in enumerate(graph.node) if node.op_type == "Unsqueeze")
    graph.node[place].input[0] = "slow_mean"
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    return model


def read_memory(pid: int) -> float:
    """Resident megabytes of a process."""
    (kilobytes,) = (
        line.split()[1]
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        if line.startswith("VmRSS")
    )
    return int(kilobytes) / 1024


WHITE = gray_image(255, size=SIZE)
