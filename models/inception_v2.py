"""Inception v2, or BN-Inception (Ioffe, Szegedy 2015): GoogLeNet with batch normalization."""

import keras

from models.convolution import classify, max_pool
from models.inception import Branch, Conv, module, normalized_unit
from models.network import Network
from models.shapes import choose_stem, image_input

PAPER = "Ioffe and Szegedy, Batch normalization: accelerating deep network training, 2015"

# 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool projection: the paper's figure 5.
# 0 stands for a branch that is not there; such a module halves the map, and its pool passes through.
MODULES = {
    "3a": (64, 64, 64, 64, 96, 32),  # 28x28x256 at 224x224
    "3b": (64, 64, 96, 64, 96, 64),  # 28x28x320
    "3c": (0, 128, 160, 64, 96, 0),  # 14x14x576
    "4a": (224, 64, 96, 96, 128, 128),  # 14x14x576
    "4b": (192, 96, 128, 96, 128, 128),  # 14x14x576
    "4c": (160, 128, 160, 128, 160, 96),  # 14x14x576
    "4d": (96, 128, 192, 160, 192, 96),  # 14x14x576
    "4e": (0, 128, 192, 192, 256, 0),  # 7x7x1024
    "5a": (352, 192, 320, 160, 224, 128),  # 7x7x1024
    "5b": (352, 192, 320, 192, 224, 128),  # 7x7x1024
}


def inception_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: float = 1.0,
    stem: str | None = None,
) -> keras.Model:
    """BN-Inception, 11,194,984 parameters: BN after each convolution, two 3x3 for each 5x5, mean pooling.

    stem="imagenet" is the paper's; "small", the default below 64 pixels, is one 3x3 convolution at stride 1
    without pooling (as for GoogLeNet, kuangliu's practice). `width` thins every convolution, to no fewer
    than 16 filters.

    The paper's table prints a projection of 128 in 4c and 4d, which sums to 608 beside an output of 576: we
    take slim's 96, which sums to 576. slim's first layer is separable; ours is the plain 7x7 of the paper's
    figure. Momentum and epsilon are torchvision's, because the paper gives none. As the paper advises, there
    is no dropout.
    """
    stem = choose_stem("inception_v2", stem, input_shape)
    unit = normalized_unit("inception_v2", width)
    image = image_input("inception_v2", input_shape, classes, minimum=17 if stem == "imagenet" else 3)
    if stem == "imagenet":
        x = unit(image, 64, 7, 2, name="conv1")  # 112x112x64
        x = max_pool(x, name="pool1")  # 56x56x64
        x = unit(x, 64, 1, name="conv2_reduce")  # 56x56x64
        x = unit(x, 192, 3, name="conv2")  # 56x56x192
        x = max_pool(x, name="pool2")  # 28x28x192
    else:
        x = unit(image, 192, 3, name="conv1")  # as large as the image
    for name, numbers in MODULES.items():
        pool = "max" if name == "5b" else "mean"
        x = module(x, _branches(*numbers, pool=pool), unit, name=f"inception_{name}")
    return keras.Model(image, classify(x, classes), name="inception_v2")


def _branches(
    one: int, reduce3: int, three: int, reduce_double: int, double: int, projection: int, pool: str
) -> list[Branch]:
    if one == 0:
        return [
            [Conv(reduce3, 1), Conv(three, 3, 2)],
            [Conv(reduce_double, 1), Conv(double, 3), Conv(double, 3, 2)],
            ["max/2"],
        ]
    return [
        [Conv(one, 1)],
        [Conv(reduce3, 1), Conv(three, 3)],
        [Conv(reduce_double, 1), Conv(double, 3), Conv(double, 3)],
        [pool, Conv(projection, 1)],
    ]


NETWORKS: dict[str, Network] = {
    "inception_v2": Network(
        build=inception_v2,
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2015,
        parameters=11_194_984,
        multiply_adds=2_018_851_840,
        published_error="top-1/5 25.2/7.8 %",
        story="Batch normalization: the same accuracy in a fourteenth of the steps.",
    ),
}
