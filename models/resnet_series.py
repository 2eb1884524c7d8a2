"""The series' listing of ResNet18, for CIFAR-100: its own stem, biases and shortcuts."""

import keras
from keras import layers

from models.convolution import Tensor, classify, convolution, max_pool, normalize
from models.network import Network
from models.residual import add
from models.resnet import PAPER
from models.shapes import image_input


def resnet18_series(input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 100) -> keras.Model:
    """The listing's 18 layers, 11,223,140 parameters with 100 classes.

    Its convolutions have biases beside BN, a projection has no BN, and is there only where the stride is 2;
    the stem is a 3x3 without padding, then 2x2 pooling at stride 1. The listing subclasses layers; this is
    functional.
    """
    image = image_input("resnet18_series", input_shape, classes, minimum=7)
    x = normalize(convolution(image, 64, 3, padding="valid", name="conv1"), name="conv1")  # 30x30x64
    x = max_pool(x, 2, 1, name="pool1")  # 30x30x64
    for stage, filters in enumerate((64, 128, 256, 512), 1):  # 30x30, 15x15, 8x8, 4x4
        for i in (1, 2):
            strides = 2 if stage > 1 and i == 1 else 1
            x = _block(x, filters, strides, name=f"stage{stage}_block{i}")
    return keras.Model(image, classify(x, classes), name="resnet18_series")


def _block(x: Tensor, filters: int, strides: int, *, name: str) -> Tensor:
    shortcut = x
    if strides == 2:
        shortcut = layers.Conv2D(filters, 1, 2, kernel_initializer="he_normal", name=f"{name}_shortcut")(x)
    y = normalize(convolution(x, filters, 3, strides, name=f"{name}_1"), name=f"{name}_1")
    y = normalize(convolution(y, filters, 3, name=f"{name}_2"), relu=False, name=f"{name}_2")
    return add(y, shortcut, name=name)


NETWORKS: dict[str, Network] = {
    "resnet18_series": Network(
        build=resnet18_series,
        input_shape=(32, 32, 3),
        classes=100,
        paper=PAPER,
        year=2015,
        parameters=11_223_140,
        multiply_adds=520_717_056,
        published_error="",
        story="The series' listing of ResNet18, for CIFAR-100.",
    ),
}
