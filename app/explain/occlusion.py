"""Occlusion sensitivity (Zeiler & Fergus 2014, Visualizing and Understanding Convolutional Networks).

For networks without global pooling: cover part after part of the input and see how far the class's probability falls.
The covered copies go through the batcher like everybody's rows, one batch at a time, so that predictions pass between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from app.batching.entry import Places
from app.errors import NotExplainable
from app.explain.evidence import EvidenceMap, scale_evidence
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from artifact.image_policy import ImagePolicy
from artifact.images.frame import Pixels

# An explanation may use this share of the time until its deadline; a slow network gets a coarser grid instead.
_TIME_SHARE = 0.5


class Rows(Protocol):
    """Where an explanation's rows run: a request that was admitted and has begun."""

    @property
    def model(self) -> LoadedModel: ...

    @property
    def deadline(self) -> float:
        """Seconds by the event loop's clock."""

    def reserve(self, rows: int) -> Places[Pixels, Scores]:
        """Reserve places in the model's queue, to be answered by the deadline. Raises as Batcher.reserve does."""


class Grid(NamedTuple):
    """The input divided into `cells` x `cells` parts; patches of `patch` x `patch` parts cover it at every position."""

    cells: int
    patch: int

    @property
    def places(self) -> int:
        return self.cells - self.patch + 1

    @property
    def rows(self) -> int:
        return self.places**2


# A patch covers a fifth to a quarter of the side: enough to hide what a class is known by, little enough to place it.
GRIDS = (Grid(14, 3), Grid(8, 2), Grid(5, 1))


async def map_occlusion(rows: Rows, pixels: Pixels, index: int, probability: float) -> EvidenceMap:
    """The evidence for class `index` in `pixels` uint8 [height, width, channels], float32 [cells, cells] of a grid over
    them: how much of `probability`, the class's for the whole image, is lost where a part is covered.

    Raises NotExplainable where even the coarsest grid can't be done before the deadline, and what Batcher.reserve and
    Places.run raise.
    """
    model = rows.model
    left = rows.deadline - asyncio.get_running_loop().time()
    grid = choose_grid(model.name, model.card.image, model.seconds_of_batch, left)
    covered = list(cover(pixels, grid, choose_fill(pixels, model.card.image)))
    # A whole batch at once is as fast as all rows, and leaves the queue to others.
    step = min(model.batcher.max_batch_size, max(1, model.batcher.max_queue_rows // 4))
    found: list[float] = []
    for start in range(0, len(covered), step):
        part = covered[start : start + step]
        with rows.reserve(len(part)) as places:
            results = await asyncio.gather(*(places.run(row) for row in part))
        found += [float(result.output.probabilities[index]) for result in results]
    drops = np.float32(probability) - np.array(found, np.float32).reshape(grid.places, grid.places)
    return scale_evidence(spread(np.nan_to_num(drops), grid))


def choose_grid(name: str, policy: ImagePolicy, seconds_of_batch: Mapping[int, float], left_s: float) -> Grid:
    """The finest grid that the measured time per row allows within `left_s` seconds. Raises NotExplainable where even
    the coarsest takes longer. `seconds_of_batch` maps rows to seconds.
    """
    row_s = min(seconds / rows for rows, seconds in seconds_of_batch.items())
    fitting = [grid for grid in GRIDS if grid.cells <= min(policy.height, policy.width)] or [Grid(1, 1)]
    for grid in fitting:
        if grid.rows * row_s <= _TIME_SHARE * left_s:
            return grid
    coarsest = fitting[-1]
    if coarsest.rows * row_s > left_s:
        raise NotExplainable(
            f"{name} has no global pooling, so explaining it takes {coarsest.rows} runs of {row_s * 1e3:,.0f} ms, "
            f"and the deadline is {left_s * 1e3:,.0f} ms away: allow more (the setting timeout_ms)"
        )
    return coarsest


def choose_fill(pixels: Pixels, policy: ImagePolicy) -> npt.NDArray[np.uint8]:
    """The color [channels] of the occluding squares: the background, or the mean of the image."""
    if policy.polarity != "any":
        return np.full(policy.channels, 255 * (policy.polarity == "dark-on-light"), np.uint8)
    mean: npt.NDArray[np.float64] = pixels.mean(axis=(0, 1))
    return np.rint(mean).astype(np.uint8)


def cover(pixels: Pixels, grid: Grid, fill: npt.NDArray[np.uint8]) -> Iterator[Pixels]:
    """Copies of `pixels` [h, w, channels], each with one patch in the color `fill`, row by row."""
    height, width, _ = pixels.shape
    y, x = (np.rint(np.linspace(0, side, grid.cells + 1)).astype(int) for side in (height, width))
    for i in range(grid.places):
        for j in range(grid.places):
            copy = pixels.copy()
            copy[y[i] : y[i + grid.patch], x[j] : x[j + grid.patch]] = fill
            yield copy


def spread(drops: npt.NDArray[np.float32], grid: Grid) -> npt.NDArray[np.float32]:
    """For each cell the mean drop of the patches that cover it: [cells, cells] from [places, places].

    So a small object's evidence peaks in its middle, not at the first patch that touched it.
    """
    total = np.zeros((grid.cells, grid.cells), np.float32)
    count = np.zeros_like(total)
    for i in range(grid.patch):
        for j in range(grid.patch):
            total[i : i + grid.places, j : j + grid.places] += drops
            count[i : i + grid.places, j : j + grid.places] += 1
    return total / count
