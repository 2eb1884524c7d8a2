"""Tiny artifacts for tests of the serving stage, made in milliseconds with onnx.helper: no training, no TensorFlow.

The network looks at the mean gray level: class k of n is the one whose level, 255 k / (n - 1), is nearest.
So a test knows what the answer to an image must be.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from app.runtime import Session
from artifact import golden
from artifact.card import ModelCard, NetworkInfo, Proof, read_card
from artifact.classifier import Classifier, write_classifier
from artifact.documents import FORMAT
from artifact.files import list_files
from artifact.image_policy import ImagePolicy, Preprocessing
from artifact.images.decode import decode_image
from artifact.layout import CARD_FILE, MODEL_FILE

LABELS = ("black", "dark", "gray", "bright", "white")
SIZE = 8
_SLOW_STEPS = 40


def gray_image(level: int, *, size: int = SIZE, kind: str = "PNG") -> bytes:
    """An encoded square image of one gray level."""
    buffer = io.BytesIO()
    Image.new("L", (size, size), level).save(buffer, kind)
    return buffer.getvalue()


def make_graph(
    labels: Sequence[str] = LABELS, *, size: int = SIZE, channels: int = 1, energy: bool = True, sharpness: float = 2e-3
) -> onnx.ModelProto:
    """uint8 [batch, size, size, channels] to softmax of -sharpness (mean - level)^2, which is linear in the mean."""
    levels = np.linspace(0, 255, len(labels), dtype=np.float32)
    weights = {
        "slope": (2 * sharpness * levels)[None, :],
        "bias": -sharpness * levels**2,
        "column": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "column"], ["means"]),
        helper.make_node("MatMul", ["means", "slope"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(labels)])]
    if energy:
        nodes.append(helper.make_node("ReduceLogSumExp", ["logits"], ["energy"], axes=[1], keepdims=0))
        outputs.append(helper.make_tensor_value_info("energy", TensorProto.FLOAT, ["batch"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, channels])],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def make_odd_graph() -> onnx.ModelProto:
    """To it dark images are light, and light ones dark."""
    model = make_graph()
    for tensor in model.graph.initializer:
        if tensor.name in ("slope", "bias"):
            values = numpy_helper.to_array(tensor).copy()
            values[..., [0, -1]] = values[..., [-1, 0]]
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


def make_slow_graph() -> onnx.ModelProto:
    """The same answers after a million multiply-adds a row, many times over: a batch of 32 takes far more than 8 ms."""
    model, wide = make_graph(), 1024
    graph = model.graph
    weights = {"widen": np.zeros((1, wide), np.float32), "square": np.zeros((wide, wide), np.float32)}
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    graph.initializer.append(numpy_helper.from_array(np.zeros((wide, 1), np.float32), "narrow"))
    slow = [helper.make_node("MatMul", ["means", "widen"], ["wide0"])]
    slow += [helper.make_node("MatMul", [f"wide{step}", "square"], [f"wide{step + 1}"]) for step in range(_SLOW_STEPS)]
    slow += [
        helper.make_node("MatMul", [f"wide{_SLOW_STEPS}", "narrow"], ["nothing"]),
        helper.make_node("Add", ["sums", "nothing"], ["logits"]),
    ]
    last = next(place for place, node in enumerate(graph.node) if "logits" in node.output)
    graph.node[last].output[0] = "sums"
    before, after = graph.node[: last + 1], graph.node[last + 1 :]
    nodes = [*before, *slow, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


def make_card(*, name: str, version: int, labels: Sequence[str], size: int, channels: int, **changes: Any) -> ModelCard:
    """A card of format 1, which lists no files; `sign` makes it one of a folder."""
    fields: dict[str, Any] = {
        "format": 1,
        "name": name,
        "version": version,
        "created": "2026-01-01T00:00:00Z",
        "license": "Apache-2.0",
        "network": NetworkInfo(name="tiny", origin="onnx-file", parameters=10, weights="random"),
        "labels": tuple(labels),
        "image": ImagePolicy(height=size, width=size, channels=1 if channels == 1 else 3),
        "preprocessing": Preprocessing(name="none", channel_order="gray", mean=(0.0,), std=(1.0,)),
        "head": "softmax",
        "energy": True,
        "features": False,
        "proof": Proof(
            images=3,
            source="test",
            batch_sizes=(1,),
            max_abs_difference=0,
            max_log_difference=0,
            top1_agreement=1,
            abs_tolerance=1e-4,
            log_tolerance=1e-3,
        ),
        "sha256": "0" * 64,
        "tools": {"onnx": onnx.__version__},
    }
    return ModelCard(**{**fields, **changes})


def make_artifact(
    repository: Path,
    name: str = "tiny",
    version: int = 1,
    *,
    labels: Sequence[str] = LABELS,
    size: int = SIZE,
    channels: int = 1,
    graph: onnx.ModelProto | None = None,
    classifier: Classifier | None = None,
    **card: Any,
) -> Path:
    """A whole artifact in repository/name/version; `card` replaces fields of its card. Gives back its folder."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True)
    if graph is None:
        graph = make_graph(labels, size=size, channels=channels, energy=card.get("energy", True))
    (folder / MODEL_FILE).write_bytes(graph.SerializeToString())
    filled = make_card(
        **{"name": name, "version": version, "labels": labels, "size": size, "channels": channels, **card}
    )
    if classifier is not None:
        write_classifier(folder, classifier)
    write_golden(folder, filled)
    sign(folder, filled)
    return folder


def sign(folder: Path, card: ModelCard | None = None, **changes: Any) -> None:
    """Write the card anew so that it lists the files as they are now: what was changed is no damage any more."""
    files = list_files(folder)
    fields = (
        dict(card or read_card(folder))
        | changes
        | {"format": FORMAT, "files": files, "sha256": files[MODEL_FILE].sha256}
    )
    (folder / CARD_FILE).write_text(ModelCard(**fields).model_dump_json(indent=2))


def write_golden(folder: Path, card: ModelCard, levels: Sequence[int] = (0, 70, 200)) -> None:
    """Golden images of a few gray levels, and what the graph in `folder` says of them."""
    images = {f"{level}.png": gray_image(level, size=2 * card.image.width) for level in levels}
    rows = np.stack([decode_image(image, card.image) for image in images.values()])
    session: Session = onnxruntime.InferenceSession(str(folder / MODEL_FILE), providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"image": rows})
    golden.write_golden(folder, golden.Golden(images, probabilities, probabilities))


def replace_graph(folder: Path, graph: onnx.ModelProto) -> None:
    """Exchange model.onnx and change the card's sha256 along with it: what only the golden replay can find."""
    (folder / MODEL_FILE).write_bytes(graph.SerializeToString())
    sign(folder)


def damage(folder: Path) -> None:
    """Exchange the bytes of model.onnx, as many as before: what only its sha256 can find."""
    path = folder / MODEL_FILE
    path.write_bytes(bytes(path.stat().st_size))


def age(folder: Path, seconds: float = 60) -> None:
    """Set the time of the last change of a folder and everything in it to this many seconds ago."""
    moment = time.time() - seconds
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (moment, moment))
