"""GoogLeNet, the first Inception (Szegedy et al. 2014), winner of 2014."""

import keras
from keras import layers

from models.convolution import Size, Tensor, classify, convolution, max_pool, normalize
from models.inception import Branch, Conv, Unit, head_window, module, thin
from models.network import Network
from models.response_normalization import LocalResponseNormalization
from models.shapes import choose_stem, image_input

PAPER = "Szegedy et al., Going deeper with convolutions, 2014"

# 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection: the paper's table 1
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),  # 28x28x256 at 224x224
    "3b": (128, 128, 192, 32, 96, 64),  # 28x28x480, pooled 14x14
    "4a": (192, 96, 208, 16, 48, 64),  # 14x14x512
    "4b": (160, 112, 224, 24, 64, 64),  # 14x14x512
    "4c": (128, 128, 256, 24, 64, 64),  # 14x14x512
    "4d": (112, 144, 288, 32, 64, 64),  # 14x14x528
    "4e": (256, 160, 320, 32, 128, 128),  # 14x14x832, pooled 7x7
    "5a": (256, 160, 320, 32, 128, 128),  # 7x7x832
    "5b": (384, 192, 384, 48, 128, 128),  # 7x7x1024
}
POOL_AFTER = {"3b", "4e"}
HEAD_AFTER = {"4a", "4d"}


def googlenet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: float = 1.0,
    stem: str | None = None,
    auxiliary: bool = False,
    batch_normalization: bool = False,
) -> keras.Model:
    """GoogLeNet, 6,998,552 parameters (6,379,728 more in the two heads for training); no batch normalization.

    stem="imagenet" is the paper's; "small", the default below 64 pixels, is one 3x3 convolution at stride 1
    without pooling, as kuangliu's widely used networks for CIFAR have it: 28x28 and 32x32 images then meet
    the modules at full size. `width` thins every convolution, to no fewer than 16 filters.

    auxiliary=True gives a dict: "logits", "auxiliary_4a", "auxiliary_4d". On maps smaller than 5x5 their
    pooling window shrinks to the map.

    The paper gives neither initial values nor the constants of its response normalization: He's and AlexNet's
    here. batch_normalization=True, not in the paper (torchvision's has it), replaces biases and response
    normalization and trains in far fewer steps.
    """
    stem = choose_stem("googlenet", stem, input_shape)

    def unit(x: Tensor, filters: int, kernel: Size, strides: int = 1, padding: str = "same", *, name: str) -> Tensor:
        filters = thin("googlenet", filters, width)
        x = convolution(x, filters, kernel, strides, bias=not batch_normalization, name=name)
        if batch_normalization:
            return normalize(x, name=name)
        return layers.ReLU(name=f"{name}_relu")(x)

    def normalize_response(x: Tensor, *, name: str) -> Tensor:
        return x if batch_normalization else LocalResponseNormalization(name=name, dtype="float32")(x)

    image = image_input("googlenet", input_shape, classes, minimum=17 if stem == "imagenet" else 3)
    if stem == "imagenet":
        x = unit(image, 64, 7, 2, name="conv1")  # 112x112x64
        x = max_pool(x, name="pool1")  # 56x56x64
        x = normalize_response(x, name="norm1")
        x = unit(x, 64, 1, name="conv2_reduce")  # 56x56x64
        x = unit(x, 192, 3, name="conv2")  # 56x56x192
        x = normalize_response(x, name="norm2")
        x = max_pool(x, name="pool2")  # 28x28x192
    else:
        x = unit(image, 192, 3, name="conv1")  # as large as the image
    heads = {}
    for name, numbers in MODULES.items():
        x = module(x, _branches(*numbers), unit, name=f"inception_{name}")
        if name in POOL_AFTER:
            x = max_pool(x, name=f"pool{name[0]}")
        if auxiliary and name in HEAD_AFTER:
            heads[f"auxiliary_{name}"] = _head(x, classes, unit, name=f"auxiliary_{name}")
    logits = classify(x, classes, dropout=0.4)
    return keras.Model(image, {"logits": logits, **heads} if heads else logits, name="googlenet")


def _branches(one: int, reduce3: int, three: int, reduce5: int, five: int, projection: int) -> list[Branch]:
    return [
        [Conv(one, 1)],
        [Conv(reduce3, 1), Conv(three, 3)],
        [Conv(reduce5, 1), Conv(five, 5)],
        ["max", Conv(projection, 1)],
    ]


def _head(x: Tensor, classes: int, unit: Unit, *, name: str) -> Tensor:
    x = layers.AveragePooling2D(head_window(x), 3, name=f"{name}_pool")(x)  # 4x4
    x = unit(x, 128, 1, name=f"{name}_conv")
    x = layers.Flatten(name=f"{name}_flatten")(x)
    x = layers.Dense(1024, activation="relu", kernel_initializer="he_normal", name=f"{name}_fc")(x)
    x = layers.Dropout(0.7, name=f"{name}_dropout")(x)
    return layers.Dense(classes, name=name, dtype="float32")(x)


NETWORKS: dict[str, Network] = {
    "googlenet": Network(
        build=googlenet,
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2014,
        parameters=6_998_552,
        multiply_adds=1_582_671_872,
        published_error="top-5 10.07 % (one crop)",
        story="Inception v1, won 2014: split, transform, merge, with a ninth of AlexNet's parameters.",
        auxiliary={"auxiliary_4a": 0.3, "auxiliary_4d": 0.3},
    ),
}
