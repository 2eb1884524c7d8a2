"""`--decode tensorflow`: the pixels of tf.io.decode_image, and the answers of a network fed by Keras' own loader."""

from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from artifact.card import read_card
from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image
from export.cli.main import main

GENERATOR = np.random.default_rng(0)
NOISE = GENERATOR.integers(0, 256, (40, 56, 3), dtype=np.uint8)
SMOOTH = np.stack([np.add.outer(3 * np.arange(40), 2 * np.arange(56)) % 256] * 3, axis=2).astype(np.uint8)


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options", [{}, {"quality": 30}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}]
)
@pytest.mark.parametrize("pixels", [NOISE, SMOOTH, NOISE[..., 0]], ids=["noise", "smooth", "gray"])
def test_the_pixels_are_tensorflows(pixels: np.ndarray, options: dict[str, object]) -> None:
    data = jpeg(pixels, **options)
    policy = ImagePolicy(height=40, width=56, channels=3, decode="tensorflow")
    expected = tf.io.decode_image(data, channels=3).numpy()
    np.testing.assert_array_equal(decode_image(data, policy), expected)


@pytest.mark.data
def test_the_pixels_of_photos_are_tensorflows(data_dir: Path) -> None:
    for path in sorted((data_dir / "photos").glob("*.JPEG"))[:20]:
        expected = tf.io.decode_image(path.read_bytes(), channels=3).numpy()
        policy = ImagePolicy(height=expected.shape[0], width=expected.shape[1], channels=3, decode="tensorflow")
        np.testing.assert_array_equal(decode_image(path.read_bytes(), policy), expected)


def test_a_network_is_as_accurate_as_keras_own_loader_makes_it(tmp_path: Path) -> None:
    """Noise that only a network without any training tells apart: the least change of pixels changes answers."""
    for index in range(40):
        folder = tmp_path / "photos" / ("ant" if index % 2 else "bee")
        folder.mkdir(parents=True, exist_ok=True)
        noise = GENERATOR.integers(0, 256, (60, 90, 3), dtype=np.uint8)
        (folder / f"{index:02}.jpg").write_bytes(jpeg(noise, quality=80))
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    loaded = keras.utils.image_dataset_from_directory(
        tmp_path / "photos", image_size=(24, 24), shuffle=False, verbose=0
    )
    logits = np.concatenate([model(images, training=False).numpy() for images, _ in loaded])
    truth = np.concatenate([labels.numpy() for _, labels in loaded])
    model.save(tmp_path / "pets.keras")
    (tmp_path / "labels.txt").write_text("ant\nbee\n")
    words = ["--name", "pets", "--labels", str(tmp_path / "labels.txt"), "--resize", "bilinear", "--head", "logits"]
    words += ["--decode", "tensorflow", "--dataset", str(tmp_path / "photos"), "--repository", str(tmp_path / "models")]
    assert main(["convert", str(tmp_path / "pets.keras"), *words]) == 0
    card = read_card(tmp_path / "models/pets/1")
    assert card.image.decode == "tensorflow"
    assert card.evaluation is not None
    assert card.evaluation.top1 == (logits.argmax(axis=1) == truth).mean()
