"""ZFNet (Zeiler, Fergus 2013): AlexNet, corrected after looking into it."""

import keras
from keras import layers

from models.alexnet import classify_dense, initial_values
from models.convolution import Tensor, convolution, max_pool
from models.network import Network
from models.response_normalization import LocalResponseNormalization
from models.shapes import image_input

PAPER = "Zeiler and Fergus, Visualizing and understanding convolutional networks, 2013"


def zfnet(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, initial: str = "he_normal"
) -> keras.Model:
    """ZFNet: 7x7 windows at stride 2 where AlexNet has 11x11 at stride 4; 62,357,608 parameters.

    Pools round up (110 -> 55, 26 -> 13), which the paper's sizes need. It normalizes contrast across maps
    after the first two pools without giving constants: ours are AlexNet's. initial="paper" takes the paper's
    initial values: standard deviation 0.01, biases 0. The default is He's, made for ReLU.
    """
    image = image_input("zfnet", input_shape, classes, minimum=47)
    x = layers.ZeroPadding2D(1, name="padding")(image)
    x = _convolution(x, 96, 7, 2, padding="valid", initial=initial, name="conv1")  # 110x110x96
    x = _pool_rounding_up(x, name="pool1")  # 55x55x96
    x = LocalResponseNormalization(name="norm1", dtype="float32")(x)
    x = _convolution(x, 256, 5, 2, padding="valid", initial=initial, name="conv2")  # 26x26x256
    x = _pool_rounding_up(x, name="pool2")  # 13x13x256
    x = LocalResponseNormalization(name="norm2", dtype="float32")(x)
    x = _convolution(x, 384, 3, initial=initial, name="conv3")  # 13x13x384
    x = _convolution(x, 384, 3, initial=initial, name="conv4")  # 13x13x384
    x = _convolution(x, 256, 3, initial=initial, name="conv5")  # 13x13x256
    x = _pool_rounding_up(x, name="pool5")  # 6x6x256
    return keras.Model(image, classify_dense(x, classes, "zfnet", initial), name="zfnet")


def _convolution(
    x: Tensor, filters: int, kernel: int, strides: int = 1, *, name: str, initial: str, padding: str = "same"
) -> Tensor:
    kernels, biases = initial_values("zfnet", initial)
    x = convolution(x, filters, kernel, strides, padding=padding, initial=kernels, initial_bias=biases, name=name)
    return layers.ReLU(name=f"{name}_relu")(x)


def _pool_rounding_up(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """3x3 max pooling at every second position, where the last window may reach past the edge.

    Zeros beyond the edge change no maximum, because ReLU left nothing below zero.
    """
    height, width = (size % 2 == 0 for size in x.shape[1:3])
    if height or width:
        x = layers.ZeroPadding2D(((0, int(height)), (0, int(width))), name=f"{name}_pad")(x)
    return max_pool(x, padding="valid", name=name)


NETWORKS: dict[str, Network] = {
    "zfnet": Network(
        build=zfnet,
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2013,
        parameters=62_357_608,
        multiply_adds=1_168_032_896,
        published_error="top-1/5 38.4/16.5 %",
        story="AlexNet looked into by deconvolution, and its first layers made finer for what was seen.",
    ),
}
