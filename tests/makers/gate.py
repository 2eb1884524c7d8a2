"""A model that runs only when the test lets it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.batching.batcher import Batcher
from app.inference.model import LoadedModel, load_model
from app.inference.scores import Scores
from app.settings import Settings
from artifact.images.frame import Pixels


class Gate:
    """A loader whose models run their batches through a gate."""

    def __init__(self, longest_s: float = 30) -> None:
        """A batch that isn't let through within `longest_s` fails."""
        self.open = threading.Event()
        self._longest_s = longest_s
        self.entered = threading.Semaphore(0)
        self.error: Exception | None = None
        self.batches: list[int] = []
        self.batchers: dict[str, Batcher[Pixels, Scores]] = {}
        """By model."""
        self.levels: list[int] = []
        """The mean of the pixels of each row, in the order in which they ran."""

    async def load(self, folder: Path, settings: Settings, *, on_device_failure: Any, **options: Any) -> LoadedModel:
        model = await load_model(folder, settings, metrics=options.get("metrics"))
        run = model.batcher.runners[0]

        def run_gated(rows: Sequence[Pixels]) -> Sequence[Scores]:
            self.batches.append(len(rows))
            self.levels += [round(float(row.mean())) for row in rows]
            self.entered.release()
            assert self.open.wait(self._longest_s)
            if self.error is not None:
                raise self.error
            return run(rows)

        batcher: Batcher[Pixels, Scores] = Batcher(
            [run_gated],
            max_batch_size=settings.max_batch_size,
            max_queue_rows=settings.max_queue_rows,
            on_device_failure=on_device_failure,
        )
        self.batchers[model.name] = batcher
        return replace(model, batcher=batcher)
