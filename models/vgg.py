"""VGG (Simonyan, Zisserman 2014): nothing but 3x3 windows, and ever more of them."""

from functools import partial

import keras
from keras import layers

from models.alexnet import InitialValues, classify_dense, initial_values
from models.convolution import Tensor, convolution, max_pool
from models.network import Network
from models.shapes import image_input

PAPER = "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2014"

# Kernel sizes, a stage each; the paper's columns A, B, C, D, E.
STAGES = {
    "vgg11": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "vgg13": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "vgg16c": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "vgg16": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "vgg19": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
FILTERS = (64, 128, 256, 512, 512)  # at 224x224, pooled: 112x112, 56x56, 28x28, 14x14, 7x7


def vgg(
    network: str,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    initial: str = "he_normal",
) -> keras.Model:
    """A VGG by name. Pools round up, so that 28x28 images pass all five: 28-14-7-4-2-1.

    initial="paper" takes those of the paper's A: normal with standard deviation 0.01, biases 0; it starts the deeper
    ones from A. initial="glorot_uniform" is what the paper names in its place, and needs no A. The default is He's.
    """
    image = image_input(network, input_shape, classes, minimum=17)  # the fifth pool still finds 2x2
    x = image
    for stage, (filters, kernels) in enumerate(zip(FILTERS, STAGES[network], strict=True), 1):
        for i, kernel in enumerate(kernels, 1):
            x = _convolution(x, filters, kernel, initial_values(network, initial), name=f"conv{stage}_{i}")
        x = max_pool(x, 2, name=f"pool{stage}")
    return keras.Model(image, classify_dense(x, classes, network, initial), name=network)


def vgg11_series(
    input_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10, initial: str = "he_normal"
) -> keras.Model:
    """The series' listing for digits: eight convolutions and three dense layers, 16,230,346 parameters.

    initial="listing" takes the listing's initial values (normal with standard deviation 0.1, cut at two of them; biases
    0.1), with which the first losses are in the hundreds; He's learn faster from digits and are the default.
    """
    if initial not in {"he_normal", "listing"}:
        raise ValueError(f'vgg11_series: initial="{initial}" does not exist: choose "he_normal" or "listing"')

    def values() -> InitialValues:
        if initial == "he_normal":
            return InitialValues("he_normal", "zeros")
        return InitialValues(keras.initializers.TruncatedNormal(stddev=0.1), keras.initializers.Constant(0.1))

    image = image_input("vgg11_series", input_shape, classes, minimum=3)
    x = image
    for stage, (filters, depth) in enumerate([(64, 2), (128, 2), (256, 4)], 1):
        for i in range(1, depth + 1):
            x = _convolution(x, filters, 3, values(), name=f"conv{stage}_{i}")
        x = max_pool(x, 2, strides=2 if stage < 3 else 1, name=f"pool{stage}")  # 14x14, 7x7, and 7x7 stays
    x = layers.Flatten(name="flatten")(x)  # 12,544
    for name, units in (("fc1", 1024), ("fc2", 1024), ("logits", classes)):
        kernel, bias = values()
        last = name == "logits"
        x = layers.Dense(
            units,
            activation=None if last else "relu",
            kernel_initializer=kernel,
            bias_initializer=bias,
            name=name,
            dtype="float32" if last else None,
        )(x)
        if not last:
            x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    return keras.Model(image, x, name="vgg11_series")


def _convolution(x: Tensor, filters: int, kernel: int, values: InitialValues, *, name: str) -> Tensor:
    x = convolution(x, filters, kernel, initial=values.kernel, initial_bias=values.bias, name=name)
    return layers.ReLU(name=f"{name}_relu")(x)


NETWORKS: dict[str, Network] = {
    "vgg11": Network(
        build=partial(vgg, "vgg11"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2014,
        parameters=132_863_336,
        multiply_adds=7_609_090_048,
        published_error="top-1/5 29.6/10.4 %",
        story="Configuration A: only 3x3 windows, and the start for training the deeper ones.",
    ),
    "vgg13": Network(
        build=partial(vgg, "vgg13"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2014,
        parameters=133_047_848,
        multiply_adds=11_308_466_176,
        published_error="top-1/5 28.7/9.9 %",
        story="Configuration B: two 3x3 windows in every stage see what one 5x5 sees.",
    ),
    "vgg16c": Network(
        build=partial(vgg, "vgg16c"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2014,
        parameters=133_638_952,
        multiply_adds=11_770_888_192,
        published_error="top-1/5 27.3/8.8 %",
        story="Configuration C: 1x1 windows add nonlinearity, and less than 3x3 would.",
    ),
    "vgg16": Network(
        build=partial(vgg, "vgg16"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2014,
        parameters=138_357_544,
        multiply_adds=15_470_264_320,
        published_error="top-1/5 25.6/8.1 %",
        story="Configuration D: three 3x3 windows a stage, for years everybody's feature extractor.",
    ),
    "vgg19": Network(
        build=partial(vgg, "vgg19"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2014,
        parameters=143_667_240,
        multiply_adds=19_632_062_464,
        published_error="top-1/5 25.5/8.0 %",
        story="Configuration E: plain depth stops paying at 19 layers.",
    ),
    "vgg11_series": Network(
        build=vgg11_series,
        input_shape=(28, 28, 1),
        classes=10,
        paper=PAPER,
        year=2014,
        parameters=16_230_346,
        multiply_adds=187_763_712,
        published_error="",
        story="The series' listing of VGG11: three stages for digits of 28x28.",
    ),
}
