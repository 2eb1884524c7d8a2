"""What a network says of an image: probabilities, energy, and the few most probable classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# How many classes are ranked for every row: as many as an answer has by default.
TOP = 5
# Up to this many classes Python ranks a row as fast as NumPy.
_FEW_CLASSES = 32


class Scores(NamedTuple):
    """What the network says of one image."""

    probabilities: npt.NDArray[np.float32]
    """float32 [classes]"""
    energy: float | None
    """log-sum-exp of the logits; None where the graph doesn't give it."""
    features: npt.NDArray[np.float32] | None = None
    """float32 [channels, h, w], the input of global pooling; None unless the row was `Observed`."""
    embedding: npt.NDArray[np.float32] | None = None
    """float32 [channels], the mean of the features over their positions; None unless the row was `Embedded`."""
    top: Sequence[tuple[int, float]] = ()
    """The few most probable classes, best first, equal ones in label order: index and probability. Found for a whole
    batch at once, which costs little more than for one row.
    """
    is_finite: bool = True
    """Whether all probabilities are finite."""


def score_rows(probabilities: npt.NDArray[np.float32], energies: npt.NDArray[np.float32] | None = None) -> list[Scores]:
    """The scores of each row of `probabilities`, [n, classes]; `energies` are [n]."""
    energy: list[float | None] = [None] * len(probabilities) if energies is None else energies.tolist()
    find_top = _find_top_of_few if probabilities.shape[1] <= _FEW_CLASSES else _find_top_of_many
    return [
        Scores(row, energy[place], None, None, top, isfinite(total))
        for place, (row, (top, total)) in enumerate(zip(probabilities, find_top(probabilities), strict=True))
    ]


def _find_top_of_few(probabilities: npt.NDArray[np.float32]) -> Iterator[tuple[list[tuple[int, float]], float]]:
    """Of each row the top and the sum, which isn't finite where any probability isn't.

    In plain Python: NumPy's calls, 25 us together right after a run has emptied the caches, would take longer than a
    tiny network.
    """
    for row in probabilities.tolist():
        best = sorted(range(len(row)), key=row.__getitem__, reverse=True)[:TOP]
        yield [(index, row[index]) for index in best], sum(row)


def _find_top_of_many(probabilities: npt.NDArray[np.float32]) -> Iterator[tuple[list[tuple[int, float]], float]]:
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    values = np.take_along_axis(probabilities, best, 1)
    totals = probabilities.sum(axis=1)
    for indices, row, total in zip(best.tolist(), values.tolist(), totals.tolist(), strict=True):
        yield list(zip(indices, row, strict=True)), total
