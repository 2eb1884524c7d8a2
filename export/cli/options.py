"""Words of the command line that several commands share, and their checks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from artifact.card import Head
from artifact.image_policy import CropRule, Decode, Fit, Polarity, PreprocessingName, Resize
from artifact.stores.address import read_repository

if TYPE_CHECKING:
    from export.sources.image_options import ImageOptions

DATASET = "a data set's name, a folder of class folders, a .csv manifest, .parquet or .tar files or a folder of them"
# What NumPy's generator takes, which Keras seeds, too.
MOST_SEED = 2**32 - 1
PREPROCESSING = tuple(name for name in get_args(PreprocessingName) if name != "custom")


def add_shared(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None],
    *,
    repository: bool = False,
    data: bool = False,
    seed: bool = False,
) -> None:
    """The options that several commands share, and what the command does."""
    parser.set_defaults(run=run)
    if repository:
        parser.add_argument(
            "--repository",
            type=repository_place,
            required=True,
            help="folder of the served models, or a store: s3://...",
        )
    if data:
        add_data_dir(parser)
    if seed:
        parser.add_argument(
            "--seed",
            type=random_seed,
            help="seed of the split, the weights and the order (default: the recorded one, else 0)",
        )


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=os.environ.get("CONVSERVE_DATA_DIR"),
        help="folder with the original files of the data sets (default: $CONVSERVE_DATA_DIR)",
    )


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """What only the user knows of a foreign network: export.sources.image_options.ImageOptions."""
    group = parser.add_argument_group(
        "image options (for files; a run knows its own, a network by name its family's)",
        "How the network was fed when it was trained. Most loaders have a preset: --like "
        "keras:image_dataset_from_directory (:bicubic,pad where the defaults were changed so), keras:load_img, "
        "keras:flow_from_directory (of ImageDataGenerator), torchvision (most published ImageNet accuracies), "
        "timm:config.json, hf:preprocessor_config.json. Other options override the preset.",
    )
    group.add_argument(
        "--labels",
        metavar="FILE|imagenet",
        help="one name a line (numbers before them give their order), synset lines, a class_index or class_indices "
        "JSON, or imagenet; of one sigmoid output the first label is 0 and the second 1",
    )
    group.add_argument("--size", type=size, metavar="HxW", help="input size, if the network reads images of any size")
    add_policy_options(group, "stretch for files; crop for networks by name of 224x224 up")
    group.add_argument("--reduced-decode", action="store_true", help="decode large JPEGs at 1/2, 1/4 or 1/8")
    group.add_argument("--polarity", choices=get_args(Polarity), help="default: any")
    group.add_argument(
        "--head", choices=("auto", *get_args(Head)), default="auto", help="what the last layer gives (default: auto)"
    )
    group.add_argument("--output", metavar="NAME", help="which of several outputs is the classifier's")
    images = group.add_mutually_exclusive_group()
    images.add_argument("--images", type=Path, metavar="DIR", help="folder of real images for the proof")
    images.add_argument("--dataset", metavar="D", help=f"for the proof and the accuracy: {DATASET}")
    add_skip_damaged(group)


def add_policy_options(group: argparse._ActionsContainer, fit: str) -> None:
    """How photos become pixels, and pixels numbers; `fit` says what --fit is by default."""
    group.add_argument(
        "--like",
        metavar="PRESET[:FILE]",
        help="take the options of a loader, or of a library's configuration file",
    )
    group.add_argument("--preprocessing", choices=PREPROCESSING, help="the pixel arithmetic by name")
    group.add_argument("--mean", type=channels, metavar="R,G,B", help="mean of the pixels, in units of 0..1")
    group.add_argument(
        "--std", type=channels, metavar="R,G,B", help="standard deviation of the pixels, in units of 0..1"
    )
    group.add_argument("--fit", choices=get_args(Fit), help=f"default: {fit}")
    group.add_argument(
        "--crop-fraction",
        type=fraction,
        metavar="F",
        help="share of the side that is kept, for --fit crop (default: 0.875)",
    )
    group.add_argument(
        "--crop-rule",
        choices=[rule for rule in get_args(CropRule) if rule != "rounded"],
        help="for --fit crop: whose rounding to whole pixels, which differs in some photos "
        "(default: torchvision, as timm)",
    )
    group.add_argument(
        "--pad-color", type=color, metavar="0|mean|R,G,B", help="color of the padding, in levels of 0..255 (default: 0)"
    )
    group.add_argument(
        "--resize",
        choices=get_args(Resize),
        help="antialias, -bicubic, -lanczos and nearest are Pillow's, bilinear, bicubic and area tf.image.resize's "
        "(default: antialias)",
    )
    group.add_argument(
        "--decode",
        choices=get_args(Decode),
        help="JPEG decoder: tensorflow for networks trained with keras.utils loaders (default: accurate)",
    )


def read_policy_options(options: argparse.Namespace, **others: Any) -> ImageOptions:
    """What add_policy_options and --size were given, `others` by their names in ImageOptions, and what --like adds.

    Raises UsageError where --like names no preset, or one that isn't supported.
    """
    from export.sources.image_options import ImageOptions
    from export.sources.presets.like import fill_in

    said = ImageOptions(
        preprocessing=options.preprocessing,
        mean=options.mean,
        std=options.std,
        size=options.size,
        fit=options.fit,
        crop_fraction=options.crop_fraction,
        crop_rule=options.crop_rule,
        pad_color=options.pad_color,
        resize=options.resize,
        decode=options.decode,
        **others,
    )
    return said if options.like is None else fill_in(said, options.like)


def add_publish_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replace-config",
        action="store_true",
        help="replace a config.pbtxt of the model's folder that convserve did not write",
    )
    parser.add_argument(
        "--no-robustness",
        dest="robustness",
        action="store_false",
        help="don't measure accuracy on damaged images, which takes 19 runs of up to 500 images (100 above 96x96)",
    )
    parser.add_argument("--json", action="store_true", help="print what was published as one JSON object")


def add_repository(parser: argparse._ActionsContainer, what: str) -> None:
    """--repository, where another folder than `repository` is rare; `what` says of what it is."""
    parser.add_argument(
        "--repository",
        type=repository_place,
        default=Path("repository"),
        help=f"{what}, or a store (default: repository)",
    )


def add_skip_damaged(parser: argparse._ActionsContainer) -> None:
    """For a data set that is a folder."""
    parser.add_argument("--skip-damaged", action="store_true", help="leave out undecodable images and empty classes")


def repository_place(text: str) -> Path | str:
    """The value of --repository: the path of a folder, or the address of a store as text. Raises ArgumentTypeError for
    an address of another kind.
    """
    try:
        return read_repository(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def random_seed(text: str) -> int:
    """A whole number of 0 to MOST_SEED."""
    if not (text.isascii() and text.isdigit()) or int(text) > MOST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 to {MOST_SEED:,}")
    return int(text)


def size(text: str) -> tuple[int, int]:
    """HxW to (height, width)."""
    height, _, width = text.lower().partition("x")
    try:
        return positive(height), positive(width)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW, such as 224x224") from error


def channels(text: str) -> tuple[float, ...]:
    """R,G,B (or one number for gray) in units of 0..1."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not R,G,B, such as 0.485,0.456,0.406") from error
    if len(numbers) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text!r} has {len(numbers)} numbers: give three (RGB) or one (gray)")
    return numbers


def color(text: str) -> tuple[int, ...] | Literal["mean"]:
    """R,G,B, or one level for all channels, in units of 0..255; the word mean is the arithmetic's."""
    if text == "mean":
        return "mean"
    parts = text.split(",")
    if not all(part.isdigit() and int(part) <= 255 for part in parts) or len(parts) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 0, mean nor R,G,B: levels are whole numbers up to 255")
    return tuple(map(int, parts))


def fraction(text: str) -> float:
    """A number above 0 and at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return number


def points(text: str) -> float:
    """Percentage points of 0 to 100 to a share."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of percentage points, such as 0.5")
    return number / 100
