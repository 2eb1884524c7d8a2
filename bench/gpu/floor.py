"""The least time that a batch can take on a card: its multiply-adds at the card's rate, or its bytes at its memory's,
whichever is longer (Williams et al. 2009, Roofline).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """One image of a network, and its weights."""

    multiply_adds: int
    parameters: int
    input_bytes: int
    bytes_a_number: int


@dataclass(frozen=True)
class Rates:
    """Of a card, measured or from its data sheet: floating-point operations and bytes a second."""

    flops: float
    bytes: float


def least_seconds(work: Work, rows: int, rates: Rates) -> float:
    """Each weight is read once a batch, each image once; activations are taken as kept in the chip's caches, so that
    this is a bound from below.
    """
    arithmetic = 2 * work.multiply_adds * rows / rates.flops
    moved = (work.parameters * work.bytes_a_number + work.input_bytes * rows) / rates.bytes
    return max(arithmetic, moved)
