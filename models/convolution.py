"""The one convolution that all families are made of: symmetric padding, He's initial values, optional BN."""

from collections.abc import Mapping
from typing import TypeAlias

import keras
from keras import layers

Tensor: TypeAlias = keras.KerasTensor
Size: TypeAlias = int | tuple[int, int]

# torchvision's, where a paper gives none; momentum as Keras counts it (torchvision's 0.1). Keras' own 0.99
# needs more steps than a short training has.
BATCH_NORM: Mapping[str, object] = {"momentum": 0.9, "epsilon": 1e-5}


def convolution(
    x: Tensor,
    filters: int,
    kernel: Size,
    strides: int = 1,
    *,
    name: str,
    padding: str = "same",
    groups: int = 1,
    bias: bool = True,
    initial: object = "he_normal",
    initial_bias: object = "zeros",
) -> Tensor:
    """A convolution without activation, float [n, h, w, c] -> [n, h / strides, w / strides, filters].

    With strides, "same" pads both sides alike, as Caffe and torchvision do; Keras' own "same" pads the far
    side more, so that weights from there would look one pixel aside.
    """
    if strides > 1 and padding == "same":
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        x = layers.ZeroPadding2D((height // 2, width // 2), name=f"{name}_pad")(x)
        padding = "valid"
    return layers.Conv2D(
        filters,
        kernel,
        strides,
        padding=padding,
        groups=groups,
        use_bias=bias,
        kernel_initializer=initial,
        bias_initializer=initial_bias,
        name=name,
    )(x)


def normalize(x: Tensor, *, name: str, relu: bool = True, settings: Mapping[str, object] = BATCH_NORM) -> Tensor:
    """Batch normalization, then ReLU."""
    x = layers.BatchNormalization(**settings, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def max_pool(x: Tensor, size: int = 3, strides: int = 2, *, name: str, padding: str = "same") -> Tensor:
    """Max pooling; "same" rounds sizes up, as the pools of AlexNet's time do (112 -> 56, 7 -> 4)."""
    return layers.MaxPooling2D(size, strides, padding=padding, name=name)(x)


def classify(x: Tensor, classes: int, dropout: float = 0.0) -> Tensor:
    """The mean over positions, dropout, logits: the end of every network from GoogLeNet on.

    Its layers are named "pool" and "logits", so that class activation maps can find them. Logits stay float32
    under mixed precision.
    """
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits", dtype="float32")(x)
