"""The 1001-layer residual network (He et al. 2016): normalization and ReLU before each convolution."""

import keras
from keras import layers

from models.convolution import Tensor, classify, convolution, normalize
from models.depth import deep_recursion
from models.network import Network
from models.shapes import image_input

PAPER = "He et al., Identity mappings in deep residual networks, 2016"


def resnet1001(input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, blocks: int = 111) -> keras.Model:
    """Three stages of 111 pre-activation bottlenecks, 10,327,706 parameters (the paper rounds to 10.2 M).

    `blocks` a stage make 9 * blocks + 2 layers: the paper's 164 layers are 18. The stride is on the 3x3, as
    in the other residual networks here. Loading or converting the full depth needs
    models.depth.deep_recursion, too.
    """
    if not isinstance(blocks, int) or blocks < 1:
        raise ValueError(f"resnet1001: blocks={blocks}: give the bottlenecks of a stage, 1 or more")
    image = image_input("resnet1001", input_shape, classes, minimum=3)
    with deep_recursion():
        x = convolution(image, 16, 3, bias=False, name="conv1")  # 32x32x16
        for stage, filters in enumerate((16, 32, 64), 1):  # 32x32x64, 16x16x128, 8x8x256
            for i in range(1, blocks + 1):
                strides = 2 if stage > 1 and i == 1 else 1
                x = _bottleneck(x, filters, strides, name=f"stage{stage}_block{i}")
        x = normalize(x, name="last")
        return keras.Model(image, classify(x, classes), name="resnet1001")


def _bottleneck(x: Tensor, filters: int, strides: int, *, name: str) -> Tensor:
    y = normalize(x, name=f"{name}_0")
    shortcut = x
    if x.shape[-1] != 4 * filters:  # the first block of a stage: projected from what its convolutions see
        shortcut = convolution(y, 4 * filters, 1, strides, bias=False, name=f"{name}_shortcut")
    y = convolution(y, filters, 1, bias=False, name=f"{name}_1")
    y = convolution(normalize(y, name=f"{name}_1"), filters, 3, strides, bias=False, name=f"{name}_2")
    y = convolution(normalize(y, name=f"{name}_2"), 4 * filters, 1, bias=False, name=f"{name}_3")
    return layers.Add(name=f"{name}_add")([shortcut, y])


NETWORKS: dict[str, Network] = {
    "resnet1001": Network(
        build=resnet1001,
        input_shape=(32, 32, 3),
        classes=10,
        paper=PAPER,
        year=2016,
        parameters=10_327_706,
        multiply_adds=1_490_995_712,
        published_error="CIFAR-10 4.92 % (batch 128), 4.62 % (batch 64)",
        story="Normalization first leaves the shortcut clean: a thousand layers train.",
    ),
}
