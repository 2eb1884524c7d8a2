"""What only the user knows of a network that was trained elsewhere: the IMAGE OPTIONS of `convert` and `adopt`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from artifact.card import Decode, Fit, Head, ImagePolicy, Polarity, Resize
from export.errors import UsageError


@dataclass(frozen=True)
class ImageOptions:
    """None means: not said. Networks known by name then take what they were made for, files the default."""

    labels: str | None = None
    preprocessing: str | None = None
    size: tuple[int, int] | None = None
    fit: Fit | None = None
    crop_fraction: float | None = None
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

    def policy(self, shape: tuple[int, int, int], fit: Fit = "stretch", crop_fraction: float = 0.875) -> ImagePolicy:
        """The image policy of a network that reads `shape` (height, width, channels), or the defaults."""
        if self.crop_fraction is not None and (self.fit or fit) != "crop":
            raise UsageError(f"--crop-fraction is for --fit crop, this network's is {self.fit or fit}: say --fit crop")
        height, width, channels = shape
        return ImagePolicy(
            height=height,
            width=width,
            channels=channels,  # type: ignore[arg-type]
            fit=self.fit or fit,
            crop_fraction=self.crop_fraction or crop_fraction,
            resize=self.resize or "antialias",
            polarity=self.polarity or "any",
            decode=self.decode or "accurate",
            reduced_decode=self.reduced_decode,
        )
