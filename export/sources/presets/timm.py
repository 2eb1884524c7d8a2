"""timm: the pretrained_cfg of a checkpoint, alone or inside its config.json, read as timm's evaluation reads it."""

from __future__ import annotations

from typing import Any

from export.sources.presets.fields import Fields, declare_arithmetic

RESIZES = {
    "bicubic": "antialias-bicubic",
    "bilinear": "antialias",
    "lanczos": "antialias-lanczos",
    "nearest": "nearest",
}
# What timm takes where a field is missing: ImageNet's mean and deviation.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read(file: Fields) -> dict[str, Any]:
    """The image options of a `pretrained_cfg`. Raises UsageError for a field that isn't supported."""
    inner = file.values.get("pretrained_cfg", file.values.get("default_cfg"))
    if isinstance(inner, dict):
        file = Fields(file.title, inner)
    height, width = _read_size(file)
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
    return options | declare_arithmetic(file.numbers("mean", MEAN), file.numbers("std", STD))


def _read_size(file: Fields) -> tuple[int, int]:
    """Height and width of input_size, [channels, height, width]."""
    shape = file.get("input_size", [3, 224, 224])
    if not isinstance(shape, list) or len(shape) != 3 or not all(isinstance(side, int) and side > 0 for side in shape):
        file.refuse("input_size", "[channels, height, width] is")
    return shape[1], shape[2]
