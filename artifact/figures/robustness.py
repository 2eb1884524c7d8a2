"""A card's figures for damaged images: accuracy and calibration if they are blurred, noisy, dark or turned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from artifact.documents import Part, Probability

Corruption = Literal["blur", "noise", "jpeg", "brightness", "rotation", "scale"]


class Corrupted(Part):
    """The same images, each changed in one way and by one amount."""

    corruption: Corruption
    strength: Annotated[int, Field(ge=1, le=3)]
    amount: str
    """In words: `quality 25`."""
    top1: Probability
    ece: Probability
    """Expected calibration error, as the evaluation's."""


class Robustness(Part):
    """Measured on a bounded number of held-out images at the network's size, as the graph reads them."""

    dataset: str
    images: PositiveInt
    top1: Probability
    """Of these images as they are."""
    ece: Probability
    corrupted: tuple[Corrupted, ...]
    """By corruption, from weak to strong."""
