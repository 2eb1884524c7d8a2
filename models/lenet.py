"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998), with the paper's own layer names."""

import keras
from keras import layers

from models.network import Network
from models.shapes import image_input

PAPER = "LeCun et al., Gradient-based learning applied to document recognition, 1998"


def lenet5(input_shape: tuple[int, int, int] = (32, 32, 1), classes: int = 10) -> keras.Model:
    """LeNet-5: tanh and mean pooling, 61,706 parameters; 28x28 images are padded to 32x32 inside.

    The paper counts 60,000 parameters. It differs in three places, which make up the whole difference: its
    pooling layers have a trainable factor and offset a map (12 + 32 more than here), a table connects each
    map of C3 to only some maps of S2 (1,516 for our 2,416), and its output layer measures distances to fixed
    drawings of the digits (0 for our 850). Its tanh is scaled (1.7159 tanh(2x/3)); ours is plain, with
    Glorot's initial values.

    Raises ValueError for images that are neither 32x32 nor 28x28.
    """
    height, width = input_shape[:2]
    if (height, width) not in {(32, 32), (28, 28)}:
        raise ValueError(f"lenet5: images of {height}x{width} don't fit, it takes 32x32 or 28x28: resize the images")
    image = image_input("lenet5", input_shape, classes, minimum=28)
    x = image
    if height == 28:
        x = layers.ZeroPadding2D(2, name="padding")(x)  # 32x32: the paper, too, surrounds 28x28 digits
    x = layers.Conv2D(6, 5, activation="tanh", name="C1")(x)  # 28x28x6
    x = layers.AveragePooling2D(2, name="S2")(x)  # 14x14x6
    x = layers.Conv2D(16, 5, activation="tanh", name="C3")(x)  # 10x10x16
    x = layers.AveragePooling2D(2, name="S4")(x)  # 5x5x16
    x = layers.Conv2D(120, 5, activation="tanh", name="C5")(x)  # 1x1x120
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(84, activation="tanh", name="F6")(x)
    logits = layers.Dense(classes, name="logits", dtype="float32")(x)
    return keras.Model(image, logits, name="lenet5")


NETWORKS: dict[str, Network] = {
    "lenet5": Network(
        build=lenet5,
        input_shape=(32, 32, 1),
        classes=10,
        paper=PAPER,
        year=1998,
        parameters=61_706,
        multiply_adds=416_520,
        published_error="MNIST 0.95 %",
        story="Convolution, pooling and a classifier learned together: it read bank checks.",
    ),
}
