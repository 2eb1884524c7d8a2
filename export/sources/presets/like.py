"""From the word of --like to image options, under those that were said."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from artifact.errors import near_miss
from export.errors import UsageError
from export.progress import say
from export.sources.image_options import ImageOptions
from export.sources.presets import keras_loader, timm, transformers
from export.sources.presets.fields import Fields

# What torchvision's first weights were measured with: resized to 256, of which the center of 224 is seen.
TORCHVISION = {"resize": "antialias", "fit": "crop", "crop_fraction": 0.875, "preprocessing": "torch"}
FILES = {"timm": timm.read, "hf": transformers.read}
WORDS = ("keras:LOADER", "torchvision", "timm:FILE.json", "hf:FILE.json")

_ARITHMETIC = ("preprocessing", "mean", "std")
# What belongs to one fit alone.
_OF_FIT = ("crop_fraction", "crop_rule", "pad_color")


def fill_in(options: ImageOptions, like: str) -> ImageOptions:
    """The options with what `like` names for those that weren't said; people are shown the options.

    Raises UsageError where there is no such preset, its file can't be read, or it asks for what isn't supported.
    """
    found = read_preset(like)
    said = {field.name for field in fields(options) if getattr(options, field.name) != field.default}
    if said & {*_ARITHMETIC}:
        said.update(_ARITHMETIC)
    if options.fit not in (None, found.get("fit")):
        said.update(_OF_FIT)
    taken = {name: value for name, value in found.items() if name not in said}
    shown = " ".join(f"--{name.replace('_', '-')} {_write(value)}" for name, value in taken.items())
    say(f"--like {like}: {shown or 'nothing that other options did not set'}")
    return replace(options, **taken)


def read_preset(like: str) -> dict[str, Any]:
    """Image options by their names in ImageOptions. Raises UsageError."""
    library, _, rest = like.partition(":")
    if library == "keras":
        return keras_loader.read(rest)
    if library == "torchvision" and not rest:
        return dict(TORCHVISION)
    if library in FILES:
        if not rest:
            raise UsageError(f"--like {library} needs the file: --like {library}:FILE.json")
        return FILES[library](Fields.of_file(Path(rest), library))
    raise UsageError(
        f"--like {like!r} is not a preset{near_miss(library, ['keras', 'torchvision', *FILES])}: "
        f"there are {', '.join(WORDS)}"
    )


def _write(value: object) -> str:
    if not isinstance(value, tuple):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if all(isinstance(number, int) for number in value):
        return "x".join(map(str, value))
    return ",".join(f"{number:.6g}" for number in value)
