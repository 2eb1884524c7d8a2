"""Words of the command line that several commands share, and their checks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from artifact.card import Decode, Fit, Head, Polarity, PreprocessingName, Resize

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
        parser.add_argument("--repository", type=Path, required=True, help="folder of the served models")
    if data:
        parser.add_argument(
            "--data-dir",
            type=Path,
            default=os.environ.get("CONVSERVE_DATA_DIR"),
            help="folder that holds the original files of the data sets (default: $CONVSERVE_DATA_DIR)",
        )
    if seed:
        parser.add_argument("--seed", type=int, default=0, help="of the split, the weights and the order (default: 0)")


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """What only the user knows of a foreign network: export.sources.image_options.ImageOptions."""
    group = parser.add_argument_group(
        "image options (for files; a run knows its own, a network by name its family's)",
        "How the network was fed when it was trained. keras.utils.image_dataset_from_directory: --decode tensorflow "
        "--resize bilinear --fit stretch. load_img, ImageDataGenerator, flow_from_directory: --resize nearest "
        "--fit stretch. torchvision and most published ImageNet accuracies: --resize antialias --fit crop.",
    )
    group.add_argument(
        "--labels",
        metavar="FILE|imagenet",
        help="one name a line (numbers before them give their order), synset lines, a class_index or class_indices "
        "JSON, or imagenet",
    )
    group.add_argument("--preprocessing", choices=PREPROCESSING, help="the pixel arithmetic")
    group.add_argument("--size", type=size, metavar="HxW", help="where the network reads images of any size")
    group.add_argument(
        "--fit", choices=get_args(Fit), help="default: stretch for files; crop for networks by name of 224x224 up"
    )
    group.add_argument("--crop-fraction", type=fraction, metavar="F", help="of --fit crop (default: 0.875)")
    group.add_argument("--resize", choices=get_args(Resize), help="default: antialias")
    group.add_argument(
        "--decode",
        choices=get_args(Decode),
        help="of JPEGs: tensorflow for what trained through keras.utils loaders (default: accurate)",
    )
    group.add_argument("--reduced-decode", action="store_true", help="decode large JPEGs at 1/2, 1/4 or 1/8")
    group.add_argument("--polarity", choices=get_args(Polarity), help="default: any")
    group.add_argument(
        "--head", choices=("auto", *get_args(Head)), default="auto", help="what the last layer gives (default: auto)"
    )
    group.add_argument("--output", metavar="NAME", help="which of several outputs is the classifier's")
    images = group.add_mutually_exclusive_group()
    images.add_argument("--images", type=Path, metavar="DIR", help="real images for the proof")
    images.add_argument("--dataset", metavar="D", help="a data set for the proof and the accuracy")
    add_skip_damaged(group)


def add_publish_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replace-config", action="store_true", help="replace a config.pbtxt of the model's folder that isn't ours"
    )
    parser.add_argument("--json", action="store_true", help="print what was published as one JSON object")


def add_skip_damaged(parser: argparse._ActionsContainer) -> None:
    """For a data set that is a folder."""
    parser.add_argument("--skip-damaged", action="store_true", help="leave out undecodable images and empty classes")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
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


def fraction(text: str) -> float:
    """A number above 0 and at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return number
