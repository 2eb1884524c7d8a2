"""What only the user knows of a network that was trained elsewhere: the IMAGE OPTIONS of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from artifact.card import Head
from artifact.image_policy import CropRule, Decode, Fit, ImagePolicy, Polarity, Preprocessing, Resize
from export.data.preprocessing import custom, preset
from export.errors import UsageError
from export.progress import say

Channels = tuple[float, ...]

# Of pixels in units of 0..1. No mean of theirs is larger; a standard deviation of 1 divides nothing, more is rare.
GREATEST_MEAN, GREATEST_STD = 1, 2
# What looks at all pixels. The others look at a few of them, which decoding at a part of the size would have averaged.
AVERAGING: tuple[Resize, ...] = ("antialias", "antialias-bicubic", "antialias-lanczos", "area")


@dataclass(frozen=True)
class ImageOptions:
    """None means: not said. Networks known by name then take what they were made for, files the default."""

    labels: str | None = None
    preprocessing: str | None = None
    mean: Channels | None = None
    """A channel, in units of 0..1, as `std`."""
    std: Channels | None = None
    size: tuple[int, int] | None = None
    fit: Fit | None = None
    crop_fraction: float | None = None
    crop_rule: CropRule | None = None
    pad_color: tuple[int, ...] | Literal["mean"] | None = None
    resize: Resize | None = None
    polarity: Polarity | None = None
    decode: Decode | None = None
    reduced_decode: bool = False
    head: Head | None = None
    output: str | None = None
    images: Path | None = None
    dataset: str | None = None
    skip_damaged: bool = False

    def given(self) -> list[str]:
        """The options of the command line that were said."""
        return [
            f"--{field.name.replace('_', '-')}" for field in fields(self) if getattr(self, field.name) != field.default
        ]

    def __post_init__(self) -> None:
        """Raises UsageError for an option that means nothing without another."""
        if self.skip_damaged and self.dataset is None:
            raise UsageError("--skip-damaged is for a folder that --dataset names: leave it out")

    def arithmetic(self, channels: int) -> Preprocessing | None:
        """What --preprocessing, or --mean and --std, say of a network of `channels` channels; None if neither was
        given.

        Raises UsageError where both are said, or numbers that can't be.
        """
        if self.mean is None and self.std is None:
            return None if self.preprocessing is None else preset(self.preprocessing, channels)
        if self.preprocessing is not None:
            raise UsageError(
                f"--preprocessing {self.preprocessing} and --mean or --std: pass either --mean R,G,B --std R,G,B or "
                "--preprocessing"
            )
        if self.std is None:
            say("--std is not given: 1 is assumed, so pixels in units of 0..1 minus --mean are not divided")
        if self.mean is None:
            say("--mean is not given: 0 is assumed")
        mean, std = self.mean or (0.0,) * channels, self.std or (1.0,) * channels
        for option, numbers, limit in (("--mean", mean, GREATEST_MEAN), ("--std", std, GREATEST_STD)):
            if len(numbers) != channels:
                raise UsageError(
                    f"{option} has {len(numbers)} numbers, the network reads {channels} channels: one each"
                )
            if not max(map(abs, numbers)) <= limit:  # NaN is refused as well
                raise UsageError(
                    f"{option} {_join(numbers)} is in units of 0..1 and can't exceed {limit:g}: numbers in units of "
                    f"0..255 are divided by 255 ({_join(number / 255 for number in numbers)})"
                )
        if min(std) <= 0:
            raise UsageError(f"--std {_join(std)}: standard deviations are above 0")
        return custom(tuple(255 * number for number in mean), tuple(255 * number for number in std))

    def over(self, policy: ImagePolicy, preprocessing: Preprocessing | None) -> ImagePolicy:
        """`policy` as these options change it. `preprocessing` is the network's, None where it is still to be measured.

        Raises UsageError for options that this network's policy would leave unused.
        """
        fit, resize = self.fit or policy.fit, self.resize or policy.resize
        for option, said, its in (
            ("--crop-fraction", self.crop_fraction, "crop"),
            ("--crop-rule", self.crop_rule, "crop"),
            ("--pad-color", self.pad_color, "pad"),
        ):
            if said is not None and fit != its:
                raise UsageError(f"{option} is for --fit {its}, this network's is {fit}: pass --fit {its}")
        if self.reduced_decode and resize not in AVERAGING:
            raise UsageError(
                f"--reduced-decode averages pixels, of which --resize {resize} reads single ones: it is for "
                f"--resize {', '.join(AVERAGING)}"
            )
        changes: dict[str, Any] = {
            "fit": self.fit,
            "crop_fraction": self.crop_fraction,
            "crop_rule": self.crop_rule,
            "pad_color": self._color(policy.channels, preprocessing),
            "resize": self.resize,
            "polarity": self.polarity,
            "decode": self.decode,
            "reduced_decode": self.reduced_decode or None,
        }
        return policy.model_copy(update={word: value for word, value in changes.items() if value is not None})

    def policy(
        self, shape: tuple[int, int, int], preprocessing: Preprocessing | None, fit: Fit = "stretch"
    ) -> ImagePolicy:
        """The image policy of a network that reads `shape` (height, width, channels), or the defaults."""
        height, width, channels = shape
        plain = ImagePolicy(height=height, width=width, channels=channels, fit=fit)
        return self.over(plain, preprocessing)

    def _color(self, channels: int, preprocessing: Preprocessing | None) -> tuple[int, ...] | None:
        """The levels of --pad-color."""
        color = self.pad_color
        if color != "mean":
            if color is not None and len(color) not in (1, channels):
                raise UsageError(
                    f"--pad-color has {len(color)} levels, the network reads {channels} channels: one each"
                )
            return color
        if preprocessing is None:
            raise UsageError(
                "--pad-color mean: this network's mean is measured on the training images as they are padded: "
                "give the levels as R,G,B, or the mean with --mean and --std"
            )
        mean = preprocessing.mean[::-1] if preprocessing.channel_order == "bgr" else preprocessing.mean
        return tuple(min(255, max(0, round(level))) for level in mean)


def _join(numbers: Iterable[float]) -> str:
    return ",".join(f"{number:.4g}" for number in numbers)
