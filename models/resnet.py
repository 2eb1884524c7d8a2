"""Residual networks (He et al. 2015), winner of 2015."""

from functools import partial

import keras

from models.network import Network
from models.residual import Block, basic, bottleneck, residual_network

PAPER = "He et al., Deep residual learning for image recognition, 2015"

STAGES: dict[str, tuple[Block, tuple[int, int, int, int]]] = {
    "resnet18": (basic, (2, 2, 2, 2)),
    "resnet34": (basic, (3, 4, 6, 3)),
    "resnet50": (bottleneck, (3, 4, 6, 3)),
    "resnet101": (bottleneck, (3, 4, 23, 3)),
    "resnet152": (bottleneck, (3, 8, 36, 3)),
}


def resnet(
    network: str,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: int = 64,
    stem: str | None = None,
) -> keras.Model:
    """A residual network by name; 1x1 projections where the shape changes (the paper's option B).

    In bottlenecks the stride is on the 3x3, as torchvision has it ("v1.5"); the paper has it on the first
    1x1, with as many parameters and 6 % fewer multiply-adds.

    stem="imagenet" is the paper's 7x7 at stride 2 and pooling; "small", the default below 64 pixels, is a
    3x3 at stride 1 without pooling: common practice for CIFAR (kuangliu's networks), after the first layer
    of the paper's own CIFAR networks. `width` is the first stage's, any positive number: 16 makes a quarter of every
    convolution. Raises ValueError for other values, and for an `input_shape` that is too small.
    """
    block, blocks = STAGES[network]
    return residual_network(network, input_shape, classes, block, blocks, width, stem)


NETWORKS: dict[str, Network] = {
    "resnet18": Network(
        build=partial(resnet, "resnet18"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2015,
        parameters=11_689_512,
        multiply_adds=1_814_073_344,
        published_error="top-1 27.88 % (10 crops)",
        story="Shortcuts let each block learn a difference: the smallest of the family that won 2015.",
    ),
    "resnet34": Network(
        build=partial(resnet, "resnet34"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2015,
        parameters=21_797_672,
        multiply_adds=3_663_761_408,
        published_error="top-1/5 24.52/7.46 % (10 crops, option B)",
        story="Better than its 18 layers, where a plain network of 34 is worse.",
    ),
    "resnet50": Network(
        build=partial(resnet, "resnet50"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2015,
        parameters=25_557_032,
        multiply_adds=4_089_184_256,
        published_error="top-1/5 22.85/6.71 % (10 crops)",
        story="Bottlenecks: three layers a block at the price of two.",
    ),
    "resnet101": Network(
        build=partial(resnet, "resnet101"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2015,
        parameters=44_549_160,
        multiply_adds=7_801_405_440,
        published_error="top-1/5 21.75/6.05 % (10 crops)",
        story="Depth goes on paying: twice the layers, still more accurate.",
    ),
    "resnet152": Network(
        build=partial(resnet, "resnet152"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2015,
        parameters=60_192_808,
        multiply_adds=11_513_626_624,
        published_error="top-1/5 21.43/5.71 % (10 crops)",
        story="The deepest of 2015: eight times VGG's depth, and fewer multiply-adds.",
    ),
}
