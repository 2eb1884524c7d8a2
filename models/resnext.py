"""ResNeXt (Xie et al. 2016), second of 2016: residual blocks of many equal paths, counted by cardinality."""

from functools import partial

import keras

from models.network import Network
from models.residual import bottleneck, residual_network
from models.shapes import check_width

PAPER = "Xie et al., Aggregated residual transformations for deep neural networks, 2016"

# Groups (the cardinality) and width multiplier of the 3x3, blocks in each stage.
# 32x4d: 32 groups of 4 in the first stage, together 128 = 2 x 64.
STAGES = {
    "resnext50_32x4d": (32, 2, (3, 4, 6, 3)),
    "resnext101_32x4d": (32, 2, (3, 4, 23, 3)),
    "resnext101_64x4d": (64, 4, (3, 4, 23, 3)),
}


def resnext(
    network: str,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: int = 64,
    stem: str | None = None,
) -> keras.Model:
    """A ResNeXt by name: ResNet's bottlenecks with a grouped 3x3, the stride on it.

    `width` is the base width of the first stage, a positive multiple of 16, so that the groups divide its channels: 16
    makes groups of one channel there. `stem` is "imagenet" (7x7 at stride 2 and pooling), "small" (one 3x3 at stride 1
    without pooling), or None: "small" below 64 pixels. Raises ValueError for other values, and for an `input_shape`
    that is too small.
    """
    groups, width_multiplier, blocks = STAGES[network]
    check_width(network, width, multiple_of=groups // width_multiplier)
    block = partial(bottleneck, groups=groups, width_multiplier=width_multiplier)
    return residual_network(network, input_shape, classes, block, blocks, width, stem)


NETWORKS: dict[str, Network] = {
    "resnext50_32x4d": Network(
        build=partial(resnext, "resnext50_32x4d"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2016,
        parameters=25_028_904,
        multiply_adds=4_230_479_872,
        published_error="top-1 22.2 %",
        story="Cardinality: 32 equal paths, written as one grouped convolution.",
    ),
    "resnext101_32x4d": Network(
        build=partial(resnext, "resnext101_32x4d"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2016,
        parameters=44_177_704,
        multiply_adds=7_969_996_800,
        published_error="top-1/5 21.2/5.6 %",
        story="More paths beat more depth or width at the same cost.",
    ),
    "resnext101_64x4d": Network(
        build=partial(resnext, "resnext101_64x4d"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=PAPER,
        year=2016,
        parameters=83_455_272,
        multiply_adds=15_460_270_080,
        published_error="top-1/5 20.4/5.3 %",
        story="Twice the cardinality: the network of 2016's second place.",
    ),
}
