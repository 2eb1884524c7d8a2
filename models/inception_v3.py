"""Inception v3 (Szegedy et al. 2015), as the series' listing and slim have it."""

import keras
from keras import layers

from models.convolution import BATCH_NORM, Tensor, classify, convolution, max_pool, normalize
from models.inception import Branch, Conv, Unit, head_window, module, normalized_unit
from models.network import Network
from models.shapes import choose_stem, image_input

PAPER = "Szegedy et al., Rethinking the Inception architecture for computer vision, 2015"


def _a(projection: int) -> list[Branch]:
    return [
        [Conv(64, 1)],
        [Conv(48, 1), Conv(64, 5)],
        [Conv(64, 1), Conv(96, 3), Conv(96, 3)],
        ["mean", Conv(projection, 1)],
    ]


def _b(n: int) -> list[Branch]:
    row, column = (1, 7), (7, 1)
    return [
        [Conv(192, 1)],
        [Conv(n, 1), Conv(n, row), Conv(192, column)],
        [Conv(n, 1), Conv(n, column), Conv(n, row), Conv(n, column), Conv(192, row)],
        ["mean", Conv(192, 1)],
    ]


def _c() -> list[Branch]:
    fork: list[Branch] = [[Conv(384, (1, 3))], [Conv(384, (3, 1))]]
    return [[Conv(320, 1)], [Conv(384, 1), fork], [Conv(448, 1), Conv(384, 3), fork], ["mean", Conv(192, 1)]]


MODULES: dict[str, list[Branch]] = {
    "5b": _a(32),  # 35x35x256 at 299x299
    "5c": _a(64),  # 35x35x288
    "5d": _a(64),  # 35x35x288
    "6a": [  # 17x17x768
        [Conv(384, 3, 2, "valid")],
        [Conv(64, 1), Conv(96, 3), Conv(96, 3, 2, "valid")],
        ["max/2 valid"],
    ],
    "6b": _b(128),  # 17x17x768
    "6c": _b(160),
    "6d": _b(160),
    "6e": _b(192),
    "7a": [  # 8x8x1280
        [Conv(192, 1), Conv(320, 3, 2, "valid")],
        [Conv(192, 1), Conv(192, (1, 7)), Conv(192, (7, 1)), Conv(192, 3, 2, "valid")],
        ["max/2 valid"],
    ],
    "7b": _c(),  # 8x8x2048
    "7c": _c(),  # 8x8x2048
}


def inception_v3(
    input_shape: tuple[int, int, int] = (299, 299, 3),
    classes: int = 1000,
    width: float = 1.0,
    stem: str | None = None,
    auxiliary: bool = False,
    bn_scale: bool = True,
    bn_momentum: float = 0.9,
    initial: str = "he_normal",
) -> keras.Model:
    """Inception v3: 23,834,568 parameters, or 23,817,352 with bn_scale=False as slim and the listing have it.

    stem="imagenet" is the paper's; "small", the default below 75 pixels (the least that the paper's can
    take), is one 3x3 convolution of 192 filters at stride 1 without pooling, ours after the usual one for
    GoogLeNet on CIFAR. `width` thins every convolution, to no fewer than 16 filters.

    auxiliary=True gives a dict: "logits", "auxiliary_6e" (3,326,696 more parameters). On maps of small images
    its 5x5 windows shrink to the map.

    The listing prints the parameters of batch normalization but applies none; ours has it, epsilon 1e-3. Its
    momentum 0.9997 needs ten thousand steps before inference can trust the statistics, so it is an argument
    and 0.9 the default. initial="listing" takes the listing's initial values: normal with standard deviation 0.1, cut
    at two of them (in the auxiliary head 0.01 and 0.001).
    """
    if initial not in {"he_normal", "listing"}:
        raise ValueError(f'inception_v3: initial="{initial}" does not exist: choose "he_normal" or "listing"')

    def values(deviation: float = 0.1) -> object:
        return "he_normal" if initial == "he_normal" else keras.initializers.TruncatedNormal(stddev=deviation)

    settings = {**BATCH_NORM, "epsilon": 1e-3, "momentum": bn_momentum, "scale": bn_scale}
    stem = choose_stem("inception_v3", stem, input_shape, small_below=75)
    unit = normalized_unit("inception_v3", width, settings, values)
    image = image_input("inception_v3", input_shape, classes, minimum=75 if stem == "imagenet" else 7)
    x = _imagenet_stem(image, unit) if stem == "imagenet" else unit(image, 192, 3, name="conv1")
    heads = {}
    for name, branches in MODULES.items():
        x = module(x, branches, unit, name=f"mixed_{name}")
        if auxiliary and name == "6e":
            y = layers.AveragePooling2D(head_window(x), 3, name="auxiliary_6e_pool")(x)  # 5x5x768
            y = unit(y, 128, 1, name="auxiliary_6e_1")
            y = convolution(
                y,
                768,
                head_window(y),
                padding="valid",
                bias=False,
                initial=values(0.01),
                name="auxiliary_6e_2",
            )  # 1x1x768
            y = normalize(y, settings=settings, name="auxiliary_6e_2")
            y = layers.GlobalAveragePooling2D(name="auxiliary_6e_mean")(y)
            kernel = "glorot_uniform" if initial == "he_normal" else values(0.001)
            heads["auxiliary_6e"] = layers.Dense(
                classes, kernel_initializer=kernel, name="auxiliary_6e", dtype="float32"
            )(y)
    logits = classify(x, classes, dropout=0.2)
    return keras.Model(image, {"logits": logits, **heads} if heads else logits, name="inception_v3")


def _imagenet_stem(x: Tensor, unit: Unit) -> Tensor:
    x = unit(x, 32, 3, 2, "valid", name="conv1a")  # 149x149x32
    x = unit(x, 32, 3, 1, "valid", name="conv2a")  # 147x147x32
    x = unit(x, 64, 3, name="conv2b")  # 147x147x64
    x = max_pool(x, padding="valid", name="pool3a")  # 73x73x64
    x = unit(x, 80, 1, name="conv3b")  # 73x73x80
    x = unit(x, 192, 3, 1, "valid", name="conv4a")  # 71x71x192
    return max_pool(x, padding="valid", name="pool5a")  # 35x35x192


NETWORKS: dict[str, Network] = {
    "inception_v3": Network(
        build=inception_v3,
        input_shape=(299, 299, 3),
        classes=1000,
        paper=PAPER,
        year=2015,
        parameters=23_834_568,
        multiply_adds=5_713_216_096,
        published_error="top-1/5 21.2/5.6 %",
        story="Large windows factorized into rows and columns, labels smoothed.",
        auxiliary={"auxiliary_6e": 0.4},
    ),
}
