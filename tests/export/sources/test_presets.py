"""--like: what each library's own words become, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.errors import UsageError
from export.sources.image_options import ImageOptions
from export.sources.presets.like import fill_in, read_preset

TIMM = {"input_size": [3, 288, 288], "interpolation": "bicubic", "crop_pct": 0.95, "mean": [0.5] * 3, "std": [0.5] * 3}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
VIT = {"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}, "resample": 2, **HALF}
CLIP = {
    **{"image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 256}, "resample": 3},
    **{"do_center_crop": True, "crop_size": {"height": 224, "width": 224}, **HALF},
}
CONVNEXT = {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.9, "resample": 3, **HALF}


def read(folder: Path, library: str, values: dict[str, Any]) -> dict[str, Any]:
    file = folder / "config.json"
    file.write_text(json.dumps(values))
    return read_preset(f"{library}:{file}")


def test_keras_loaders_are_known() -> None:
    plain = read_preset("keras:image_dataset_from_directory")
    assert plain == {"decode": "tensorflow", "resize": "bilinear", "fit": "stretch"}
    changed = read_preset("keras:image_dataset_from_directory:bicubic,pad")
    assert changed == {"decode": "tensorflow", "resize": "bicubic", "fit": "pad"}
    assert read_preset("keras:load_img") == {"resize": "nearest", "fit": "stretch"}
    assert read_preset("keras:flow_from_directory:bicubic") == {"resize": "antialias-bicubic", "fit": "stretch"}


@pytest.mark.parametrize("inside", [False, True])
def test_a_timm_file_is_read_alone_or_as_config_json(tmp_path: Path, inside: bool) -> None:
    values = {"architecture": "net", "pretrained_cfg": TIMM} if inside else TIMM
    assert read(tmp_path, "timm", values) == {
        **{"size": (288, 288), "resize": "antialias-bicubic", "fit": "crop", "crop_fraction": 0.95},
        "preprocessing": "tf",
    }


def test_hugging_face_files_are_read_as_their_processors_read_them(tmp_path: Path) -> None:
    stretched = read(tmp_path, "hf", VIT)
    assert stretched == {"size": (224, 224), "fit": "stretch", "resize": "antialias", "preprocessing": "tf"}
    cropped = read(tmp_path, "hf", CLIP)
    assert (cropped["fit"], cropped["crop_fraction"], cropped["crop_rule"]) == ("crop", 0.875, "transformers")
    assert read(tmp_path, "hf", CONVNEXT)["crop_fraction"] == 224 / 248
    assert read(tmp_path, "hf", {**CONVNEXT, "size": 384})["fit"] == "stretch"
    segformer = {"feature_extractor_type": "SegformerFeatureExtractor", "size": 512, "resample": 2, **HALF}
    assert read(tmp_path, "hf", {**segformer, "reduce_labels": False}) == {**stretched, "size": (512, 512)}
    levit = {"feature_extractor_type": "LevitFeatureExtractor", "size": 224, "do_center_crop": True, **HALF}
    assert read(tmp_path, "hf", {**levit, "resample": 3})["crop_fraction"] == 224 / 256
    raw = read(tmp_path, "hf", {**VIT, "do_rescale": False, "do_normalize": False})
    assert raw["preprocessing"] == "none"


@pytest.mark.parametrize(
    ("library", "values", "words"),
    [
        ("timm", {**TIMM, "interpolation": "box"}, r'interpolation is "box", .* "bicubic", "bilinear"'),
        ("timm", VIT, "has none of input_size, interpolation, .*: it is no pretrained_cfg"),
        ("timm", {**TIMM, "input_size": [1, 28, 28]}, r"mean is \[0.5, 0.5, 0.5\], .* each channel of input_size, 1,"),
        ("timm", {**TIMM, "input_size": [4, 28, 28]}, "of 1 or 3 channels is"),
        ("timm", {**TIMM, "crop_mode": "border"}, 'crop_mode is "border"'),
        ("timm", {**TIMM, "crop_mode": "squash"}, "crop_mode is .squash., .* with crop_pct 0.95"),
        ("timm", {**TIMM, "input_size": [3, 224, 160]}, r"input_size is \[3, 224, 160\], .* only squares"),
        ("hf", {**VIT, "resample": 4}, "resample is 4, .* 0, 1, 2, 3 are"),
        ("hf", {**VIT, "do_pad": True}, "do_pad is true"),
        ("hf", {**VIT, "do_flip_channel_order": True}, "do_flip_channel_order is true"),
        ("hf", {**VIT, "crop_size": 200, "do_center_crop": True}, "crop_size is 200, .* 224x224"),
        ("hf", {**CLIP, "do_center_crop": False}, "do_center_crop is false"),
        ("hf", {**VIT, "resample": True}, "resample is true"),
        ("hf", {**CONVNEXT, "crop_pct": 1.2}, "crop_pct is 1.2, .* numbers up to 1"),
        ("hf", {**CONVNEXT, "do_center_crop": True, "crop_size": 200}, "do_center_crop is true, .* crop_pct says"),
        ("hf", {**VIT, "image_processor_type": "OtherImageProcessor"}, "image_processor_type is .* ViTImageProcessor"),
        ("hf", {"size": 224, "resample": 2, **HALF}, "size is 224, .* image_processor_type"),
        ("hf", {**VIT, "image_mean": None}, "image_mean is null, .* three numbers"),
    ],
)
def test_what_is_not_supported_is_refused(tmp_path: Path, library: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(tmp_path, library, values)


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ("keras:image_dataset_from_directory:lanczos3", "lanczos3 isn't supported: .* bilinear, bicubic"),
        ("keras:image_dataset_from_directory:nearest", "nearest isn't supported: .* --resize nearest"),
        ("keras:image_dataset_from_directory:bicubic,area", "are two interpolations"),
        ("keras:load_img:pad", "pad isn't supported: the interpolations nearest, bilinear, bicubic, lanczos are"),
        ("keras:image_dataset", "did you mean image_dataset_from_directory"),
        ("timm", "needs the file"),
        ("hf:nowhere.json", "No such file"),
        ("torchvison", "did you mean torchvision"),
    ],
)
def test_no_preset_is_said_to_be_none(like: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_preset(like)


def test_what_is_said_goes_before_the_preset() -> None:
    assert fill_in(ImageOptions(), "torchvision").crop_fraction == 0.875
    stretched = fill_in(ImageOptions(fit="stretch", preprocessing="tf"), "torchvision")
    assert (stretched.fit, stretched.crop_fraction, stretched.preprocessing) == ("stretch", None, "tf")
    measured = fill_in(ImageOptions(mean=(0.4, 0.4, 0.4)), "torchvision")
    assert (measured.preprocessing, measured.resize) == (None, "antialias")


def test_the_color_of_the_padding_is_the_mean_in_levels() -> None:
    options = ImageOptions(fit="pad", pad_color="mean", preprocessing="caffe")
    assert options.policy((8, 8, 3), options.arithmetic(3)).pad_color == (124, 117, 104)
    with pytest.raises(UsageError, match="is measured on the training images"):
        options.policy((8, 8, 3), None)
    with pytest.raises(UsageError, match="--pad-color is for --fit pad"):
        ImageOptions(pad_color=(0,)).policy((8, 8, 3), None)
    with pytest.raises(UsageError, match="--reduced-decode averages pixels, of which --resize bicubic"):
        ImageOptions(resize="bicubic", reduced_decode=True).policy((8, 8, 3), None)
