"""What a network reads: how an encoded image becomes its pixels, and what the graph does with them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from artifact.documents import Part

Level = Annotated[int, Field(ge=0, le=255)]

# The words of a policy; command lines offer them by typing.get_args.
Fit = Literal["stretch", "crop", "pad", "content"]
CropRule = Literal["torchvision", "transformers", "rounded"]
Resize = Literal["antialias", "antialias-bicubic", "antialias-lanczos", "bilinear", "bicubic", "area", "nearest"]
Decode = Literal["accurate", "tensorflow"]
Polarity = Literal["light-on-dark", "dark-on-light", "any"]
PreprocessingName = Literal["tf", "caffe", "torch", "unit", "none", "custom"]


class ImagePolicy(Part):
    """How an encoded image becomes the uint8 [height, width, channels] array that the network reads."""

    height: PositiveInt
    width: PositiveInt
    channels: Literal[1, 3]
    fit: Fit = "stretch"
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 0.875
    crop_rule: CropRule = "torchvision"
    """`crop` only: how the scaled sides and the margins become whole pixels. `torchvision` (timm, too) cuts sides and
    rounds margins, `transformers` cuts both; `rounded`, which rounds both, is what cards up to format 2 mean."""
    pad_color: Annotated[tuple[Level, ...], Field(min_length=1, max_length=3)] = (0,)
    """`pad` only: the color of the rest, one level (0 to 255) per channel, or one for all."""
    margin: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """`content` only: the empty share of the frame on each side of the ink, as the data set itself has it."""
    resize: Resize = "antialias"
    polarity: Polarity = "any"
    decode: Decode = "accurate"
    """Of JPEGs: `accurate` as Pillow, torchvision and OpenCV do, `tensorflow` as tf.io.decode_image does (fast DCT)."""
    reduced_decode: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, self.channels)

    @model_validator(mode="after")
    def _fills_every_channel(self) -> Self:
        if len(self.pad_color) not in (1, self.channels):
            raise ValueError(f"pad_color has {len(self.pad_color)} levels for {self.channels} channels")
        return self


class Preprocessing(Part):
    """The pixel arithmetic inside the graph: (pixel - mean) / std a channel, units of 0..255, after any swap to BGR."""

    name: PreprocessingName
    channel_order: Literal["rgb", "bgr", "gray"]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]
