"""keras.applications by name: its definitions, ImageNet weights, and the arithmetic each family was trained on.

The names are its functions' in snake case: mobilenet_v2 is keras.applications.MobileNetV2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import h5py
import keras

from export.errors import ConversionError, DataError, UsageError, reason
from export.sources.named.weights_file import load_weights


@dataclass(frozen=True)
class Family:
    """Members of one module of keras.applications."""

    members: dict[str, str]
    """Our name of each, and keras.applications'."""
    preprocessing: str
    """Its preprocess_input, by export.data.preprocessing's names; none: the network holds its own layers for it."""
    paper: str
    year: int
    license: str
    """Of the ImageNet weights, as keras.io says or where they were ported from."""


FAMILIES = (
    Family(
        {"vgg16": "VGG16", "vgg19": "VGG19"},
        "caffe",
        "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2014",
        2014,
        "CC BY 4.0",
    ),
    Family(
        {"resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152"},
        "caffe",
        "He et al., Deep residual learning for image recognition, 2015",
        2015,
        "MIT",
    ),
    Family(
        {"resnet50_v2": "ResNet50V2", "resnet101_v2": "ResNet101V2", "resnet152_v2": "ResNet152V2"},
        "tf",
        "He et al., Identity mappings in deep residual networks, 2016",
        2016,
        "MIT",
    ),
    Family(
        {"inception_v3": "InceptionV3"},
        "tf",
        "Szegedy et al., Rethinking the Inception architecture for computer vision, 2015",
        2015,
        "Apache-2.0",
    ),
    Family(
        {"inception_resnet_v2": "InceptionResNetV2"},
        "tf",
        "Szegedy et al., Inception-v4, Inception-ResNet and the impact of residual connections, 2016",
        2016,
        "Apache-2.0",
    ),
    Family(
        {"xception": "Xception"},
        "tf",
        "Chollet, Xception: deep learning with depthwise separable convolutions, 2016",
        2016,
        "MIT",
    ),
    Family(
        {"mobilenet": "MobileNet"},
        "tf",
        "Howard et al., MobileNets: efficient convolutional neural networks for mobile vision, 2017",
        2017,
        "Apache-2.0",
    ),
    Family(
        {"mobilenet_v2": "MobileNetV2"},
        "tf",
        "Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, 2018",
        2018,
        "Apache-2.0",
    ),
    Family(
        {"mobilenet_v3_small": "MobileNetV3Small", "mobilenet_v3_large": "MobileNetV3Large"},
        "none",
        "Howard et al., Searching for MobileNetV3, 2019",
        2019,
        "Apache-2.0",
    ),
    Family(
        {f"densenet{depth}": f"DenseNet{depth}" for depth in (121, 169, 201)},
        "torch",
        "Huang et al., Densely connected convolutional networks, 2016",
        2016,
        "BSD-3-Clause",
    ),
    Family(
        {"nasnet_mobile": "NASNetMobile", "nasnet_large": "NASNetLarge"},
        "tf",
        "Zoph et al., Learning transferable architectures for scalable image recognition, 2017",
        2017,
        "Apache-2.0",
    ),
    Family(
        {f"efficientnet_b{scale}": f"EfficientNetB{scale}" for scale in range(8)},
        "none",
        "Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019",
        2019,
        "Apache-2.0",
    ),
    Family(
        {
            f"efficientnet_v2_{size}": f"EfficientNetV2{size.upper()}"
            for size in ("b0", "b1", "b2", "b3", "s", "m", "l")
        },
        "none",
        "Tan and Le, EfficientNetV2: smaller models and faster training, 2021",
        2021,
        "Apache-2.0",
    ),
    Family(
        {
            f"convnext_{size}": f"ConvNeXt{title}"
            for size, title in (
                ("tiny", "Tiny"),
                ("small", "Small"),
                ("base", "Base"),
                ("large", "Large"),
                ("xlarge", "XLarge"),
            )
        },
        "none",
        "Liu et al., A ConvNet for the 2020s, 2022",
        2022,
        "Apache-2.0",
    ),
)

APPLICATIONS: dict[str, Family] = {name: family for family in FAMILIES for name in family.members}


def build_application(
    name: str, weights: str | None, classes: int = 1000, size: tuple[int, int] | None = None
) -> keras.Model:
    """A network of keras.applications with its own weights ("imagenet"), a file's, or (None) random ones.

    `size` is for another input than its default one. Raises DataError where the weights can't be downloaded, naming
    the file and the folder where it may be laid, ConversionError where a file's don't fit.
    """
    build = getattr(keras.applications, APPLICATIONS[name].members[name])
    if weights == "imagenet" and classes != 1000:
        raise UsageError(f"ImageNet weights have 1,000 classes, --labels names {classes:,}")
    if size is None and name.startswith("mobilenet_v3"):
        size = (224, 224)  # Keras leaves it open; the paper and the weights have this one
    shape = (*size, 3) if size is not None else None
    try:
        model = build(weights="imagenet" if weights == "imagenet" else None, classes=classes, input_shape=shape)
    except Exception as error:  # Keras raises errors of many kinds, and a download's in a bare Exception
        if weights == "imagenet" and isinstance(error.__cause__ or error.__context__, URLError):
            raise DataError(_explain_download(name, str(error))) from error
        if weights == "imagenet" and (interrupted := _interrupted_downloads()):
            raise DataError(
                f"{name}: {interrupted[0]} is damaged, from an interrupted download: delete that file, and the same "
                "command downloads it again"
            ) from error
        raise ConversionError(f"{name} can't be built: {reason(error)}") from error
    if weights not in (None, "imagenet"):
        load_weights(model, Path(weights))
    return model


def _weights_folder() -> Path:
    from keras.src.backend.config import keras_home

    return Path(keras_home()) / "models"


def _interrupted_downloads() -> list[Path]:
    return [file for file in sorted(_weights_folder().glob("*.h5")) if not _opens(file)]


def _opens(file: Path) -> bool:
    try:
        h5py.File(file).close()
    except OSError:
        return False
    return True


def _explain_download(name: str, text: str) -> str:
    file = re.search(r"/([^/\s]+\.h5)", text)
    folder = _weights_folder()
    named = folder / file[1] if file else folder
    return (
        f"{name}: its ImageNet weights are not here and can't be downloaded: put the file {named} there by hand, "
        "or give one of yours with --weights FILE"
    )
