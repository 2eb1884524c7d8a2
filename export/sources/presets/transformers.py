"""Hugging Face: the preprocessor_config.json of an image classifier, read as its image processor reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from export.sources.presets.fields import Fields, declare_arithmetic, is_length

RESIZES = {0: "nearest", 1: "antialias-lanczos", 2: "antialias", 3: "antialias-bicubic"}


@dataclass(frozen=True)
class Processor:
    """How a class of image processors reads `size`, beside what all have in common."""

    number_is: str = "square"
    """What a size that is one number means: `square`, or `shortest_edge`."""
    enlarged: float = 1
    """By how much the shorter side is larger than shortest_edge says."""
    divides_again: bool = False
    """Whether it divides by image_std once more, unless include_top is false."""
    crop: int | None = None
    """What it crops where crop_size is missing, as in LeViT's files."""
    crops_by_fraction: bool = False
    """Whether crop_pct says what is cropped, below LEAST_STRETCHED; from there on images are stretched."""


_SQUARE, _SHORTER = Processor(), Processor("shortest_edge", crop=224)
PROCESSORS = {
    "BeitImageProcessor": _SQUARE,
    "BitImageProcessor": _SHORTER,
    "CLIPImageProcessor": _SHORTER,
    "ConvNextImageProcessor": Processor("shortest_edge", crops_by_fraction=True),
    "DeiTImageProcessor": _SQUARE,
    "EfficientNetImageProcessor": Processor(divides_again=True),
    "LevitImageProcessor": Processor("shortest_edge", enlarged=256 / 224, crop=224),
    "MobileNetV1ImageProcessor": _SHORTER,
    "MobileNetV2ImageProcessor": _SHORTER,
    "PvtImageProcessor": _SQUARE,
    "SegformerImageProcessor": _SQUARE,
    "SiglipImageProcessor": _SQUARE,
    "ViTImageProcessor": _SQUARE,
}
LEAST_STRETCHED = 384

# What says nothing of the pixels, or nothing that isn't done anyway.
_NEUTRAL = {
    "auto_map",
    "data_format",
    "default_to_square",
    "device",
    "disable_grouping",
    "do_convert_rgb",
    "do_reduce_labels",
    "feature_extractor_type",
    "image_processor_type",
    "input_data_format",
    "model_input_names",
    "pad_size",  # of do_pad, which is refused
    "processor_class",
    "reduce_labels",
    "return_tensors",
    "_valid_processor_keys",
}
_READ = {
    *("do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct"),
    *("do_rescale", "rescale_factor", "rescale_offset"),
    *("do_normalize", "image_mean", "image_std", "include_top"),
}


def read(file: Fields) -> dict[str, Any]:
    """The image options of a `preprocessor_config.json`. Raises UsageError for a field that isn't supported, or isn't
    known here.
    """
    for name, value in file.values.items():
        if name not in _NEUTRAL | _READ and value not in (None, False):
            file.refuse(name, "this preset has no word for it: leave it out where it doesn't change the pixels")
    processor = _find_processor(file)
    options = _read_geometry(file, processor)
    options["resize"] = file.choice("resample", RESIZES)
    return options | _read_arithmetic(file, processor)


def _find_processor(file: Fields) -> Processor:
    field = "image_processor_type" if file.get("image_processor_type") is not None else "feature_extractor_type"
    name = file.get(field)
    if name is None:
        return _SQUARE if isinstance(file.get("size"), dict) else Processor("unknown")
    plain = str(name).removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    if plain not in PROCESSORS:
        file.refuse(field, f"supported are {', '.join(PROCESSORS)}")
    return PROCESSORS[plain]


def _read_geometry(file: Fields, processor: Processor) -> dict[str, Any]:
    """Size, fit and crop."""
    if not file.flag("do_resize", True):
        file.refuse("do_resize", "true is: images of any size are resized")
    size = _read_size(file, processor)
    if processor.crops_by_fraction:
        side = size.get("shortest_edge")
        if side is None:
            file.refuse("size", "a shortest_edge is")
        if file.flag("do_center_crop", False):
            file.refuse("do_center_crop", "crop_pct says what is cropped: false is")
        if side >= LEAST_STRETCHED:
            return {"size": (side, side), "fit": "stretch"}
        if (kept := file.number("crop_pct", 224 / 256)) > 1:
            file.refuse("crop_pct", "numbers up to 1 are")
        return _crop((side, side), side, int(side / kept))
    if file.get("crop_pct") is not None:
        file.refuse("crop_pct", "only ConvNextImageProcessor's is")
    crop = None
    if file.flag("do_center_crop", file.get("crop_size") is not None):
        crop = _read_sides(file, "crop_size", "square", processor.crop)
        if set(crop) != {"height", "width"}:
            file.refuse("crop_size", "height and width are")
    if "shortest_edge" not in size:
        sides = size["height"], size["width"]
        if crop is not None and (crop["height"], crop["width"]) != sides:
            file.refuse("crop_size", f"after a size of {sides[0]}x{sides[1]} nothing can be cropped but the same")
        return {"size": sides, "fit": "stretch"}
    if crop is None:
        file.refuse("do_center_crop", "with a shortest_edge only true is, beside a crop_size")
    if crop["height"] != crop["width"]:
        file.refuse("crop_size", "with a shortest_edge only squares are")
    scaled = int(processor.enlarged * size["shortest_edge"])
    if scaled < crop["height"]:
        file.refuse("crop_size", f"sides up to the shortest_edge, {scaled}, are")
    return _crop((crop["height"], crop["width"]), crop["height"], scaled)


def _crop(size: tuple[int, int], side: int, scaled: int) -> dict[str, Any]:
    return {"size": size, "fit": "crop", "crop_fraction": side / scaled, "crop_rule": "transformers"}


def _read_size(file: Fields, processor: Processor) -> dict[str, int]:
    size = _read_sides(file, "size", processor.number_is)
    if set(size) not in ({"height", "width"}, {"shortest_edge"}):
        file.refuse("size", "height and width, or shortest_edge, are")
    return size


def _read_sides(file: Fields, name: str, number_is: str, default: int | None = None) -> dict[str, int]:
    """A size as its sides; one number is a square or a shortest_edge."""
    value = file.get(name, default)
    if isinstance(value, dict):
        sides = {key: side for key, side in value.items() if side is not None}
    elif number_is == "unknown":
        file.refuse(name, 'without an image_processor_type only {"height", "width"} or {"shortest_edge"} are')
    else:
        sides = {"shortest_edge": value} if number_is == "shortest_edge" else {"height": value, "width": value}
    if not all(map(is_length, sides.values())):
        file.refuse(name, "whole numbers of pixels are")
    return sides


def _read_arithmetic(file: Fields, processor: Processor) -> dict[str, Any]:
    """(pixel * factor - mean) / std in units of 0..1."""
    factor = file.number("rescale_factor", 1 / 255) if file.flag("do_rescale", True) else 1.0
    shift = 0.0
    if file.flag("do_rescale", True) and file.flag("rescale_offset", False):
        if abs(factor * 127.5 - 1) > 1e-6:
            file.refuse("rescale_offset", "it is with a rescale_factor of 1 / 127.5")
        shift = 1.0
    normalized = file.flag("do_normalize", True)
    mean = file.numbers("image_mean") if normalized else (0.0,) * 3
    std = file.numbers("image_std") if normalized else (1.0,) * len(mean)
    if len(mean) != len(std):
        file.refuse("image_std", f"as many numbers as image_mean has, {len(mean)}, are")
    if file.flag("include_top", processor.divides_again):
        std = tuple(one * other for one, other in zip(std, file.numbers("image_std"), strict=True))
    return declare_arithmetic(
        [(number + shift) / (255 * factor) for number in mean], [number / (255 * factor) for number in std]
    )
