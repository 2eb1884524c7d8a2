"""AlexNet (Krizhevsky, Sutskever, Hinton 2012), winner of 2012, and the series' one-tower listing of it."""

from typing import NamedTuple

import keras
from keras import layers

from models.convolution import convolution, max_pool
from models.network import Network
from models.response_normalization import LocalResponseNormalization
from models.shapes import image_input

PAPER = "Krizhevsky et al., ImageNet classification with deep convolutional neural networks, 2012"

#        filters, kernel, strides, padding, in groups, normalized, pooled       at 227x227
CONVOLUTIONS = (
    (96, 11, 4, "valid", False, True, True),  # 55x55x96, pooled 27x27
    (256, 5, 1, "same", True, True, True),  # 27x27x256, pooled 13x13
    (384, 3, 1, "same", False, False, False),  # 13x13x384
    (384, 3, 1, "same", True, False, False),  # 13x13x384
    (256, 3, 1, "same", True, False, True),  # 13x13x256, pooled 6x6
)
MINIMUM = 67  # pixels: 15-7-3-1 through convolution and pools


def alexnet(
    input_shape: tuple[int, int, int] = (227, 227, 3),
    classes: int = 1000,
    groups: int = 2,
    initial: str = "he_normal",
) -> keras.Model:
    """AlexNet with the paper's two groups, which were its two GPUs: 60,965,224 parameters.

    groups=1 makes one tower of it (62,378,344). The paper prints 224x224 images, but its sizes need 227.
    initial="paper" takes the paper's initial values: normal with standard deviation 0.01, biases 1 in convolutions 2,
    4, 5 and the hidden dense layers. The default is He's, made for ReLU.
    """
    if groups not in {1, 2}:
        raise ValueError(f"alexnet: groups={groups}: give 2, as in the paper, or 1 for one tower")
    return _build("alexnet", input_shape, classes, groups, initial, response_normalization=True)


def alexnet_series(
    input_shape: tuple[int, int, int] = (227, 227, 1), classes: int = 10, initial: str = "he_normal"
) -> keras.Model:
    """The series' listing: one tower, no response normalization, gray, ten classes; 58,299,082 parameters."""
    return _build("alexnet_series", input_shape, classes, 1, initial, response_normalization=False)


def _build(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    groups: int,
    initial: str,
    response_normalization: bool,
) -> keras.Model:
    image = image_input(name, input_shape, classes, minimum=MINIMUM)
    x = image
    for i, (filters, kernel, strides, padding, grouped, normalized, pooled) in enumerate(CONVOLUTIONS, 1):
        values = initial_values(name, initial, one=i in {2, 4, 5})
        x = convolution(
            x,
            filters,
            kernel,
            strides,
            padding=padding,
            groups=groups if grouped else 1,
            initial=values.kernel,
            initial_bias=values.bias,
            name=f"conv{i}",
        )
        x = layers.ReLU(name=f"conv{i}_relu")(x)
        if normalized and response_normalization:
            x = LocalResponseNormalization(name=f"norm{i}", dtype="float32")(x)
        if pooled:
            x = max_pool(x, padding="valid", name=f"pool{i}")
    return keras.Model(image, classify_dense(x, classes, name, initial, one=True), name=name)


def classify_dense(
    x: keras.KerasTensor, classes: int, network: str, initial: str, one: bool = False
) -> keras.KerasTensor:
    """Two hidden layers of 4096 with dropout, then logits: the end of AlexNet, ZFNet and VGG.

    `one` says whether the paper's initial biases of the hidden layers are 1, as AlexNet's are, or 0.
    """
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        values = initial_values(network, initial, one=one)
        x = layers.Dense(
            4096,
            activation="relu",
            kernel_initializer=values.kernel,
            bias_initializer=values.bias,
            name=name,
        )(x)
        x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    kernel = initial_values(network, initial).kernel if initial == "paper" else "glorot_uniform"
    return layers.Dense(classes, kernel_initializer=kernel, name="logits", dtype="float32")(x)


class InitialValues(NamedTuple):
    """A layer's initializers as Keras takes them: objects, or their names."""

    kernel: object
    bias: object


def initial_values(network: str, initial: str, one: bool = False) -> InitialValues:
    """Initial values for one layer of AlexNet, ZFNet or VGG; `one` says where the paper sets biases to 1."""
    if initial in {"he_normal", "glorot_uniform"}:
        return InitialValues(initial, "zeros")
    if initial == "paper":
        return InitialValues(keras.initializers.RandomNormal(stddev=0.01), "ones" if one else "zeros")
    raise ValueError(f'{network}: initial="{initial}" does not exist: choose "he_normal", "paper" or "glorot_uniform"')


NETWORKS: dict[str, Network] = {
    "alexnet": Network(
        build=alexnet,
        input_shape=(227, 227, 3),
        classes=1000,
        paper=PAPER,
        year=2012,
        parameters=60_965_224,
        multiply_adds=724_406_816,
        published_error="top-1/5 40.7/18.2 %",
        story="Won 2012 by ten points: ReLU, dropout, augmentation and two GPUs, which split it into groups.",
    ),
    "alexnet_series": Network(
        build=alexnet_series,
        input_shape=(227, 227, 1),
        classes=10,
        paper=PAPER,
        year=2012,
        parameters=58_299_082,
        multiply_adds=1_060_924_256,
        published_error="",
        story="The series' listing of AlexNet: one tower for gray images, without response normalization.",
    ),
}
