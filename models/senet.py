"""Squeeze-and-excitation networks (Hu et al. 2017), winner of 2017: residual blocks whose channels a gate scales."""

from functools import partial

import keras
from keras import layers

from models.convolution import Tensor, convolution, normalize
from models.network import Network
from models.residual import add, bottleneck, pool_stem, project, residual_network
from models.shapes import check_width

PAPER = "Hu et al., Squeeze-and-excitation networks, 2017"

REDUCTION = 16


def gate(x: Tensor, *, name: str) -> Tensor:
    """Squeeze (mean over positions), excite (two dense layers), scale: float [n, h, w, c] -> the same."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(name=f"{name}_squeeze")(x)
    y = layers.Dense(
        max(1, channels // REDUCTION),
        activation="relu",
        kernel_initializer="he_normal",
        name=f"{name}_reduce",
    )(y)
    y = layers.Dense(channels, activation="sigmoid", name=f"{name}_excite")(y)
    y = layers.Reshape((1, 1, channels), name=f"{name}_reshape")(y)
    return layers.Multiply(name=f"{name}_scale")([x, y])


# Groups and width multiplier of the 3x3, blocks in each stage.
STAGES = {
    "se_resnet50": (1, 1, (3, 4, 6, 3)),
    "se_resnext50_32x4d": (32, 2, (3, 4, 6, 3)),
}


def senet(
    network: str,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: int = 64,
    stem: str | None = None,
) -> keras.Model:
    """SE-ResNet50 or SE-ResNeXt50: a gate after each block's last BN. The stride is on the 3x3; the gates' dense layers
    have biases.

    `width` is the base width of the first stage, a positive multiple of 1 (se_resnet50) or 16 (se_resnext50_32x4d), so
    that the 32 groups divide its channels. `stem` is "imagenet" (7x7 at stride 2 and pooling), "small" (one 3x3 at
    stride 1 without pooling), or None: "small" below 64 pixels. Raises ValueError for other values, and for an
    `input_shape` that is too small.
    """
    groups, width_multiplier, blocks = STAGES[network]
    check_width(network, width, multiple_of=groups // width_multiplier)
    block = partial(bottleneck, groups=groups, width_multiplier=width_multiplier, gate=gate)
    return residual_network(network, input_shape, classes, block, blocks, width, stem)


def senet154(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: int = 64,
    stem: str | None = None,
) -> keras.Model:
    """SENet-154, 115,088,984 parameters: ResNeXt152 in 64 groups, with a stem of three 3x3 convolutions.

    The first 1x1 of a block has half the width of its 3x3, projections are 3x3 from the second stage on,
    dropout 0.2 comes before the logits. `stem` is "imagenet", "small" (one 3x3 at stride 1 without pooling), or
    None: "small" below 64 pixels. `width` is the base width of the first stage, a positive multiple of 32, so that the
    64 groups divide its channels. Raises ValueError for other values, and for an `input_shape` that is too small.
    """
    check_width("senet154", width, multiple_of=32)
    return residual_network(
        "senet154", input_shape, classes, _block154, (3, 8, 36, 3), width, stem, _stem154, dropout=0.2
    )


def _block154(x: Tensor, filters: int, strides: int, *, name: str) -> Tensor:
    shortcut = project(x, 4 * filters, strides, kernel=3 if strides == 2 else 1, name=name)
    y = normalize(convolution(x, 2 * filters, 1, bias=False, name=f"{name}_1"), name=f"{name}_1")
    y = convolution(y, 4 * filters, 3, strides, groups=64, bias=False, name=f"{name}_2")
    y = normalize(y, name=f"{name}_2")
    y = convolution(y, 4 * filters, 1, bias=False, name=f"{name}_3")
    y = normalize(y, relu=False, name=f"{name}_3")
    return add(gate(y, name=f"{name}_gate"), shortcut, name=name)


def _stem154(x: Tensor, width: int) -> Tensor:
    for i, (filters, strides) in enumerate([(width, 2), (width, 1), (2 * width, 1)], 1):
        x = convolution(x, filters, 3, strides, bias=False, name=f"conv1_{i}")  # 112x112x64, 64, 128
        x = normalize(x, name=f"conv1_{i}")
    return pool_stem(x)  # 56x56x128


NETWORKS: dict[str, Network] = {
    "se_resnet50": Network(
        build=partial(senet, "se_resnet50"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2017,
        parameters=28_088_024,
        multiply_adds=4_091_699_200,
        published_error="top-1/5 23.29/6.62 %",
        story="Gates weigh channels by the whole image: nearly ResNet101's accuracy at ResNet50's cost.",
    ),
    "se_resnext50_32x4d": Network(
        build=partial(senet, "se_resnext50_32x4d"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2017,
        parameters=27_559_896,
        multiply_adds=4_232_994_816,
        published_error="top-1/5 21.10/5.49 %",
        story="The same gates in ResNeXt: they fit any block.",
    ),
    "senet154": Network(
        build=senet154,
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2017,
        parameters=115_088_984,
        multiply_adds=20_688_363_520,
        published_error="top-1/5 18.68/4.47 %",
        story="Won 2017, the last ILSVRC: everything the series learned, in 154 layers.",
    ),
}
