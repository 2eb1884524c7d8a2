"""A tiny pooled network for tests: it knows red from blue, and its class activation map is known in advance.

image -> average pooling to 4 x 4 (`features`) -> global average pooling -> one dense layer -> softmax
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from artifact.classifier import Classifier
from artifact.image_policy import Preprocessing
from tests.makers.artifacts import make_artifact

LABELS = ("blue", "red")
SIZE = 32
CELLS = 4
WEIGHTS = np.float32([[-1, 1], [0, 0], [1, -1]]) / 16  # [channels, classes]


def make_pooled_graph(cells: int = CELLS) -> onnx.ModelProto:
    side = [SIZE // cells] * 2
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["features"], kernel_shape=side, strides=side),
        helper.make_node("ReduceMean", ["features"], ["pooled"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["pooled", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ReduceLogSumExp", ["logits"], ["energy"], axes=[1], keepdims=0),
    ]
    outputs = {"probabilities": ["batch", 2], "energy": ["batch"], "features": ["batch", 3, cells, cells]}
    graph = helper.make_graph(
        nodes,
        "pooled",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def make_pooled_artifact(repository: Path, name: str = "pooled", *, cells: int = CELLS, **card: Any) -> Path:
    """repository/name/1 with the graph above, its map of this many cells a side, and its classifier.npz."""
    preprocessing = Preprocessing(name="none", channel_order="rgb", mean=(0.0,) * 3, std=(1.0,) * 3)
    given = {"preprocessing": preprocessing, "features": True, **card}
    classifier = Classifier(WEIGHTS, np.zeros(2, np.float32))
    return make_artifact(
        repository,
        name,
        labels=LABELS,
        size=SIZE,
        channels=3,
        graph=make_pooled_graph(cells),
        classifier=classifier,
        **given,
    )


def square_image(
    color: str, box: tuple[int, int, int, int], size: tuple[int, int] = (64, 64), orientation: int = 1
) -> bytes:
    """A PNG: a colored square on gray, `box` in pixels; `orientation` is what EXIF says of it."""
    image = Image.new("RGB", size, (128, 128, 128))
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=color)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()
