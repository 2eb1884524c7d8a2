"""What is the same in every peer: an encoded image to pixels with Pillow, the graph in ONNX Runtime, the best five.

Runs in the peers' own environments: standard library, NumPy, Pillow and onnxruntime alone. Everything comes from the
environment variable BENCH_PEER, as bench/load/servers.py writes it.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image


@dataclass(frozen=True)
class Task:
    """The model to serve. `topk_model` is the same graph with its best five appended: values and indices."""

    model: str
    topk_model: str
    labels_file: str
    height: int
    width: int
    channels: int
    fit: str
    crop_fraction: float
    reduced: bool
    """Whether large JPEGs may be decoded at 1/2, 1/4 or 1/8 of their size."""
    port: int
    cores: int
    tuned: bool

    @property
    def labels(self) -> list[str]:
        labels: list[str] = json.loads(Path(self.labels_file).read_text(encoding="utf-8"))
        return labels


TASK = Task(**json.loads(os.environ["BENCH_PEER"]))


def open_session() -> onnxruntime.InferenceSession:
    """ONNX Runtime with its defaults, a thread a core; tuned, where there is a worker a core, with one thread.

    With both, resnet50 took LitServe, BentoML and MLServer 1.4 to 2.9 times the CPU time a request.
    """
    options = onnxruntime.SessionOptions()
    if TASK.tuned:
        options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(TASK.model, options, providers=["CPUExecutionProvider"])


def decode(data: bytes) -> np.ndarray:
    """uint8 [height, width, channels]."""
    return fit(Image.open(io.BytesIO(data)))


def fit(image: Image.Image) -> np.ndarray:
    """uint8 [height, width, channels], stretched, or scaled and cropped in the middle."""
    image = image.convert("L" if TASK.channels == 1 else "RGB")
    if TASK.fit == "crop":
        image = _crop(image)
    elif image.size != (TASK.width, TASK.height):
        image = image.resize((TASK.width, TASK.height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(TASK.height, TASK.width, TASK.channels)


def _crop(image: Image.Image) -> Image.Image:
    width, height = image.size
    scale = max(TASK.width / width, TASK.height / height) / TASK.crop_fraction
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = round((image.width - TASK.width) / 2), round((image.height - TASK.height) / 2)
    return image.crop((left, top, left + TASK.width, top + TASK.height))


def best_five(probabilities: np.ndarray, labels: list[str]) -> dict[str, Any]:
    """The answer for one row [classes]."""
    order = np.argsort(probabilities)[::-1][:5]
    return {"predictions": [{"label": labels[i], "probability": float(probabilities[i])} for i in order]}
