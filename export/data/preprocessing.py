"""The pixel arithmetic by name, as card values and as an independent NumPy reference for the proof.

The names are keras.applications' (`keras.applications.imagenet_utils.preprocess_input`): tf, caffe and torch;
unit is x / 255, none leaves pixels as they are, custom takes a mean and a standard deviation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from artifact.image_policy import Preprocessing
from artifact.images.frame import Pixels
from export.errors import UsageError

PRESETS: dict[str, tuple[str, tuple[float, float, float], tuple[float, float, float]]] = {
    # name: channel order, mean and standard deviation in units of 0..255, in that channel order
    "tf": ("rgb", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "caffe": ("bgr", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "torch": ("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "unit": ("rgb", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "none": ("rgb", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def preset(name: str, channels: int) -> Preprocessing:
    """The card's values of a named preprocessing. Raises UsageError for caffe and torch on gray images."""
    order, mean, std = PRESETS[name]
    if channels == 1 and name in ("caffe", "torch"):
        raise UsageError(
            f"--preprocessing {name} is for RGB images, this network takes 1 channel: use tf, unit or none"
        )
    return Preprocessing(
        name=name,
        channel_order="gray" if channels == 1 else order,
        mean=mean[:channels],
        std=std[:channels],
    )


def custom(mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocessing:
    """(pixel - mean) / std per channel, both in units of 0..255, RGB or gray."""
    return Preprocessing(name="custom", channel_order="gray" if len(mean) == 1 else "rgb", mean=mean, std=std)


def normalize(pixels: Pixels, preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """What a network is trained on: float32, the shape of `pixels` [..., channels]."""
    swapped = pixels[..., ::-1] if preprocessing.channel_order == "bgr" else pixels
    mean, std = (np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    return (swapped.astype(np.float32) - mean) / std


def reference(pixels: Pixels, preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """What `normalize` gives, float32 [..., channels], computed independently of it for the proof: by the function of
    keras.applications where it has one.
    """
    from keras.applications import imagenet_utils

    values = pixels.astype(np.float32)
    match preprocessing.name:
        case "tf" | "caffe" | "torch" as mode:
            own: npt.NDArray[np.float32] = imagenet_utils.preprocess_input(
                values, data_format="channels_last", mode=mode
            )
            return own
        case "unit":
            return values / np.float32(255)
        case "none":
            return values
        case "custom":
            return normalize(pixels, preprocessing)
