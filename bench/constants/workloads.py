"""The workloads that the constants are measured with: networks and images on both sides of each threshold."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from bench.load import images
from bench.load.models import MODELS, LoadModel, repository_of
from bench.service import make_slow_graph
from tests.makers.artifacts import gray_image, make_artifact

BATCH = 32
# Layers this narrow change the time of a batch in small steps.
_CHANNELS = 8
_LEVELS = (0, 64, 128, 191, 255)


@dataclass(frozen=True)
class Workload:
    """A model of the load benchmark, loaded over `connections` connections."""

    title: str
    model: LoadModel
    connections: int


def network_of(ms: float, connections: int) -> Workload:
    """A network whose batch of 32 takes about `ms` milliseconds in one thread of this machine."""
    name = f"batch-of-{ms:g}-ms"
    model = LoadModel(name, f"a batch of 32 in {ms:g} ms", partial(_make_for, name, ms / 1e3), _gray_images, tiny=True)
    return Workload(f"{model.title}, {connections} connections", model, connections)


def labels_of(count: int, connections: int) -> Workload:
    """A tiny network with `count` classes."""
    name = f"classes-{count}"
    model = LoadModel(name, f"{count} classes", partial(_make_labels, name, count), _gray_images, tiny=True)
    return Workload(f"{model.title}, {connections} connections", model, connections)


def digits_of(side: int, connections: int) -> Workload:
    """lenet5 and PNGs larger than it needs."""
    title = f"lenet5, PNG of {side}x{side}, {connections} connections"
    return Workload(title, replace(MODELS["lenet5"], images=partial(_enlarge_digits, side)), connections)


def photos_of(kilobytes: int, connections: int) -> Workload:
    """resnet50 and JPEGs of at least `kilobytes` kB, made of photos of 500x375."""
    title = f"resnet50, JPEG of {kilobytes} kB, {connections} connections"
    return Workload(title, replace(MODELS["resnet50"], images=partial(_weigh_photos, kilobytes)), connections)


def usual(name: str, connections: int) -> Workload:
    """A model of bench.load with its own images."""
    return Workload(f"{name}, {connections} connections", MODELS[name], connections)


def _make_for(name: str, seconds: float, folder: Path) -> None:
    def time_of(layers: int) -> float:
        graph = make_slow_graph(layers, _CHANNELS).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        blank = np.zeros((BATCH, 32, 32, 1), np.uint8)
        return min(_time(lambda: session.run(None, {"image": blank})) for _ in range(10))

    few, more = time_of(2), time_of(12)
    layers = max(1, round(2 + (seconds - few) / ((more - few) / 10)))
    make_artifact(repository_of(name, folder), name, size=32, graph=make_slow_graph(layers, _CHANNELS))


def _make_labels(name: str, count: int, folder: Path) -> None:
    make_artifact(repository_of(name, folder), name, labels=[str(number) for number in range(count)])


def _time(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _gray_images(folder: Path) -> list[Path]:
    return images.write(folder / "gray", ".png", [gray_image(level, size=32) for level in _LEVELS])


def _enlarge_digits(side: int, folder: Path) -> list[Path]:
    digits = [Image.open(path) for path in images.digits(folder)]
    enlarged = [images.encode(digit.resize((side, side), Image.Resampling.BICUBIC), "PNG") for digit in digits]
    return images.write(folder / f"digits-{side}", ".png", enlarged)


def _weigh_photos(kilobytes: int, folder: Path) -> list[Path]:
    """Photos enlarged until each has `kilobytes` kB."""
    photos = [Image.open(io.BytesIO(path.read_bytes())) for path in images.photos_500(folder)]
    return images.write(folder / f"photos-{kilobytes}", ".jpg", [_weigh(photo, kilobytes) for photo in photos])


def _weigh(photo: Image.Image, kilobytes: int) -> bytes:
    scale = 1.0
    while len(data := images.encode(photo.resize((round(500 * scale), round(375 * scale))), "JPEG", quality=95)) < (
        kilobytes * 1000
    ):
        scale *= 1.1
    return data
