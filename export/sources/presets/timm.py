"""timm: the pretrained_cfg of a checkpoint, alone or inside its config.json, read as timm's evaluation reads it."""

from __future__ import annotations

from typing import Any

from export.errors import UsageError
from export.sources.presets.fields import Fields, declare_arithmetic, is_length

RESIZES = {
    "bicubic": "antialias-bicubic",
    "bilinear": "antialias",
    "lanczos": "antialias-lanczos",
    "nearest": "nearest",
}
# What timm takes where a field is missing: ImageNet's mean and standard deviation.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FIELDS = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")


def read(file: Fields) -> dict[str, Any]:
    """The image options of a `pretrained_cfg`. Raises UsageError for a field that isn't supported."""
    inner = file.values.get("pretrained_cfg", file.values.get("default_cfg"))
    if isinstance(inner, dict):
        file = Fields(file.title, inner)
    if not file.values.keys() & {*FIELDS}:
        raise UsageError(
            f"--like {file.title} has none of {', '.join(FIELDS)}: it is no pretrained_cfg of timm, nor has it one"
        )
    channels, height, width = _read_shape(file)
    options: dict[str, Any] = {"size": (height, width), "resize": file.choice("interpolation", RESIZES, "bicubic")}
    crop_fraction = file.number("crop_pct", 0.875)
    if crop_fraction > 1:
        file.refuse("crop_pct", "numbers up to 1 are")
    match file.get("crop_mode", "center"):
        case "center" if height == width:
            options |= {"fit": "crop", "crop_fraction": crop_fraction}
        case "squash" if crop_fraction == 1:
            options |= {"fit": "stretch"}
        case "center":
            file.refuse("input_size", 'with crop_mode "center" only squares are')
        case "squash":
            file.refuse("crop_mode", f'with crop_pct {crop_fraction:g} only "center" is, "squash" with crop_pct 1')
        case _:
            file.refuse("crop_mode", '"center" is, and "squash" with crop_pct 1')
    mean, std = file.numbers("mean", MEAN), file.numbers("std", STD)
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) != channels:
            file.refuse(name, f"one number for each channel of input_size, {channels}, is")
    return options | declare_arithmetic(mean, std)


def _read_shape(file: Fields) -> tuple[int, int, int]:
    """Channels, height and width of input_size."""
    shape = file.get("input_size", [3, 224, 224])
    if not isinstance(shape, list) or len(shape) != 3 or not all(map(is_length, shape)) or shape[0] not in (1, 3):
        file.refuse("input_size", "[channels, height, width] of 1 or 3 channels is")
    return shape[0], shape[1], shape[2]
