"""Keras' loaders of image folders: keras:LOADER[:OPTIONS], as far as they differ from its defaults."""

from __future__ import annotations

from typing import Any

from artifact.errors import near_miss
from export.errors import UsageError

# As the TensorFlow backend loads them: tf.io.decode_image, then tf.image.resize or tf.image.resize_with_pad.
DIRECTORY = "image_dataset_from_directory"
INTERPOLATIONS = ("bilinear", "bicubic", "area")
# These resize by Pillow, with this by default.
PILLOW_LOADERS = ("load_img", "flow_from_directory")
PILLOW_INTERPOLATIONS = {
    "nearest": "nearest",
    "bilinear": "antialias",
    "bicubic": "antialias-bicubic",
    "lanczos": "antialias-lanczos",
}


def read(text: str) -> dict[str, Any]:
    """The options of `LOADER[:interpolation][,pad]`. Raises UsageError for what isn't supported."""
    loader, _, rest = text.partition(":")
    words = [word.strip() for word in rest.split(",") if word.strip()]
    if loader in PILLOW_LOADERS:
        resize = _choose(text, words, tuple(PILLOW_INTERPOLATIONS), "")
        return {"resize": PILLOW_INTERPOLATIONS[resize], "fit": "stretch"}
    if loader != DIRECTORY:
        raise UsageError(
            f"--like keras:{text}: {loader!r} is not a "
            f"loader{near_miss(loader, (DIRECTORY, *PILLOW_LOADERS))}: there are "
            f"{DIRECTORY}, {' and '.join(PILLOW_LOADERS)}"
        )
    if "nearest" in words:
        raise UsageError(
            f"--like keras:{text}: nearest isn't supported: where the middle of a pixel lies between two others, "
            "tf.image.resize takes another one than Pillow, whose nearest is served: the nearest to it is --decode "
            "tensorflow --resize nearest --fit stretch"
        )
    resize = _choose(
        text, [word for word in words if word != "pad"], INTERPOLATIONS, ", and pad, for pad_to_aspect_ratio"
    )
    return {"decode": "tensorflow", "resize": resize, "fit": "pad" if "pad" in words else "stretch"}


def _choose(text: str, words: list[str], interpolations: tuple[str, ...], others: str) -> str:
    """The interpolation that `words` name, the first of `interpolations` where they name none."""
    if unknown := [word for word in words if word not in interpolations]:
        raise UsageError(
            f"--like keras:{text}: {unknown[0]} isn't supported: the interpolations {', '.join(interpolations)} "
            f"are{others}"
        )
    if len(words) > 1:
        raise UsageError(f"--like keras:{text}: {' and '.join(words)} are two interpolations: name one")
    return words[0] if words else interpolations[0]
