"""Inception v4 (Szegedy et al. 2016): the last Inception network, without shortcuts."""

import keras

from models.convolution import BATCH_NORM, classify
from models.inception import Branch, Conv, module, normalized_unit
from models.network import Network
from models.shapes import choose_stem, image_input

PAPER = "Szegedy et al., Inception-v4, Inception-ResNet and the impact of residual connections, 2016"

ROW, COLUMN = (1, 7), (7, 1)

STEM: dict[str, list[Branch]] = {
    "conv1": [[Conv(32, 3, 2, "valid"), Conv(32, 3, 1, "valid"), Conv(64, 3)]],  # 147x147x64 at 299x299
    "stem_a": [["max/2 valid"], [Conv(96, 3, 2, "valid")]],  # 73x73x160
    "stem_b": [  # 71x71x192
        [Conv(64, 1), Conv(96, 3, 1, "valid")],
        [Conv(64, 1), Conv(64, ROW), Conv(64, COLUMN), Conv(96, 3, 1, "valid")],
    ],
    "stem_c": [[Conv(192, 3, 2, "valid")], ["max/2 valid"]],  # 35x35x384
}
SMALL_STEM: dict[str, list[Branch]] = {"conv1": [[Conv(384, 3)]]}
A: list[Branch] = [
    ["mean", Conv(96, 1)],
    [Conv(96, 1)],
    [Conv(64, 1), Conv(96, 3)],
    [Conv(64, 1), Conv(96, 3), Conv(96, 3)],
]
REDUCTION_A: list[Branch] = [
    ["max/2 valid"],
    [Conv(384, 3, 2, "valid")],
    [Conv(192, 1), Conv(224, 3), Conv(256, 3, 2, "valid")],
]
B: list[Branch] = [
    ["mean", Conv(128, 1)],
    [Conv(384, 1)],
    [Conv(192, 1), Conv(224, ROW), Conv(256, COLUMN)],
    [Conv(192, 1), Conv(192, COLUMN), Conv(224, ROW), Conv(224, COLUMN), Conv(256, ROW)],
]
REDUCTION_B: list[Branch] = [
    ["max/2 valid"],
    [Conv(192, 1), Conv(192, 3, 2, "valid")],
    [Conv(256, 1), Conv(256, ROW), Conv(320, COLUMN), Conv(320, 3, 2, "valid")],
]
C: list[Branch] = [
    ["mean", Conv(256, 1)],
    [Conv(256, 1)],
    [Conv(384, 1), [[Conv(256, (1, 3))], [Conv(256, (3, 1))]]],
    [Conv(384, 1), Conv(448, (1, 3)), Conv(512, (3, 1)), [[Conv(256, (3, 1))], [Conv(256, (1, 3))]]],
]
MODULES: dict[str, list[Branch]] = {
    **{f"a{i}": A for i in range(1, 5)},  # 35x35x384
    "reduction_a": REDUCTION_A,  # 17x17x1024
    **{f"b{i}": B for i in range(1, 8)},  # 17x17x1024
    "reduction_b": REDUCTION_B,  # 8x8x1536
    **{f"c{i}": C for i in range(1, 4)},  # 8x8x1536
}


def inception_v4(
    input_shape: tuple[int, int, int] = (299, 299, 3),
    classes: int = 1000,
    width: float = 1.0,
    stem: str | None = None,
) -> keras.Model:
    """Inception v4, 42,679,816 parameters.

    stem="imagenet" is the paper's; "small", the default below 75 pixels (the least that the paper's can
    take), is one 3x3 convolution of 384 filters at stride 1 without pooling, ours after the usual one for
    GoogLeNet on CIFAR. `width` thins every convolution, to no fewer than 16 filters.

    Batch normalization as in Inception v3: epsilon 1e-3, momentum 0.9, and with a scale, which slim leaves
    out. slim has an auxiliary head; the paper's figures show none.
    """
    stem = choose_stem("inception_v4", stem, input_shape, small_below=75)
    unit = normalized_unit("inception_v4", width, {**BATCH_NORM, "epsilon": 1e-3})
    image = image_input("inception_v4", input_shape, classes, minimum=75 if stem == "imagenet" else 7)
    x = image
    for name, branches in ((STEM if stem == "imagenet" else SMALL_STEM) | MODULES).items():
        x = module(x, branches, unit, name=name)
    return keras.Model(image, classify(x, classes, dropout=0.2), name="inception_v4")


NETWORKS: dict[str, Network] = {
    "inception_v4": Network(
        build=inception_v4,
        input_shape=(299, 299, 3),
        classes=1000,
        paper=PAPER,
        year=2016,
        parameters=42_679_816,
        multiply_adds=12_253_974_624,
        published_error="top-1/5 20.0/5.0 %",
        story="One regular Inception, deeper and wider, as good as its residual sisters.",
    ),
}
