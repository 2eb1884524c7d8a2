"""The kinds of networks that keras.io's examples of image classification build, small: each file is published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import pytest
from keras import layers, ops

from artifact.card import read_card
from export.cli.main import main

SIDE, CLASSES = 32, 5
Tensor = keras.KerasTensor


def pixels() -> Tensor:
    return keras.Input((SIDE, SIDE, 3))


def close(x: Tensor) -> Tensor:
    return layers.Dense(CLASSES, activation="softmax")(layers.Dropout(0.5)(x))


def augment(x: Tensor) -> Tensor:
    for layer in (layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.2)):
        x = layer(x)
    return x


def convnet(x: Tensor) -> Tensor:
    for filters in (8, 16):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, activation="relu")(x))
    return close(layers.Flatten()(x))


def from_scratch(x: Tensor) -> Tensor:
    """Small Xception, with augmentation and scaling inside."""
    x = layers.Rescaling(1 / 255)(augment(x))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(x)))
    for filters in (16, 32):
        before = x
        for _ in range(2):
            x = layers.SeparableConv2D(filters, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.add([x, layers.Conv2D(filters, 1, strides=2, padding="same")(before)])
    return close(layers.GlobalAveragePooling2D()(x))


def transfer(x: Tensor) -> Tensor:
    base = keras.applications.MobileNetV2((SIDE, SIDE, 3), include_top=False, weights=None, alpha=0.35)
    base.trainable = False
    x = base(keras.applications.mobilenet_v2.preprocess_input(augment(x)), training=False)
    return close(layers.GlobalAveragePooling2D()(x))


def patch(x: Tensor, size: int = 4, width: int = 24) -> Tensor:
    x = layers.Conv2D(width, size, strides=size)(x)
    return layers.Reshape((-1, width))(x)


def vision_transformer(x: Tensor) -> Tensor:
    x = patch(x)
    places = layers.Embedding(x.shape[1], x.shape[2])(ops.arange(x.shape[1]))
    x = x + places
    for _ in range(2):
        inside = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=8)(inside, inside)])
        inside = layers.LayerNormalization(epsilon=1e-6)(x)
        inside = layers.Dense(24)(layers.Dense(48, activation=keras.activations.gelu)(inside))
        x = layers.Add()([x, inside])
    return close(layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(x)))


def mixer(x: Tensor) -> Tensor:
    x = patch(x)
    for _ in range(2):
        across = layers.Permute((2, 1))(layers.LayerNormalization()(x))
        across = layers.Dense(x.shape[1])(layers.Dense(32, activation="gelu")(across))
        x = layers.add([x, layers.Permute((2, 1))(across)])
        x = layers.add([x, layers.Dense(24)(layers.Dense(32, activation="gelu")(layers.LayerNormalization()(x)))])
    return close(layers.GlobalAveragePooling1D()(x))


def conv_mixer(x: Tensor) -> Tensor:
    x = layers.Conv2D(24, 4, strides=4)(layers.Rescaling(1 / 255)(x))
    for _ in range(2):
        x = layers.BatchNormalization()(layers.Activation("gelu")(x))
        x = layers.Add()([layers.DepthwiseConv2D(5, padding="same")(x), x])
        x = layers.BatchNormalization()(layers.Activation("gelu")(layers.Conv2D(24, 1)(x)))
    return close(layers.GlobalAvgPool2D()(x))


def compact_transformer(x: Tensor) -> Tensor:
    """Convolutions before the attention, and pooling by attention behind it."""
    for filters in (8, 16):
        x = layers.ZeroPadding2D(1)(layers.Conv2D(filters, 3, padding="valid", activation="relu", use_bias=False)(x))
        x = layers.MaxPooling2D(3, 2, "same")(x)
    x = layers.Reshape((-1, 16))(x)
    inside = layers.LayerNormalization(epsilon=1e-5)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=16, dropout=0.1)(inside, inside)])
    weights = ops.softmax(layers.Dense(1)(x), axis=1)
    return close(ops.squeeze(ops.matmul(ops.transpose(weights, (0, 2, 1)), x), -2))


def squeeze_and_excite(x: Tensor) -> Tensor:
    x = layers.Conv2D(16, 3, padding="same", activation="swish")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(16, 1, activation="hard_sigmoid")(layers.Conv2D(4, 1, activation="relu6")(gate))
    x = layers.GroupNormalization(4)(layers.Multiply()([x, gate]))
    return close(layers.GlobalMaxPooling2D()(layers.AveragePooling2D(2)(x)))


NETWORKS = (
    *(convnet, from_scratch, transfer, vision_transformer, mixer, conv_mixer),
    *(compact_transformer, squeeze_and_excite),
)


@pytest.mark.slow
@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_a_network_of_this_kind_is_published(build: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    seen = pixels()
    keras.Model(seen, build(seen)).save(tmp_path / "net.keras")
    (tmp_path / "labels.txt").write_text("\n".join(f"class {place}" for place in range(CLASSES)) + "\n")
    words = ["convert", str(tmp_path / "net.keras"), "--labels", str(tmp_path / "labels.txt")]
    inside = build in (from_scratch, transfer, conv_mixer)  # they scale for themselves
    words += ["--preprocessing", "none" if inside else "unit", "--name", "net"]
    assert main([*words, "--repository", str(tmp_path / "repository")]) == 0
    card = read_card(tmp_path / "repository/net/1")
    assert card.head == "softmax"
    assert card.proof.max_abs_difference <= 1e-4
