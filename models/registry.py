"""The registry: every network of the series by name, with the numbers of its paper.

Definitions are pure Keras 3 (layers and keras.ops), so that they build and train on any backend. Nothing here
knows about data, training, export or serving. The module is long because it is the whole table in one place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import keras

from models.alexnet import alexnet, alexnet_series
from models.googlenet import googlenet
from models.inception_v2 import inception_v2
from models.inception_v3 import inception_v3
from models.inception_v4 import inception_v4
from models.lenet import lenet5
from models.resnet import resnet
from models.resnet1001 import resnet1001
from models.resnet_series import resnet18_series
from models.resnext import resnext
from models.senet import senet, senet154
from models.vgg import vgg, vgg11_series
from models.zfnet import zfnet

__all__ = ["NETWORKS", "Network"]


@dataclass(frozen=True)
class Network:
    """One network: how to build it, and what its paper says of it.

    `build(input_shape=(height, width, channels), classes=n, **options)` gives a functional keras.Model. Its
    one input, float32 [n, height, width, channels], is named "image" and holds normalized pixels; its output
    is the logits, float32 [n, classes], from a last Dense layer named "logits". Networks with auxiliary heads
    take `auxiliary=True` and then give a dict: "logits" and every name in `auxiliary`. `build` raises
    ValueError for an input too small for the network.
    """

    build: Callable[..., keras.Model]
    input_shape: tuple[int, int, int]  # height, width, channels: the default of build
    classes: int  # the default of build
    paper: str
    year: int
    parameters: int  # trainable, with the defaults of build, without auxiliary heads
    multiply_adds: int  # of convolutions and dense layers, for one image
    published_error: str  # of a single network; "" where none was published
    story: str  # what it brought, in one line
    auxiliary: Mapping[str, float] = field(default_factory=dict)  # auxiliary output: its loss weight


LENET = "LeCun et al., Gradient-based learning applied to document recognition, 1998"
ALEXNET = "Krizhevsky et al., ImageNet classification with deep convolutional neural networks, 2012"
ZFNET = "Zeiler and Fergus, Visualizing and understanding convolutional networks, 2013"
VGG = "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2014"
GOOGLENET = "Szegedy et al., Going deeper with convolutions, 2014"
INCEPTION_V2 = "Ioffe and Szegedy, Batch normalization: accelerating deep network training, 2015"
INCEPTION_V3 = "Szegedy et al., Rethinking the Inception architecture for computer vision, 2015"
INCEPTION_V4 = "Szegedy et al., Inception-v4, Inception-ResNet and the impact of residual connections, 2016"
RESNET = "He et al., Deep residual learning for image recognition, 2015"
RESNET1001 = "He et al., Identity mappings in deep residual networks, 2016"
RESNEXT = "Xie et al., Aggregated residual transformations for deep neural networks, 2016"
SENET = "Hu et al., Squeeze-and-excitation networks, 2017"

NETWORKS: dict[str, Network] = {
    "lenet5": Network(
        build=lenet5,
        input_shape=(32, 32, 1),
        classes=10,
        paper=LENET,
        year=1998,
        parameters=61_706,
        multiply_adds=416_520,
        published_error="MNIST 0.95 %",
        story="Convolution, pooling and a classifier learned together: it read bank checks.",
    ),
    "alexnet": Network(
        build=alexnet,
        input_shape=(227, 227, 3),
        classes=1000,
        paper=ALEXNET,
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
        paper=ALEXNET,
        year=2012,
        parameters=58_299_082,
        multiply_adds=1_060_924_256,
        published_error="",
        story="The series' listing of AlexNet: one tower for gray images, without response normalization.",
    ),
    "zfnet": Network(
        build=zfnet,
        input_shape=(224, 224, 3),
        classes=1000,
        paper=ZFNET,
        year=2013,
        parameters=62_357_608,
        multiply_adds=1_168_032_896,
        published_error="top-1/5 38.4/16.5 %",
        story="AlexNet looked into by deconvolution, and its first layers made finer for what was seen.",
    ),
    "vgg11": Network(
        build=partial(vgg, "vgg11"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=VGG,
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
        paper=VGG,
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
        paper=VGG,
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
        paper=VGG,
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
        paper=VGG,
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
        paper=VGG,
        year=2014,
        parameters=16_230_346,
        multiply_adds=187_763_712,
        published_error="",
        story="The series' listing of VGG11: three stages for digits of 28x28.",
    ),
    "googlenet": Network(
        build=googlenet,
        input_shape=(224, 224, 3),
        classes=1000,
        paper=GOOGLENET,
        year=2014,
        parameters=6_998_552,
        multiply_adds=1_582_671_872,
        published_error="top-5 10.07 % (one crop)",
        story="Inception v1, won 2014: split, transform, merge, with a ninth of AlexNet's parameters.",
        auxiliary={"auxiliary_4a": 0.3, "auxiliary_4d": 0.3},
    ),
    "inception_v2": Network(
        build=inception_v2,
        input_shape=(224, 224, 3),
        classes=1000,
        paper=INCEPTION_V2,
        year=2015,
        parameters=11_194_984,
        multiply_adds=2_018_851_840,
        published_error="top-1/5 25.2/7.8 %",
        story="Batch normalization: the same accuracy in a fourteenth of the steps.",
    ),
    "inception_v3": Network(
        build=inception_v3,
        input_shape=(299, 299, 3),
        classes=1000,
        paper=INCEPTION_V3,
        year=2015,
        parameters=23_834_568,
        multiply_adds=5_713_216_096,
        published_error="top-1/5 21.2/5.6 %",
        story="Large windows factorized into rows and columns, labels smoothed.",
        auxiliary={"auxiliary_6e": 0.4},
    ),
    "inception_v4": Network(
        build=inception_v4,
        input_shape=(299, 299, 3),
        classes=1000,
        paper=INCEPTION_V4,
        year=2016,
        parameters=42_679_816,
        multiply_adds=12_253_974_624,
        published_error="top-1/5 20.0/5.0 %",
        story="One regular Inception, deeper and wider, as good as its residual sisters.",
    ),
    "resnet18": Network(
        build=partial(resnet, "resnet18"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=RESNET,
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
        paper=RESNET,
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
        paper=RESNET,
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
        paper=RESNET,
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
        paper=RESNET,
        year=2015,
        parameters=60_192_808,
        multiply_adds=11_513_626_624,
        published_error="top-1/5 21.43/5.71 % (10 crops)",
        story="The deepest of 2015: eight times VGG's depth, and fewer multiply-adds.",
    ),
    "resnet18_series": Network(
        build=resnet18_series,
        input_shape=(32, 32, 3),
        classes=100,
        paper=RESNET,
        year=2015,
        parameters=11_223_140,
        multiply_adds=520_717_056,
        published_error="",
        story="The series' listing of ResNet18, for CIFAR-100.",
    ),
    "resnet1001": Network(
        build=resnet1001,
        input_shape=(32, 32, 3),
        classes=10,
        paper=RESNET1001,
        year=2016,
        parameters=10_327_706,
        multiply_adds=1_490_995_712,
        published_error="CIFAR-10 4.92 % (batch 128), 4.62 % (batch 64)",
        story="Normalization first leaves the shortcut clean: a thousand layers train.",
    ),
    "resnext50_32x4d": Network(
        build=partial(resnext, "resnext50_32x4d"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=RESNEXT,
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
        paper=RESNEXT,
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
        paper=RESNEXT,
        year=2016,
        parameters=83_455_272,
        multiply_adds=15_460_270_080,
        published_error="top-1/5 20.4/5.3 %",
        story="Twice the cardinality: the network of 2016's second place.",
    ),
    "se_resnet50": Network(
        build=partial(senet, "se_resnet50"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=SENET,
        year=2017,
        parameters=28_088_024,
        multiply_adds=4_091_699_200,
        published_error="top-1/5 23.29/6.62 %",
        story="Gates weigh channels by the whole image: nearly ResNet101's accuracy at ResNet50's cost.",
    ),
    "se_resnext50_32x4d": Network(
        build=partial(senet, "se_resnext50_32x4d"),
        input_shape=(224, 224, 3),
        classes=1000,
        paper=SENET,
        year=2017,
        parameters=27_559_896,
        multiply_adds=4_232_994_816,
        published_error="top-1/5 21.10/5.49 %",
        story="The same gates in ResNeXt: they fit any block.",
    ),
    "senet154": Network(
        build=senet154,
        input_shape=(224, 224, 3),
        classes=1000,
        paper=SENET,
        year=2017,
        parameters=115_088_984,
        multiply_adds=20_688_363_520,
        published_error="top-1/5 18.68/4.47 %",
        story="Won 2017, the last ILSVRC: everything the series learned, in 154 layers.",
    ),
}
