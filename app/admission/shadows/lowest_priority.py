"""LowestPriorityRows: rows that no request waits for."""

from __future__ import annotations

import asyncio

from app.batching.entry import Places
from app.batching.fair_queue import LOWEST, get_queue_class
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from artifact.images.frame import Pixels

_LOWEST_CLASS = get_queue_class(LOWEST, "")


class LowestPriorityRows:
    """Rows of one model that are run after those of all requests. Implements app.explain.occlusion.Rows."""

    def __init__(self, model: LoadedModel, timeout_s: float) -> None:
        """`timeout_s` are the seconds from now to the deadline of all rows."""
        self.model = model
        self.deadline = asyncio.get_running_loop().time() + timeout_s

    def reserve(self, rows: int) -> Places[Pixels, Scores]:
        """Raises as Batcher.reserve does."""
        return self.model.batcher.reserve(rows, self.deadline, _LOWEST_CLASS)
