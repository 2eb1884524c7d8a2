"""Each resize and fit has the pixels of the library that it is named for."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from artifact.image_policy import CropRule, ImagePolicy, Resize
from artifact.images.decode import decode_image
from artifact.images.fit import apply_policy, find_frame
from artifact.images.frame import Opened

PILLOW: dict[Resize, Image.Resampling] = {
    "antialias": Image.Resampling.BILINEAR,
    "antialias-bicubic": Image.Resampling.BICUBIC,
    "antialias-lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
SIZES = [(500, 375), (375, 500), (90, 61), (33, 200), (20, 30)]
COLOR = (9, 100, 200)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def photos() -> list[Image.Image]:
    if "CONVSERVE_DATA_DIR" not in os.environ:
        pytest.skip("the photos need CONVSERVE_DATA_DIR")
    files = sorted((Path(os.environ["CONVSERVE_DATA_DIR"]) / "photos").glob("*.JPEG"))
    assert len(files) == 50
    return [Image.open(file).convert("RGB") for file in files]


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).max())


def scale_and_crop(image: Image.Image, scaled: int, side: int, rule: CropRule, method: int) -> np.ndarray:
    """As torchvision and transformers do: the shorter side to `scaled`, then the center of `side`."""
    width, height = image.size
    size = (scaled, int(scaled * height / width)) if width <= height else (int(scaled * width / height), scaled)
    left, top = ((number - side) // 2 if rule == "transformers" else round((number - side) / 2) for number in size)
    return np.asarray(image.resize(size, method).crop((left, top, left + side, top + side)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", PILLOW)
def test_stretch_and_pad_are_pillows(resize: Resize, size: tuple[int, int]) -> None:
    image = noise(*size)
    policy = ImagePolicy(height=40, width=56, channels=3, resize=resize)
    np.testing.assert_array_equal(apply_policy(image, policy), np.asarray(image.resize((56, 40), PILLOW[resize])))
    policy = policy.model_copy(update={"fit": "pad", "pad_color": COLOR})
    expected = np.asarray(ImageOps.pad(image, (56, 40), PILLOW[resize], color=COLOR))
    np.testing.assert_array_equal(apply_policy(image, policy), expected)


@pytest.mark.parametrize("rule", ["torchvision", "transformers"])
@pytest.mark.parametrize("scaled", [64, 62, 59])
@pytest.mark.parametrize("resize", PILLOW)
def test_crop_is_scaling_and_then_cropping(resize: Resize, scaled: int, rule: CropRule) -> None:
    policy = ImagePolicy(
        height=56, width=56, channels=3, fit="crop", resize=resize, crop_fraction=56 / scaled, crop_rule=rule
    )
    for size in SIZES:
        expected = scale_and_crop(noise(*size), scaled, 56, rule, PILLOW[resize])
        np.testing.assert_array_equal(apply_policy(noise(*size), policy), expected)


@pytest.mark.data
@pytest.mark.parametrize("resize", PILLOW)
def test_photos_have_the_pixels_of_pillow(resize: Resize) -> None:
    policy = ImagePolicy(height=224, width=224, channels=3, resize=resize, crop_fraction=224 / 248)
    for photo in photos():
        stretched = np.asarray(photo.resize((224, 224), PILLOW[resize]))
        assert distance(apply_policy(photo, policy), stretched) == 0
        crop = policy.model_copy(update={"fit": "crop"})
        assert distance(apply_policy(photo, crop), scale_and_crop(photo, 248, 224, "torchvision", PILLOW[resize])) == 0
        pad = policy.model_copy(update={"fit": "pad"})
        assert distance(apply_policy(photo, pad), np.asarray(ImageOps.pad(photo, (224, 224), PILLOW[resize]))) == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", ["bilinear", "bicubic", "area"])
def test_the_others_are_tensorflows(resize: Resize, size: tuple[int, int]) -> None:
    """Clipped to 0..255, since a card's pixels are uint8."""
    tf = pytest.importorskip("tensorflow")
    image = noise(*size)
    policy = ImagePolicy(height=40, width=56, channels=3, resize=resize)
    expected = tf.image.resize(np.asarray(image), (40, 56), method=resize).numpy()
    assert distance(apply_policy(image, policy), np.clip(expected, 0, 255)) <= 1
    padded = tf.image.resize_with_pad(np.asarray(image), 40, 56, method=resize).numpy()
    pad = policy.model_copy(update={"fit": "pad"})
    assert distance(apply_policy(image, pad), np.clip(padded, 0, 255)) <= 1


@pytest.mark.data
@pytest.mark.parametrize("resize", ["bilinear", "bicubic", "area"])
def test_photos_have_the_pixels_of_tensorflow(resize: Resize) -> None:
    tf = pytest.importorskip("tensorflow")
    policy = ImagePolicy(height=224, width=224, channels=3, resize=resize)
    pad = policy.model_copy(update={"fit": "pad"})
    for photo in photos():
        pixels = np.asarray(photo)
        stretched = tf.image.resize(pixels, (224, 224), method=resize).numpy()
        assert distance(apply_policy(photo, policy), np.clip(stretched, 0, 255)) <= 1
        padded = tf.image.resize_with_pad(pixels, 224, 224, method=resize).numpy()
        assert distance(apply_policy(photo, pad), np.clip(padded, 0, 255)) <= 1


def test_the_frame_of_pad_maps_back_to_the_whole_image() -> None:
    image = noise(100, 50)
    frame = find_frame(Opened(image, 100, 50), ImagePolicy(height=20, width=20, channels=3, fit="pad"))
    assert frame[:4] == (0, -25, 100, 75)


@pytest.mark.parametrize("resize", ["antialias", "antialias-bicubic", "antialias-lanczos", "area"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_decoding_at_a_part_of_the_size_keeps_the_place(resize: Resize, fit: str) -> None:
    photo = noise(40, 30).resize((1607, 1201), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=95)
    policy = ImagePolicy(height=64, width=64, channels=3, fit=fit, resize=resize, reduced_decode=True)
    whole = policy.model_copy(update={"reduced_decode": False})
    assert distance(decode_image(buffer.getvalue(), policy), decode_image(buffer.getvalue(), whole)) <= 12


def test_a_line_is_padded_without_a_picture_of_its_length_squared() -> None:
    policy = ImagePolicy(height=20, width=20, channels=3, fit="pad", pad_color=COLOR)
    pixels = apply_policy(Image.new("RGB", (60_000, 1), "white"), policy)
    assert (pixels == 255).all(axis=(1, 2)).sum() == 1
