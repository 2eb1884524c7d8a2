"""Making the pack: each network of the series as an artifact whose large kernels are drawn from a seed. The one module
here that needs the export stage, and with it TensorFlow.

Kernels are drawn before random weights are fitted. On their way into ONNX batch normalization multiplies them by a
number a channel; the graph gets the drawn values times that number in their place, which is the same within rounding,
and is proved and published like any other: golden values, hashes and the proof are those of what will be unpacked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from bench.gpu.kernels import LEAST, Kernel, draw, find_kernel
from bench.gpu.needs import ROOT
from bench.gpu.pack import LIMIT_MB, list_packed, measure_pack, pack
from bench.gpu.probes import write_probes

if TYPE_CHECKING:
    import keras
    import onnx

FP16 = ("lenet5", "resnet50", "vgg16")


def prepare(networks: Sequence[str], to: Path) -> int:
    """Make what the pack `to` lacks of `networks` (none named: of the series); each in a process of its own, which
    gives its memory back. Returns the exit status.
    """
    from models.registry import NETWORKS

    failed = []
    write_probes(to)
    for name in networks or list(NETWORKS):
        if (to / "models" / f"{name}.json").exists():
            continue
        command = [sys.executable, "-m", "bench.gpu.prepare", name, str(to.resolve())]
        if subprocess.run(command, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}).returncode:
            failed.append(name)
    size = measure_pack(to)
    print(f"{to}: {len(list_packed(to))} models, {size / 1e6:.1f} MB of at most {LIMIT_MB}")
    if failed:
        print(f"failed: {', '.join(failed)}; run the same command to try them again", file=sys.stderr)
    return int(bool(failed) or size > LIMIT_MB * 1_000_000)


def prepare_one(name: str, to: Path) -> None:
    """Draw, fit, convert, prove, publish and pack one network, and its fp16 where it is of those three."""
    from artifact.card import NetworkInfo
    from artifact.figures.precision import Precision
    from export.data.labels import imagenet_labels
    from export.data.preprocessing import preset
    from export.graph.from_keras import keras_to_onnx
    from export.publish.pipeline import publish_network
    from export.sources.image_options import ImageOptions
    from export.sources.named.by_name import describe_network
    from models.registry import NETWORKS

    entry = NETWORKS[name]
    model = entry.build()
    drawn = draw_kernels(model, name)
    info = NetworkInfo(
        name=name, origin="convserve", paper=entry.paper, year=entry.year, parameters=entry.parameters, weights="random"
    )
    options, channels = ImageOptions(), entry.input_shape[2]
    preprocessing = preset("unit" if channels == 1 else "torch", channels)
    labels = imagenet_labels() if entry.classes == 1000 else tuple(map(str, range(entry.classes)))
    source = describe_network(model, info, name, labels, options, preprocessing, "Apache-2.0", None)
    graph = keras_to_onnx(source.model, entry.input_shape)
    kernels = snap(graph, drawn)
    with TemporaryDirectory() as temporary:
        repository = Path(temporary)
        precisions: tuple[Precision, ...] = ("fp16", "fp32") if name in FP16 else ("fp32",)
        for precision in precisions:  # fp32 last: its list says that all is done
            home = publish_network(source, graph, repository, precision=precision).parent
            dtype = "float16" if precision == "fp16" else "float32"
            pack(home, kernels, dtype, to, network=name, multiply_adds=entry.multiply_adds)


def draw_kernels(model: keras.Model, name: str) -> dict[str, tuple[int, ...]]:
    """Give every large kernel drawn values of He's variance; their shapes by seed."""
    from models.walk import walk_layers

    shapes = {}
    for place, layer in enumerate(walk_layers(model)):
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and np.prod(kernel.shape) >= LEAST:
            shape, seed = tuple(kernel.shape), f"{name}/{place}"
            fan_in = np.prod(shape[:-1])
            kernel.assign(draw(seed, shape) * np.float32((6 / fan_in) ** 0.5))  # of variance 1/3 to 2 / fan_in
            shapes[seed] = shape
    return shapes


def snap(graph: onnx.ModelProto, drawn: dict[str, tuple[int, ...]]) -> list[Kernel]:
    """Put drawn values times a number a channel in the place of each large tensor that is so within rounding; the
    Kernels in the graph's order.
    """
    from onnx import numpy_helper

    left, found = dict(drawn), []
    for tensor in graph.graph.initializer:
        if len(tensor.dims) < 2 or np.prod(tensor.dims) < LEAST:
            continue
        kernel = find_kernel(numpy_helper.to_array(tensor), left)
        if kernel is None:
            print(f"note: {tensor.name} {list(tensor.dims)} isn't a drawn kernel: it is stored", file=sys.stderr)
            continue
        del left[kernel.seed]
        tensor.raw_data = kernel.content("float32")
        found.append(kernel)
    return found


if __name__ == "__main__":
    prepare_one(sys.argv[1], Path(sys.argv[2]))
