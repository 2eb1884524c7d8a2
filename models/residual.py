"""What all residual networks share: the stages and their blocks; ResNeXt and SENet change only the block."""

from collections.abc import Callable, Sequence
from typing import Protocol

import keras
from keras import layers

from models.convolution import Tensor, classify, convolution, max_pool, normalize
from models.shapes import check_width, choose_stem, image_input


class Block(Protocol):
    """x -> x + f(x), with `filters` the base width of its stage; strides of 2 halve the map."""

    def __call__(self, x: Tensor, filters: int, strides: int, *, name: str) -> Tensor: ...


def basic(x: Tensor, filters: int, strides: int, *, name: str) -> Tensor:
    """Two 3x3 convolutions: the block of 18 and 34 layers."""
    shortcut = project(x, filters, strides, name=name)
    y = convolution(x, filters, 3, strides, bias=False, name=f"{name}_1")
    y = normalize(y, name=f"{name}_1")
    y = convolution(y, filters, 3, bias=False, name=f"{name}_2")
    y = normalize(y, relu=False, name=f"{name}_2")
    return add(y, shortcut, name=name)


def bottleneck(
    x: Tensor,
    filters: int,
    strides: int,
    *,
    name: str,
    width_multiplier: int = 1,
    groups: int = 1,
    gate: Callable[..., Tensor] | None = None,
) -> Tensor:
    """1x1 down, 3x3, 1x1 up to four times `filters`: the block of 50 layers and more. The stride is on the 3x3.

    The 3x3 has `width_multiplier` times `filters` channels, in `groups` groups (ResNeXt). `gate` scales the channels
    before the addition (SENet).
    """
    shortcut = project(x, 4 * filters, strides, name=name)
    y = convolution(x, width_multiplier * filters, 1, bias=False, name=f"{name}_1")
    y = normalize(y, name=f"{name}_1")
    y = convolution(y, width_multiplier * filters, 3, strides, groups=groups, bias=False, name=f"{name}_2")
    y = normalize(y, name=f"{name}_2")
    y = convolution(y, 4 * filters, 1, bias=False, name=f"{name}_3")
    y = normalize(y, relu=False, name=f"{name}_3")
    if gate:
        y = gate(y, name=f"{name}_gate")
    return add(y, shortcut, name=name)


def residual_network(
    network: str,
    input_shape: tuple[int, int, int],
    classes: int,
    block: Block,
    blocks: Sequence[int],
    width: int,
    stem: str | None,
    imagenet_stem: Callable[[Tensor, int], Tensor] | None = None,
    dropout: float = 0.0,
) -> keras.Model:
    """A residual network: stem, four stages, global average pooling, logits.

    `blocks` is the number of blocks in each stage, `width` the base width of the first stage, doubled in each further
    one. `stem` is "imagenet", "small" or None (by the size of the images); `imagenet_stem` replaces the 7x7 stem.
    `dropout` is before the logits. Raises ValueError for a width, stem or input shape that doesn't fit.
    """
    check_width(network, width)
    stem = choose_stem(network, stem, input_shape)
    image = image_input(network, input_shape, classes, minimum=17 if stem == "imagenet" else 5)
    if stem == "imagenet":
        x = (imagenet_stem or _imagenet_stem)(image, width)  # 56x56x64 at 224x224
    else:
        x = normalize(convolution(image, width, 3, bias=False, name="conv1"), name="conv1")
    for stage, depth in enumerate(blocks, 1):  # 56x56x64, 28x28x128, 14x14x256, 7x7x512; bottlenecks 4 times as many
        for i in range(1, depth + 1):
            strides = 2 if stage > 1 and i == 1 else 1
            x = block(x, width * 2 ** (stage - 1), strides, name=f"stage{stage}_block{i}")
    return keras.Model(image, classify(x, classes, dropout), name=network)


def _imagenet_stem(x: Tensor, width: int) -> Tensor:
    x = normalize(convolution(x, width, 7, 2, bias=False, name="conv1"), name="conv1")  # 112x112x64
    return pool_stem(x)  # 56x56x64


def pool_stem(x: Tensor) -> Tensor:
    """3x3 max pooling at stride 2, padded by 1 on each side; zeros change no maximum after ReLU."""
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return max_pool(x, padding="valid", name="pool1")


def project(x: Tensor, filters: int, strides: int, *, name: str, kernel: int = 1) -> Tensor:
    """The shortcut: x itself, or where a block changes the shape, its projection with BN."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    x = convolution(x, filters, kernel, strides, bias=False, name=f"{name}_shortcut")
    return normalize(x, relu=False, name=f"{name}_shortcut")


def add(y: Tensor, shortcut: Tensor, *, name: str) -> Tensor:
    """The end of a block, ReLU(y + shortcut): both [batch, h, w, channels]."""
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([y, shortcut]))
