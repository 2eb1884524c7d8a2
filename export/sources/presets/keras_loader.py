"""Keras' loaders of image folders: keras:LOADER[:OPTIONS], as far as they differ from its defaults."""

from __future__ import annotations

from typing import Any

from artifact.errors import near_miss
from export.errors import UsageError

# As the TensorFlow backend loads them: tf.io.decode_image, then tf.image.resize or tf.image.resize_with_pad.
DIRECTORY = "image_dataset_from_directory"
INTERPOLATIONS = ("bilinear", "bicubic", "area", "nearest")
# These resize by Pillow.
PILLOW_LOADERS = ("load_img", "flow_from_directory")


def read(text: str) -> dict[str, Any]:
    """The options of `LOADER[:interpolation][,pad]`. Raises UsageError for what isn't supported."""
    loader, _, rest = text.partition(":")
    words = [word.strip() for word in rest.split(",") if word.strip()]
    if loader in PILLOW_LOADERS:
        if words not in ([], ["nearest"]):
            raise UsageError(f"--like keras:{text}: only {loader}'s default, nearest, is supported")
        return {"resize": "nearest", "fit": "stretch"}
    if loader != DIRECTORY:
        raise UsageError(
            f"--like keras:{text}: {loader!r} is not a "
            f"loader{near_miss(loader, (DIRECTORY, *PILLOW_LOADERS))}: there are "
            f"{DIRECTORY}, {' and '.join(PILLOW_LOADERS)}"
        )
    resizes = [word for word in words if word != "pad"]
    if unknown := [word for word in resizes if word not in INTERPOLATIONS]:
        raise UsageError(
            f"--like keras:{text}: {unknown[0]} isn't supported: the interpolations {', '.join(INTERPOLATIONS)} are, "
            "and pad, for pad_to_aspect_ratio"
        )
    if len(resizes) > 1:
        raise UsageError(f"--like keras:{text}: {' and '.join(resizes)} are two interpolations: name one")
    resize = resizes[0] if resizes else "bilinear"
    if resize == "nearest" and "pad" in words:
        raise UsageError(f"--like keras:{text}: padding by tf.image.resize_with_pad isn't supported with nearest")
    return {"decode": "tensorflow", "resize": resize, "fit": "pad" if "pad" in words else "stretch"}
