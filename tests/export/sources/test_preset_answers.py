"""A file adopted with timm's or Hugging Face's own preset answers photos as on pixels that the library would prepare.

What the libraries do is written out in Pillow and NumPy, after timm's create_transform and transformers' processors.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from PIL import Image

from export.data.samples import FileSamples
from export.graph.from_keras import keras_to_onnx
from export.publish.adopt import adopt
from export.publish.published import open_published
from export.publish.read_back import run_published
from export.sources.image_options import ImageOptions
from export.sources.keras_file import load_keras_file
from export.sources.presets.like import fill_in

pytestmark = pytest.mark.data

Floats = npt.NDArray[np.float32]
SIDE = 224
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}


def shorter_side_to(image: Image.Image, side: int, filter: Image.Resampling) -> Image.Image:
    short, long = sorted(image.size)
    other = int(side * long / short)
    return image.resize((side, other) if image.width <= image.height else (other, side), filter)


def center(image: Image.Image, left: int, top: int) -> Image.Image:
    return image.crop((left, top, left + SIDE, top + SIDE))


def prepare_as_timm(image: Image.Image, config: dict[str, Any]) -> Floats:
    """create_transform(is_training=False): Resize, CenterCrop, ToTensor, Normalize."""
    filter = Image.Resampling[config["interpolation"].upper()]
    if config["crop_mode"] == "squash":
        image = image.resize((SIDE, SIDE), filter)
    else:
        image = shorter_side_to(image, int(SIDE / config["crop_pct"]), filter)
        # torchvision's center_crop rounds half a pixel to the even one.
        image = center(image, round((image.width - SIDE) / 2), round((image.height - SIDE) / 2))
    return (np.asarray(image, np.float32) / 255 - np.float32(config["mean"])) / np.float32(config["std"])


def prepare_as_transformers(image: Image.Image, config: dict[str, Any]) -> Floats:
    """An image processor's preprocess: resize, center_crop, rescale, normalize."""
    filter = Image.Resampling(config["resample"])
    size = config["size"]
    if "shortest_edge" in size:
        image = shorter_side_to(image, size["shortest_edge"], filter)
        image = center(image, (image.width - SIDE) // 2, (image.height - SIDE) // 2)
    else:
        image = image.resize((size["width"], size["height"]), filter)
    pixels = np.asarray(image, np.float32) * np.float32(config.get("rescale_factor", 1 / 255))
    return (pixels - np.float32(config["image_mean"])) / np.float32(config["image_std"])


TIMM = {"input_size": [3, SIDE, SIDE], "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "timm, its defaults": ("timm", {**TIMM, **IMAGENET}),
    "timm, squashed": ("timm", {**TIMM, **HALF, "interpolation": "bilinear", "crop_mode": "squash", "crop_pct": 1.0}),
    "CLIP": (
        "hf",
        {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 256}, "resample": 3}
        | {"do_center_crop": True, "crop_size": {"height": SIDE, "width": SIDE}}
        | {"image_mean": IMAGENET["mean"], "image_std": IMAGENET["std"]},
    ),
    "ViT": (
        "hf",
        {"image_processor_type": "ViTImageProcessor", "size": {"height": SIDE, "width": SIDE}, "resample": 2}
        | {"do_center_crop": False, "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
    ),
}
PREPARE: dict[str, Callable[[Image.Image, dict[str, Any]], Floats]] = {
    "timm": prepare_as_timm,
    "hf": prepare_as_transformers,
}


@pytest.fixture(scope="module")
def network(mobilenet_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real MobileNetV2 as an ONNX file that reads prepared pixels, [n, 224, 224, 3]."""
    file = tmp_path_factory.mktemp("network") / "mobilenet.onnx"
    onnx.save(keras_to_onnx(load_keras_file(mobilenet_file), (SIDE, SIDE, 3), None), file)
    return file


@pytest.fixture(scope="module")
def ask(network: Path) -> Callable[[list[Floats]], Floats]:
    """The untouched network's probabilities of prepared pixels."""
    session = onnxruntime.InferenceSession(network)
    return lambda pixels: session.run(None, {session.get_inputs()[0].name: np.stack(pixels)})[0]


@pytest.mark.parametrize("name", PRESETS)
def test_all_photos_are_answered_as_the_library_would(
    name: str, network: Path, ask: Callable[[list[Floats]], Floats], data_dir: Path, tmp_path: Path
) -> None:
    library, config = PRESETS[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "one").mkdir()
    photos = sorted((data_dir / "photos").glob("*.JPEG"))
    shutil.copy(photos[0], tmp_path / "one")
    options = fill_in(ImageOptions(labels="imagenet", images=tmp_path / "one"), f"{library}:{tmp_path}/config.json")
    adopt(network, options, tmp_path / "repository", robustness=False)
    samples = FileSamples(photos, [-1] * len(photos))
    found = run_published(open_published(tmp_path / "repository", "mobilenet"), samples, title=name)
    expected = ask([PREPARE[library](Image.open(photo).convert("RGB"), config) for photo in photos])
    assert len(photos) == 50
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    otherwise = prepare_as_timm(Image.open(photos[0]).convert("RGB"), {**TIMM, **HALF, "interpolation": "lanczos"})
    assert np.abs(ask([otherwise]) - expected[:1]).max() > 1e-3
